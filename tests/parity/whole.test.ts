/** Every whole model of another layout agrees with what wrote it; `npm run parity` prints the same as a table. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { io, scope } from '@commlm/torch';
import { CommError, convertModel, openModel } from 'commlm';
import type { ParityRow } from './measure.js';
import { goldenModel, measureWhole, wholeModels } from './whole.js';

const root = mkdtempSync(join(tmpdir(), 'whole-'));
after(() => rmSync(root, { recursive: true, force: true }));

function assertRows(rows: readonly ParityRow[]): void {
  assert.ok(rows.length >= 7, 'pixels, states, visual tokens, logits, ids and tokens are compared');
  for (const { quantity, difference, bound, ok } of rows) {
    assert.ok(ok, `${quantity} differs by ${difference}, more than ${bound}`);
  }
}

test('there is a golden model of each layout', () => {
  for (const kind of ['llava', 'llava-layers', 'llava-original', 'shikra'])
    assert.ok(wholeModels().includes(kind), kind);
});

for (const name of wholeModels()) {
  test(`${name} agrees with the reference`, async () => assertRows(await measureWhole(name)));

  test(`${name} agrees with the reference when converted`, async () => {
    const { path, options } = goldenModel(name);
    const out = join(root, name);
    const { visionTowers, ...rest } = options;
    convertModel({ model: path, out, ...rest, ...(visionTowers === undefined ? {} : { visionTower: visionTowers }) });
    assertRows(await measureWhole(name, out));
  });
}

/** A copy of a golden folder with its tensors under other names. */
function renamedCopy(name: string, rename: (key: string) => string): string {
  const { path } = goldenModel(name);
  const out = mkdtempSync(join(root, 'renamed-'));
  cpSync(path, out, { recursive: true });
  scope(() => {
    const weights = [...io.readSafetensors(join(path, 'model.safetensors'))];
    io.writeSafetensors(
      join(out, 'model.safetensors'),
      weights.map(([key, value]) => [rename(key), value] as const),
    );
  });
  return out;
}

test('llava is read with the names of newer and of older versions', async () => {
  const newer = (key: string): string =>
    key
      .replace(/^language_model\.lm_head/, 'lm_head')
      .replace(/^language_model\.model\./, 'model.language_model.')
      .replace(/^(vision_tower|multi_modal_projector)\./, 'model.$1.');
  const older = (key: string): string => key.replace(/^vision_tower\./, 'vision_tower.vision_model.');
  assertRows(await measureWhole('llava', renamedCopy('llava', newer)));
  const old = renamedCopy('llava', older);
  // Older processors have a file of their own for pictures, and the template in JSON.
  const { image_processor: images } = JSON.parse(readFileSync(join(old, 'processor_config.json'), 'utf8'));
  writeFileSync(join(old, 'preprocessor_config.json'), JSON.stringify(images));
  const template = readFileSync(join(old, 'chat_template.jinja'), 'utf8');
  writeFileSync(join(old, 'chat_template.json'), JSON.stringify({ chat_template: template }));
  for (const name of ['processor_config.json', 'chat_template.jinja']) rmSync(join(old, name));
  assertRows(await measureWhole('llava', old));
});

test('llava with a tensor missing, left over, or of another shape is refused by name', () => {
  const misspelt = renamedCopy('llava', (key) => key.replace('linear_1.weight', 'linear_1.wieght'));
  assert.throws(
    () => openModel(misspelt),
    (error) =>
      error instanceof CommError && error.code === 'weights/keys' && /linear_1\.wieght \(nearest: /.test(error.message),
  );
});

const damaged: [string, (json: Record<string, Record<string, unknown>>) => void, RegExp][] = [
  [
    'absurd layer count',
    (json) => Object.assign(json['text_config']!, { num_hidden_layers: 1e9 }),
    /1000000000 blocks/,
  ],
  ['zero size', (json) => Object.assign(json['vision_config']!, { hidden_size: 0 }), /hidden_size/],
  ['level that is not there', (json) => Object.assign(json, { vision_feature_layer: -9 }), /Level -9/],
  ['encoder that is not known', (json) => Object.assign(json['vision_config']!, { model_type: 'pixtral' }), /pixtral/],
];
for (const [what, change, message] of damaged) {
  test(`llava with ${what} in its config is refused at once`, () => {
    const folder = renamedCopy('llava', (key) => key);
    const path = join(folder, 'config.json');
    const json = JSON.parse(readFileSync(path, 'utf8'));
    change(json);
    writeFileSync(path, JSON.stringify(json));
    const started = performance.now();
    assert.throws(
      () => openModel(folder),
      (error) => error instanceof CommError && message.test(error.message) && !error.message.includes('\n'),
    );
    assert.ok(performance.now() - started < 2000);
  });
}
