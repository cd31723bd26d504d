/** Masked autoencoding: targets and loss beside their definitions, what the encoder sees, and the way to transformers' layout. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { io, manualSeed, noGrad, randn, scope, type Tensor, tensor } from '@commlm/torch';
import { expectClose, expectRounded, maxRelDiff } from '@commlm/torch/testing';
import { Random } from '../../data/world/index.js';
import { buildEncoder } from '../../models/encoders.js';
import { sincosPositions } from '../../models/mae-decoder.js';
import { SMALL_VIT_ROUNDING } from '../../models/sample-configs.fixture.js';
import { loadEncoder } from '../../weights/encoder-folder.js';
import { encoderToHf, loadHfEncoder } from '../../weights/hf-folder.js';
import { createBatcher } from './mae-batches.js';
import { hiddenError, type MaeBatch, MaeTask, numVisible, pixelTargets } from './mae-task.js';
import { smallMae } from './pretrain-samples.fixture.js';

const root = mkdtempSync(join(tmpdir(), 'commlm-mae-'));
after(() => rmSync(root, { recursive: true, force: true }));

const config = smallMae();
const LOOP = { batchSize: 2 };

function noise(): MaeBatch {
  const random = new Random(1, 'noise');
  const order = [random, random].map((each) => each.shuffle(Array.from({ length: 16 }, (_, p) => p)));
  return {
    pictures: Uint8Array.from({ length: 2 * 32 * 32 * 3 }, () => random.int(256)),
    visible: BigInt64Array.from(
      order.flatMap((places) => places.slice(0, 4)),
      BigInt,
    ),
    hidden: BigInt64Array.from(
      order.flatMap((places) => places.slice(4)),
      BigInt,
    ),
    broken: [],
    samples: [],
  };
}

test('the targets of a patch have its own mean and variance taken off', () => {
  scope(() => {
    const pixels = randn([2, 3, 8, 8]).mul(3).add(1);
    const values = pixels.tolist() as number[][][][];
    const target = pixelTargets(pixels, 4, true).tolist() as number[][][];
    // Picture 1, the patch in the second row and first column.
    const own = [0, 1, 2].flatMap((c) =>
      [4, 5, 6, 7].flatMap((y) => [0, 1, 2, 3].map((x) => values[1]?.[c]?.[y]?.[x] as number)),
    );
    const mean = own.reduce((a, b) => a + b, 0) / own.length;
    const variance = own.reduce((a, b) => a + (b - mean) ** 2, 0) / (own.length - 1);
    const wanted = own.map((value) => (value - mean) / Math.sqrt(variance + 1e-6));
    // Mean and variance of 48 values.
    expectRounded(target[1]?.[2] as number[], wanted, { terms: 48, steps: 4 });
    const plain = pixelTargets(pixels, 4, false).tolist() as number[][][];
    assert.deepEqual(plain[1]?.[2], own);
  });
});

test('the loss is the mean squared error over hidden patches alone', () => {
  scope(() => {
    const [predicted, target] = [randn([2, 5, 3]), randn([2, 5, 3])];
    const hidden = [
      [1, 4],
      [0, 2],
    ];
    const [p, t] = [predicted.tolist() as number[][][], target.tolist() as number[][][]];
    const errors = hidden.flatMap((places, b) =>
      places.flatMap((n) => [0, 1, 2].map((i) => ((p[b]?.[n]?.[i] as number) - (t[b]?.[n]?.[i] as number)) ** 2)),
    );
    const wanted = errors.reduce((a, b) => a + b, 0) / errors.length;
    const places = tensor(BigInt64Array.from(hidden.flat(), BigInt), { shape: [2, 2] });
    expectRounded(hiddenError(predicted, target, places).item(), wanted, { terms: 12, steps: 3 });
  });
});

test('positions tell the column in the first half of the width and the row in the second', () => {
  scope(() => {
    const table = sincosPositions(8, 3).tolist() as number[][][];
    const at = (row: number, column: number): number[] => table[0]?.[row * 3 + column] as number[];
    const code = (place: number): number[] => [
      Math.sin(place),
      Math.sin(place / 100),
      Math.cos(place),
      Math.cos(place / 100),
    ];
    // A frequency, an angle, and a sine or cosine that errs by 3.5 ulp.
    expectRounded(at(1, 2), [...code(2), ...code(1)], { steps: 6 });
  });
});

test('the encoder sees the visible patches only, and with all of them it is the plain encoder', () => {
  scope(() =>
    noGrad(() => {
      manualSeed(2);
      const vit = buildEncoder(config.encoder);
      const pixels = randn([1, 3, 32, 32]);
      const places = (list: number[]): Tensor => tensor(BigInt64Array.from(list, BigInt), { shape: [1, list.length] });
      const order = [3, 0, 1, 2, 15, 14, 13, 12, 4, 5, 6, 7, 8, 9, 10, 11];
      const [plain, turned] = [vit.forwardTokens(pixels), vit.forwardTokens(pixels, { visible: places(order) })];
      expectRounded(turned.cls!, plain.cls!, SMALL_VIT_ROUNDING);
      expectRounded(turned.patches.select(1, 0), plain.patches.select(1, 3), SMALL_VIT_ROUNDING);

      // The last row of patches is hidden: its pixels do not matter, those of the first do.
      const seen = { visible: places([0, 1, 2, 3]) };
      const before = vit.forwardTokens(pixels, seen).patches;
      const below = pixels.clone();
      below.narrow(2, 24, 8).fill_(9);
      expectRounded(vit.forwardTokens(below, seen).patches, before, SMALL_VIT_ROUNDING);
      const above = pixels.clone();
      above.narrow(2, 0, 8).fill_(9);
      assert.ok(maxRelDiff(vit.forwardTokens(above, seen).patches, before) > 0.01);
    }),
  );
});

test('everything learns but the positions', () => {
  scope(() => {
    const task = new MaeTask(config, LOOP);
    task.loss(noise()).loss.backward();
    const without = [...task.parts].flatMap(([part, module]) =>
      [...module.namedParameters()].flatMap(([key, { grad }]) => (grad === null ? [`${part}.${key}`] : [])),
    );
    assert.deepEqual(without, ['encoder.pos_embed']);
    assert.ok(!task.parts.get('encoder')!.namedParameters().get('pos_embed')!.requiresGrad);
  });
});

test('a batch hides three quarters of each picture, and is the same whenever it is asked for', async () => {
  assert.equal(numVisible(config.encoder.vit, 0.75), 4);
  const batcher = await createBatcher({ ...config, ...LOOP, side: 32, patches: 16, numVisible: 4 });
  const batch = (await batcher(3)) as MaeBatch;
  assert.equal(batch.pictures.length, 2 * 32 * 32 * 3);
  for (let i = 0; i < 2; i++) {
    const places = [...batch.visible.slice(4 * i, 4 * i + 4), ...batch.hidden.slice(12 * i, 12 * i + 12)].map(Number);
    assert.deepEqual(
      places.sort((a, b) => a - b),
      Array.from({ length: 16 }, (_, p) => p),
    );
  }
  await batcher(0);
  assert.deepEqual(await batcher(3), batch);
});

test('the exported encoder is that of the task, in our folder and as vit_mae of transformers', () => {
  const [own, hf] = [join(root, 'own'), mkdtempSync(join(root, 'hf-'))];
  scope(() =>
    noGrad(() => {
      const task = new MaeTask(config, LOOP);
      task.export(own);
      const { config: read, weights } = loadEncoder(own);
      assert.deepEqual(read, config.encoder);
      const state = task.parts.get('encoder')!.stateDict();
      assert.deepEqual([...weights.keys()].sort(), [...state.keys()].sort());
      for (const [key, value] of weights) expectClose(value, state.get(key)!.detach(), { rtol: 0, atol: 0 });

      io.writeSafetensors(join(hf, 'model.safetensors'), encoderToHf('mae', read.vit, weights));
      const { hiddenSize, numLayers, numHeads, intermediateSize, imageSize, patchSize, layerNormEps } = read.vit;
      const json = {
        ...{ model_type: 'vit_mae', hidden_size: hiddenSize, num_hidden_layers: numLayers },
        ...{ num_attention_heads: numHeads, intermediate_size: intermediateSize, image_size: imageSize },
        ...{ patch_size: patchSize, layer_norm_eps: layerNormEps },
      };
      writeFileSync(join(hf, 'config.json'), JSON.stringify(json));
      const { type, vit } = loadHfEncoder(hf);
      assert.equal(type, 'mae');
      const pixels = randn([1, 3, 32, 32]);
      const encoder = buildEncoder(read);
      encoder.loadStateDict(weights);
      // The one has its weights in a mapped file: where they lie decides how kernels split their sums.
      expectRounded(vit.forward(pixels, [-1])[0]!, encoder.forward(pixels, [-1])[0]!, SMALL_VIT_ROUNDING);
    }),
  );
});

test('an encoder without its own table of positions is refused', () => {
  const { vit } = config.encoder;
  const wrong = { ...config, encoder: { ...config.encoder, vit: { ...vit, posEmbed: { kind: 'none' as const } } } };
  assert.throws(() => new MaeTask(wrong, LOOP), /table of positions/);
  assert.throws(() => new MaeTask({ ...config, maskShare: 0.99 }, LOOP), /leaves no patch/);
  assert.throws(() => new MaeTask({ ...config, maskshare: 0.5 } as never, LOOP), /unknown key/);
});
