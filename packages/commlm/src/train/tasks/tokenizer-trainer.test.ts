/** The tokenizer trainer: the same lines give the same file, boxes are short, any text round-trips. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goldenCorpus, readTextGolden } from '../../text/golden.fixture.js';
import { Tokenizer } from '../../text/tokenizer.js';
import { type TrainedTokenizer, trainTokenizer } from './tokenizer-trainer.js';

const trained = trainTokenizer(goldenCorpus(), { vocabSize: 600 });
const tokenizer = new Tokenizer(trained.tokenizerJson, trained.tokenizerConfig);

test('the file equals the golden one, which the Python library reads with equal ids', () => {
  assert.deepEqual(JSON.parse(JSON.stringify(trained)), readTextGolden<TrainedTokenizer>('trained'));
});

test('the vocabulary has the special tokens first and at most the size asked for', () => {
  const { vocab } = trained.tokenizerJson.model;
  assert.ok(tokenizer.vocabSize <= 600);
  assert.deepEqual(
    Object.values(vocab).toSorted((a, b) => a - b),
    [...Array(tokenizer.vocabSize).keys()],
  );
  assert.deepEqual(
    ['<unk>', '<s>', '</s>', '<im_start>', '<im_end>', '<im_patch>'].map((token) => vocab[token]),
    [0, 1, 2, 3, 4, 5],
  );
  assert.equal(trainTokenizer(goldenCorpus(), { vocabSize: 300 }).tokenizerJson.model.merges?.length, 300 - 262);
});

test('a box costs 17 tokens, with or without the space before it', () => {
  for (const box of ['[0.274,0.074,0.714,0.998]', '[0.000,1.000,0.500,1.000]']) {
    assert.equal(tokenizer.encode(box).length, 17);
    assert.equal(tokenizer.encode(`dog ${box}`).length, tokenizer.encode('dog').length + 17);
  }
  assert.equal(tokenizer.encode('[0.1,0.2,0.3,0.4;0.5,0.6,0.7,0.8]').length, 17);
});

test('digits stand alone, frequent words are one token', () => {
  assert.equal(tokenizer.encode('1234567890').length, 10);
  for (const word of [' dog', ' elephant', ' image', ' answer', 'Is', ' curious', ' ASSISTANT']) {
    assert.equal(tokenizer.encode(word).length, 1, word);
  }
});

test('any text round-trips, also when nothing was learned from it', () => {
  const untrained = trainTokenizer([], { vocabSize: 0 });
  const bytes = new Tokenizer(untrained.tokenizerJson, untrained.tokenizerConfig);
  for (const text of ['日本語 👩‍👩‍👧', '\u0000\u001f\n\t  x', 'İ ß ½ ²', '</s><im_patch>', 'a'.repeat(500)]) {
    assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
    assert.equal(bytes.decode(bytes.encode(text)), text);
  }
});
