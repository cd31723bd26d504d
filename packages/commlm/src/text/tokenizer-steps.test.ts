/** Every step of tokenizer.json gives what the reference gives, over texts in many scripts; unknown ones are refused by name. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { blockHashes, goldenTexts } from './golden-texts.fixture.js';
import { readNormalizer } from './split/normalizers.js';
import { readPreTokenizer } from './split/pre-tokenizers.js';
import { Tokenizer } from './tokenizer.js';
import type { TokenizerJson } from './tokenizer-files.js';

/** Written by tools/golden/tokenizer_steps.py. */
interface Golden {
  readonly json: Record<string, unknown>;
  readonly seed: number;
  readonly hashes: readonly string[];
}

interface Goldens {
  readonly count: number;
  readonly block: number;
  readonly models: readonly TokenizerJson['model'][];
  readonly normalizer: readonly Golden[];
  readonly pre_tokenizer: readonly Golden[];
  readonly whole: readonly Golden[];
}

const file = new URL('../../../../tests/golden/text/steps.json.gz', import.meta.url);
const goldens = JSON.parse(gunzipSync(readFileSync(file)).toString()) as Goldens;

function compare(golden: Golden, result: (text: string) => string): void {
  const hashes = blockHashes(goldenTexts(golden.seed, goldens.count).map(result), goldens.block);
  const wrong = hashes.flatMap((hash, block) => (hash === golden.hashes[block] ? [] : [block]));
  assert.deepEqual(wrong, [], `blocks of ${goldens.block} texts, seed ${golden.seed}: ${JSON.stringify(golden.json)}`);
}

test(`${goldens.normalizer.length} normalisers`, () => {
  for (const golden of goldens.normalizer) {
    const { normalize } = readNormalizer(golden.json);
    compare(golden, normalize);
  }
});

test(`${goldens.pre_tokenizer.length} pre-tokenizers`, () => {
  for (const golden of goldens.pre_tokenizer) {
    const { split } = readPreTokenizer(golden.json);
    compare(golden, (text) => (text === '' ? '' : split(text, true).join('\x1f')));
  }
});

test(`${goldens.whole.length} models with options and added tokens of all flags`, () => {
  for (const golden of goldens.whole) {
    const json = { ...golden.json, model: goldens.models[golden.json['model'] as number] } as TokenizerJson;
    const tokenizer = new Tokenizer(json);
    compare(golden, (text) => tokenizer.encodeParts(tokenizer.splitSpecial(text)).ids.join(','));
  }
});
