/** Keys that stand twice in one JSON object. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { doubledKey } from './json-doubled.js';

const find = (text: string): string | undefined => doubledKey(text, JSON.parse(text));

test('a key that is there twice is found, however deep and however it is escaped', () => {
  assert.equal(find('{"a":1,"a":2}'), 'a');
  assert.equal(find('{"x":[{"b":1},{"b":{"c":"{","c" : 2}}]}'), 'c');
  assert.equal(find('{"image":"p0","\\u0069mage":"p1"}'), 'image');
  assert.equal(find('{"q\\"":1,"r":{},"q\\"":2}'), 'q"');
  assert.equal(find('{"__proto__":1,"__proto__":2}'), '__proto__');
  assert.equal(find('[{"a":[]},{"a":[],"b":0,"a":[]}]'), 'a');
});

test('keys of several objects, and what only looks like a key, are none', () => {
  for (const text of [
    '{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}',
    '{"a":"\\"a\\":1,\\"a\\":2","b":"\\\\"}',
    '["a:","a:",{"c":"x:y\\\\\\""}]',
    '{"__proto__":{"a":1},"a":null}',
    '"a:b"',
    '{}',
    '-1.5e7',
  ]) {
    assert.equal(find(text), undefined, text);
  }
  const deep = `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`;
  assert.equal(find(deep), undefined);
});
