/** Branches that are watched while a model trains: figures, the sentence that ends a run, the option to go on. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { manualSeed, noGrad, ones, scope } from '@commlm/torch';
import sharp from 'sharp';
import type { CommTrainConfig, MixtureData } from '../../../config/comm-train.js';
import { parseCommTraining } from '../../../config/comm-train.js';
import { CommConfig, parseConfig } from '../../../config/model.js';
import { Comm } from '../../../models/comm.js';
import type { AlignBlock } from '../../../models/fusion.js';
import { smallComm, smallLlama } from '../../../models/sample-configs.fixture.js';
import { type GoldenTokenizer, readTextGolden } from '../../../text/golden.fixture.js';
import { saveCommFolder } from '../../../weights/comm-folder.js';
import { runTraining } from '../../loop/loop.js';
import { readMetrics } from '../../loop/run-log.js';
import { dropBranches } from './branch-dropout.js';
import { CommTask } from './task.js';

const root = mkdtempSync(join(tmpdir(), 'commlm-watch-'));
after(() => rmSync(root, { recursive: true }));

const COLOURS = ['red', 'blue', 'green', 'white', 'black', 'orange', 'purple', 'brown', 'pink', 'grey'];

before(async () => {
  const golden = readTextGolden<GoldenTokenizer[]>('tokenizers').find(({ name }) => name === 'own') as GoldenTokenizer;
  const ids = new Map((golden.tokenizerJson.added_tokens ?? []).map(({ content, id }) => [content, id]));
  const vocabSize = 1 + Math.max(...Object.values(golden.tokenizerJson.model.vocab), ...ids.values());
  const shared = {
    imageTokens: {
      kind: 'wrapped',
      patchId: ids.get('<im_patch>')!,
      startId: ids.get('<im_start>')!,
      endId: ids.get('<im_end>')!,
    },
    textConfig: smallLlama({ vocabSize, maxPositions: 512 }),
  } as const;
  const save = (name: string, model: Comm): void => {
    saveCommFolder(join(root, name), model);
    writeFileSync(join(root, name, 'tokenizer.json'), JSON.stringify(golden.tokenizerJson));
    writeFileSync(join(root, name, 'tokenizer_config.json'), JSON.stringify(golden.tokenizerConfig));
  };
  manualSeed(1);
  using model = new Comm(parseConfig(CommConfig, smallComm(shared)));
  save('alive', model);
  noGrad(() => (model.vision.encoders[1]!.align.blocks[1] as AlignBlock).fc1.bias!.fill_(-1000));
  save('dead', model);
  const { encoders } = smallComm().vision;
  using single = new Comm(
    parseConfig(CommConfig, smallComm({ ...shared, vision: { encoders: [encoders[1]!], fuse: 'channels' } })),
  );
  save('single', single);
  for (const background of COLOURS) {
    const picture = sharp({ create: { width: 40, height: 30, channels: 3, background } });
    await picture.png().toFile(join(root, `${background}.png`));
  }
  const rows = COLOURS.map((colour, id) => ({
    id,
    image: `${colour}.png`,
    conversations: [
      { from: 'human', value: '<image>\nWhich colour?' },
      { from: 'gpt', value: `${colour}.` },
    ],
  }));
  writeFileSync(join(root, 'rows.json'), JSON.stringify(rows));
});

const stageOf = (model: string, changes: Partial<CommTrainConfig> = {}): CommTrainConfig =>
  parseCommTraining({
    model: join(root, model),
    dtype: 'f32',
    device: 'cpu',
    trains: ['languageModel', 'projector', 'merge', 'align'],
    lora: null,
    recompute: null,
    features: null,
    data: {
      kind: 'mixture',
      stores: { images: { kind: 'folder', folder: root } },
      sets: { rows: { kind: 'llava', file: join(root, 'rows.json'), store: 'images' } },
      mix: { kind: 'set', set: 'rows' },
      seed: 1,
      held: null,
      maxLength: 160,
      packing: 'pad',
      groupBatches: 1,
      skip: {
        picture: 'error',
        malformed: 'error',
        'empty-box': 'error',
        'picture-size': 'error',
        'image-count': 'error',
        'too-long': 'error',
        untrained: 'error',
        limit: 0,
      },
    } satisfies MixtureData,
    losses: [],
    workers: 1,
    ahead: 1,
    ...changes,
  });

const LOOP = {
  steps: 4,
  batchSize: 4,
  lr: 1e-3,
  betas: [0.9, 0.99],
  weightDecay: 0,
  warmupRatio: 0,
  minLrRatio: 0,
  clipNorm: 1,
  seed: 1,
  saveEvery: 4,
  logEvery: 1,
  evalEvery: 10,
  keepLast: 1,
} as const;

/** Trains into a folder of that name; what it says and its figures. */
async function train(out: string, comm: CommTrainConfig, options: { resume?: boolean; loop?: object } = {}) {
  const loop = { ...LOOP, ...options.loop };
  const lines: string[] = [];
  const folder = join(root, out);
  manualSeed(loop.seed);
  const task = CommTask.open(comm, loop.batchSize, () => {});
  const run = runTraining(task, loop, {
    out: folder,
    recipe: { loop, comm },
    resume: options.resume ?? false,
    log: (line) => lines.push(line),
  });
  const error = await run.then(
    () => null,
    (failure: Error & { code?: string; fix?: string }) => failure,
  );
  return { error, lines, metrics: readMetrics(folder) };
}

