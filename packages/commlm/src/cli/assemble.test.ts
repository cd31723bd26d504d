/** `commlm convert --recipe FILE`: parts of the user's own choice, and what is wrong with such a file. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readCommConfig } from '../weights/comm-folder.js';
import { languageModel } from '../weights/language-model.fixture.js';
import { assemble } from './assemble.js';

const root = mkdtempSync(join(tmpdir(), 'commlm-parts-'));
after(() => rmSync(root, { recursive: true }));

const golden = (name: string): string => fileURLToPath(new URL(`../../../../tests/golden/${name}`, import.meta.url));
const fields = {
  $schema: './node_modules/commlm/schemas/assembly.schema.json',
  kind: 'assembly',
  about: 'SigLIP alone',
  encoders: [
    {
      ...{ name: 'siglip', from: golden('encoders/siglip'), imageSize: null },
      ...{ levels: [-1], merge: { kind: 'single' }, align: { kind: 'none' } },
    },
  ],
  fuse: 'channels',
  projector: { kind: 'linear' },
  languageModel: languageModel(root),
  dtype: 'f32',
  seed: 7,
};
const file = (value: object): string => {
  const path = join(root, 'parts.json');
  writeFileSync(path, JSON.stringify(value));
  return path;
};

test('a file puts one encoder before a language model', async () => {
  const out = join(root, 'siglip');
  await assemble(file(fields), out, undefined, {});
  assert.deepEqual(
    readCommConfig(out).vision.encoders.map(({ type }) => type),
    ['siglip'],
  );
});

test('wrong fields and options without effect are named', async () => {
  const run = (value: object, options = {}) => assemble(file(value), join(root, 'out'), undefined, options);
  await assert.rejects(run({ ...fields, encoders: [] }), /"encoders" of .*parts\.json is not valid/);
  const wide = { ...fields.encoders[0], merge: { kind: 'single', width: 3 } };
  await assert.rejects(
    run({ ...fields, encoders: [wide] }),
    /parts\.json has a field "encoders\.0\.merge\.width" that is not known/,
  );
  await assert.rejects(run(fields, { clip: 'x' }), /has no encoder "clip", .* it has siglip/);
});
