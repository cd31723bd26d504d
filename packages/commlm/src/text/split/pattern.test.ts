/** Patterns of tokenizer.json: what they mean is kept, what is not known is refused, and none runs for long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readNormalizer } from './normalizers.js';
import { compilePattern, matchesOf } from './pattern.js';

const found = (source: string, text: string): string[] =>
  [...matchesOf(compilePattern(source), text)].map(([start, end]) => text.slice(start, end));

test('what the two syntaxes read differently keeps its meaning', () => {
  // By tokenizers 0.23.3.
  for (const [source, text, matches] of [
    ["(?i:'s|'k)", "'s'S'ſ'K'\u212a", ["'s", "'S", "'ſ", "'K", "'\u212a"]],
    [String.raw`\s+`, '\ufeff\u0085\u180e\u200b\u001c x', ['\u0085', ' ']],
    [String.raw`\d+`, '1²½٣Ⅷ', ['1', '٣']],
    [String.raw`\w+`, 'a_1½²é\u0301क\u094d\u200dx', ['a_1½²é\u0301क\u094d', 'x']],
    [String.raw`[\w]+`, 'a½', ['a']],
    ['.+', 'a\nb\rc\u2028d', ['a', 'b\rc\u2028d']],
    ['^.', 'a\nb\rc', ['a', 'b']],
    ['[[:punct:]]+', '$+-.!<^', ['$+-.!<^']],
    ['a{2}+', 'aaaaa', ['aaaa']],
    ['a{,2}', 'aaab', ['aa', 'a', '']],
    ['a*+a', 'aa', []],
    ['[a-c&&[^b]]+', 'abc', ['a', 'c']],
    ['[]a]+', ']a', [']a']],
    ['(?i)x|y', 'XY', ['X', 'Y']],
    [']', ']', [']']],
  ] as const) {
    assert.deepEqual(found(source, text), matches, source);
  }
});

test('what is not known is refused by name', () => {
  for (const source of [
    ...[
      String.raw`\1`,
      String.raw`\X`,
      String.raw`\R`,
      String.raw`\K`,
      String.raw`\G`,
      String.raw`\p{Nothing}`,
      String.raw`\pL`,
    ],
    ...[
      '(?x: a)',
      '(?m:.)',
      '(?P<n>a)',
      '(?i:ss)',
      '(?i:é)',
      '(a',
      'a)',
      '[a',
      '*a',
      '[a-\\d]',
      '[b-a]',
      'a{2}?',
      'a{9999}',
    ],
    ...['(?<=a++)b', '[[:nothing:]]', '[a&&]', String.raw`\x80`, String.raw`\u12`, '('.repeat(500) + ')'.repeat(500)],
  ]) {
    assert.throws(() => compilePattern(source), { code: 'text/pattern' }, source);
  }
});

test('patterns of real tokenizers are plain, those that repeat repetitions are not', () => {
  const llama = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
  assert.ok(compilePattern(llama).plain);
  for (const source of [
    '(.*)*$x',
    String.raw`(\w+\s*)+$x`,
    '(a|a)*$x',
    '(a{2,9}){2,9}b',
    'a*a*a*b',
    'a?a?a?a?a?b',
    'a++b',
  ]) {
    assert.ok(!compilePattern(source).plain, source);
  }
});

test('a normaliser that repeats its text again and again is stopped', () => {
  const step = { type: 'Replace', pattern: { String: 'a' }, content: 'aa' };
  const { normalize } = readNormalizer({ type: 'Sequence', normalizers: Array(40).fill(step) });
  assert.throws(() => normalize('aaaa'), { code: 'text/growth' });
  assert.equal(readNormalizer(step).normalize('ab'), 'aab');
});
