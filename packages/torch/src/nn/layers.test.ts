/** Layers: their keys, shapes and numbers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wave } from '../golden.fixture.js';
import { F, nn, ones, scope, tensor, zeros } from '../index.js';
import { expectClose, expectRounded } from '../testing.js';

const shapes = (module: nn.Module) =>
  Object.fromEntries([...module.stateDict()].map(([key, { shape }]) => [key, [...shape]]));

test('layers have the keys and shapes of PyTorch and Hugging Face', () => {
  scope(() => {
    assert.deepEqual(shapes(new nn.Linear(3, 2)), { weight: [2, 3], bias: [2] });
    assert.deepEqual(shapes(new nn.Linear(3, 2, { bias: false })), { weight: [2, 3] });
    assert.deepEqual(shapes(new nn.LayerNorm(3)), { weight: [3], bias: [3] });
    assert.deepEqual(shapes(new nn.LayerNorm(3, { bias: false })), { weight: [3] });
    assert.deepEqual(shapes(new nn.LayerNorm(3, { affine: false })), {});
    assert.deepEqual(shapes(new nn.RmsNorm(3)), { weight: [3] });
    assert.deepEqual(shapes(new nn.Embedding(5, 2)), { weight: [5, 2] });
    assert.deepEqual(shapes(new nn.Conv2d(4, 6, [2, 3], { groups: 2 })), { weight: [6, 2, 2, 3], bias: [6] });
    assert.deepEqual(shapes(new nn.LayerScale(3)), { lambda1: [3] });
    assert.deepEqual(shapes(new nn.Mlp(2, 4, { outDim: 3 })), {
      'fc1.weight': [4, 2],
      'fc1.bias': [4],
      'fc2.weight': [3, 4],
      'fc2.bias': [3],
    });
    assert.deepEqual(shapes(new nn.Sequential(new nn.Identity(), new nn.RmsNorm(2))), { '1.weight': [2] });
    assert.deepEqual(shapes(new nn.BatchNorm2d(2)), {
      weight: [2],
      bias: [2],
      running_mean: [2],
      running_var: [2],
      num_batches_tracked: [],
    });
  });
});

test('dtype and device reach every parameter', () => {
  scope(() => {
    const layers = [
      new nn.Linear(3, 2, { dtype: 'bf16', device: 'meta' }),
      new nn.Mlp(2, 2, { dtype: 'bf16', device: 'meta' }),
      new nn.Conv2d(1, 1, 1, { dtype: 'bf16', device: 'meta' }),
      new nn.Embedding(2, 2, { dtype: 'bf16', device: 'meta', paddingIdx: 0 }),
      new nn.LayerScale(2, { dtype: 'bf16', device: 'meta' }),
    ];
    for (const parameter of layers.flatMap((layer) => layer.parameters())) {
      assert.deepEqual([parameter.dtype, parameter.device], ['bf16', 'meta']);
    }
  });
});

test('layers compute what their functions compute', () => {
  scope(() => {
    const x = wave([2, 3]);
    const linear = new nn.Linear(3, 4);
    expectRounded(linear.forward(x), F.linear(x, linear.weight, linear.bias), { terms: 3, steps: 2 });
    const mlp = new nn.Mlp(3, 5, { activation: (h) => h.relu() });
    expectRounded(mlp.forward(x), x.pipe(mlp.fc1).relu().pipe(mlp.fc2), { terms: 5, steps: 4 });
    const exact = new nn.Mlp(3, 5);
    expectRounded(exact.forward(x), x.pipe(exact.fc1).gelu().pipe(exact.fc2), { terms: 5, steps: 5 });
    expectClose(new nn.LayerScale(3, { init: 0.5 }).forward(x), x.mul(0.5), { rtol: 0, atol: 0 });
    const first = new nn.Sequential(linear, mlp.fc2, linear).layers[0] as nn.Linear;
    expectRounded(x.pipe(first), linear.forward(x), { terms: 3, steps: 2 });
    const sequence = new nn.Sequential(new nn.LayerNorm(3), linear);
    expectRounded(sequence.forward(x), linear.forward(F.layerNorm(x, 3)), { terms: 3, steps: 5 });
    const rms = new nn.RmsNorm(3, { eps: 0.1 });
    expectRounded(rms.forward(x), x.mul(x.pow(2).mean(-1, true).add(0.1).rsqrt()), { terms: 3, steps: 4 });
    const image = wave([1, 2, 6, 6]);
    const conv = new nn.Conv2d(2, 3, 2, { stride: 2, bias: false });
    assert.deepEqual([...conv.forward(image).shape], [1, 3, 3, 3]);
    expectRounded(conv.forward(image), F.conv2d(image, conv.weight, null, { stride: 2 }), { terms: 8 });
  });
});

test('the padding row of an embedding is zero and stays without gradient', () => {
  scope(() => {
    const embedding = new nn.Embedding(3, 2, { paddingIdx: 0 });
    embedding
      .forward(tensor([0, 2, 2], { dtype: 'i64' }))
      .sum()
      .backward();
    assert.deepEqual(embedding.weight.select(0, 0).tolist(), [0, 0]);
    assert.deepEqual(embedding.weight.grad?.tolist(), [
      [0, 0],
      [0, 0],
      [2, 2],
    ]);
    const plain = new nn.Embedding(3, 2);
    plain
      .forward(tensor([0, 2, 2], { dtype: 'i64' }))
      .sum()
      .backward();
    assert.deepEqual(plain.weight.grad?.tolist(), [
      [1, 1],
      [0, 0],
      [2, 2],
    ]);
  });
});

test('BatchNorm2d normalises by the batch in training and by its running statistics otherwise', () => {
  scope(() => {
    const norm = new nn.BatchNorm2d(2, { momentum: 1 });
    const x = wave([4, 2, 5, 5]);
    const trained = norm.forward(x);
    // A mean of 200 values about 1 in size; their unbiased deviation, less what eps = 1e-5 takes of a variance of a half.
    expectRounded(trained.mean().item(), 0, { terms: 200, scale: 1 });
    assert.ok(Math.abs(trained.std().item() - Math.sqrt(200 / 199)) < 2 * 1e-5);
    assert.equal(norm.numBatchesTracked.item(), 1);
    expectRounded(norm.runningMean, x.mean([0, 2, 3]), { terms: 100, scale: 1 });
    // The running variance is the unbiased one of 100 values, the batch's own is divided by 100.
    // In the one eps is added to 100 / 99 of the variance, which changes the result by 1e-7.
    expectRounded(norm.eval().forward(x), trained.mul(Math.sqrt(99 / 100)), { terms: 100, steps: 3 });
    assert.equal(norm.numBatchesTracked.item(), 1);
  });
});

test('Dropout works in training only', () => {
  scope(() => {
    const dropout = new nn.Dropout(0.5);
    assert.ok(
      dropout
        .forward(ones([100]))
        .eq(0)
        .any()
        .item(),
    );
    const x = zeros([1]);
    assert.equal(dropout.eval().forward(x), x);
    assert.throws(() => new nn.Dropout(1.5), RangeError);
  });
});

test('stochastic depth drops whole samples and keeps the mean', () => {
  scope(() => {
    const drop = new nn.DropPath(0.25);
    const x = ones([4000, 2, 3]);
    const y = drop.forward(x);
    const perSample = y.flatten(1);
    // A sample is gone or divided by what stays, never in part.
    expectClose(perSample.amin(1), perSample.amax(1), { rtol: 0, atol: 0 });
    const kept = y.gt(0).to('f32').mean().item();
    assert.ok(Math.abs(kept - 0.75) < 5 * Math.sqrt((0.75 * 0.25) / 4000), `${kept} of the samples stayed`);
    expectRounded(y.amax([0, 1, 2]).item(), 1 / 0.75, { steps: 2 });
    assert.equal(drop.eval().forward(x), x);
    assert.equal(new nn.DropPath().forward(x), x);
    assert.throws(() => new nn.DropPath(1), RangeError);
  });
});
