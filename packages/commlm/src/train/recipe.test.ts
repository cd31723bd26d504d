/** Settings on top of a recipe: what exists or is optional can be set, anything else is refused with the nearest name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RECIPES } from '../recipes/index.js';
import { applySettings, loadRecipe } from './recipe.js';

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
  assert.throws(() => set('comm.batchSize=4'), /no "comm.batchSize"/);
});

test('a training on the world is checked to its last field', async () => {
  const recipe = await loadRecipe('tiny-stage1');
  const refused = (setting: string, message: RegExp, fix: RegExp): void =>
    assert.throws(
      () => applySettings(recipe, [setting]),
      (error: Error & { fix?: string }) => {
        assert.match(error.message, message);
        assert.match(error.fix ?? '', fix);
        return true;
      },
    );
  refused('comm.world.augment=strnog', /^"comm.world.augment" is not valid: .*"none"\|"light"\|"strong"/, /"strong"/);
  refused('comm.mix.yesNoWeight=-5', /^"comm.mix.yesNoWeight" is not valid: .*>=0/, /range/);
  refused('comm.mix.yesNoWieght=5', /no "comm.mix.yesNoWieght"/, /"yesNoWeight"/);
  refused('comm.mix.types.rce=1', /no "comm.mix.types.rce"/, /"rec"/);
  refused('comm.trains=["fusoin"]', /^"comm.trains.0" is not valid/, /"fusion"/);
  refused('kind=stagee', /^"kind" is not valid/, /"stage"/);
  const tokenizer = await loadRecipe('tiny-tokenizer');
  assert.throws(() => applySettings(tokenizer, ['tokenizer.scenes=0']), /"tokenizer.scenes" is not valid/);
  assert.ok(recipe.kind === 'comm');
  const { types } = (applySettings(recipe, ['comm.mix.types.exact=2']) as typeof recipe).comm.mix;
  assert.deepEqual(types, { ...recipe.comm.mix.types, exact: 2 });
});

test('a setting may add a key to a map, and fill what was null', async () => {
  const recipe = await loadRecipe('tiny-own-data');
  assert.ok(recipe.kind === 'stage');
  const set = (...settings: string[]) => (applySettings(recipe, settings) as typeof recipe).stage;
  const store = { kind: 'zip', file: 'a.zip' };
  const { data } = set(
    `stage.data.stores.mine=${JSON.stringify(store)}`,
    ...['kind=llava', 'file=a.json', 'store=mine'].map((field) => `stage.data.sets.second.${field}`),
  );
  assert.deepEqual(data.stores, { ...recipe.stage.data.stores, mine: store });
  assert.deepEqual(data.sets['second'], { kind: 'llava', file: 'a.json', store: 'mine' });
  assert.deepEqual(set('stage.features.folder=f', 'stage.features.maxGB=1').features, { folder: 'f', maxGB: 1 });
  assert.equal(set('stage.recompute=2').recompute, 2);
  assert.throws(() => set('stage.data.stores.mine.kind=zip'), /"stage.data.stores.mine.file" is missing/);
  assert.throws(() => set('stage.device=gpu'), /"stage.device" is not valid: .*"cuda"/);
});

test('data is replaced as a whole', async () => {
  const mae = await loadRecipe('tiny-mae');
  assert.ok(mae.kind === 'mae');
  const data = { kind: 'pictures', folder: 'photos', seed: 1, workers: 2, maxBroken: 5 } as const;
  assert.deepEqual(applySettings(mae, [`mae.data=${JSON.stringify(data)}`]), { ...mae, mae: { ...mae.mae, data } });
  assert.throws(() => applySettings(mae, ['mae.data={"kind":"pictures"}']), /"mae.data.folder" is missing/);
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
  assert.throws(() => loop('loop.skipNorm.above=3'), /"loop.skipNorm.inARow" is missing/);
  assert.throws(() => loop('loop.accumulate=1'), /not valid/);
});
