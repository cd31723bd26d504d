/** The test helpers themselves: they must be able to fail. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manualSeed, randn, scope, type Tensor, TorchError, tensor, zeros } from './index.js';
import { expectClose, expectNoLeak, expectRounded, maxRelDiff, roundingBound, withStrictScopes } from './testing.js';

test('maxRelDiff is the largest difference over the largest reference', () => {
  scope(() => {
    assert.equal(maxRelDiff(tensor([1, -3.5, 0]), tensor([1, -4, 0])), 0.125);
    assert.equal(maxRelDiff(tensor([0, 0]), tensor([0, -0])), 0);
    assert.equal(maxRelDiff(zeros([0]), zeros([0])), 0);
    assert.ok(Number.isNaN(maxRelDiff(tensor([NaN, 1]), tensor([0, 1]))));
    assert.equal(maxRelDiff(tensor([-Infinity, 1]), tensor([-Infinity, 1])), 0);
    assert.equal(maxRelDiff(tensor([-Infinity, 1.5]), tensor([-Infinity, 1])), 0.5);
    assert.throws(() => maxRelDiff(zeros([2]), zeros([2, 1])), /the shapes differ: \[2\], expected \[2, 1\]/);
  });
});

test('expectClose names the worst element', () => {
  scope(() => {
    const expected = tensor([
      [1, 2],
      [3, 4],
    ]);
    expectClose(
      tensor([
        [1, 2],
        [3, 4.00001],
      ]),
      expected,
      { rtol: 1e-5 },
    );
    const wrong = tensor([
      [1, 2.1],
      [3.5, 4],
    ]);
    assert.throws(
      () => expectClose(wrong, expected),
      /^AssertionError.*2 of 4 elements .* worst at \[1, 0\]: 3.5, expected 3/,
    );
    assert.throws(() => expectClose(tensor([NaN]), tensor([1])), /1 of 1/);
    assert.throws(() => expectClose(tensor([Infinity]), tensor([1]), { rtol: 1 }), /1 of 1/);
    expectClose(tensor([NaN, Infinity]), tensor([NaN, Infinity]));
  });
});

test('expectNoLeak finds a tensor that stays alive and says where it was made', () => {
  expectNoLeak(() => scope(() => void zeros([4]).add(1)));
  const kept: Tensor[] = [];
  const leak = () => void kept.push(zeros([4]));
  assert.throws(
    () => expectNoLeak(leak, { steps: 5 }),
    /5 tensors \(80 bytes\) are left after 5 steps, made 5 times .*testing\.test/,
  );
  for (const tensor of kept) tensor.dispose();
});

test('withStrictScopes turns an unscoped tensor into an error and restores the mode', () => {
  assert.throws(() => withStrictScopes(() => zeros([1])), TorchError);
  withStrictScopes(() => scope(() => void zeros([1])));
  zeros([1]).dispose();
});

test('expectRounded allows what rounding explains and no more', () => {
  assert.equal(roundingBound(), 2 ** -22);
  assert.equal(roundingBound({ dtype: 'bf16', terms: 8, steps: 2 }), 2 ** -4);
  scope(() => {
    const sum = tensor([1, -300, 0.5]);
    expectRounded(tensor([1.00003, -300, 0.5]), sum);
    assert.throws(() => expectRounded(tensor([1.0001, -300, 0.5]), sum), /differs by 0\.0001.*explains 0\.0000715/);
    expectRounded(tensor([1.0001, -300, 0.5]), sum, { terms: 4 });
    assert.throws(() => expectRounded(tensor([1.00003, -300, 0.5]), sum, { scale: 1 }), /^AssertionError/);
    assert.throws(() => expectRounded(tensor([NaN, -300, 0.5]), sum), /differs by NaN/);
    assert.throws(() => expectRounded(tensor([1]), sum), /the shapes differ/);
    expectRounded(0.1 + 0.2, 0.3, { dtype: 'f64' });
    assert.throws(() => expectRounded(0.1 + 1e-9, 0.1, { dtype: 'f64' }, 'the tenth'), /the tenth differs/);
    expectRounded(sum, [1, -300, 0.5], { dtype: 'f64' });
  });
});

test('the bound holds for sums in f32 in any order, and not for a sum that lost a term', () => {
  scope(() => {
    manualSeed(1);
    for (const terms of [10, 1000, 50_000]) {
      const x = randn([400, terms]);
      const exact = x.to('f64').sum(1);
      const inOneRow = x.cumsum(1).select(1, terms - 1);
      const scale = exact.abs().max().item();
      for (const sum of [x.sum(1), inOneRow, x.flip(1).sum(1), x.matmul(x.mul(0).add(1).select(0, 0))]) {
        expectRounded(sum, exact, { terms, scale });
      }
      assert.throws(() => expectRounded(x.narrow(1, 1, terms - 1).sum(1), exact, { terms, scale }), /differs/);
    }
  });
});
