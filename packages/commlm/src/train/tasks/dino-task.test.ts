/** Self-distillation: every loss beside its definition in plain numbers, what learns, and what follows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manualSeed, randn, scope, type Tensor, tensor } from '@commlm/torch';
import { expectNoLeak, expectRounded, roundingBound } from '@commlm/torch/testing';
import type { DinoConfig } from '../../config/pretrain.js';
import { Random } from '../../data/world/index.js';
import { DinoHead } from '../../models/dino-head.js';
import { SMALL_VIT_ROUNDING } from '../../models/sample-configs.fixture.js';
import type { DinoBatch } from './dino-batches.js';
import { centred, clsLoss, DinoTask, koleo, sinkhorn, teacherMomentum, teacherTemperature } from './dino-task.js';
import { drawHidden, hideBlocks } from './hidden-patches.js';
import { SMALL_LOOP, smallDino } from './pretrain-samples.fixture.js';

type Matrix = number[][];
const listed = (x: Tensor): Matrix => x.tolist() as Matrix;
/** Up to twelve steps of sums of 8; `scale` is the largest value met, such as a score over its temperature. */
const close = (actual: Tensor | number, wanted: Matrix | number, scale = 1): void => {
  const [got, expected] = [typeof actual === 'number' ? [actual] : actual.flatten(), [wanted].flat(2)];
  expectRounded(got, expected, { terms: 8, steps: 12, scale });
};
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const softmax = (row: readonly number[]): number[] => {
  const e = row.map(Math.exp);
  return e.map((value) => value / sum(e));
};

/** Pictures of noise with the hidden places given by view. */
function noise(
  { encoder, smallViews, smallSide }: DinoConfig,
  { batchSize }: { readonly batchSize: number },
  hidden: readonly (readonly number[])[],
): DinoBatch {
  const side = encoder.vit.imageSize;
  const random = new Random(1, 'noise');
  const bytes = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => random.int(256));
  const patches = (side / encoder.vit.patchSize) ** 2;
  return {
    large: bytes(2 * batchSize * side * side * 3),
    small: bytes(smallViews * batchSize * smallSide * smallSide * 3),
    hidden: BigInt64Array.from(hidden.flatMap((places, view) => places.map((place) => BigInt(view * patches + place)))),
    hiddenWeights: Float32Array.from(hidden.flatMap((places) => places.map(() => 1 / (places.length * 2 * batchSize)))),
    positions: null,
    matched: { student: new BigInt64Array(), teacher: new BigInt64Array() },
    broken: [],
    samples: [],
  };
}

test('sinkhorn is three rounds of equal shares for prototypes, then for rows', () => {
  scope(() => {
    const scores = randn([5, 4]);
    let q = listed(scores).map((row) => row.map((value) => Math.exp(value / 0.5)));
    for (let round = 0; round < 3; round++) {
      q = q.map((row) => row.map((value, k) => value / (4 * sum(q.map((other) => other[k]!)))));
      q = q.map((row) => row.map((value) => value / (5 * sum(row))));
    }
    close(
      sinkhorn(scores, 0.5),
      q.map((row) => row.map((value) => 5 * value)),
    );
  });
});

test('centring is the softmax of what lies above the centre', () => {
  scope(() => {
    const scores = randn([3, 4]);
    const centre = [0.1, -0.2, 0.3, 0];
    const wanted = listed(scores).map((row) => softmax(row.map((value, k) => (value - centre[k]!) / 0.07)));
    const largest = scores.abs().max().item() / 0.07;
    close(centred(scores, tensor(Float32Array.from(centre)), 0.07), wanted, largest);
  });
});

test('the loss of CLS is a mean over pairs of different views', () => {
  scope(() => {
    const views = [0, 1, 2].map(() => randn([2, 4]));
    const targets = [0, 1].map(() => randn([2, 4]).softmax(-1));
    const pairs: number[] = [];
    for (const [t, target] of targets.entries()) {
      for (const [v, view] of views.entries()) {
        if (v === t) continue;
        const said = listed(view).map((row) => softmax(row.map((value) => value / 0.1)));
        const rows = listed(target).map((row, b) => -sum(row.map((p, k) => p * Math.log(said[b]?.[k] as number))));
        pairs.push(sum(rows) / rows.length);
      }
    }
    assert.equal(pairs.length, 4);
    const largest = Math.max(...views.map((view) => view.abs().max().item())) / 0.1;
    close(clsLoss(views, targets, 0.1), sum(pairs) / pairs.length, largest);
  });
});

