/** A stage on a mixture: losses and gradients, features from disk, and what trains. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { manualSeed, scope } from '@commlm/torch';
import { expectRounded, maxRelDiff, roundingBound } from '@commlm/torch/testing';
import sharp from 'sharp';
import { type CommTrainConfig, type MixtureData, parseCommTraining } from '../../../config/comm-train.js';
import { type CommConfig, CommConfig as CommSchema, parseConfig } from '../../../config/model.js';
import type { LoopConfig } from '../../../config/train.js';
import { Comm } from '../../../models/comm.js';
import { SMALL_COMM_ROUNDING, smallComm, smallLlama } from '../../../models/sample-configs.fixture.js';
import { type GoldenTokenizer, readTextGolden } from '../../../text/golden.fixture.js';
import { readCommConfig, saveCommFolder } from '../../../weights/comm-folder.js';
import { runTraining } from '../../loop/loop.js';
import { readMetrics } from '../../loop/run-log.js';
import type { MixtureBatch } from './mixture-batches.js';
import { CommTask } from './task.js';

const root = mkdtempSync(join(tmpdir(), 'commlm-stage-'));
after(() => rmSync(root, { recursive: true }));

/** Two pictures, one, and none, and a line whose picture is missing. */
const ROWS = [
  ['a.png', '<image>\nWhat is it?', 'A red one.'],
  [undefined, 'Hello?', 'Hi there.'],
  [['a.png', 'b.png'], '<image> and <image>?', 'Red and blue.'],
  ['b.png', 'What is in <image> here?', 'A blue one.'],
  ['gone.png', '<image>\nWhat is it?', 'Nothing.'],
  ['b.png', '<image>\nWhich colour?', 'Blue. '.repeat(20)],
] as const;

before(async () => {
  const golden = readTextGolden<GoldenTokenizer[]>('tokenizers').find(({ name }) => name === 'own') as GoldenTokenizer;
  const ids = new Map((golden.tokenizerJson.added_tokens ?? []).map(({ content, id }) => [content, id]));
  const vocabSize = 1 + Math.max(...Object.values(golden.tokenizerJson.model.vocab), ...ids.values());
  const config: CommConfig = smallComm({
    imageTokens: {
      kind: 'wrapped',
      patchId: ids.get('<im_patch>')!,
      startId: ids.get('<im_start>')!,
      endId: ids.get('<im_end>')!,
    },
    textConfig: smallLlama({ vocabSize, maxPositions: 512 }),
    untrained: ['projector', 'vision.encoders.0.merge'],
  });
  manualSeed(1);
  using model = new Comm(parseConfig(CommSchema, config));
  saveCommFolder(join(root, 'model'), model);
  writeFileSync(join(root, 'model', 'tokenizer.json'), JSON.stringify(golden.tokenizerJson));
  writeFileSync(join(root, 'model', 'tokenizer_config.json'), JSON.stringify(golden.tokenizerConfig));
  mkdirSync(join(root, 'images'));
  for (const [name, background] of [
    ['a', 'red'],
    ['b', 'blue'],
  ] as const) {
    const picture = sharp({ create: { width: 40, height: 30, channels: 3, background } });
    await picture.png().toFile(join(root, 'images', `${name}.png`));
  }
  const rows = ROWS.map(([image, question, answer], id) => ({
    id,
    image,
    conversations: [
      { from: 'human', value: question },
      { from: 'gpt', value: answer },
    ],
  }));
  writeFileSync(join(root, 'rows.json'), JSON.stringify(rows));
});

type Changes = Partial<Omit<CommTrainConfig, 'data'>> & Partial<Omit<MixtureData, 'kind'>>;

/** A training on the rows; fields of the data among the changes are told by their names. */
function stageOf({
  held = null,
  maxLength = 160,
  packing = 'pad',
  skip,
  sets,
  ...changes
}: Changes = {}): CommTrainConfig {
  return parseCommTraining({
    model: join(root, 'model'),
    dtype: 'f32',
    device: 'cpu',
    trains: ['languageModel', 'projector', 'merge', 'align'],
    lora: null,
    recompute: null,
    features: null,
    data: {
      kind: 'mixture',
      stores: { images: { kind: 'folder', folder: join(root, 'images') } },
      sets: sets ?? { rows: { kind: 'llava', file: join(root, 'rows.json'), store: 'images' } },
      mix: { kind: 'set', set: 'rows' },
      seed: 1,
      held,
      maxLength,
      packing,
      groupBatches: 1,
      skip: skip ?? SKIP,
    },
    losses: [],
    workers: 1,
    ahead: 1,
    ...changes,
  });
}

