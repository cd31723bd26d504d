/** The synthetic world as training data: recompute, adapters and cached features give what the plain way gives. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { manualSeed, scope, type Tensor } from '@commlm/torch';
import { maxRelDiff, roundingBound } from '@commlm/torch/testing';
import type { CommTrainConfig, WorldData as WorldConfig } from '../../../config/comm-train.js';
import { commTiny, TINY_VOCABULARY } from '../../../config/presets.js';
import { pictureKeys } from '../../../features/encoder-key.js';
import { Comm } from '../../../models/comm.js';
import { smallComm } from '../../../models/sample-configs.fixture.js';
import { renderConversation } from '../../../text/conversation.js';
import { Tokenizer } from '../../../text/tokenizer.js';
import { readCommConfig, saveCommFolder } from '../../../weights/comm-folder.js';
import { parameterGroups, trainedParameters } from '../../loop/parameter-groups.js';
import { loadRecipe } from '../../recipe.js';
import { CommTask } from './task.js';
import { WATCHED } from './watched.js';
import { createBatcher, type WorldBatch } from './world-batches.js';
import { WorldData, worldBatchOptions } from './world-data.js';

const tokenizerFolder = fileURLToPath(new URL('../../../../../../models/comm-tiny', import.meta.url));

const stage = await loadRecipe('tiny-stage2');

/** The first batch of stage 2 with other data. */
async function firstBatch(changes: Partial<WorldConfig>, batchSize: number) {
  assert.ok(stage.kind === 'comm' && stage.comm.data.kind === 'world');
  const world = { ...stage.comm.data, ...changes };
  const model = commTiny(TINY_VOCABULARY);
  const options = worldBatchOptions(world, batchSize, model, tokenizerFolder);
  const batch = (await createBatcher(options))(0) as WorldBatch;
  return { batch, data: new WorldData(options, stage.comm, model) };
}

const PATCH_ID = TINY_VOCABULARY.imageTokens.patchId;

