/** Every kind of pre-training through the real loop and its data thread: the loss falls, a resumed run ends in the same bytes, what is exported loads. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { manualSeed, scope, tensor } from '@commlm/torch';
import type { LoopConfig } from '../config/train.js';
import { extractFeatures } from '../features/extract.js';
import { inspectModel } from '../inspect/inspect.js';
import { loadHfLlama } from '../weights/hf-folder.js';
import { runTraining } from './loop/loop.js';
import { readMetrics } from './loop/run-log.js';
import type { TrainingTask } from './loop/training-task.js';
import { ClipTask } from './tasks/clip-task.js';
import { DeitTask } from './tasks/deit-task.js';
import { DinoTask } from './tasks/dino-task.js';
import { LmTask } from './tasks/lm-task.js';
import { MaeTask } from './tasks/mae-task.js';
import { smallClip, smallDeit, smallDino, smallLm, smallMae } from './tasks/pretrain-samples.fixture.js';

const root = mkdtempSync(join(tmpdir(), 'commlm-pretrain-'));
after(() => rmSync(root, { recursive: true, force: true }));

const tiny = fileURLToPath(new URL('../../../../models/comm-tiny', import.meta.url));

const LOOP: LoopConfig = {
  steps: 30,
  batchSize: 8,
  lr: 3e-3,
  betas: [0.9, 0.95],
  weightDecay: 0.02,
  warmupRatio: 0.1,
  minLrRatio: 0.1,
  clipNorm: 1,
  seed: 3,
  saveEvery: 10,
  logEvery: 1,
  evalEvery: 30,
  keepLast: 3,
};

async function train(make: () => TrainingTask<never>, out: string, resume: boolean): Promise<void> {
  manualSeed(LOOP.seed);
  await runTraining(make(), LOOP, { out, recipe: { loop: LOOP }, resume, log: () => {} });
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** A figure of a run at its start and at its end. */
function course(out: string, figure: string): [first: number, last: number] {
  const values = readMetrics(out).map((line) => line[figure]!);
  assert.equal(values.length, LOOP.steps);
  return [mean(values.slice(0, 3)), mean(values.slice(-5))];
}

interface Kind {
  readonly make: () => TrainingTask<never>;
  readonly figure: string;
  readonly holds: (first: number, last: number) => boolean;
}

const kinds: Readonly<Record<string, Kind>> = {
  clip: {
    make: () => new ClipTask(smallClip(), LOOP) as never,
    figure: 'train/region',
    holds: (first, last) => last < 0.95 * first,
  },
  dinov2: {
    make: () => new DinoTask(smallDino({ dropPath: 0.1 }), LOOP) as never,
    figure: 'train/cls',
    holds: (first, last) => last < 0.8 * first,
  },
  // A teacher that is centred begins by saying the same of everything: what shows progress is that it stops to.
  'dinov2 with centres': {
    make: () =>
      new DinoTask(
        smallDino({
          balance: { kind: 'centre', momentum: 0.9 },
          patchHead: { headHidden: 32, bottleneck: 16, numPrototypes: 20 },
          freezePrototypes: 5,
        }),
        LOOP,
      ) as never,
    figure: 'train/prototypes_used',
    holds: (first, last) => first < 0.5 && last > 0.8,
  },
  mae: {
    make: () => new MaeTask(smallMae(), LOOP) as never,
    figure: 'train/loss',
    holds: (first, last) => last < 0.9 * first,
  },
  deit: {
    make: () => new DeitTask(smallDeit(), LOOP) as never,
    figure: 'train/loss',
    holds: (first, last) => last < 0.5 * first,
  },
  lm: {
    make: () => new LmTask(smallLm(tiny, 1088), LOOP) as never,
    figure: 'train/loss',
    holds: (first, last) => last < 0.9 * first,
  },
};

for (const [name, { make, figure, holds }] of Object.entries(kinds)) {
  test(`${name}: thirty steps show in ${figure}, and a resumed run ends in the same bytes`, async () => {
    const [whole, parts] = [join(root, name, 'whole'), join(root, name, 'parts')];
    await train(make, whole, false);
    const [first, last] = course(whole, figure);
    assert.ok(holds(first, last), `${figure} went from ${first.toFixed(3)} to ${last.toFixed(3)}`);
    // As a kill behind step 10 leaves it.
    cpSync(whole, parts, { recursive: true });
    for (const gone of ['checkpoint-20', 'checkpoint-30', 'result']) rmSync(join(parts, gone), { recursive: true });
    await train(make, parts, true);
    const bytes = (out: string): Buffer => readFileSync(join(out, 'result', 'model.safetensors'));
    assert.ok(bytes(parts).equals(bytes(whole)), 'the resumed run ends elsewhere');
  });
}

for (const kind of ['clip', 'dinov2', 'mae', 'deit']) {
  test(`${kind}: the exported tower is inspected and gives features`, async () => {
    const folder = join(root, kind, 'whole', 'result');
    assert.ok(inspectModel(folder));
    const picture = { width: 40, height: 30, data: new Uint8Array(40 * 30 * 3).fill(90) };
    const { levels, encoder } = await extractFeatures(picture, { encoder: folder });
    assert.equal(encoder, kind);
    assert.deepEqual([...levels.keys()], [1, 2, 3]);
    for (const level of levels.values()) {
      assert.deepEqual(level.shape, [1, 16, 24]);
      scope(() => assert.ok(level.isfinite().all().item()));
      level.dispose();
    }
  });
}

test('lm: the exported folder is a Llama of transformers, with its tokenizer', async () => {
  const folder = join(root, 'lm', 'whole', 'result');
  const model = loadHfLlama(folder);
  scope(() => {
    const logits = model.forward(tensor(BigInt64Array.of(1n, 5n, 9n), { shape: [1, 3] }));
    assert.deepEqual(logits.shape, [1, 3, 1088]);
    assert.ok(logits.isfinite().all().item());
  });
  model.dispose();
  assert.deepEqual(readFileSync(join(folder, 'tokenizer.json')), readFileSync(join(tiny, 'tokenizer.json')));
});