const SKIP: MixtureData['skip'] = {
  picture: 'skip',
  malformed: 'error',
  'empty-box': 'skip',
  'picture-size': 'error',
  'image-count': 'error',
  'too-long': 'truncate',
  untrained: 'error',
  limit: 1,
};

async function firstBatch(task: CommTask): Promise<MixtureBatch> {
  const batches = task.openBatches(0);
  try {
    return (await batches.next()) as MixtureBatch;
  } finally {
    await batches.close();
  }
}

const gradientsOf = (task: CommTask, run: () => unknown) => {
  for (const module of task.parts.values()) module.zeroGrad();
  run();
  return [...task.parts].flatMap(([part, module]) =>
    [...module.namedParameters()].flatMap(([key, { grad }]) =>
      grad === null ? [] : [[`${part}.${key}`, grad] as const],
    ),
  );
};

test('text alone, one picture, two: padded, packed and recomputed they give one loss and one gradient', async () => {
  const padded = CommTask.open(stageOf(), 6, () => {});
  const packed = CommTask.open(stageOf({ packing: 'pack' }), 6, () => {});
  const recomputed = CommTask.open(stageOf({ recompute: 1 }), 6, () => {});
  const [rows, fewer] = [await firstBatch(padded), await firstBatch(packed)];
  assert.equal(rows.numRows, 6);
  assert.ok(fewer.numRows < 6, `${fewer.numRows} rows`);
  assert.deepEqual(padded.describe(rows).tokens, packed.describe(fewer).tokens);
  assert.equal(rows.pictures.length, fewer.pictures.length);
  scope(() => {
    const plain = gradientsOf(padded, () => padded.loss(rows).loss.backward());
    assert.ok(
      plain.some(([key]) => key.startsWith('merge.0')) && plain.some(([key]) => key.startsWith('languageModel')),
    );
    const others = [
      // Sums over up to 6 rows of 160 tokens in another order, there and back through the whole model.
      [
        gradientsOf(packed, () => packed.loss(fewer).loss.backward()),
        roundingBound({ terms: 6 * 160, steps: 2 * SMALL_COMM_ROUNDING.steps }),
      ],
      [gradientsOf(recomputed, () => recomputed.backward!(rows, 0, 1)), 0],
    ] as const;
    for (const [gradients, bound] of others) {
      assert.deepEqual(gradients.map(([key]) => key).sort(), plain.map(([key]) => key).sort());
      const byKey = new Map(gradients);
      for (const [key, grad] of plain) {
        const difference = maxRelDiff(byKey.get(key)!, grad);
        assert.ok(difference <= bound, `${key}: ${difference}`);
      }
    }
  });
});

test('features from disk give the gradients that were computed, and in half precision theirs but for one rounding', async () => {
  const lines: string[] = [];
  const open = (changes: Changes): CommTask => CommTask.open(stageOf(changes), 6, (line) => lines.push(line));
  const batch = await firstBatch(open({}));
  const gradientsOnce = (changes: Changes) => {
    const task = open(changes);
    const gradients = gradientsOf(task, () => task.loss(batch).loss.backward());
    task.close();
    return gradients;
  };
  const wanted = scope(() => gradientsOnce({}));
  for (const dtype of [undefined, 'bf16'] as const) {
    const features = { folder: join(root, 'features'), maxGB: 0.1, dtype };
    scope(() => {
      const [cold, warm] = [gradientsOnce({ features }), gradientsOnce({ features })];
      for (const [i, [key, grad]] of wanted.entries()) {
        assert.equal(maxRelDiff(warm[i]![1], cold[i]![1]), 0, key);
        // Two pictures in place of six go through the encoders at once; bf16 is one rounding more, at two encoders.
        if (dtype === 'bf16') expectRounded(cold[i]![1], grad, { dtype, steps: 2 }, key);
        else expectRounded(cold[i]![1], grad, { ...SMALL_COMM_ROUNDING, steps: 2 * SMALL_COMM_ROUNDING.steps }, key);
      }
    });
  }
  for (const dtype of [undefined, 'f16'] as const) {
    scope(() => gradientsOnce({ features: { folder: join(root, 'full'), maxGB: 1e-6, dtype } }));
  }
  const said = lines.filter((line) => line.startsWith('features')).join('\n');
  assert.match(
    said,
    /features of clip: 2 pictures encoded, 4 read; [\s\S]*features of dinov2: 0 pictures encoded, 6 read/,
  );
  assert.match(said, /is full/);
  const features = { folder: 'f', maxGB: 1 };
  assert.throws(() => stageOf({ features, trains: ['encoder'] }), { code: 'train/parts', fix: /features=null/ });
});

