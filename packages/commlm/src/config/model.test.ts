/** Configs of models: presets, the way to disk and back, and what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommError } from './errors.js';
import {
  CommConfig,
  fromJson,
  fusedShape,
  parseConfig,
  resolveLevels,
  toCamelCase,
  toJson,
  toSnakeCase,
} from './model.js';
import { comm7b, commTiny } from './presets.js';

const tiny = (): CommConfig =>
  commTiny({ vocabSize: 1024, imageTokens: { kind: 'wrapped', patchId: 4, startId: 5, endId: 6 } });

/** The error of a config on disk after one change. */
function errorOf(change: (json: Record<string, unknown>) => void): CommError {
  const json = JSON.parse(JSON.stringify(toJson(tiny()))) as Record<string, unknown>;
  change(json);
  try {
    fromJson(CommConfig, json);
  } catch (error) {
    assert.ok(error instanceof CommError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: 'the config was accepted' });
}

const at = (json: Record<string, unknown>, ...path: (string | number)[]): Record<string, unknown> =>
  path.reduce<unknown>((node, key) => (node as Record<string | number, unknown>)[key], json) as Record<string, unknown>;

test('presets are valid and survive the way to disk and back', () => {
  for (const preset of [comm7b(), tiny()]) {
    assert.deepEqual(parseConfig(CommConfig, preset), preset);
    assert.deepEqual(fromJson(CommConfig, JSON.parse(JSON.stringify(toJson(preset)))), preset);
  }
});

test('keys on disk are snake_case by one rule', () => {
  const json = toJson(tiny()) as Record<string, unknown>;
  assert.equal(json['model_type'], 'comm');
  assert.equal(at(json, 'text_config')['num_kv_heads'], 2);
  assert.equal(at(json, 'vision', 'encoders', 0, 'vit')['layer_norm_eps'], 1e-6);
  for (const name of ['hiddenSize', 'ropeTheta', 'applyFinalNorm']) assert.equal(toCamelCase(toSnakeCase(name)), name);
});

test('the paper has 576 visual tokens of 2 x 1024 channels, comm-tiny 64', () => {
  assert.deepEqual(fusedShape(comm7b().vision), { tokens: 576, width: 2048 });
  assert.deepEqual(fusedShape(tiny().vision), { tokens: 64, width: 384 });
  assert.deepEqual(fusedShape({ ...comm7b().vision, fuse: 'tokens' }), { tokens: 1152, width: 1024 });
});

test('an unknown key is refused by its path, with the nearest name', () => {
  const error = errorOf((json) => {
    at(json, 'text_config')['num_head'] = 4;
  });
  assert.match(error.message, /text_config\.num_head'/);
  assert.match(error.fix ?? '', /num_heads/);
  const nested = errorOf((json) => {
    at(json, 'vision', 'encoders', 1, 'merge')['order_'] = 'x';
  });
  assert.match(nested.message, /vision\.encoders\.1\.merge\.order/);
});

test('an option without effect for its kind is refused', () => {
  const error = errorOf((json) => {
    at(json, 'vision', 'encoders', 0)['merge'] = { kind: 'mean', shared: true };
  });
  assert.match(error.message, /merge\.shared/);
});

test('camelCase on disk is refused, not read beside the right spelling', () => {
  const error = errorOf((json) => {
    at(json, 'text_config')['hiddenSize'] = 128;
  });
  assert.match(error.fix ?? '', /hidden_size/);
});

test('values that contradict each other are refused with the field', () => {
  const cases: [RegExp, (json: Record<string, unknown>) => void][] = [
    [/num_kv_heads/, (json) => Object.assign(at(json, 'text_config'), { num_kv_heads: 3 })],
    [/num_heads/, (json) => Object.assign(at(json, 'vision', 'encoders', 0, 'vit'), { num_heads: 5 })],
    [/levels/, (json) => Object.assign(at(json, 'vision', 'encoders', 0), { levels: [1, 13] })],
    [/levels/, (json) => Object.assign(at(json, 'vision', 'encoders', 0), { merge: { kind: 'single' } })],
    [
      /apply_final_norm/,
      (json) => Object.assign(at(json, 'vision', 'encoders', 0), { levels: [1], apply_final_norm: true }),
    ],
    [/image/, (json) => Object.assign(at(json, 'vision', 'encoders', 0, 'image'), { size: 224 })],
    [/image/, (json) => Object.assign(at(json, 'vision', 'encoders', 0, 'image'), { pad_color: null })],
    [
      /fuse/,
      (json) =>
        Object.assign(at(json, 'vision', 'encoders', 0, 'merge'), { width: 96 }) &&
        Object.assign(at(json, 'vision'), { fuse: 'tokens' }),
    ],
    [/patch_id/, (json) => Object.assign(at(json, 'image_tokens'), { patch_id: 5000 })],
  ];
  for (const [pattern, change] of cases) assert.match(errorOf(change).message, pattern);
});

test('levels are hidden_states[i], counted from either end', () => {
  assert.deepEqual(resolveLevels([0, 3, -1, -2], 24), [0, 3, 24, 23]);
  assert.deepEqual(resolveLevels({ from: 19, to: 24 }, 24), [19, 20, 21, 22, 23, 24]);
  assert.deepEqual(resolveLevels({ from: -6, to: -1 }, 24), resolveLevels({ from: 19, to: 24 }, 24));
  assert.deepEqual(resolveLevels([-25], 24), [0]);
  for (const bad of [[25], [-26], [1.5], [3, -22], { from: 5, to: 4 }]) {
    assert.throws(() => resolveLevels(bad, 24), CommError, JSON.stringify(bad));
  }
});
