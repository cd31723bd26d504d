/** The parsers of option values: ranges, levels, and what they refuse. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { levelList, realNumber, wholeNumber } from './options.js';

test('whole numbers keep to their range', () => {
  const parse = wholeNumber(1, 10);
  assert.deepEqual(['1', '7', ' 10 '].map(parse), [1, 7, 10]);
  for (const text of ['0', '11', '1.5', '1e1', '', 'many', '-3', '99999999999999999999']) {
    assert.throws(() => parse(text), /whole number from 1 to 10/, text);
  }
});

test('real numbers keep to their range, open or closed', () => {
  assert.equal(realNumber(0, 1)('0'), 0);
  assert.throws(() => realNumber(0, 1, true)('0'), /above 0/);
  for (const text of ['', 'x', 'NaN', 'Infinity', '1.01', '-0.1']) assert.throws(() => realNumber(0, 1)(text), text);
});

test('levels are numbers and ranges', () => {
  assert.deepEqual(levelList('1-4'), [1, 2, 3, 4]);
  assert.deepEqual(levelList('0, 12,-1'), [0, 12, -1]);
  assert.deepEqual(levelList('3,19-21'), [3, 19, 20, 21]);
  for (const text of ['', '4-1', '1-', 'all', '1,1', '2,1-3', '1-99999']) assert.throws(() => levelList(text), text);
});