test('a seeded run has the same losses without a cache, with an empty one, a filled one and a damaged one', async () => {
  const names = ['c', 'd', 'e', 'f', 'g', 'h'];
  const rows = [];
  for (const [id, name] of names.entries()) {
    const background = { r: 40 * id, g: 250 - 30 * id, b: 90 };
    const picture = sharp({ create: { width: 40, height: 30, channels: 3, background } });
    await picture.png().toFile(join(root, 'images', `${name}.png`));
    const conversations = [
      { from: 'human', value: '<image>\nWhat is it?' },
      { from: 'gpt', value: `Number ${id}.` },
    ];
    rows.push({ id, image: `${name}.png`, conversations });
  }
  writeFileSync(join(root, 'many.json'), JSON.stringify(rows));
  const sets = { rows: { kind: 'llava', file: join(root, 'many.json'), store: 'images' } } as const;
  const loop = {
    ...{ steps: 6, batchSize: 3, lr: 1e-2, betas: [0.9, 0.95], weightDecay: 0, warmupRatio: 0, minLrRatio: 1 },
    ...{ clipNorm: 1, seed: 1, saveEvery: 2, logEvery: 1, evalEvery: 10, keepLast: 1 },
  } satisfies LoopConfig;
  const folder = join(root, 'run-features');
  const lines: string[] = [];
  let runs = 0;
  const lossesWith = async (features: CommTrainConfig['features']): Promise<number[]> => {
    manualSeed(7);
    const comm = stageOf({ features, sets });
    const task = CommTask.open(comm, loop.batchSize, (line) => lines.push(line));
    const out = join(root, `run-${runs++}`);
    await runTraining(task, loop, { out, recipe: { loop, comm }, resume: false, log: () => {} });
    return readMetrics(out).flatMap((line) => line['train/loss'] ?? []);
  };
  const wanted = await lossesWith(null);
  assert.equal(wanted.length, loop.steps);
  const features = { folder, maxGB: 0.1 };
  const cold = await lossesWith(features);
  // The first epoch has the batches of the run without a cache; later ones mix pictures that were encoded in other company.
  assert.deepEqual(cold.slice(0, 2), wanted.slice(0, 2));
  // There and back in every step.
  const bound = roundingBound({ ...SMALL_COMM_ROUNDING, steps: 2 * loop.steps * SMALL_COMM_ROUNDING.steps });
  const expectNear = (ours: readonly number[]): void => {
    assert.equal(ours.length, wanted.length);
    for (const [step, loss] of ours.entries()) {
      assert.ok(Math.abs(loss - wanted[step]!) <= bound * wanted[step]!, `step ${step}: ${loss} and ${wanted[step]}`);
    }
  };
  expectNear(cold);
  assert.deepEqual(await lossesWith(features), cold);
  assert.match(lines.at(-1)!, /0 pictures encoded, 18 read/);
  const [set] = readdirSync(folder).filter((name) => name.startsWith('clip'));
  const [shard] = readdirSync(join(folder, set!)).filter((name) => name.endsWith('.safetensors'));
  const bytes = readFileSync(join(folder, set!, shard!));
  bytes[bytes.length - 2]! ^= 4;
  writeFileSync(join(folder, set!, shard!), bytes);
  const mended = await lossesWith(features);
  assert.match(lines.join('\n'), /features of clip: 1 pictures encoded, 17 read, 1 damaged rows computed again/);
  expectNear(mended);
});

