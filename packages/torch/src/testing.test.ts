/** The test helpers themselves: they must be able to fail. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scope, type Tensor, TorchError, tensor, zeros } from './index.js';
import { expectClose, expectNoLeak, maxRelDiff, withStrictScopes } from './testing.js';

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
