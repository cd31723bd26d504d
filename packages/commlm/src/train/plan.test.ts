/** What a plan says of the paper's stage: memory with recompute as it is set, the work of it, and what would fit less. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LoopRecipe } from '../config/recipe.js';
import { gpusFor } from './memory/gpus.js';
import { planRun } from './plan.js';
import { applySettings, loadRecipe } from './recipe.js';

const GIB = 2 ** 30;
const plan = async (...settings: string[]) =>
  planRun(applySettings((await loadRecipe('comm-7b-stage1')) as LoopRecipe, ['comm.model=not/there', ...settings]));

test('recompute counts as the recipe sets it', async () => {
  const set = await plan();
  const { memory } = set;
  assert.equal(memory.total, memory.weights + memory.gradients + memory.optimizer + memory.activations);
  assert.ok(Math.abs(memory.total / GIB - 132.2) < 0.05, `${memory.total / GIB}`);
  const without = (await plan('comm.recompute=null')).memory;
  assert.ok(Math.abs(without.total / GIB - 269.5) < 0.05, `${without.total / GIB}`);
  assert.deepEqual(without.smaller[0], { settings: ['comm.recompute=1'], total: memory.total });
  // 32 blocks: 16 kept states and two blocks at once, in place of 32 and one.
  const every2 = (await plan('comm.recompute=2')).memory.activations;
  const [rows, width, inner] = [8 * 4096, 4096, 11_008];
  const block = rows * 2 * (4 * width + 3 * width + width + 4 * inner);
  // The towers are frozen: only the language model is recomputed.
  assert.equal(every2 - memory.activations, block - 16 * rows * width * 2);
});

test('one sample a pass takes a smaller GPU for the same steps', async () => {
  const { memory } = await plan();
  assert.deepEqual(
    gpusFor(memory.total).map(({ name }) => name),
    ['B200'],
  );
  const [smallest] = memory.smaller;
  assert.deepEqual(smallest!.settings, ['loop.batchSize=1', 'loop.accumulate=64']);
  assert.equal((await plan(...smallest!.settings)).memory.total, smallest!.total);
  assert.equal(gpusFor(smallest!.total)[0]!.name, 'H200');
});

test('tokens and operations lie between pictures with a little text and full rows', async () => {
  const { work, samples } = await plan();
  assert.deepEqual(work!.tokens, { least: samples * (576 + 50), most: samples * 4096 });
  // Forwards, twice, and backwards: eight operations a weight and token; attention and the towers add less than a fifth.
  const weights = 6_738_415_616 - 32_000 * 4096;
  for (const end of ['least', 'most'] as const) {
    const share = work!.operations[end] / (8 * weights * work!.tokens[end]);
    assert.ok(share > 1 && share < 1.2, `${share}`);
  }
  const adapter = { rank: 8, alpha: 16, dropout: 0, targetModules: 'all-linear', dtype: 'f32' };
  const frozen = await plan('comm.trains=["projector"]', `comm.lora=${JSON.stringify(adapter)}`);
  assert.ok(frozen.work!.operations.most < 0.8 * work!.operations.most);
});

test('the cache of features is planned by encoder, levels and pictures, and what its limit holds', async () => {
  assert.equal((await plan()).features, null);
  const { features, samples } = await plan('comm.features={"folder":"f","maxGB":100}');
  const [clip, dino] = features!.encoders;
  assert.deepEqual(
    [clip!.encoder, clip!.levels, clip!.tokens, clip!.width, clip!.dtype],
    ['clip', 24, 576, 1024, 'bf16'],
  );
  // Beside the values a checksum a level, and the name of the picture.
  const values = 24 * 576 * 1024 * 2;
  assert.ok(clip!.pictureBytes > values && clip!.pictureBytes < values + 1024);
  assert.equal(features!.pictureBytes, clip!.pictureBytes + dino!.pictureBytes);
  assert.equal(features!.pictures, samples);
  assert.equal(features!.bytes, samples * features!.pictureBytes);
  assert.equal(features!.room, Math.floor(100e9 / features!.pictureBytes));
  const wide = await plan('comm.features={"folder":"f","maxGB":100,"dtype":"f32"}');
  assert.ok(Math.abs(wide.features!.bytes / features!.bytes - 2) < 1e-3);
});
