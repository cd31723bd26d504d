/** Gradients: against finite differences, their accumulation, and the modes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wave } from './golden.fixture.js';
import {
  autograd,
  cat,
  einsum,
  F,
  isGradEnabled,
  type Nested,
  nn,
  noGrad,
  ones,
  op,
  scope,
  type Tensor,
  TorchError,
  tensor,
  withGrad,
  zeros,
} from './index.js';
import { expectClose, expectNoLeak, expectRounded, roundingBound } from './testing.js';

/** The gradient's elements; reading it through a function keeps TypeScript from remembering an earlier null. */
function gradOf(x: Tensor): Nested | undefined {
  return x.grad?.tolist();
}

/** Compares the gradient of sum(f(inputs) * weights) by backward with central differences, in f64. */
function checkGradient(name: string, f: (...inputs: Tensor[]) => Tensor, ...shapes: number[][]): void {
  test(`the gradient of ${name} agrees with finite differences`, () => {
    scope(() => {
      const inputs = shapes.map((shape, i) =>
        wave(shape, i + 0.3, 'f64')
          .mul(0.8)
          .requiresGrad_(),
      );
      const weights = wave(f(...inputs).shape, 0.7, 'f64');
      const loss = () =>
        f(...inputs)
          .mul(weights)
          .sum();
      const total = loss();
      total.backward();
      const value = total.item();
      const h = 1e-5;
      for (const input of inputs) {
        const flat = input.detach().view(-1);
        const numeric = Array.from({ length: flat.numel }, (_, i) =>
          scope(() => {
            const at = (delta: number) => {
              flat.select(0, i).add_(delta);
              const value = noGrad(() => loss().item());
              flat.select(0, i).sub_(delta);
              return value;
            };
            return (at(h) - at(-h)) / (2 * h);
          }),
        );
        const expected = tensor(Float64Array.from(numeric), { shape: input.shape });
        // The difference quotient errs by h^2 / 6 times the third derivative, which stays below 600 for these functions, and
        // by the rounding of the loss over h.
        const scale = Math.max(1, Math.abs(value));
        const rounding = (roundingBound({ dtype: 'f64', terms: weights.numel, steps: 10 }) * scale) / h;
        expectClose(input.grad as Tensor, expected, { rtol: 0, atol: 100 * h ** 2 + rounding });
      }
    });
  });
}

checkGradient('arithmetic with broadcasting', (a, b) => a.mul(b).add(b.exp()).div(a.pow(2).add(2)).sub(a), [2, 3], [3]);
checkGradient('matmul and linear', (a, b, c) => a.matmul(b).linear(b, c), [2, 3], [3, 3], [3]);
checkGradient('layerNorm', (x, w, b) => F.layerNorm(x, 4, w, b), [2, 4], [4], [4]);
checkGradient('rmsNorm', (x, w) => F.rmsNorm(x, w), [2, 4], [4]);
checkGradient('softmax and logSoftmax', (x) => F.softmax(x, 0).add(F.logSoftmax(x, 1)), [2, 3]);
checkGradient(
  'gelu, silu, sigmoid, tanh',
  (x) => x.gelu().add(x.gelu('tanh')).mul(x.silu()).add(x.sigmoid().mul(x.tanh())),
  [5],
);
checkGradient(
  'attention',
  (q, k, v) => F.scaledDotProductAttention(q, k, v, { isCausal: true }),
  [1, 2, 3, 2],
  [1, 2, 3, 2],
  [1, 2, 3, 2],
);
checkGradient(
  'crossEntropy',
  (x) => F.crossEntropy(x, tensor([2, 0], { dtype: 'i64' }), { labelSmoothing: 0.1 }),
  [2, 3],
);
checkGradient('conv2d', (x, w, b) => F.conv2d(x, w, b, { stride: 2, padding: 1 }), [1, 2, 4, 4], [2, 2, 3, 3], [2]);
checkGradient('interpolate', (x) => F.interpolate(x, { size: 3, mode: 'bicubic' }), [1, 1, 5, 5]);
checkGradient('normalize', (x) => F.normalize(x, -1), [2, 3]);
checkGradient('indexing', (x) => x.index([tensor([0, 0, 1], { dtype: 'i64' })]).cumsum(0), [2, 3]);
checkGradient(
  'cat, narrow, permute, expand',
  (a, b) =>
    cat([a, b.expand(2, 3)])
      .permute(1, 0)
      .narrow(0, 1, 2),
  [2, 3],
  [1, 3],
);
checkGradient('einsum', (a, b) => einsum('bij,bkj->bik', a, b), [2, 2, 3], [2, 1, 3]);
checkGradient('embedding', (table) => F.embedding(tensor([[1, 1, 0]], { dtype: 'i64' }), table), [3, 2]);
checkGradient(
  'batchNorm',
  (x, w, b) => F.batchNorm(x, null, null, { weight: w, bias: b, training: true }),
  [3, 2, 2, 2],
  [2],
  [2],
);

