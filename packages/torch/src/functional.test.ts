/** F.* against PyTorch's numbers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as F from './functional.js';
import { golden, readGolden, wave } from './golden.fixture.js';
import { scope, type Tensor, tensor, zeros } from './index.js';
import { expectClose, expectRounded } from './testing.js';

const reference = readGolden().functional;

function check(name: string, compute: () => Tensor): void {
  test(`${name} gives PyTorch's numbers`, () => {
    // No sum is longer than the 16 taps of a cubic; at most a norm, a product, a softmax and a product follow one another.
    scope(() => expectRounded(compute(), golden(reference[name] as never), { terms: 16, steps: 4 }));
  });
}

const x = () => wave([2, 3, 4]);
const image = () => wave([1, 2, 7, 9], 0.5);
const logits = () => wave([5, 4], 1);
const targets = () => tensor([0, 3, -100, 2, 1], { dtype: 'i64' });
const query = () => wave([1, 4, 3, 2]);
const key = () => wave([1, 2, 5, 2], 0.2);
const value = () => wave([1, 2, 5, 2], 0.4);

check('layerNorm', () => F.layerNorm(x(), 4, wave([4], 2), wave([4], 3)));
check('rmsNorm', () => F.rmsNorm(x(), wave([4], 2)));
check('gelu', () => F.gelu(x()));
check('geluTanh', () => F.gelu(x(), 'tanh'));
check('silu', () => F.silu(x()));
check('softmax', () => F.softmax(x(), 1));
check('logSoftmax', () => F.logSoftmax(x(), -1));
check('attentionGrouped', () => F.scaledDotProductAttention(query(), key(), value()));
check('attentionMask', () => {
  const mask = tensor([true, true, false, true, false]).expand(3, 5);
  return F.scaledDotProductAttention(query(), key(), value(), { mask, scale: 0.3 });
});
check('attentionCausal', () => {
  const [k, v] = [key().narrow(2, 0, 3), value().narrow(2, 0, 3)];
  return F.scaledDotProductAttention(query(), k, v, { isCausal: true });
});
check('crossEntropy', () => F.crossEntropy(logits(), targets()));
check('crossEntropySum', () => F.crossEntropy(logits(), targets(), { reduction: 'sum', labelSmoothing: 0.1 }));
check('crossEntropyNone', () => F.crossEntropy(logits(), targets(), { reduction: 'none', weight: wave([4], 1).abs() }));
check('conv2d', () => F.conv2d(image(), wave([4, 1, 3, 3]), wave([4], 2), { stride: 2, padding: [1, 0], groups: 2 }));
check('bicubic', () => F.interpolate(image(), { size: [5, 12], mode: 'bicubic' }));
check('bicubicAntialias', () => F.interpolate(image(), { size: [3, 4], mode: 'bicubic', antialias: true }));
check('bilinear', () => F.interpolate(image(), { size: [5, 12], mode: 'bilinear', alignCorners: true }));
check('bilinearAntialias', () => F.interpolate(image(), { size: [3, 4], mode: 'bilinear', antialias: true }));
check('nearest', () => F.interpolate(image(), { size: [5, 12], mode: 'nearest' }));
check('normalize', () => F.normalize(x(), 1));
check('padReflect', () => F.pad(image(), [2, 1, 1, 3], { mode: 'reflect' }));
check('padConstant', () => F.pad(image(), [1, -2, 0, 1], { value: 0.5 }));

test('batchNorm gives PyTorch’s numbers and updates the running statistics in place', () => {
  scope(() => {
    const [mean, variance] = [wave([2], 0.1), wave([2], 1).abs()];
    const weights = { weight: wave([2], 2), bias: wave([2], 3) };
    const out = F.batchNorm(image(), mean, variance, { ...weights, training: true, momentum: 0.3 });
    // Statistics of 63 values up to 1.
    expectRounded(out, golden(reference['batchNorm'] as never), { terms: 63, steps: 4 });
    expectRounded(mean, golden(reference['batchNormMean'] as never), { terms: 63, steps: 2, scale: 1 });
    expectRounded(variance, golden(reference['batchNormVar'] as never), { terms: 63, steps: 2, scale: 1 });
  });
});

test('rmsNorm of bf16 is that of f32, rounded once', () => {
  scope(() => {
    const [input, weight] = [wave([3, 8], 1, 'bf16'), wave([8], 2, 'bf16')];
    const narrow = F.rmsNorm(input, weight);
    assert.equal(narrow.dtype, 'bf16');
    expectClose(narrow, F.rmsNorm(input.float(), weight.float()).to('bf16'), { rtol: 0, atol: 0 });
  });
});

test('embedding picks rows, linear multiplies, oneHot marks', () => {
  scope(() => {
    const table = wave([4, 2]);
    const ids = tensor([[3, 0]], { dtype: 'i64' });
    expectClose(F.embedding(ids, table), table.index([ids]), { rtol: 0, atol: 0 });
    expectRounded(
      F.linear(x(), wave([5, 4]), wave([5], 1)),
      x()
        .matmul(wave([5, 4]).t())
        .add(wave([5], 1)),
      { terms: 4, steps: 2 },
    );
    assert.deepEqual(F.oneHot(ids, 4).tolist(), [
      [
        [0, 0, 0, 1],
        [1, 0, 0, 0],
      ],
    ]);
  });
});

test('dropout scales what it keeps, and is the identity outside training', () => {
  scope(() => {
    const ones = zeros([1000]).add(1);
    const kept = new Set(F.dropout(ones, 0.75).toArray() as Float32Array);
    assert.deepEqual([...kept].sort(), [0, 4]);
    assert.equal(F.dropout(ones, 0.75, false), ones);
    assert.equal(F.dropout(ones, 0), ones);
  });
});

test('interpolate refuses options that mean nothing for nearest', () => {
  scope(() => {
    assert.throws(() => F.interpolate(image(), { size: 2, mode: 'nearest', antialias: true }), TypeError);
  });
});
