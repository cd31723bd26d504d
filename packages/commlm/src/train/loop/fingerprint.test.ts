/** What makes two recipes the same for a run that goes on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TurnType } from '../../config/world.js';
import { RECIPES } from '../../recipes/index.js';
import { fingerprintOf } from './fingerprint.js';

/** A copy whose objects list their keys the other way round. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, inner]) => [key, reversed(inner)]),
  );
}

test('the order of keys makes no other recipe', async () => {
  for (const open of Object.values(RECIPES)) {
    const { recipe } = await open();
    assert.notEqual(JSON.stringify(reversed(recipe)), JSON.stringify(recipe));
    assert.equal(fingerprintOf(reversed(recipe)), fingerprintOf(recipe));
  }
});

test('a value makes another one, and so does the order of a list; bookkeeping does not', async () => {
  const { recipe } = await RECIPES['tiny-stage1']!();
  assert.ok(recipe.kind === 'comm');
  const { loop } = recipe;
  const changed = (change: Partial<typeof loop>): string => fingerprintOf({ ...recipe, loop: { ...loop, ...change } });
  assert.notEqual(changed({ lr: loop.lr * 2 }), fingerprintOf(recipe));
  assert.notEqual(changed({ betas: [loop.betas[1], loop.betas[0]] }), fingerprintOf(recipe));
  assert.equal(changed({ keepLast: loop.keepLast + 1, saveEvery: loop.saveEvery + 1 }), fingerprintOf(recipe));
});

test('our recipes list the kinds of questions in the order that they are drawn in', async () => {
  for (const open of Object.values(RECIPES)) {
    const { recipe } = await open();
    if (recipe.kind !== 'comm' || recipe.comm.data.kind !== 'world') continue;
    const { types } = recipe.comm.data;
    const drawn = TurnType.options.filter((type) => Object.hasOwn(types, type));
    assert.deepEqual(Object.keys(types), drawn);
  }
});
