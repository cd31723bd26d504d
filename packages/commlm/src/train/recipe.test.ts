/** Settings on top of a recipe: what exists or is optional can be set, anything else is refused with the nearest name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MixtureData, WorldData } from '../config/comm-train.js';
import { parseCommTraining } from '../config/comm-train.js';
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
  assert.deepEqual(set('loop.steps=7', 'comm.model=a/b'), {
    ...recipe,
    loop: { ...recipe.loop, steps: 7 },
    comm: { ...recipe.comm, model: 'a/b' },
  });
  assert.throws(() => set('loop.step=7'), /a field "loop.step" that is not known/);
  assert.throws(() => set('loop.steps=many'), /takes a number/);
  assert.throws(() => set('nonsense'), /not path=value/);
  assert.throws(() => set('loop.steps=0'), /"loop.steps" is not valid/);
  assert.throws(() => set('comm.batchSize=4'), /a field "comm.batchSize" that is not known/);
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
  refused(
    'comm.data.augment=strnog',
    /^"comm.data.augment" is not valid: expected one of "none", "light", "strong"\.$/,
    /"strong"/,
  );
  refused('comm.data.yesNoWeight=-5', /^"comm.data.yesNoWeight" is not valid: .*>=0/, /range/);
  refused('comm.data.yesNoWieght=5', /a field "comm.data.yesNoWieght" that is not known/, /"yesNoWeight"/);
  refused('comm.data.types.rce=1', /a field "comm.data.types.rce" that is not known/, /"rec"/);
  refused('comm.trains=["mergge"]', /^"comm.trains.0" is not valid/, /"merge"/);
  refused('kind=com', /^"kind" is not valid/, /"comm"/);
  const tokenizer = await loadRecipe('tiny-tokenizer');
  assert.throws(() => applySettings(tokenizer, ['tokenizer.scenes=0']), /"tokenizer.scenes" is not valid/);
  assert.ok(recipe.kind === 'comm');
  const { types } = (applySettings(recipe, ['comm.data.types.exact=2']) as typeof recipe).comm.data as WorldData;
  assert.deepEqual(types, { ...(recipe.comm.data as WorldData).types, exact: 2 });
});

test('a setting may add a key to a map, and fill what was null', async () => {
  const recipe = await loadRecipe('tiny-own-data');
  assert.ok(recipe.kind === 'comm');
  const set = (...settings: string[]) => (applySettings(recipe, settings) as typeof recipe).comm;
  const store = { kind: 'zip', file: 'a.zip' };
  const data = set(
    `comm.data.stores.mine=${JSON.stringify(store)}`,
    ...['kind=llava', 'file=a.json', 'store=mine'].map((field) => `comm.data.sets.second.${field}`),
  ).data as MixtureData;
  assert.deepEqual(data.stores, { ...(recipe.comm.data as MixtureData).stores, mine: store });
  assert.deepEqual(data.sets['second'], { kind: 'llava', file: 'a.json', store: 'mine' });
  assert.deepEqual(set('comm.features.folder=f', 'comm.features.maxGB=1').features, { folder: 'f', maxGB: 1 });
  assert.equal(set('comm.recompute=2').recompute, 2);
  assert.throws(() => set('comm.data.stores.mine.kind=zip'), /"comm.data.stores.mine.file" is missing/);
  assert.throws(() => set('comm.device=gpu'), /"comm.device" is not valid: .*"cuda"/);
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
  assert.throws(() => loop('loop.ema.decya=0.9'), /a field "loop.ema.decya" that is not known/);
  assert.throws(() => loop('loop.ema={"decya":0.9,"decay":0.9}'), /a field "loop.ema.decya" that is not known/);
  assert.throws(() => loop('loop.skipNorm.above=3'), /"loop.skipNorm.inARow" is missing/);
  assert.throws(() => loop('loop.accumulate=1'), /not valid/);
});

test('a store that no recipe has is refused before anything is read', async () => {
  const recipe = await loadRecipe('tiny-own-data');
  assert.ok(recipe.kind === 'comm');
  const parse = (store: string) =>
    parseCommTraining((applySettings(recipe, [`comm.data.sets.own.store=${store}`]) as typeof recipe).comm);
  const message = (store: string): string =>
    `The data set "own" names the store "${store}", which the recipe does not have.`;
  const code = 'data/unknown-store';
  assert.throws(() => parse('nix'), { code, message: message('nix'), fix: 'The stores are images.', exitCode: 2 });
  assert.throws(() => parse('image'), { code, message: message('image'), fix: 'Did you mean "images"?' });
  assert.doesNotThrow(() => parse('images'));
});
