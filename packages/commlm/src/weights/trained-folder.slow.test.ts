/** What learns behind the encoders is trained from a saved folder, whose tensors are mapped, as from memory: every merge, every dtype. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { manualSeed, noGrad, randn, scope, type Tensor, tensor } from '@commlm/torch';
import { maxRelDiff } from '@commlm/torch/testing';
import type { MergeConfig } from '../config/model.js';
import { Comm } from '../models/comm.js';
import { smallComm } from '../models/sample-configs.fixture.js';
import { loadCommFolder, saveCommFolder } from './comm-folder.js';

const root = mkdtempSync(join(tmpdir(), 'trained-folder-'));
after(() => rmSync(root, { recursive: true, force: true }));

const softmax = { kind: 'softmax' } as const;
const merges: readonly MergeConfig[] = [
  { kind: 'single' },
  { kind: 'mean' },
  { kind: 'concat' },
  { kind: 'layerscale', weights: softmax },
  { kind: 'lln-layerscale', weights: softmax, order: 'linear-norm', shared: false, width: 24 },
  { kind: 'lln-layerscale', weights: { kind: 'free', init: 'uniform' }, order: 'norm-linear', shared: true, width: 24 },
  { kind: 'conv-layerscale', weights: softmax, kernelSize: 3, width: 24 },
];

const IDS = [7, 4, ...Array.from({ length: 16 }, () => 3), 5, 20, 21, 22];
const STEPS = 4;
const RATE = 0.5;
/** Layers between a picture and the loss, each of which rounds once more, and the longest sum in one of them. */
const LAYERS = 42;
const TERMS = 216;
/** Half the distance of two neighbours, relative; f32 is what sums are made in, so that they round at every term. */
const ROUNDING = { f32: 2 ** -24 * Math.sqrt(TERMS), bf16: 2 ** -8, f16: 2 ** -11 };

/** Trains merge, alignment and projector, as the first stage does; gives the loss before each step. */
function train(model: Comm, pixels: readonly Tensor[]): number[] {
  model.requiresGrad_(false).train();
  const learned = [...model.vision.encoders.flatMap(({ merge, align }) => [merge, align]), model.projector];
  for (const part of learned) part.requiresGrad_(true);
  const parameters = learned.flatMap((part) => [...part.parameters()]);
  return Array.from({ length: STEPS }, () =>
    scope(() => {
      const ids = tensor([IDS, IDS], { dtype: 'i64' });
      const { loss } = model.loss({ ids, labels: ids, visual: model.encodeImages(pixels) });
      loss.backward();
      // The plain step: f16 has no room for the squares that AdamW keeps.
      noGrad(() => {
        for (const parameter of parameters) if (parameter.grad !== null) parameter.sub_(parameter.grad.mul(RATE));
      });
      model.zeroGrad();
      return loss.item();
    }),
  );
}

for (const merge of merges) {
  const order = 'order' in merge ? ` (${merge.order})` : '';
  for (const dtype of ['f32', 'bf16', 'f16'] as const) {
    test(`${merge.kind}${order} learns from a folder in ${dtype} as from memory`, () => {
      manualSeed(5);
      const levels = merge.kind === 'single' ? { levels: [-2] } : {};
      using fresh = new Comm(
        smallComm({}, [
          { merge, ...levels },
          { merge, ...levels },
        ]),
      );
      const folder = mkdtempSync(join(root, 'model-'));
      saveCommFolder(folder, fresh, { dtype });
      fresh.to(dtype);
      using mapped = loadCommFolder(folder).model;
      scope(() => {
        const pixels = [randn([2, 3, 32, 32]).to(dtype), randn([2, 3, 32, 32]).to(dtype)];
        const wanted = train(fresh, pixels);
        const got = train(mapped, pixels);
        // Only where a tensor lies in memory differs, by which kernels may add in another order.
        const bound = Math.sqrt(LAYERS) * ROUNDING[dtype];
        for (const [i, loss] of got.entries()) {
          assert.ok(Math.abs(loss - wanted[i]!) <= bound * wanted[i]!, `step ${i}: ${loss}, in memory ${wanted[i]}`);
        }
        assert.ok(got.at(-1)! < got[0]!, `the loss falls: ${got.join(', ')}`);
        if (merge.kind !== 'conv-layerscale') return;
        const counts = [...mapped.stateDict()].filter(([key]) => key.endsWith('num_batches_tracked'));
        assert.ok(counts.length > 0 && counts.every(([, count]) => count.item() === STEPS));
        const [again, before] = [loadCommFolder(folder).model, fresh.stateDict()];
        const running = [...again.stateDict()].filter(([key]) => key.endsWith('running_var'));
        assert.ok(
          running.every(([key, value]) => maxRelDiff(value, before.get(key)!) > 0),
          'the file keeps its numbers',
        );
        again.dispose();
      });
    });
  }
}
