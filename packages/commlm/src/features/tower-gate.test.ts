/** The gate of towers: what is in the features is read and scored by its definition, collapse is seen, and demands are demands. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cat, F, manualSeed, ones, randn, scope, type Tensor, tensor } from '@commlm/torch';
import {
  bestLevel,
  GATE,
  type GroupTruth,
  isCollapsed,
  judgeTower,
  type LevelFigures,
  LevelProbes,
  type ReadingGroup,
  type TowerFigures,
} from './tower-gate.js';

const GROUPS: ReadingGroup[] = [
  { name: 'picture', at: 'picture', readings: [{ name: 'noun', outputs: 5, score: 'labels' }] },
  {
    name: 'thing',
    at: 'patch',
    readings: [
      { name: 'patch noun', outputs: 4, score: 'class' },
      { name: 'box edges', outputs: 4, score: 'box' },
    ],
  },
];
const [PICTURES, PATCHES, WIDTH] = [60, 4, 16];

/** Features of noise, and truth that is linear in them, or that has nothing to do with them. */
function batch(linear: boolean): { state: Tensor; truths: GroupTruth[] } {
  const state = F.layerNorm(randn([PICTURES, PATCHES, WIDTH]), [WIDTH]);
  const source = linear ? state : randn([PICTURES, PATCHES, WIDTH]);
  const shown = source.mean(1).narrow(1, 0, 5).argsort(-1, true).argsort(-1).lt(2).to('f32');
  const flat = source.flatten(0, 1);
  const low = flat.narrow(1, 4, 2).mul(0.1);
  const boxes = cat([low, flat.narrow(1, 6, 2).mul(0.1).add(1)], 1);
  const nouns = F.oneHot(flat.narrow(1, 0, 4).argmax(1), 4).to('f32');
  // Every second patch shows something.
  const rows = BigInt64Array.from({ length: (PICTURES * PATCHES) / 2 }, (_, i) => BigInt(2 * i));
  const things = cat([nouns, boxes], 1).indexSelect(0, tensor(rows));
  const numbers = (x: Tensor): Float32Array => Float32Array.from(x.contiguous().flatten().tolist() as number[]);
  return {
    state,
    truths: [
      { rows: null, targets: numbers(shown) },
      { rows, targets: numbers(things) },
    ],
  };
}

/** Figures of one level whose features are changed by `change` before they are seen. */
function read(linear: boolean, change: (state: Tensor) => Tensor = (state) => state): LevelFigures {
  return scope(() => {
    manualSeed(5);
    const probes = new LevelProbes(1, WIDTH, GROUPS);
    for (let i = 0; i < 20; i++) {
      const { state, truths } = batch(linear);
      probes.add([change(state)], truths);
    }
    const account = probes.fit()();
    for (let i = 0; i < 10; i++) {
      const { state, truths } = batch(linear);
      account.add([change(state)], truths);
    }
    const [figures] = account.figures();
    account.dispose();
    return figures!;
  });
}

test('what is linear in the features is read, what is not there is not', () => {
  const [there, absent, constant] = [read(true), read(false), read(false, (state) => ones(state.shape))];
  assert.ok(there.scores['noun']! > 0.75, `${there.scores['noun']}`);
  assert.ok(there.scores['patch noun']! > 0.8, `${there.scores['patch noun']}`);
  // The boxes are linear in the features without rest; their overlap is that of a box with itself but for the map's own decay.
  assert.ok(there.scores['box edges']! > 0.99, `${there.scores['box edges']}`);
  for (const reading of ['noun', 'patch noun']) {
    // 1,200 rows and 600 pictures: five standard errors of a share.
    assert.ok(Math.abs(absent.scores[reading]! - constant.scores[reading]!) < 0.1, reading);
  }
  assert.ok(constant.scores['box edges']! < there.scores['box edges']! - 0.1);
});

test('noise fills all directions; constant features, and one direction alone, are collapsed', () => {
  const noise = read(true);
  assert.ok(noise.rank > 14 && noise.spread > 0.9 && !isCollapsed(noise));
  const constant = read(true, (state) =>
    ones(state.shape).add(tensor(Float32Array.from({ length: WIDTH }, (_, i) => i))),
  );
  assert.deepEqual([constant.rank, constant.spread, constant.pictureSpread], [0, 0, 0]);
  assert.ok(isCollapsed(constant));
  const line = read(true, (state) => {
    const direction = tensor(Float32Array.from({ length: WIDTH }, (_, i) => Math.cos(i)));
    return state
      .narrow(2, 0, 1)
      .mul(direction)
      .add(tensor(Float32Array.from({ length: WIDTH }, (_, i) => Math.sin(i))));
  });
  assert.ok(line.rank < 4 && isCollapsed(line), `${line.rank}`);
  // All patches of a picture alike and all pictures alike differ in one number only.
  const alike = read(true, (state) => state.narrow(0, 0, 1).expand(PICTURES, -1, -1));
  assert.ok(alike.pictureSpread > 0, 'every batch has another picture');
});

const level = (noun: number, patch: number, state = { rank: 30, spread: 0.8, pictureSpread: 0.4 }): LevelFigures => ({
  scores: { noun, 'patch noun': patch },
  ...state,
});
const figures = (known: LevelFigures[], shift: LevelFigures[]): TowerFigures => ({ known, shift });

test('a tower passes by its best levels, each against the best of the untrained one', () => {
  const untrained = figures([level(0.12, 0.16), level(0.1, 0.17)], [level(0.07, 0.1), level(0.06, 0.1)]);
  const good = figures([level(0.2, 0.28), level(0.33, 0.2)], [level(0.1, 0.16), level(0.18, 0.1)]);
  const verdict = judgeTower(good, untrained);
  assert.ok(verdict.passed);
  assert.deepEqual(
    verdict.demands.map(({ level, untrainedLevel }) => [level, untrainedLevel]),
    [
      [1, 0],
      [1, 0],
      [0, 1],
      [0, 0],
    ],
  );
  assert.ok(!judgeTower(untrained, untrained).passed);
  for (const [i, { reading, style, gain }] of GATE.entries()) {
    const short = structuredClone(good) as { known: LevelFigures[]; shift: LevelFigures[] };
    const best = untrained[style][bestLevel(untrained[style], reading)]!.scores[reading]!;
    short[style] = short[style].map((each) => ({
      ...each,
      scores: { ...each.scores, [reading]: Math.min(each.scores[reading]!, best + gain - 0.001) },
    }));
    const judged = judgeTower(short, untrained);
    assert.deepEqual(
      judged.demands.map(({ met }) => met),
      GATE.map((_, j) => j !== i),
    );
  }
});

test('a level that has collapsed meets no demand, whatever is read from it', () => {
  const untrained = figures([level(0.1, 0.1)], [level(0.1, 0.1)]);
  const collapsed = { rank: 1.2, spread: 0.8, pictureSpread: 0.4 };
  const verdict = judgeTower(figures([level(0.9, 0.9, collapsed)], [level(0.9, 0.9)]), untrained);
  assert.deepEqual(
    verdict.demands.map(({ met }) => met),
    [false, true, false, true],
  );
});
