/** Encoders and language models in the layout of transformers, there and back. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { io, scope, type Tensor, tensor, zeros } from '@commlm/torch';
import { maxRelDiff, withStrictScopes } from '@commlm/torch/testing';
import { CommError } from '../config/errors.js';
import { ropeFrequencies } from '../models/rope.js';
import { encoderToHf, loadHfEncoder, loadHfLlama } from './hf-folder.js';
import { clipConfig } from './layouts/hf-clip.js';
import { dinov2Config } from './layouts/hf-dinov2.js';
import { llamaConfig } from './layouts/hf-llama.js';

const golden = fileURLToPath(new URL('../../../../tests/golden/models', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'hf-folder-'));
after(() => rmSync(root, { recursive: true, force: true }));

/** A golden model with changed weights and files. */
function changed(
  model: string,
  change: (weights: Map<string, Tensor>) => void,
  files: Readonly<Record<string, unknown>> = {},
): string {
  const folder = mkdtempSync(join(root, 'model-'));
  scope(() => {
    const weights = new Map(io.readSafetensors(join(golden, model, 'model.safetensors')));
    change(weights);
    io.writeSafetensors(join(folder, 'model.safetensors'), weights);
  });
  writeFileSync(join(folder, 'config.json'), readFileSync(join(golden, model, 'config.json')));
  for (const [name, json] of Object.entries(files)) writeFileSync(join(folder, name), JSON.stringify(json));
  return folder;
}

for (const model of ['clip', 'dinov2', 'dinov2-registers', 'dinov2-swiglu']) {
  test(`${model} goes back to the layout it came from, bit for bit`, () => {
    withStrictScopes(() =>
      scope(() => {
        const { type, vit } = loadHfEncoder(join(golden, model));
        const back = encoderToHf(type, vit.config, vit.stateDict());
        const stored = io.readSafetensors(join(golden, model, 'model.safetensors'));
        assert.deepEqual([...back.keys()].sort(), [...stored.keys()].sort());
        for (const [key, weight] of stored) assert.equal(maxRelDiff(back.get(key)!, weight), 0, key);
        vit.dispose();
      }),
    );
  });
}

test('llama keys are ours already; right tables of old versions and the copy of a tied head are passed over', () => {
  const json = JSON.parse(readFileSync(join(golden, 'llama-gqa-tied', 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const config = llamaConfig(json, 'config.json');
  const folder = changed('llama-gqa-tied', (weights) => {
    weights.set('model.layers.0.self_attn.rotary_emb.inv_freq', tensor(ropeFrequencies(config)));
    weights.set('lm_head.weight', weights.get('model.embed_tokens.weight')!);
  });
  const model = loadHfLlama(folder);
  assert.equal(model.lmHead, null);
  model.dispose();
});

test('older versions nest the tower, and whole CLIP checkpoints carry a text half', () => {
  const folder = changed('clip', (weights) => {
    for (const [key, value] of [...weights]) {
      weights.delete(key);
      weights.set(`vision_model.${key}`, value);
    }
    weights.set('text_model.final_layer_norm.weight', zeros([4]));
    weights.set('logit_scale', zeros([]));
  });
  loadHfEncoder(folder).vit.dispose();
});

test('weights that do not fit are refused by name', () => {
  const cases: [RegExp, (weights: Map<string, Tensor>) => void][] = [
    [/lacks layernorm\.bias/, (weights) => weights.delete('layernorm.bias')],
    [/unexpected extra\.weight/, (weights) => weights.set('extra.weight', zeros([2]))],
    [
      /position_embeddings is \[1, 5, 24\], not \[1, 17, 24\]/,
      (weights) => weights.set('embeddings.position_embeddings', zeros([1, 5, 24])),
    ],
    [
      /query\.weight is \[8, 24\], not \[24, 24\]/,
      (weights) => weights.set('encoder.layer.0.attention.attention.query.weight', zeros([8, 24])),
    ],
  ];
  for (const [pattern, change] of cases) {
    const folder = changed('dinov2', change);
    assert.throws(
      () => loadHfEncoder(folder),
      (error) => error instanceof CommError && pattern.test(error.message),
    );
  }
});

test('unknown model types and arithmetic are refused, never guessed', () => {
  const refuse = (run: () => unknown, pattern: RegExp): void =>
    assert.throws(run, (error) => error instanceof CommError && pattern.test(error.message));
  refuse(() => loadHfEncoder(changed('clip', () => {}, { 'config.json': { model_type: 'convnext' } })), /convnext/);
  refuse(() => loadHfLlama(join(golden, 'clip')), /clip_vision_model/);
  refuse(() => clipConfig({ hidden_act: 'snake' }, 'config.json'), /hidden_act/);
  refuse(() => llamaConfig({ rope_scaling: { rope_type: 'longrope', factor: 2 } }, 'config.json'), /rope_type/);
  refuse(() => llamaConfig({ hidden_act: 'snake' }, 'config.json'), /hidden_act/);
});

test('absent fields mean the defaults of the reference', () => {
  assert.equal(clipConfig({}, 'c').layerNormEps, 1e-5);
  assert.equal(dinov2Config({}, 'c').layerNormEps, 1e-6);
  assert.equal(dinov2Config({ model_type: 'dinov2_with_registers' }, 'c').numRegisters, 4);
  assert.equal(dinov2Config({ hidden_size: 1536, use_swiglu_ffn: true }, 'c').intermediateSize, 4096);
  assert.equal(llamaConfig({}, 'c').rmsNormEps, 1e-6);
});

test('rope is read in the old and the new spelling', () => {
  const scaling = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };
  const old = llamaConfig({ rope_theta: 5e5, rope_scaling: { type: 'llama3', ...scaling } }, 'c');
  const now = llamaConfig({ rope_parameters: { rope_type: 'llama3', rope_theta: 5e5, ...scaling } }, 'c');
  assert.deepEqual(old, now);
  assert.equal(old.ropeTheta, 5e5);
});

test('preprocessing is what the folder asks for', () => {
  const stats = { image_mean: [0.5, 0.5, 0.5], image_std: [0.2, 0.2, 0.2] };
  const read = (json: Record<string, unknown>): ReturnType<typeof loadHfEncoder>['image'] => {
    const { vit, image } = loadHfEncoder(changed('clip', () => {}, { 'preprocessor_config.json': json }));
    vit.dispose();
    return image;
  };
  const cut = read({
    ...stats,
    size: { shortest_edge: 36 },
    do_center_crop: true,
    crop_size: { height: 32, width: 32 },
  });
  assert.deepEqual([cut.fit, cut.shortSide, cut.size, cut.resample], ['crop', 36, 32, 'bicubic']);
  const old = read({ ...stats, size: 32, do_center_crop: true, crop_size: 32, resample: 2 });
  assert.deepEqual([old.fit, old.shortSide, old.size, old.resample], ['crop', 32, 32, 'bilinear']);
  const stretched = read({ ...stats, size: { height: 32, width: 32 }, do_center_crop: false });
  assert.deepEqual([stretched.fit, stretched.shortSide, stretched.size], ['stretch', null, 32]);
  assert.throws(() => read({ ...stats, size: { height: 32, width: 48 } }), CommError);
});
