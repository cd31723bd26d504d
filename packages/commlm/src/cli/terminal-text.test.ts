/** No byte that a terminal obeys comes out of text that somebody else wrote; what people write in any script stays. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printable } from './terminal-text.js';

test('escape sequences are shown instead of obeyed', () => {
  assert.equal(printable('\x1b[31mred\x1b[0m'), '\\x1b[31mred\\x1b[0m');
  // A title, a link and a clipboard write, ended by BEL and by ST; the 8-bit CSI; overwriting the line.
  assert.equal(printable('\x1b]0;title\x07'), '\\x1b]0;title\\x07');
  assert.equal(printable('\x1b]52;c;Zm9v\x1b\\'), '\\x1b]52;c;Zm9v\\x1b\\');
  assert.equal(printable('\u009b2J'), '\\x9b2J');
  assert.equal(printable('no\ryes\b'), 'no\\x0dyes\\x08');
  assert.equal(printable('a\u202egpj.exe\u2066'), 'a\\u202egpj.exe\\u2066');
});

test('every control character but line feed and tab is written out', () => {
  for (let code = 0; code < 0x100; code++) {
    const character = String.fromCharCode(code);
    const control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    const kept = !control || character === '\n' || character === '\t';
    assert.equal(printable(character), kept ? character : `\\x${code.toString(16).padStart(2, '0')}`);
  }
});

test('text of every script, joined emoji and right-to-left words stay as they are', () => {
  const text = 'two\tlines\nñ 你好 שלום العربية हिन्दी 👩‍👩‍👧 a\u200db \u200f«x» ½ m²';
  assert.equal(printable(text), text);
});
