/** Tokens that tools disagree on, properties of the caption metrics, and the traps of their definitions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scoreCaptions } from './captions.js';
import { mean } from './mean.js';
import { ptbTokenize } from './ptb-tokenizer.js';
import { longestCommonSubsequence } from './rouge.js';
import { Scanner } from './scanner.js';

/** Captions and their tokens, as the Java tokenizer and the clean-up after it give them. */
const TOKENS: ReadonlyArray<readonly [caption: string, tokens: string]> = [
  ["It isn't, can't and won't.", "it is n't ca n't and wo n't"],
  ["I'm gonna, wanna, gimme, gotta, lemme cannot", "i 'm gon na wan na gim me got ta lem me can not"],
  ["'tis 'twas y'all o'clock", "'t is 't was y' all o'clock"],
  ["the dog's and the dogs' bowl", "the dog 's and the dogs bowl"],
  ["1990's '50s 'cause", "1990 's '50s 'cause"],
  ['black-and-white t-shirt - -- —', 'black-and-white t-shirt'],
  ['a/b * c', 'a/b * c'],
  ['$5 £3 €7 5¢ 50% #1 20°', '$ 5 # 3 $ 7 5 cents 50 % # 1 20 °'],
  ['½ 1 1/2 (555) 123-4567', '1/2 1\u00a01/2 -lrb-555-rrb-\u00a0123-4567'],
  ['&amp; &lt; <b>x</b> :)', '& < <b> x </b> :-rrb-'],
  ['(a) [b] {c}', '-lrb- a -rrb- -lsb- b -rsb- -lcb- c -rcb-'],
  ['a \u{1f600} b ☀ café 日本', 'a b ☀ café 日本'],
  ['at 10:30am, 5 p.m. in the U.S.', 'at 10:30 am 5 p.m. in the u.s.'],
  ['Mr. X on Main rd. has 5. 1,000 3.14', 'mr. x on main rd. has 5 1,000 3.14'],
  ['wow!! what?! no? ... .... .', 'wow !! what ?! no'],
  ['colour', 'colour'],
  ['', ''],
  ['two\nlines\rand\u2028more', 'two lines and more'],
];

test('captions become the tokens of the official tools', () => {
  for (const [caption, tokens] of TOKENS) assert.equal(ptbTokenize([caption, 'x'])[0], tokens, caption);
  assert.deepEqual(ptbTokenize(['', 'a', ' ']), ['', 'a', '']);
});

test('the end of a caption may depend on the start of the next', () => {
  assert.deepEqual(ptbTokenize(['this is plan A.', 'The dog']), ['this is plan a', 'the dog']);
  assert.deepEqual(ptbTokenize(['this is plan A.', 'a dog']), ['this is plan a.', 'a dog']);
});

test('a tag that does not end on its line swallows no caption', () => {
  assert.deepEqual(ptbTokenize(["<a b='c", "d'> e"]).length, 2);
  assert.equal(ptbTokenize(["<a b='c", 'dog'])[1], 'dog');
});

test('the scanner takes the longest match, of equals the earlier rule, and leaves the context', () => {
  const rules = [
    { pattern: 'ab', action: 'early' },
    { pattern: '[a-b]+', action: 'late' },
    { pattern: '{digits}', context: 'x+', action: 'before x' },
    { pattern: '{digits}', action: 'digits' },
  ];
  const scanner = new Scanner([['digits', '[0-9]{1,3}']], rules);
  assert.deepEqual(scanner.match('AB', 0), { action: 'early', end: 2 });
  assert.deepEqual(scanner.match('aba', 0), { action: 'late', end: 3 });
  assert.deepEqual(scanner.match('-12xx', 1), { action: 'before x', end: 3 });
  assert.deepEqual(scanner.match('1234', 0), { action: 'digits', end: 3 });
  assert.equal(scanner.match('BA', 0), null);
  assert.throws(() => new Scanner([], [{ pattern: '(a', action: '' }]), /missing \)/);
  assert.throws(() => new Scanner([], [{ pattern: '{none}', action: '' }]), /unknown definition/);
});

const REFERENCES = new Map([
  [1, ['a man rides a brown horse on the beach', 'a person on a horse by the sea']],
  [2, ['two dogs play with a ball in the park', 'dogs playing in the grass']],
  [3, ['a red bus on a city street']],
]);
const PREDICTIONS = new Map([
  [1, 'a man on a horse'],
  [2, 'a dog in a park'],
  [3, 'a blue car parked'],
]);

test('a reference itself scores one, whatever the order of the images', () => {
  const first = new Map([...REFERENCES].map(([id, captions]) => [id, captions[0]!]));
  const scores = scoreCaptions(REFERENCES, first);
  for (const name of ['BLEU-1', 'BLEU-4', 'ROUGE-L'] as const) assert.ok(Math.abs(scores[name] - 1) < 1e-8, name);
  const straight = scoreCaptions(REFERENCES, PREDICTIONS);
  const turned = scoreCaptions(new Map([...REFERENCES].reverse()), PREDICTIONS);
  for (const item of straight.perItem) {
    const same = turned.perItem.find(({ id }) => id === item.id);
    assert.deepEqual(same, item);
  }
  assert.ok(scores.CIDEr > straight.CIDEr);
});

test('CIDEr depends on the set: it is 0 for one image and others for a part', () => {
  const one = scoreCaptions(new Map([[1, REFERENCES.get(1) as string[]]]), PREDICTIONS);
  assert.equal(one.CIDEr, 0);
  assert.ok(one['BLEU-1'] > 0);
});

test('BLEU has its tiny constants in the place of smoothing, and an empty caption scores 0', () => {
  const scores = scoreCaptions(new Map([['x', ['a red bus']]]), new Map([['x', 'a red bus']]));
  assert.ok(Math.abs(scores['BLEU-4'] - 1e-6 ** (1 / 4)) < 1e-6);
  const empty = scoreCaptions(new Map([['x', ['a red bus']]]), new Map([['x', '']]));
  assert.equal(empty['BLEU-1'], 0);
  assert.equal(empty['ROUGE-L'], 0);
});

test('a missing prediction or reference is refused', () => {
  assert.throws(() => scoreCaptions(REFERENCES, new Map([[1, 'a']])), /Image 2 has no predicted caption/);
  assert.throws(() => scoreCaptions(new Map([[1, []]]), new Map([[1, 'a']])), /Image 1 has no reference/);
});

test('the mean adds as NumPy does, in blocks of eight', () => {
  const values = Array.from({ length: 1001 }, (_, i) => Math.sin(i) * 10 ** (i % 7));
  const exact = values.reduce((total, value) => total + value, 0) / values.length;
  // Either order rounds each of its sums once.
  const size = values.reduce((total, value) => total + Math.abs(value), 0) / values.length;
  assert.ok(Math.abs(mean(values) - exact) <= 2 * values.length * (Number.EPSILON / 2) * size);
  assert.equal(mean([]), 0);
  assert.equal(mean([0.1, 0.2, 0.3]), (0.1 + 0.2 + 0.3) / 3);
});

test('the longest common subsequence keeps the order', () => {
  assert.equal(longestCommonSubsequence([...'abcbdab'], [...'bdcaba']), 4);
  assert.equal(longestCommonSubsequence([], ['a']), 0);
});