test('a stage takes the model of its folder and clears the mark of what it trains, and of nothing else', async () => {
  const root = mkdtempSync(join(tmpdir(), 'comm-task-'));
  try {
    const config = smallComm({ untrained: ['projector', 'vision.encoders.0.merge', 'vision.encoders.1.vit'] });
    const model = new Comm(config);
    saveCommFolder(join(root, 'from'), model);
    model.dispose();
    const stage = await loadRecipe('tiny-stage1');
    assert.ok(stage.kind === 'comm');
    const task = CommTask.open({ ...stage.comm, model: join(root, 'from') }, 2, () => {});
    task.export(join(root, 'to'));
    const trained = readCommConfig(join(root, 'to'));
    assert.deepEqual(trained.untrained, ['vision.encoders.1.vit']);
    assert.deepEqual({ ...trained, untrained: config.untrained }, config);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test('rows about two pictures stand behind the others, and each question is the conversation of that question alone', async () => {
  const { batch } = await firstBatch({ pairRows: 2 }, 3);
  assert.equal(batch.numRows, 5);
  assert.deepEqual([...batch.shown.subarray(0, 3)], [0n, 1n, 2n]);
  assert.equal(batch.shown.length, 3 + 2 * 2);
  const placeholders = [...batch.ids.keys()].filter((at) => batch.ids[at] === BigInt(PATCH_ID));
  assert.deepEqual([...batch.places].map(Number), placeholders, 'where the visual tokens go');
  for (const pair of [batch.shown.subarray(3, 5), batch.shown.subarray(5, 7)]) assert.notEqual(pair[0], pair[1]);

  const tokenizer = await Tokenizer.load(tokenizerFolder);
  const row = <T>(from: { subarray(a: number, b: number): Iterable<T> }): T[] => [
    ...from.subarray(3 * batch.numTokens, 4 * batch.numTokens),
  ];
  const segments = row(batch.segments);
  const ids = row(batch.ids).map(Number);
  const own = ids.filter((_, t) => segments[t] === 0 || segments[t] === 1);
  const text = tokenizer.decode(own);
  const [, question = '', answer = ''] = /USER: +(.*) ASSISTANT: (.*)$/.exec(text) ?? [];
  assert.ok(question !== '' && answer !== '', text);
  const turn = { question: [{ picture: true }, ' ', { picture: true }, ` ${question}`] as const, answer };
  assert.deepEqual(own, renderConversation([turn], { tokenizer, imageTokens: [64, 64] }).ids);
});

test('an edge asked for alone has two digits, each labelled where the next token stands', async () => {
  const { batch, data } = await firstBatch({}, 4);
  const tokenizer = await Tokenizer.load(tokenizerFolder);
  const word = (at: number): string => tokenizer.decode([Number(batch.ids[at])]).trim();
  const label = (at: number): string => tokenizer.decode([Number(batch.labels[at])]);
  const asked = [...batch.watched.keys()].filter((at) => WATCHED[batch.watched[at]! - 1] === 'edge_probe1');
  assert.ok(asked.length > 0);
  for (const at of asked) {
    assert.match(word(at - 2), /^(left|top|right|bottom)$/);
    assert.equal(batch.ids[at], batch.labels[at], 'the first digit stands where it is asked for');
    assert.match(label(at), /^\d$/);
    assert.match(label(at + 1), /^\d$/);
    assert.equal(WATCHED[batch.watched[at + 1]! - 1], 'edge_probe2');
  }
  const { tokens, samples } = data.describe(batch);
  assert.deepEqual(samples, ['scene 0', 'scene 1', 'scene 2', 'scene 3']);
  assert.equal(tokens, batch.segments.filter((segment) => segment >= 0).length);
});

/** Stage 2 from the embedded model with other settings. */
function openTask(changes: Partial<CommTrainConfig>): CommTask {
  assert.ok(stage.kind === 'comm');
  // The head of the places is drawn anew.
  manualSeed(1);
  return CommTask.open({ ...stage.comm, model: tokenizerFolder, ...changes }, 2, () => {});
}

const gradientsOf = (task: CommTask, run: () => unknown): Map<string, Tensor> => {
  for (const module of task.parts.values()) module.zeroGrad();
  run();
  return new Map(
    [...task.parts].flatMap(([part, module]) =>
      [...module.namedParameters()].flatMap(([key, { grad }]) => (grad === null ? [] : [[`${part}.${key}`, grad]])),
    ),
  );
};

test('recomputed, the world gives the gradients of the plain way, with every loss and a tower that learns', async () => {
  const { batch } = await firstBatch({}, 2);
  const changes: Partial<CommTrainConfig> = {
    dtype: 'f32',
    trains: ['encoder.0', 'merge', 'align', 'projector', 'languageModel'],
  };
  const [plain, recomputed] = [openTask(changes), openTask({ ...changes, recompute: 2 })];
  assert.deepEqual(
    [...plain.parts.keys()],
    // The first branch has no alignment.
    ['encoder.0', 'merge.0', 'merge.1', 'align.1', 'projector', 'languageModel', 'placeHead'],
  );
  assert.deepEqual([...plain.frozen.keys()], ['encoder.1']);
  scope(() => {
    const wanted = gradientsOf(plain, () => plain.loss(batch).loss.backward());
    const losses = plain.loss(batch);
    const ours = gradientsOf(recomputed, () => {
      const { loss, metrics } = recomputed.backward!(batch, 0, 1);
      assert.equal(loss.item(), losses.loss.item());
      assert.deepEqual(Object.keys(metrics), Object.keys(losses.metrics));
    });
    assert.deepEqual([...ours.keys()], [...wanted.keys()]);
    // A visual token gathers from the language model and two losses: three terms in another order, and from there back
    // through the six blocks of the tower, eight steps each.
    const bound = roundingBound({ terms: 3, steps: 6 * 8 });
    for (const [key, grad] of wanted) {
      const difference = maxRelDiff(ours.get(key)!, grad);
      assert.ok(difference <= bound, `${key}: ${difference}`);
    }
  });
});

test('the world learns an adapter, and reads the features of frozen towers from disk with the same bits', async () => {
  const { batch } = await firstBatch({}, 2);
  const folder = mkdtempSync(join(tmpdir(), 'comm-world-features-'));
  try {
    const lora = { rank: 2, alpha: 4, dropout: 0, targetModules: ['q_proj'], dtype: 'f32' } as const;
    const changes: Partial<CommTrainConfig> = {
      trains: ['projector'],
      lora: { ...lora, targetModules: ['q_proj'] },
    };
    scope(() => {
      const lossOf = (features: CommTrainConfig['features']): number => {
        const task = openTask({ ...changes, features });
        const loss = task.loss(batch).loss.item();
        task.close();
        return loss;
      };
      // Both compute and keep bf16.
      const wanted = lossOf(null);
      assert.equal(lossOf({ folder, maxGB: 0.1 }), wanted);
      assert.equal(lossOf({ folder, maxGB: 0.1 }), wanted);
      const task = openTask(changes);
      const learned = [...gradientsOf(task, () => task.loss(batch).loss.backward()).keys()];
      assert.ok(learned.some((key) => /languageModel\..*lora/i.test(key)) && learned.includes('placeHead.weight'));
      assert.ok(!learned.some((key) => /embedTokens|merge/.test(key)), learned.join());
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a scene is the same picture to the cache in every run that draws it alike, whatever its batch and its questions', async () => {
  const keysOf = async (changes: Partial<WorldConfig>, batchSize: number): Promise<string[]> => {
    const { batch } = await firstBatch(changes, batchSize);
    return pictureKeys(batch.squares[0], batch.numPictures);
  };
  for (const augment of ['none', 'strong'] as const) {
    const keys = await keysOf({ augment, seed: 4 }, 3);
    assert.equal(new Set(keys).size, 3);
    assert.deepEqual((await keysOf({ augment, seed: 4, questions: 1 }, 2)).slice(0, 2), keys.slice(0, 2));
    assert.ok((await keysOf({ augment, seed: 5 }, 3)).every((key) => !keys.includes(key)));
  }
  assert.notEqual(
    (await keysOf({ augment: 'none', seed: 4 }, 2))[0],
    (await keysOf({ augment: 'strong', seed: 4 }, 2))[0],
  );
});

test('parts are checked against the model, losses against the data', () => {
  const refused = (changes: Partial<CommTrainConfig>, message: RegExp): void =>
    assert.throws(() => openTask(changes), { message });
  refused({ trains: ['encoder.2'] }, /encoder\.2, which the model does not have/);
  refused(
    {
      losses: [
        { kind: 'numbers', weight: 1 },
        { kind: 'numbers', weight: 2 },
      ],
    },
    /lists numbers twice/,
  );
  assert.ok(stage.kind === 'comm' && stage.comm.data.kind === 'world');
  refused({ data: { ...stage.comm.data, questions: 0 }, losses: [] }, /Nothing is asked/);
  const features = { folder: 'features', maxGB: 1 };
  refused({ trains: ['encoder.0'], features }, /Encoders that learn have no features/);
});

test('a factor of the rate takes the names of parts, and checkpoints keep the paths of the model', () => {
  const task = openTask({});
  const named = trainedParameters(task.parts);
  const groups = parameterGroups(named, { lr: 1, weightDecay: 0, lrFactors: { 'merge.1': 0.5 } }, task.checkpointKey);
  const slowed = groups
    .filter(({ lr }) => lr === 0.5)
    .flatMap(({ params }) => [...(params as Map<string, Tensor>).keys()]);
  assert.ok(slowed.length > 0);
  for (const key of slowed) assert.match(key, /^vision\.encoders\.1\.merge\./);
});

test('a factor without the place of an encoder holds for all, the longest wins, and a part that is not there is nothing', () => {
  const named = trainedParameters(openTask({}).parts);
  const ratesWith = (lrFactors: Record<string, number>): Map<string, number> =>
    new Map(
      parameterGroups(named, { lr: 1, weightDecay: 0, lrFactors }).flatMap(({ params, lr }) =>
        [...(params as Map<string, Tensor>).keys()].map((key) => [key, lr as number] as const),
      ),
    );
  const rates = ratesWith({ merge: 0.5, 'merge.scale': 100, 'merge.1.scale': 10, align: 0.25, encoder: 0.1 });
  assert.equal(rates.get('merge.0.scale.weight'), 100);
  assert.equal(rates.get('merge.1.scale.weight'), 10);
  assert.equal(rates.get('merge.0.linears.0.weight'), 0.5);
  assert.equal(rates.get('align.1.blocks.0.fc1.weight'), 0.25);
  assert.equal(rates.get('projector.linears.0.weight') ?? 1, 1);
  assert.throws(() => ratesWith({ 'merge.scales': 2 }), /names "merge.scales"/);
  assert.throws(() => ratesWith({ 'encoder.0': 2 }), /names "encoder.0"/);
});
