/** AdamW against PyTorch, its groups, its master weights, its state and its memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Golden, golden, readGolden, wave } from '../golden.fixture.js';
import { F, nn, ones, optim, scope, type Tensor, zeros } from '../index.js';
import { expectClose, expectNoLeak, expectRounded, withStrictScopes } from '../testing.js';

const SHAPES = [[3, 2], [5], []];

/** Three parameters with PyTorch's groups; the gradient of parameter p at step t is wave(shape, p + t). */
function reference(): { params: nn.Parameter[]; optimizer: optim.AdamW; step: (t: number) => void } {
  const params = SHAPES.map((shape, i) => new nn.Parameter(wave(shape, i)));
  const groups = [{ params: params.slice(0, 2) }, { params: params.slice(2), lr: 3e-2, weightDecay: 0 }];
  const optimizer = new optim.AdamW(groups, { lr: 1e-2, betas: [0.9, 0.95], weightDecay: 0.1 });
  const step = (t: number) => {
    for (const [i, p] of params.entries()) p.grad = t === 0 && i === 1 ? null : wave(p.shape, i + t);
    optimizer.step();
  };
  return { params, optimizer, step };
}

test('AdamW gives PyTorch’s numbers, step by step, with groups and a gradient that comes late', () => {
  const { steps, state } = readGolden().adamw;
  scope(() => {
    const { params, optimizer, step } = reference();
    for (const [t, expected] of steps.entries()) {
      step(t);
      for (const [i, p] of params.entries()) {
        // One addition a step; what is added is a hundredth and its own rounding is lost in that.
        expectRounded(p, golden(expected[i] as never), { steps: t + 1 }, `parameter ${i} at step ${t}`);
      }
    }
    const dict = optimizer.stateDict();
    assert.equal(dict.size, 9);
    for (const [i, expected] of state.entries()) {
      for (const [name, value] of Object.entries(expected)) {
        // Running means of gradients up to 1, two products and a sum a step.
        expectRounded(dict.get(`${i}.${name}`) as Tensor, golden(value), { steps: 3 * steps.length, scale: 1 }, name);
      }
    }
  });
});

test('master weights step in f32 and hand their rounding to the bf16 weights', () => {
  const expected: Golden['adamwMaster'] = readGolden().adamwMaster;
  scope(() => {
    const weight = new nn.Parameter(wave([4, 3], 0, 'bf16'));
    const optimizer = new optim.AdamW(new Map([['w', weight]]), { lr: 1e-3, weightDecay: 0.1, masterWeights: true });
    for (let t = 0; t < 5; t++) {
      weight.grad = wave([4, 3], t, 'bf16');
      optimizer.step();
    }
    assert.deepEqual([...optimizer.stateDict().keys()], ['w.step', 'w.exp_avg', 'w.exp_avg_sq', 'w.master']);
    const master = optimizer.stateDict().get('w.master') as Tensor;
    expectRounded(master, golden(expected.master), { steps: 5 });
    // Masters on either side of a tie are one step of bf16 apart once rounded.
    expectClose(weight, golden(expected.weight, 'bf16'), { rtol: 2 ** -7, atol: 0 });
    expectClose(weight, master.to('bf16'), { rtol: 0, atol: 0 });
  });
});

test('without master weights small steps on bf16 are lost, with them they add up', () => {
  const travel = (masterWeights: boolean) =>
    scope(() => {
      const weight = new nn.Parameter(ones([1], { dtype: 'bf16' }));
      const optimizer = new optim.AdamW([weight], { lr: 1e-4, weightDecay: 0, masterWeights });
      for (let t = 0; t < 100; t++) {
        weight.grad = ones([1], { dtype: 'bf16' });
        optimizer.step();
      }
      return 1 - weight.item();
    });
  assert.equal(travel(false), 0);
  assert.ok(Math.abs(travel(true) - 0.01) <= 2 ** -8, 'to one step of bf16 below 1');
});

