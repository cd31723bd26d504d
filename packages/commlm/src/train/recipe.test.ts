/** Settings on top of a recipe: what exists or is optional can be set, anything else is refused with the nearest name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applySettings, loadRecipe, RECIPES } from './recipe.js';

test('every recipe is valid as it is written', async () => {
  for (const name of Object.keys(RECIPES)) {
    const recipe = await loadRecipe(name);
    assert.deepEqual(applySettings(recipe, []), recipe, name);
  }
});

test('a setting changes a known field of the right type and nothing else', async () => {
  const recipe = await loadRecipe('tiny-stage1');
  const set = (...settings: string[]) => applySettings(recipe, settings);
  assert.ok(recipe.kind === 'comm');
  assert.deepEqual(set('loop.steps=7', 'comm.from=a/b'), {
    ...recipe,
    loop: { ...recipe.loop, steps: 7 },
    comm: { ...recipe.comm, from: 'a/b' },
  });
  assert.throws(() => set('loop.step=7'), /no "loop.step"/);
  assert.throws(() => set('loop.steps=many'), /takes a number/);
  assert.throws(() => set('nonsense'), /not path=value/);
  assert.throws(() => set('loop.steps=0'), /"loop.steps" is not valid/);
  assert.throws(() => set('loop.batchSize=4'), /loop.batchSize is 4, but comm.batchSize is 16/);
});

test('the steps of a schedule inside are those of the loop, and data is replaced as a whole', async () => {
  const dino = await loadRecipe('tiny-dinov2');
  assert.throws(() => applySettings(dino, ['loop.steps=5']), /loop.steps is 5, but dinov2.steps is/);
  const mae = await loadRecipe('tiny-mae');
  assert.ok(mae.kind === 'mae');
  const data = { kind: 'pictures', folder: 'photos', seed: 1, workers: 2, maxBroken: 5 } as const;
  assert.deepEqual(applySettings(mae, [`mae.data=${JSON.stringify(data)}`]), { ...mae, mae: { ...mae.mae, data } });
  assert.throws(() => applySettings(mae, ['mae.data={"kind":"pictures"}']), /"mae.data.folder" is not valid/);
  assert.throws(() => applySettings(mae, ['mae.maskShare=1']), /"mae.maskShare" is not valid/);
});

test('optional fields can be made, strictly', async () => {
  const recipe = await loadRecipe('tiny-clip');
  const loop = (...settings: string[]) => (applySettings(recipe, settings) as { loop: object }).loop;
  const before = (recipe as unknown as { loop: object }).loop;
  assert.deepEqual(loop('loop.accumulate=4', 'loop.ema.decay=0.99'), {
    ...before,
    accumulate: 4,
    ema: { decay: 0.99 },
  });
  assert.deepEqual(loop('loop.lrFactors.encoder.vit=0.1'), { ...before, lrFactors: { 'encoder.vit': 0.1 } });
  assert.deepEqual(loop('loop.skipNorm={"above":10,"inARow":3}'), { ...before, skipNorm: { above: 10, inARow: 3 } });
  assert.throws(
    () => loop('loop.acumulate=4'),
    (error: Error & { fix?: string }) => /accumulate/.test(error.fix ?? ''),
  );
  assert.throws(() => loop('loop.ema.decya=0.9'), /no "loop.ema.decya"/);
  assert.throws(() => loop('loop.ema={"decya":0.9,"decay":0.9}'), /no "loop.ema.decya"/);
  assert.throws(() => loop('loop.skipNorm.above=3'), /"loop.skipNorm.inARow" is not valid/);
  assert.throws(() => loop('loop.accumulate=1'), /not valid/);
});
