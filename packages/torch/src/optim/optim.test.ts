/** Clipping, moving averages and schedules. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { golden, readGolden, wave } from '../golden.fixture.js';
import { nn, optim, scope, tensor, zeros } from '../index.js';
import { expectNoLeak, expectRounded } from '../testing.js';

const reference = readGolden();

test('clipGradNorm scales gradients as PyTorch does and returns the norm before', () => {
  scope(() => {
    const params = [[3, 2], [5], [4]].map((shape) => new nn.Parameter(zeros(shape)));
    for (const [i, p] of params.slice(0, 2).entries()) p.grad = wave(p.shape, i);
    const norm = optim.clipGradNorm(params, 0.7);
    // The root of a sum of 11 squares; each gradient by it is one more quotient and product.
    expectRounded(norm.item(), reference.clipping.norm, { terms: 11, steps: 2 });
    for (const [i, expected] of reference.clipping.grads.entries()) {
      expectRounded(params[i]?.grad as never, golden(expected), { terms: 11, steps: 4 });
    }
    assert.equal(params[2]?.grad, null);
  });
});

test('clipGradNorm leaves small gradients alone, mixes dtypes and shows what is not finite', () => {
  scope(() => {
    const [wide, narrow] = [new nn.Parameter(zeros([2])), new nn.Parameter(zeros([2], { dtype: 'bf16' }))];
    wide.grad = tensor([3, 0]);
    narrow.grad = tensor([0, 4], { dtype: 'bf16' });
    assert.equal(optim.clipGradNorm([wide, narrow], 10).item(), 5);
    assert.deepEqual(wide.grad.tolist(), [3, 0]);
    optim.clipGradNorm([wide, narrow], 1);
    // PyTorch divides by the norm plus 1e-6.
    expectRounded(wide.grad, [3 / (5 + 1e-6), 0], { terms: 2, steps: 4 });
    assert.equal(narrow.grad.dtype, 'bf16');
    wide.grad = tensor([Number.NaN, 1]);
    assert.ok(Number.isNaN(optim.clipGradNorm([wide, narrow], 1).item()));
    assert.equal(optim.clipGradNorm([], 1).item(), 0);
  });
});

test('clipping leaves no tensor behind', () => {
  const p = scope(() => new nn.Parameter(zeros([3])));
  scope(() => {
    p.grad = wave([3]);
  });
  expectNoLeak(() => scope(() => void optim.clipGradNorm([p], 0.1)));
  p.dispose();
});

test('emaUpdate moves averages towards their sources', () => {
  scope(() => {
    const averages = [tensor([1, 2]), tensor([0])];
    optim.emaUpdate(averages, [tensor([3, 2]), new nn.Parameter(tensor([10]))], 0.75);
    assert.deepEqual(
      averages.map((a) => a.tolist()),
      [[1.5, 2], [2.5]],
    );
    assert.throws(() => optim.emaUpdate(averages, [], 0.5), TypeError);
  });
});

test('schedules are those of transformers', () => {
  const options = { steps: 10, warmupSteps: 3 };
  for (const [make, expected] of [
    [optim.cosineWithWarmup, reference.schedules.cosine],
    [optim.linearWithWarmup, reference.schedules.linear],
  ] as const) {
    const schedule = make(options);
    for (const [step, factor] of expected.entries()) assert.ok(Math.abs(schedule(step) - factor) < 1e-12);
  }
});

test('a schedule ends at its smallest ratio, for any warm-up', () => {
  for (const make of [optim.cosineWithWarmup, optim.linearWithWarmup]) {
    for (const warmupRatio of [0, 0.03, 0.5, 1]) {
      const schedule = make({ steps: 7, warmupRatio, minRatio: 0.1 });
      assert.ok(Math.abs(schedule(7) - 0.1) < 1e-12);
      assert.ok(Math.abs(schedule(100) - 0.1) < 1e-12);
      for (let step = 0; step < 7; step++) assert.ok(schedule(step) >= 0 && schedule(step) <= 1);
    }
  }
  assert.equal(optim.cosineWithWarmup({ steps: 100, warmupRatio: 0.03 })(3), 1);
  assert.equal(optim.constantWithWarmup({ steps: 4, warmupSteps: 2 })(1), 0.5);
  assert.equal(optim.constantWithWarmup({ steps: 4, warmupSteps: 2 })(9), 1);
});

test('impossible schedules are refused', () => {
  assert.throws(() => optim.cosineWithWarmup({ steps: 0 }), RangeError);
  assert.throws(() => optim.cosineWithWarmup({ steps: 2, warmupSteps: 3 }), RangeError);
  assert.throws(() => optim.cosineWithWarmup({ steps: 2, warmupSteps: 1, warmupRatio: 0.5 }), TypeError);
});
