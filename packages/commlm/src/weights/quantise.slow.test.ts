/** Models in 8 bits: filled, saved, opened and refused. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { io, manualSeed, nn, noGrad, randn, scope, type Tensor, tensor } from '@commlm/torch';
import { expectNoLeak, expectRounded, maxRelDiff, roundingBound } from '@commlm/torch/testing';
import { CommError } from '../config/errors.js';
import { Comm } from '../models/comm.js';
import { smallComm } from '../models/sample-configs.fixture.js';
import { loadCommFolder, readCommConfig, saveCommFolder } from './comm-folder.js';
import { FORMATS } from './formats.js';
import { convertFolder } from './write-converted.js';

const root = mkdtempSync(join(tmpdir(), 'quantise-'));
after(() => rmSync(root, { recursive: true, force: true }));

/** A saved model of random weights, and the same in 8 bits. */
function folders(): { floats: string; int8: string } {
  manualSeed(3);
  const floats = join(root, 'floats');
  const model = new Comm(smallComm());
  saveCommFolder(floats, model);
  model.dispose();
  const int8 = join(root, 'int8');
  convertFolder(floats, int8, { dtype: 'int8' });
  return { floats, int8 };
}
const { floats, int8 } = folders();

const ids = (): Tensor => tensor([[7, 4, ...Array.from({ length: 16 }, () => 3), 5, 9]], { dtype: 'i64' });

/** Logits of one prompt, in f32. */
function logits(model: Comm): Tensor {
  return scope(() =>
    noGrad(() => {
      manualSeed(5);
      const { dtype } = model.languageModel.model.embedTokens.weight;
      const pixels = [randn([1, 3, 32, 32]).to(dtype), randn([1, 3, 32, 32]).to(dtype)];
      return model.forward(ids(), model.encodeImages(pixels)).to('f32');
    }),
  );
}

/** Equal weights give equal logits up to the rounding of bf16: where mapped weights lie decides how kernels sum. */
const expectSameLogits = (a: Tensor, b: Tensor): void => expectRounded(a, b, { dtype: 'bf16', steps: 10 });

const relativeError = (a: Tensor, b: Tensor): number =>
  scope(() => a.sub(b).pow(2).sum().div(b.pow(2).sum()).sqrt().item());

test('a model is filled in int8: large matrices in 8 bits, the rest bf16, logits near those of f32', () => {
  const [exact, coarse] = [
    loadCommFolder(floats, { dtype: 'f32' }).model,
    loadCommFolder(floats, { dtype: 'int8' }).model,
  ];
  const layers = [...coarse.namedModules()].filter(([, module]) => module instanceof nn.Int8Linear);
  assert.deepEqual(
    layers.map(([key]) => key),
    [...exact.namedModules()]
      .filter(([key, module]) => module instanceof nn.Linear && FORMATS.int8.encoding.matches(key))
      .map(([key]) => key),
  );
  assert.ok(
    layers.some(([key]) => key.startsWith('vision.')) && layers.some(([key]) => key.startsWith('language_model.')),
  );
  for (const [key, { dtype }] of coarse.stateDict()) {
    if (!layers.some(([layer]) => key === `${layer}.weight`)) assert.equal(dtype, 'bf16', key);
  }
  scope(() => {
    const error = relativeError(logits(coarse), logits(exact));
    // Half a step of 8 bits is as coarse as bf16, and about ten products follow one another.
    assert.ok(error > 1e-4 && error < roundingBound({ dtype: 'bf16', steps: 10 }), `relative error ${error}`);
  });
  exact.dispose();
  coarse.dispose();
});

test('an int8 folder opens as what was quantised while loading, by itself and by name', () => {
  const streamed = loadCommFolder(floats, { dtype: 'int8' }).model;
  for (const dtype of [undefined, 'auto', 'int8'] as const) {
    const { model } = loadCommFolder(int8, { dtype });
    scope(() => {
      const other = model.stateDict();
      for (const [key, weight] of streamed.stateDict())
        assert.equal(maxRelDiff(other.get(key)!.to('f32'), weight.to('f32')), 0, key);
      expectSameLogits(logits(model), logits(streamed));
    });
    model.dispose();
  }
  streamed.dispose();
});

test('an int8 folder says so in its config, and is converted and saved as it is', () => {
  assert.deepEqual(readCommConfig(int8).quantization, { kind: 'int8' });
  const again = join(root, 'again');
  convertFolder(int8, again, { dtype: 'int8' });
  const { model } = loadCommFolder(int8);
  const saved = join(root, 'saved');
  saveCommFolder(saved, model);
  model.dispose();
  for (const folder of [again, saved]) {
    const copy = loadCommFolder(folder).model;
    const first = loadCommFolder(int8).model;
    scope(() => expectSameLogits(logits(copy), logits(first)));
    copy.dispose();
    first.dispose();
  }
});

const code = (wanted: string) => (error: unknown) => error instanceof CommError && error.code === wanted;

test('formats that cannot be had are refused', () => {
  for (const dtype of ['f32', 'bf16', 'f16'] as const) {
    assert.throws(() => loadCommFolder(int8, { dtype }), code('weights/format'));
    assert.throws(() => convertFolder(int8, join(root, dtype), { dtype }), code('weights/format'));
  }
});

test('an int8 folder is read strictly: a missing scale, a float matrix, NaN in the source', () => {
  const broken = join(root, 'broken');
  const rewrite = (from: string, change: (weights: Map<string, Tensor>) => void): void => {
    rmSync(broken, { recursive: true, force: true });
    const { model } = loadCommFolder(from);
    saveCommFolder(broken, model);
    model.dispose();
    scope(() => {
      const weights = io.readSafetensors(join(broken, 'model.safetensors'));
      change(weights);
      io.writeSafetensors(join(broken, 'model.safetensors'), weights);
    });
  };
  const key = 'language_model.model.layers.0.self_attn.q_proj';
  rewrite(int8, (weights) => weights.delete(`${key}.scale`));
  assert.throws(() => loadCommFolder(broken), code('weights/keys'));
  rewrite(int8, (weights) => weights.set(`${key}.weight`, weights.get(`${key}.weight`)!.to('f32')));
  assert.throws(() => loadCommFolder(broken), code('weights/dtype'));
  rewrite(floats, (weights) => weights.set(`${key}.weight`, weights.get(`${key}.weight`)!.to('i8')));
  assert.throws(() => loadCommFolder(broken), code('weights/dtype'));
  rewrite(floats, (weights) => weights.set(`${key}.weight`, weights.get(`${key}.weight`)!.mul(Number.NaN)));
  assert.throws(
    () => loadCommFolder(broken, { dtype: 'int8' }),
    (error: CommError) => error.code === 'weights/not-finite' && error.message.includes(key),
  );
  const config = JSON.parse(readFileSync(join(int8, 'config.json'), 'utf8'));
  writeFileSync(join(broken, 'config.json'), JSON.stringify({ ...config, quantization: { kind: 'int3' } }));
  assert.throws(() => loadCommFolder(broken), code('config/invalid'));
});

test('loading in int8 leaks nothing and tells of every weight', () => {
  let last: readonly [number, number] = [0, 0];
  expectNoLeak(() =>
    loadCommFolder(floats, {
      dtype: 'int8',
      onWeight: (...told) => {
        last = told;
      },
    }).model.dispose(),
  );
  assert.ok(last[0] > 50 && last[0] === last[1]);
});
