/** The data of the paper's two stages: sets, shares and steps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCommTraining } from '../config/comm-train.js';
import { setsOf } from '../config/mixture.js';
import { Mixture } from '../data/mixture.js';
import { loadRecipe } from '../train/recipe.js';
import { CONCAT8, dialogueShare, STAGE1_SETS, STAGE2_SETS } from './paper-data.js';

/** Every set with as many samples. */
const sizes = (sets: object, size: number): Map<string, number> =>
  new Map(Object.keys(sets).map((name) => [name, size]));

test('the paper’s stages parse, name every one of their sets, and step on 64 samples', async () => {
  for (const name of ['comm-7b-stage1', 'comm-7b-stage2', 'comm-nano-stage1', 'comm-nano-stage2']) {
    const recipe = await loadRecipe(name);
    assert.ok(recipe.kind === 'comm');
    const { data, trains, recompute, dtype } = parseCommTraining(recipe.comm);
    assert.ok(data.kind === 'mixture');
    assert.deepEqual(setsOf(data.mix).sort(), Object.keys(data.sets).sort(), name);
    assert.deepEqual(trains, ['languageModel', 'projector', 'merge', 'align']);
    assert.deepEqual([dtype, recompute], ['bf16', 1]);
    const { loop } = recipe;
    assert.equal(loop.batchSize * (loop.accumulate ?? 1), 64);
    assert.equal(loop.steps, name.endsWith('1') ? 100_000 : 20_000);
    assert.deepEqual([loop.lr, loop.weightDecay, loop.warmupRatio], [2e-5, 0, 0.03]);
    const stores = Object.values(data.sets).map(({ store }) => store);
    for (const store of stores) assert.ok(Object.hasOwn(data.stores, store), `${name}: store ${store}`);
  }
});

test('stage 1 takes each set by its size, and a twentieth of the regions of Visual Genome', () => {
  const counts = new Mixture(CONCAT8, sizes(STAGE1_SETS, 200), { seed: 1, shuffle: true }).counts();
  for (const name of Object.keys(STAGE1_SETS)) {
    assert.equal(counts.get(name), ['gc', 'rec-genome'].includes(name) ? 10 : 200, name);
  }
});

test('stage 2 is half dialogues, the other half seven groups alike; 0.1 is the other mix', () => {
  const dialogues = ['instruct', 'box-cot', 'shikra-rd'];
  for (const share of [0.5, 0.1]) {
    const mixture = new Mixture(dialogueShare(share), sizes(STAGE2_SETS, 1000), { seed: 1, shuffle: true });
    const counts = mixture.counts();
    const of = (...names: string[]): number => names.reduce((sum, name) => sum + (counts.get(name) ?? 0), 0);
    assert.ok(Math.abs(of(...dialogues) / mixture.length - share) < 0.03, `${of(...dialogues) / mixture.length}`);
    const seventh = (mixture.length * (1 - share)) / 7;
    for (const group of [['rec'], ['spot'], ['vqav2', 'vqa-e', 'vqa-x'], ['local-boxes', 'local-points']]) {
      assert.ok(Math.abs(of(...group) / seventh - 1) < 0.2, `${group.join()}: ${of(...group)} of ${seventh}`);
    }
  }
});
