/** Supervised pre-training: loss and precision beside their definitions, labels of the world, mixtures, and what is exported. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { noGrad, randn, scope, type Tensor, tensor } from '@commlm/torch';
import { expectClose, expectRounded } from '@commlm/torch/testing';
import { COLOR_NAMES, loadSpriteBank, NOUNS, Random, worldItem } from '../../data/world/index.js';
import { loadEncoder } from '../../weights/encoder-folder.js';
import {
  createBatcher,
  type DeitBatch,
  type DeitBatchOptions,
  drawBeta,
  shownShare,
  WORLD_LABELS,
} from './deit-batches.js';
import { classLoss, DeitTask, labelPrecision } from './deit-task.js';
import { smallDeit } from './pretrain-samples.fixture.js';

const root = mkdtempSync(join(tmpdir(), 'commlm-deit-'));
after(() => rmSync(root, { recursive: true, force: true }));

const table = (rows: number[][]): Tensor =>
  tensor(Float32Array.from(rows.flat()), { shape: [rows.length, rows[0]!.length] });
const LOOP = { batchSize: 4 };
const optionsOf = (changes: Partial<DeitBatchOptions> = {}): DeitBatchOptions => {
  const { numClasses, cut, jitter, mixup, cutmix, repeats, data } = smallDeit();
  return { ...LOOP, numClasses, cut, jitter, mixup, cutmix, repeats, data, side: 32, augment: true, ...changes };
};
const batchOf = async (changes: Partial<DeitBatchOptions> = {}, index = 0): Promise<DeitBatch> =>
  (await (
    await createBatcher(optionsOf(changes))
  )(index)) as DeitBatch;

test('the loss is the binary cross-entropy of what is known', () => {
  scope(() => {
    const logits = randn([3, 4]);
    const labels = [
      [1, 0, 0, 1],
      [0, 0, 1, 0],
      [0, 1, 0, 0],
    ];
    const known = [
      [1, 1, 1, 1],
      [1, 0, 1, 0],
      [1, 1, 1, 1],
    ];
    const terms = (logits.tolist() as number[][]).flatMap((row, b) =>
      row.flatMap((x, c) => {
        const p = 1 / (1 + Math.exp(-x));
        return known[b]?.[c] === 1 ? [labels[b]?.[c] === 1 ? -Math.log(p) : -Math.log(1 - p)] : [];
      }),
    );
    const wanted = terms.reduce((a, b) => a + b, 0) / terms.length;
    assert.equal(terms.length, 10);
    expectRounded(classLoss(logits, table(labels), table(known)).item(), wanted, { terms: 10, steps: 4 });
  });
});

test('precision counts the labels among as many highest scores', () => {
  scope(() => {
    const logits = table([
      [9, 1, 8, 0],
      [1, 2, 3, 4],
      [1, 2, 3, 4],
      [5, 4, 3, 2],
    ]);
    const labels = table([
      [1, 1, 0, 0],
      [0, 0, 0, 1],
      [1, 0, 0, 0],
      [0, 0, 0, 0],
    ]);
    assert.deepEqual(labelPrecision(logits, labels).tolist(), [0.5, 1, 0]);
  });
});

test('a scene is labelled with its nouns and colours; of a grey view no colour is asked', async () => {
  assert.equal(WORLD_LABELS.length, 58);
  const bank = await loadSpriteBank();
  let grey = 0;
  for (let index = 0; index < 6; index++) {
    const batch = await batchOf({}, index);
    for (let i = 0; i < 4; i++) {
      const data = smallDeit().data as { kind: 'world'; seed: number; style: 'known'; augment: 'none' };
      const { scene } = worldItem(4 * index + i, { ...data, bank, side: 32 });
      const wanted = new Set(
        scene.objects.flatMap(({ noun, color }) => (color === undefined ? [noun] : [noun, color])),
      );
      const labels = [...batch.labels.slice(58 * i, 58 * i + 58)];
      assert.deepEqual(new Set(WORLD_LABELS.filter((_, c) => labels[c] === 1)), wanted);
      const known = [...batch.known.slice(58 * i, 58 * i + 58)];
      assert.ok(known.slice(0, NOUNS.length).every((value) => value === 1));
      const colours = known.slice(NOUNS.length);
      assert.equal(colours.length, COLOR_NAMES.length);
      assert.ok(colours.every((value) => value === colours[0]));
      const pixels = batch.pictures.slice(i * 3072, i * 3072 + 3072);
      const isGrey = pixels.every((value, at) => Math.abs(value - pixels[at - (at % 3)]!) <= 1);
      if (colours[0] === 0) grey++;
      assert.equal(isGrey, colours[0] === 0);
    }
  }
  assert.ok(grey >= 3 && grey <= 16, `${grey} of 24 views are grey`);
});

test('what lies outside of the cut is not shown', () => {
  const window = { left: 10, top: 0, width: 10, height: 20 };
  assert.equal(shownShare([0.5, 0, 1, 1], window, 20), 1);
  assert.equal(shownShare([0.25, 0, 0.75, 1], window, 20), 0.5);
  assert.equal(shownShare([0, 0, 0.25, 1], window, 20), 0);
});

test('repeated augmentation shows each picture in several views', async () => {
  const { labels, pictures } = await batchOf({ repeats: 2 });
  const row = (i: number): string => labels.slice(58 * i, 58 * i + 58).join();
  assert.equal(row(0), row(1));
  assert.equal(row(2), row(3));
  assert.notEqual(row(0), row(2));
  assert.notDeepEqual(pictures.slice(0, 3072), pictures.slice(3072, 6144));
});

test('a mixed batch shows what either picture shows', async () => {
  const plain = await batchOf();
  for (const changes of [{ mixup: 0.8 }, { cutmix: 1 }]) {
    const mixed = await batchOf(changes);
    for (const [i, value] of mixed.labels.entries()) {
      const [picture, c] = [Math.floor(i / 58), i % 58];
      const partner = (3 - picture) * 58 + c;
      assert.equal(value, Math.max(plain.labels[i]!, plain.labels[partner]!));
      const known = Math.min(plain.known[i]!, plain.known[partner]!);
      assert.equal(mixed.known[i], value === 1 ? 1 : known);
    }
    // CutMix copies pixels of either picture, mixup lies between them.
    for (const [i, value] of mixed.pictures.entries()) {
      const [own, other] = [plain.pictures[i], plain.pictures[(3 - Math.floor(i / 3072)) * 3072 + (i % 3072)]] as [
        number,
        number,
      ];
      if ('cutmix' in changes) assert.ok(value === own || value === other);
      else assert.ok(value >= Math.min(own, other) && value <= Math.max(own, other));
    }
    assert.notDeepEqual(mixed.pictures, plain.pictures);
  }
});

test('draws of the beta distribution have its mean and variance', () => {
  const random = new Random(1, 'beta');
  for (const a of [0.8, 1]) {
    const draws = Array.from({ length: 20_000 }, () => drawBeta(a, random));
    const mean = draws.reduce((x, y) => x + y, 0) / draws.length;
    const variance = draws.reduce((x, y) => x + (y - mean) ** 2, 0) / draws.length;
    // The draws are JavaScript's and the same on every processor.
    assert.ok(Math.abs(mean - 0.5) < 0.01);
    assert.ok(Math.abs(variance - 1 / (4 * (2 * a + 1))) < 0.003, `${variance}`);
  }
});

test('the classifier and the whole encoder learn, and the encoder is exported as it is', async () => {
  const config = smallDeit();
  const batch = await batchOf();
  scope(() => {
    const task = new DeitTask(config, LOOP);
    task.loss(batch).loss.backward();
    for (const [part, module] of task.parts) {
      for (const [key, { grad }] of module.namedParameters()) assert.ok(grad !== null, `${part}.${key}`);
    }
    task.export(join(root, 'deit'));
    const { config: read, weights } = loadEncoder(join(root, 'deit'));
    assert.deepEqual(read, config.encoder);
    noGrad(() => {
      for (const [key, own] of task.parts.get('encoder')!.stateDict()) {
        expectClose(weights.get(key)!, own.detach(), { rtol: 0, atol: 0 });
      }
    });
  });
});

test('unseen pictures are measured as they are, the same each time', async () => {
  const { data } = smallDeit();
  const task = new DeitTask(smallDeit({ held: { data: { ...data, seed: 8 } as never, batches: 2 } }), LOOP);
  const [first, second] = [await task.evaluate!(0), await task.evaluate!(1)];
  assert.deepEqual(first, second);
  assert.ok(first['loss']! > 0.5 && first['loss']! < 0.9);
  assert.ok(first['precision']! >= 0 && first['precision']! <= 1);
});

test('the number of classes has to be that of the data', async () => {
  await assert.rejects(createBatcher(optionsOf({ numClasses: 10 })), /58 classes, but the classifier has 10/);
});
