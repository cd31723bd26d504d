/** SentencePiece models: ids and texts equal the reference library's; damaged files are refused in one line. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { CommError } from '../config/errors.js';
import { SentencePieceModel } from './sentencepiece.js';
import { Tokenizer } from './tokenizer.js';

const golden = (name: string): URL => new URL(`../../../../tests/golden/sentencepiece/${name}`, import.meta.url);
const bytesOf = (name: string): Uint8Array => gunzipSync(readFileSync(golden(`${name}.model.gz`)));
type Case = { text: string; ids: number[]; decoded: string };
const cases = JSON.parse(readFileSync(golden('cases.json'), 'utf8')) as Record<string, Case[]>;

for (const [name, texts] of Object.entries(cases)) {
  test(`${name}: ids of ${texts.length} texts equal the library's`, () => {
    const model = new SentencePieceModel(bytesOf(name));
    for (const { text, ids } of texts) assert.deepEqual(model.encode(text), ids, JSON.stringify(text));
  });
}

const llama = Tokenizer.fromSentencePiece(bytesOf('bpe-llama'));

test('a Llama-type model gives the same ids and texts through the tokenizer', () => {
  for (const { text, ids, decoded } of cases['bpe-llama'] ?? []) {
    assert.deepEqual(llama.encode(text), ids, JSON.stringify(text));
    assert.equal(llama.decode(ids), decoded);
  }
  assert.deepEqual([llama.unkId, llama.bosId, llama.eosId, llama.padId, llama.vocabSize], [0, 1, 2, 0, 420]);
});

test('spelled control tokens stay text', () => {
  assert.ok(!llama.encode('</s><s><unk>').some((id) => llama.isSpecial(id)));
  assert.deepEqual(llama.splitSpecial('a</s>'), ['a', 2]);
});

test('the space in front: before every section in the older rule, before the first in the newer', () => {
  const newer = Tokenizer.fromSentencePiece(bytesOf('bpe-llama'), { legacy: false });
  const after = (tokenizer: Tokenizer): number[] => tokenizer.encodeParts(['dog', 2, 'dog']).ids.slice(-1);
  const [spaced] = llama.encode('dog').slice(-1);
  assert.deepEqual(llama.encodeParts(['dog', 2, 'dog']).ids, [...llama.encode('dog'), 2, ...llama.encode('dog')]);
  assert.deepEqual(newer.encode('dog'), llama.encode('dog'));
  assert.ok(after(llama)[0] === spaced);
  assert.equal(newer.decode(newer.encodeParts(['dog', 2, 'dog']).ids, { skipSpecial: false }), 'dog</s>dog');
  assert.equal(llama.decode(llama.encodeParts(['dog', 2, 'dog']).ids, { skipSpecial: false }), 'dog</s> dog');
});

test('a folder with tokenizer.model alone is loaded, with the tokens added to it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'commlm-sentencepiece-'));
  try {
    writeFileSync(join(folder, 'tokenizer.model'), bytesOf('bpe-llama'));
    writeFileSync(join(folder, 'added_tokens.json'), '{"<im_start>": 420}');
    const loaded = await Tokenizer.load(folder);
    assert.deepEqual(loaded.encode('A dog'), llama.encode('A dog'));
    assert.deepEqual([loaded.tokenToId('<im_start>'), loaded.vocabSize], [420, 421]);
    writeFileSync(join(folder, 'tokenizer.model'), 'no model');
    await assert.rejects(Tokenizer.load(folder), { code: 'text/sentencepiece' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a file cut off anywhere is refused in one line, or is a shorter model', () => {
  const bytes = bytesOf('bpe-llama');
  let refused = 0;
  for (let length = 0; length < bytes.length; length += 17) {
    try {
      new SentencePieceModel(bytes.subarray(0, length)).encode('a dog');
    } catch (error) {
      assert.ok(error instanceof CommError && !error.message.includes('\n'), String(error));
      refused++;
    }
  }
  assert.ok(refused > 100);
});

test('what is no model that can be read is refused with the cause', () => {
  const piece = (text: string, kind: number): number[] => {
    const utf8 = [...Buffer.from(text)];
    return [10, utf8.length + 4, 10, utf8.length, ...utf8, 24, kind];
  };
  for (const [bytes, cause] of [
    [[], /has no pieces/],
    [piece('a', 1), /no unknown piece/],
    [[...piece('a', 2), ...piece('b', 2)], /two unknown pieces/],
    [[...piece('a', 2), ...piece('a', 1)], /twice or an empty one/],
    [piece('a', 9), /a piece of the kind 9/],
    [[...piece('u', 2), 18, 2, 24, 3], /whole words or characters/],
    [[...piece('u', 2), 18, 3, 152, 2, 1], /lacks byte pieces/],
    [[...piece('u', 2), 26, 3, 18, 1, 0], /character map is damaged/],
    [[10, 255, 255, 255, 255, 15], /ends in the middle/],
    [[11], /wire type 3/],
    [[0], /no number/],
    [Array(12).fill(255), /number is too long/],
  ] as const) {
    assert.throws(() => new SentencePieceModel(Uint8Array.from(bytes as number[])), cause);
  }
});
