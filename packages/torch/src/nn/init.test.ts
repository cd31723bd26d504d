/** Initialisers: PyTorch's bits for PyTorch's seed, and the distributions that are promised. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { golden, readGolden } from '../golden.fixture.js';
import { empty, manualSeed, nn, scope, type Tensor, zeros } from '../index.js';
import { expectRounded } from '../testing.js';

test('layers and initialisers draw what PyTorch draws from the same seed', () => {
  const reference = readGolden().init;
  scope(() => {
    manualSeed(7);
    using linear = new nn.Linear(3, 4);
    using conv = new nn.Conv2d(4, 6, [2, 3], { groups: 2 });
    using embedding = new nn.Embedding(6, 4, { paddingIdx: 1 });
    const xavier = nn.init.xavierUniform_(empty([5, 3]), 2);
    const trunc = nn.init.truncNormal_(empty([64]), 0.01, 0.02, -0.02, 0.03);
    const drawn: Record<string, Tensor> = {
      'linear.weight': linear.weight,
      'linear.bias': linear.bias as Tensor,
      'conv.weight': conv.weight,
      'conv.bias': conv.bias as Tensor,
      'embedding.weight': embedding.weight,
      xavier,
      trunc,
    };
    assert.deepEqual(Object.keys(drawn), Object.keys(reference));
    // Beside scaling and shifting, a draw is a logarithm, a root and a cosine, which errs by 3.5 ulp, or one erfinv.
    for (const [name, tensor] of Object.entries(drawn)) {
      expectRounded(tensor, golden(reference[name] as never), { steps: 9 }, name);
    }
  });
});

test('truncNormal_ stays inside its bounds and refuses bounds that hold next to nothing', () => {
  scope(() => {
    const values = nn.init.truncNormal_(zeros([4000]), 0, 1, -0.5, 1);
    assert.ok(values.min().item() >= -0.5 && values.max().item() <= 1);
    assert.ok(new Set(values.toArray() as Float32Array).size > 3000);
    assert.throws(() => nn.init.truncNormal_(zeros([1]), 0, 1, 3, 4), RangeError);
    assert.throws(() => nn.init.truncNormal_(zeros([1]), 0, 1, -0.1, 0.1), RangeError);
  });
});

test('kaimingUniform_ keeps to its bound; constants are constant; nothing is recorded', () => {
  scope(() => {
    const weight = zeros([8, 6], { requiresGrad: true });
    nn.init.kaimingUniform_(weight);
    const bound = Math.sqrt(6 / 6);
    const largest = weight.abs().max().item();
    assert.ok(largest <= bound && largest > bound / 2);
    assert.ok(weight.facts().leaf);
    assert.deepEqual(nn.init.constant_(zeros([2]), 0.25).tolist(), [0.25, 0.25]);
    assert.deepEqual(nn.init.ones_(zeros([1])).tolist(), [1]);
    assert.deepEqual(nn.init.zeros_(empty([1])).tolist(), [0]);
    assert.throws(() => nn.init.xavierUniform_(zeros([3])), TypeError);
  });
});

test('uniform_ and normal_ fill with the moments that were asked for', () => {
  scope(() => {
    manualSeed(1);
    const uniform = nn.init.uniform_(zeros([20000]), 2, 4);
    assert.ok(uniform.min().item() >= 2 && uniform.max().item() < 4);
    // Five standard deviations of a mean, or of a standard deviation, of 20,000 draws.
    assert.ok(Math.abs(uniform.mean().item() - 3) < (5 * (2 / Math.sqrt(12))) / Math.sqrt(20000));
    const normal = nn.init.normal_(zeros([20000]), -1, 3);
    assert.ok(Math.abs(normal.mean().item() + 1) < (5 * 3) / Math.sqrt(20000));
    assert.ok(Math.abs(normal.std().item() - 3) < (5 * 3) / Math.sqrt(2 * 20000));
  });
});

test('normalLinears_ starts every linear layer inside and leaves the other parts alone', () => {
  manualSeed(3);
  using first = new nn.Linear(40, 50);
  using norm = new nn.LayerNorm(50);
  using last = new nn.Linear(50, 30, { bias: false });
  const parts = new nn.Sequential(first, norm, last);
  manualSeed(5);
  assert.equal(nn.init.normalLinears_(parts, 0.02), parts);
  scope(() => {
    manualSeed(5);
    const lastWanted = nn.init.normal_(empty([30, 50]), 0, 0.02);
    const firstWanted = nn.init.normal_(empty([50, 40]), 0, 0.02);
    assert.deepEqual(first.weight.toArray(), firstWanted.toArray());
    assert.deepEqual(last.weight.toArray(), lastWanted.toArray());
    assert.ok(first.bias!.eq(0).all().item() && norm.weight!.eq(1).all().item());
  });
});