test('gradients add up until they are dropped; a second backward needs the graph', () => {
  scope(() => {
    const x = tensor([2]).requiresGrad_();
    x.pow(2).backward();
    x.pow(2).backward();
    assert.deepEqual(gradOf(x), [8]);
    x.grad = null;
    assert.equal(x.grad, null);
    const y = x.pow(3);
    y.backward(undefined, { retainGraph: true });
    y.backward();
    assert.deepEqual(gradOf(x), [24]);
    assert.throws(
      () => y.backward(),
      (error: Error) => error instanceof TorchError && !error.message.includes('frame #'),
    );
  });
});

test('backward takes an incoming gradient, several outputs at once, and says when it cannot', () => {
  scope(() => {
    const x = ones([2]).requiresGrad_();
    x.mul(3).backward(tensor([1, 10]));
    assert.deepEqual(gradOf(x), [3, 30]);
    x.grad = null;
    autograd.backward([x.sum(), x.mul(2)], [null, tensor([1, 1])]);
    assert.deepEqual(gradOf(x), [3, 3]);
    assert.throws(() => x.mul(3).backward(), TorchError);
    assert.throws(() => ones([1]).backward(), TorchError);
    assert.throws(() => x.mul(3).backward(tensor([1, 2, 3])), TorchError);
    assert.throws(() => autograd.backward([3 as never]), TypeError);
  });
});

test('autograd.grad gives derivatives without touching grad, null where there is none, and second ones', () => {
  scope(() => {
    const [x, y, unused] = [tensor(3).requiresGrad_(), tensor(2).requiresGrad_(), tensor(1).requiresGrad_()];
    const [dx, dy, none] = autograd.grad([x.pow(2).mul(y)], [x, y, unused]);
    assert.deepEqual([dx?.item(), dy?.item(), none, x.grad], [12, 9, null, null]);
    const [first] = autograd.grad([x.pow(3)], [x], null, { createGraph: true });
    const [second] = autograd.grad([first as Tensor], [x]);
    assert.deepEqual([first?.item(), second?.item()], [27, 18]);
  });
});

test('noGrad and withGrad switch recording, nest, and are restored after a throw', () => {
  scope(() => {
    const x = ones([1]).requiresGrad_();
    assert.ok(x.mul(2).requiresGrad);
    assert.ok(!noGrad(() => x.mul(2)).requiresGrad);
    assert.ok(noGrad(() => withGrad(() => x.mul(2))).requiresGrad);
    assert.throws(
      () =>
        noGrad(() => {
          throw new RangeError();
        }),
      RangeError,
    );
    assert.ok(isGradEnabled());
    assert.ok(!x.detach().requiresGrad);
  });
});

test('recomputing a block gives the gradients of keeping it', () => {
  scope(() => {
    const block = new nn.Mlp(3, 5);
    const x = wave([2, 3]);
    const kept = x.detach().requiresGrad_();
    block.forward(block.forward(kept)).sum().backward();
    const expected = [kept, ...block.parameters()].map((t) => (t.grad as Tensor).clone());
    block.zeroGrad();

    const middle = noGrad(() => block.forward(x));
    const [last, first] = [middle.detach().requiresGrad_(), x.detach().requiresGrad_()];
    block.forward(last).sum().backward();
    block.forward(first).backward(last.grad as Tensor);
    for (const [i, t] of [first, ...block.parameters()].entries()) {
      // Products, gelu and their derivatives twice over, of 5 terms; gradients of weights add over two rows.
      expectRounded(t.grad as Tensor, expected[i]!, { terms: 5, steps: 12 });
    }
  });
});

test('an in-place change of what the gradient needs is an error, not a wrong number', () => {
  scope(() => {
    const x = ones([2]).requiresGrad_();
    const y = x.exp();
    const z = y.mul(y).sum();
    noGrad(() => y.add_(1));
    assert.throws(() => z.backward(), /modified by an inplace operation/);
    assert.throws(() => x.add_(1), TorchError, 'a leaf cannot be changed while recording');
  });
});

test('a gradient of another shape or dtype cannot be set', () => {
  scope(() => {
    const x = zeros([2]).requiresGrad_();
    assert.throws(() => {
      x.grad = zeros([3]);
    });
    x.grad = ones([2]);
    assert.deepEqual(gradOf(x), [1, 1]);
  });
});

test('a training step frees everything that it recorded', () => {
  const layer = scope(() => new nn.Linear(4, 4));
  expectNoLeak(() => {
    scope(() =>
      layer
        .forward(ones([2, 4]))
        .gelu()
        .sum()
        .backward(),
    );
    layer.zeroGrad();
  });
  layer.dispose();
});

test('convolution by operator name records like the method', () => {
  scope(() => {
    const x = ones([2]).requiresGrad_();
    op('aten::mul.Scalar')(x, 4).sum().backward();
    assert.deepEqual(gradOf(x), [4, 4]);
  });
});