const losses = (metrics: readonly Readonly<Record<string, number>>[]) =>
  metrics.flatMap((line) => (line['train/loss'] === undefined ? [] : [line['train/loss']]));

test('health is in the metrics, the log and TensorBoard, with gradients, and watching changes no loss', async () => {
  const often = await train('often', stageOf('alive', { health: { every: 2, pictures: 8, stop: false } }));
  const rarely = await train('rarely', stageOf('alive', { health: { every: 1000, pictures: 12, stop: false } }));
  assert.equal(often.error, null);
  assert.deepEqual(losses(often.metrics), losses(rarely.metrics));
  const measured = often.metrics.filter((line) => line['health/loss'] !== undefined);
  assert.deepEqual(
    measured.map(({ step }) => step),
    [0, 2, 4],
  );
  for (const key of [
    'spread_patches',
    'spread_pictures',
    'spread_relative',
    'variance_share',
    'covariance_share',
    'knock_out_mean',
    'knock_out_other',
  ]) {
    for (const i of [0, 1]) assert.equal(typeof measured[1]![`health/encoder.${i}/${key}`], 'number', `${i} ${key}`);
  }
  assert.equal(measured[0]!['health/encoder.1/grad_norm'], undefined);
  assert.ok(measured[1]!['health/encoder.1/grad_norm']! > 0);
  assert.ok(measured[1]!['health/encoder.1/active_2']! > 0.1);
  assert.ok(measured[1]!['health/seconds']! > 0);
  assert.match(
    often.lines.join('\n'),
    /health 2 {2}clip \(encoder 0\): .*\n.*health 2 {2}dinov2 \(encoder 1\): .*active/,
  );
});

test('a dead branch ends the run with a sentence before its first step, and the option lets it go on', async () => {
  const { error, metrics } = await train('stopped', stageOf('dead'));
  assert.equal(error?.code, 'train/branch');
  assert.match(error!.message, /^The dinov2 branch \(encoder 1\) is constant: .*\.$/);
  assert.match(error!.fix!, /comm\.health\.stop=false/);
  assert.deepEqual(losses(metrics), []);
  // What it measured is kept, and the run goes on from there.
  assert.equal(metrics[0]!['health/encoder.1/active_2'], 0);
  const on = await train('stopped', stageOf('dead', { health: { stop: false } }), { resume: true });
  assert.equal(on.error, null);
  assert.equal(losses(on.metrics).length, LOOP.steps);
  assert.match(on.lines.join('\n'), /dinov2 \(encoder 1\): CONSTANT/);
  assert.ok(readFileSync(join(root, 'stopped', 'result', 'config.json')));
});

test('a branch that nothing reads ends the run from a quarter of its steps on', async () => {
  const comm = stageOf('alive', { trains: ['languageModel'], health: { every: 1, pictures: 8 } });
  const manual = join(root, 'deaf');
  manualSeed(1);
  const { CommTask: Task } = await import('./task.js');
  const task = Task.open(comm, LOOP.batchSize, () => {});
  const projector = task.frozen.get('projector')!;
  for (const weight of projector.parameters()) noGrad(() => weight.fill_(0));
  const run = runTraining(task, LOOP, { out: manual, recipe: { LOOP, comm }, resume: false, log: () => {} });
  await assert.rejects(run, { code: 'train/branch', message: /^The clip branch \(encoder 0\) is of no use: / });
  assert.deepEqual(losses(readMetrics(manual)).length, 1);
});

test('a model with one encoder is watched too', async () => {
  const { error, metrics } = await train('single-run', stageOf('single'));
  assert.equal(error, null);
  assert.equal(metrics[0]!['health/encoder.0/variance_share'], 1);
});

test('branch dropout leaves out at most all but one branch, in its share of the pictures', () => {
  manualSeed(2);
  scope(() => {
    const [a, b] = dropBranches([ones([4000, 1, 2]), ones([4000, 1, 2])], [0.5, 0.3]).map((x) =>
      Array.from(x.select(2, 0).flatten().toArray() as Float32Array),
    ) as [number[], number[]];
    const gone = (values: number[]): number => values.filter((value) => value === 0).length / values.length;
    // Both would be gone in 0.15 of the pictures, which keep them; four standard errors of 4,000 draws.
    assert.ok(Math.abs(gone(a) - 0.35) < 4 * Math.sqrt((0.35 * 0.65) / 4000), `${gone(a)}`);
    assert.ok(Math.abs(gone(b) - 0.15) < 4 * Math.sqrt((0.15 * 0.85) / 4000), `${gone(b)}`);
    assert.ok(a.every((value, i) => value + b[i]! > 0));
  });
  assert.throws(() => CommTask.open(stageOf('single', { branchDropout: [0.5, 0] }), 4, () => {}), {
    code: 'train/branch-dropout',
    fix: /Leave it out/,
  });
});

test('branch dropout changes what a training sees, and not what it is measured on', async () => {
  const health = { every: 2, pictures: 8, stop: false };
  const plain = await train('plain', stageOf('alive', { health }));
  const dropped = await train('dropped', stageOf('alive', { health, branchDropout: [0.5, 0] }));
  assert.equal(dropped.error, null);
  assert.notDeepEqual(losses(dropped.metrics), losses(plain.metrics));
  assert.equal(dropped.metrics[0]!['health/loss'], plain.metrics[0]!['health/loss']);
});