test('koleo is minus the mean log distance to the nearest neighbour on the sphere', () => {
  scope(() => {
    const x = randn([6, 3]);
    const unit = listed(x).map((row) => row.map((value) => value / Math.hypot(...row)));
    const nearest = unit.map((row, i) =>
      Math.min(...unit.flatMap((other, j) => (i === j ? [] : [Math.hypot(...row.map((v, k) => v - other[k]!))]))),
    );
    // The logarithm of a distance errs as the distance itself, a difference of numbers up to 1, over the distance.
    close(koleo(x), -sum(nearest.map(Math.log)) / nearest.length, 1 / Math.min(...nearest));
  });
});

test('the last layer of the head has weights of length one, and can be kept from learning', () => {
  scope(() => {
    const head = new DinoHead(6, 8, 5, 7);
    const x = randn([4, 6]);
    const scores = head.forward(x);
    assert.ok(scores.abs().max().item() <= 1 + roundingBound({ terms: 8, steps: 4 }));
    head.forward(x, { frozen: true }).sum().backward();
    assert.equal(head.prototypes.grad, null);
    assert.ok(head.fc1.weight.grad !== null);
    head.prototypes.detach().mul_(3);
    close(head.forward(x), listed(scores));
  });
});

test('temperature and momentum go from their first to their last value', () => {
  const temperature = { first: 0.04, last: 0.07, steps: 30 };
  assert.deepEqual(
    [0, 15, 30, 99].map((step) => Number(teacherTemperature(temperature, step).toFixed(6))),
    [0.04, 0.055, 0.07, 0.07],
  );
  assert.equal(teacherTemperature({ first: 0.05, last: 0.05, steps: 0 }, 0), 0.05);
  assert.deepEqual(
    [0, 50, 100].map((step) => Number(teacherMomentum([0.992, 1], step, 100).toFixed(6))),
    [0.992, 0.996, 1],
  );
});

test('half of the views hide patches, in shares spread over the range', () => {
  const random = new Random(3, 'hidden');
  for (const shape of ['blocks', 'places'] as const) {
    const hidden = drawHidden(16, 12, { views: 0.5, patches: [0.1, 0.5], shape }, random);
    const hiding = hidden.filter((patches) => patches.length > 0);
    assert.equal(hidden.length, 16);
    assert.equal(hiding.length, 8);
    for (const patches of hidden) {
      assert.equal(new Set(patches).size, patches.length);
      assert.ok(patches.every((patch) => patch >= 0 && patch < 144));
      assert.ok(patches.length <= 72);
    }
    const counts = hiding.map((patches) => patches.length).sort((a, b) => a - b);
    if (shape === 'places') {
      for (const [i, count] of counts.entries()) {
        assert.ok(count >= Math.floor((0.1 + 0.05 * i) * 144) && count <= Math.ceil((0.15 + 0.05 * i) * 144));
      }
    }
  }
});

test('hidden blocks hang together', () => {
  const hidden = new Set(hideBlocks(14, 60, new Random(5, 'blocks')));
  assert.ok(hidden.size > 30 && hidden.size <= 60);
  const lonely = [...hidden].filter((patch) => {
    const column = patch % 14;
    const beside = [...(column > 0 ? [patch - 1] : []), ...(column < 13 ? [patch + 1] : []), patch - 14, patch + 14];
    return !beside.some((other) => hidden.has(other));
  });
  assert.equal(lonely.length, 0);
});

test('the hidden-patch loss is a mean over views of means over their hidden patches', () => {
  const config = smallDino({ smallViews: 0, koleoWeight: 0, balance: { kind: 'centre', momentum: 1 } });
  const loop = { ...SMALL_LOOP, batchSize: 2 };
  const of = (hidden: number[][]): number =>
    scope(() => {
      manualSeed(4);
      return new DinoTask(config, loop).loss(noise(config, loop, hidden), 0).metrics['patch']!.item();
    });
  // The mask itself changes what a view says, so the same mask is asked for with both views and with one.
  const [first, second] = [of([[0, 1, 2], [], [], []]), of([[], [5], [], []])];
  // Through the whole encoder, and scores up to 1 over a temperature of 0.1.
  expectRounded(of([[0, 1, 2], [5], [], []]), first + second, { ...SMALL_VIT_ROUNDING, scale: 10 });
});