test('f32 parameters get no master copy', () => {
  scope(() => {
    const [narrow, wide] = [new nn.Parameter(ones([2], { dtype: 'bf16' })), new nn.Parameter(ones([2]))];
    const optimizer = new optim.AdamW([narrow, wide], { masterWeights: true });
    for (const p of [narrow, wide]) p.grad = ones([2], { dtype: p.dtype });
    optimizer.step();
    assert.ok(optimizer.stateDict().has('0.master') && !optimizer.stateDict().has('1.master'));
  });
});

test('a run resumed from the state dict gives the same bits', () => {
  scope(() => {
    const { params, optimizer, step } = reference();
    for (let t = 0; t < 3; t++) step(t);
    const saved = new Map([...optimizer.stateDict()].map(([key, value]) => [key, value.clone()] as const));
    const weights = params.map((p) => p.detach().clone());
    for (let t = 3; t < 6; t++) step(t);

    const resumed = reference();
    for (const [i, p] of resumed.params.entries()) p.detach().copy_(weights[i] as Tensor);
    resumed.optimizer.loadStateDict(saved);
    for (let t = 3; t < 6; t++) resumed.step(t);
    for (const [i, p] of resumed.params.entries()) assert.deepEqual(p.toArray(), params[i]?.toArray());
    assert.equal(resumed.optimizer.stateDict().get('1.step')?.item(), 5);
  });
});

test('a state dict that does not belong is refused', () => {
  scope(() => {
    const { optimizer, step } = reference();
    step(1);
    const dict = optimizer.stateDict();
    const load = (change: (copy: Map<string, Tensor>) => void) => {
      const copy = new Map(dict);
      change(copy);
      return () => reference().optimizer.loadStateDict(copy);
    };
    assert.throws(
      load((d) => d.set('7.step', zeros([]))),
      /"7.step" belongs to none/,
    );
    assert.throws(
      load((d) => d.delete('0.exp_avg')),
      /the state lacks "0.exp_avg"/,
    );
    assert.throws(
      load((d) => d.set('0.exp_avg', zeros([9]))),
      /"0.exp_avg" is f32\[9\], wanted f32\[3, 2\]/,
    );
    assert.throws(
      load((d) => d.set('0.master', zeros([3, 2]))),
      /keeps no master weights/,
    );
  });
});

test('lrFactor scales the rates of all groups; hyperparameters can change between steps', () => {
  scope(() => {
    const p = new nn.Parameter(zeros([1]));
    const optimizer = new optim.AdamW([{ params: [p] }], { lr: 0.5, weightDecay: 0 });
    p.grad = ones([1]);
    optimizer.step(0);
    assert.equal(p.item(), 0);
    optimizer.step(0.1);
    // Two running means, two corrections, a root, a quotient and the step itself.
    expectRounded(p.item(), -0.05, { steps: 8 });
    (optimizer.groups[0] as optim.ResolvedGroup).lr = 0.1;
    optimizer.step();
    expectRounded(p.item(), -0.15, { steps: 16 });
  });
});

test('nonsense is refused', () => {
  scope(() => {
    const p = new nn.Parameter(zeros([1]));
    assert.throws(() => new optim.AdamW([]), /no parameters/);
    assert.throws(() => new optim.AdamW([p, p]), /twice/);
    assert.throws(() => new optim.AdamW([p], { lr: -1 }), RangeError);
    assert.throws(() => new optim.AdamW([p], { betas: [0.9, 1] }), RangeError);
    assert.throws(() => new optim.AdamW([p], { eps: -1 }), RangeError);
    assert.throws(() => new optim.AdamW([{ params: [p], weightDecay: Number.NaN }]), RangeError);
  });
});

test('a training step leaves no tensor behind, nor does a disposed optimiser', () => {
  withStrictScopes(() => {
    expectNoLeak(
      () => {
        using model = new nn.Mlp(3, 4).to('bf16');
        using optimizer = new optim.AdamW(model.namedParameters(), { masterWeights: true });
        optimizer.zeroGrad();
        scope(() => {
          F.crossEntropy(model.forward(wave([2, 3], 0, 'bf16')), zeros([2], { dtype: 'i64' })).backward();
          optim.clipGradNorm(model.parameters(), 1);
        });
        optimizer.step();
        optimizer.zeroGrad();
      },
      { warmup: 1, steps: 5 },
    );
  });
});