test('what is listed trains and nothing else; the rest is listed as frozen', () => {
  const task = CommTask.open(stageOf({ trains: ['projector'] }), 6, () => {});
  assert.deepEqual([...task.parts.keys()], ['projector']);
  assert.deepEqual(
    [...task.frozen.keys()],
    ['languageModel', 'merge.0', 'merge.1', 'align.1', 'encoder.0', 'encoder.1'],
  );
  const adapter = { rank: 2, alpha: 4, dropout: 0, targetModules: ['q_proj'], dtype: 'f32' } as const;
  const lora = CommTask.open(
    stageOf({ trains: ['merge'], lora: { ...adapter, targetModules: ['q_proj'] } }),
    6,
    () => {},
  );
  assert.deepEqual([...lora.parts.keys()], ['languageModel', 'merge.0', 'merge.1']);
  const learned = lora.parts
    .get('languageModel')!
    .parameters()
    .filter(({ requiresGrad }) => requiresGrad);
  assert.equal(learned.length, 4);
  assert.throws(() => stageOf({ trains: [] }), { code: 'train/parts' });
  assert.throws(() => stageOf({ lora: { ...adapter, targetModules: ['q_proj'] } }), { code: 'train/parts' });
  assert.throws(() => stageOf({ dtype: 'int8' }), { code: 'train/parts', fix: /bf16/ });
});

test('broken pictures count up to the limit; a recipe longer than the model is refused', async () => {
  const lines: string[] = [];
  const tolerant = CommTask.open(stageOf(), 6, (line) => lines.push(line));
  await firstBatch(tolerant);
  assert.match(lines.join('\n'), /skipped 1: .*rows\.json, entry 5.*gone\.png/);
  const task = CommTask.open(stageOf({ skip: { ...SKIP, limit: 0 } }), 6, () => {});
  await assert.rejects(firstBatch(task), {
    code: 'data/too-many-skipped',
    message: /^1 sample \(1 picture\) could not be used, more than the 0 of the recipe/,
  });
  assert.throws(() => CommTask.open(stageOf({ maxLength: 1000 }), 6, () => {}), { code: 'train/max-length' });
});

test('a run goes through the loop, is measured on held-out samples and clears the marks of what it trained', async () => {
  const out = join(root, 'run');
  const held = { mix: { kind: 'set', set: 'rows' }, samples: 6, seed: 3 } as const;
  const trained: Changes = { held, trains: ['languageModel', 'projector'] };
  const losses: number[] = [];
  const task = CommTask.open(stageOf(trained), 6, () => {});
  const before = await task.evaluate!(0);
  const log = (line: string): void => {
    const loss = /eval \d+\s+loss ([\d.]+)/.exec(line)?.[1];
    if (loss !== undefined) losses.push(Number(loss));
  };
  const loop = {
    steps: 10,
    batchSize: 6,
    lr: 3e-3,
    betas: [0.9, 0.99],
    weightDecay: 0,
    warmupRatio: 0,
    minLrRatio: 0,
    clipNorm: 1,
    seed: 1,
    saveEvery: 10,
    logEvery: 5,
    evalEvery: 10,
    keepLast: 1,
  } as const;
  await runTraining(task, loop, { out, recipe: { loop, comm: stageOf(trained) }, resume: false, log });
  // It goes on with other threads, and not with other rows.
  const resume = (changes: Changes) =>
    runTraining(task, loop, { out, recipe: { loop, comm: stageOf({ ...trained, ...changes }) }, resume: true, log });
  assert.deepEqual(await resume({ workers: 2, ahead: 5 }), { step: 10, finished: true });
  await assert.rejects(resume({ maxLength: 100 }), { code: 'train/recipe' });
  const after = await task.evaluate!(10);
  assert.ok(after['loss']! < before['loss']! - 0.3, `${before['loss']} -> ${after['loss']}`);
  assert.deepEqual(readCommConfig(join(out, 'result')).untrained, ['vision.encoders.0.merge']);
});