test('the loss of places is a mean over pairs of patches, and nothing at weight 0', () => {
  const config = smallDino({ smallViews: 0, placeWeight: 2, balance: { kind: 'centre', momentum: 1 } });
  const loop = { ...SMALL_LOOP, batchSize: 2 };
  const of = (changes: Partial<DinoConfig>, pairs: readonly (readonly [number, number])[]) =>
    scope(() => {
      manualSeed(4);
      const matched = {
        student: BigInt64Array.from(pairs, ([student]) => BigInt(student)),
        teacher: BigInt64Array.from(pairs, ([, teacher]) => BigInt(teacher)),
      };
      const batch = { ...noise(config, loop, [[], [], [], []]), matched };
      const { loss, metrics } = new DinoTask({ ...config, ...changes }, loop).loss(batch, 0);
      return { loss: loss.item(), place: metrics['place']?.item() };
    });
  // Patch 3 of the first view with patch 5 of the third, which is the same picture's second view, and back.
  const [there, back] = [[3, 2 * 16 + 5] as const, [2 * 16 + 5, 3] as const];
  const [first, second, both] = [of({}, [there]), of({}, [back]), of({}, [there, back])];
  assert.notEqual(first.place, second.place);
  expectRounded(both.place!, (first.place! + second.place!) / 2, { ...SMALL_VIT_ROUNDING, scale: 10 });
  const without = of({ placeWeight: 0 }, []);
  assert.equal(without.place, undefined);
  expectRounded(both.loss - without.loss, 2 * both.place!, { ...SMALL_VIT_ROUNDING, scale: 20 });
});

test('settings that cannot be are refused', () => {
  const pictures = { kind: 'pictures', folder: 'photos', seed: 0, workers: 1, maxBroken: 0 } as const;
  for (const [changes, said] of [
    [{ largeSide: 20 }, /largeSide|large_side/],
    [{ largeSide: 64 }, /largeSide|large_side/],
    [{ redraw: { shift: 0.1, augment: 'none' }, data: pictures }, /redraw/],
  ] as const) {
    assert.throws(() => new DinoTask(smallDino(changes), SMALL_LOOP), said);
  }
});

test('gradients reach the student and its heads, never the teacher, which follows by its momentum', () => {
  const heads = { headHidden: 16, bottleneck: 8, numPrototypes: 12 };
  const config = smallDino({ patchHead: heads, freezePrototypes: 1, teacherMomentum: [0.9, 1] });
  const loop = { ...SMALL_LOOP, batchSize: 3 };
  const batch = noise(config, loop, [[0, 3], [], [7], [], [], [1, 2, 5]]);
  scope(() => {
    const task = new DinoTask(config, loop);
    const average = task.extraState();
    task.loss(batch, 0).loss.backward();
    const parameters = [...task.parts].flatMap(([part, module]) =>
      [...module.namedParameters()].map(([key, parameter]) => [`${part}.${key}`, parameter] as const),
    );
    assert.deepEqual(
      parameters.filter(([, { grad }]) => grad === null).map(([key]) => key),
      ['head.prototypes', 'patchHead.prototypes'],
    );
    for (const tensor of average.values()) assert.ok(!tensor.requiresGrad && tensor.grad === null);

    const [key, parameter] = parameters.find(([name]) => name === 'encoder.blocks.0.mlp.fc1.weight')!;
    const before = (average.get(key) as Tensor).clone();
    parameter.detach().add_(1);
    task.afterStep(0);
    const moved = (average.get(key) as Tensor).sub(before).mean().item();
    close(moved, 0.1);

    for (const [, each] of parameters) each.grad = null;
    task.loss(batch, 1).loss.backward();
    assert.ok(parameters.every(([, { grad }]) => grad !== null));
  });
});

test('a centre is the running mean of what the teacher said', () => {
  const config = smallDino({ balance: { kind: 'centre', momentum: 0.75 } });
  scope(() => {
    const task = new DinoTask(config, SMALL_LOOP);
    const centre = task.extraState().get('centre.cls') as Tensor;
    const batch = noise(
      config,
      SMALL_LOOP,
      Array.from({ length: 16 }, () => [1]),
    );
    assert.equal(centre.abs().max().item(), 0);
    task.loss(batch, 0);
    const once = centre.clone();
    assert.ok(once.abs().max().item() > 0);
    task.loss(batch, 0);
    // The teacher says the same again: 0.25 m, then 0.75 * 0.25 m + 0.25 m.
    close(centre.div(once), [Array<number>(24).fill(1.75)], 1.75);
  });
});

test('a step keeps no tensor alive', () => {
  const config = smallDino({ smallViews: 1 });
  const loop = { ...SMALL_LOOP, batchSize: 2 };
  const batch = noise(config, loop, [[0, 1], [], [3], []]);
  const task = scope(() => new DinoTask(config, loop));
  expectNoLeak(() =>
    scope(() => {
      task.loss(batch, 0).loss.backward();
      for (const module of task.parts.values()) module.zeroGrad();
      task.afterStep(0);
    }),
  );
});
