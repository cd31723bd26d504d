/** Tensor: making, reading, converting, viewing, and the fluent operators. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import {
  arange,
  cat,
  type DType,
  einsum,
  empty,
  eye,
  fromBytes,
  full,
  type Nested,
  nn,
  ones,
  rand,
  randint,
  randn,
  randperm,
  scope,
  stack,
  type Tensor,
  tensor,
  where,
  zeros,
} from './index.js';
import { expectRounded } from './testing.js';

/** Runs a test body in a scope. */
function scoped(name: string, body: () => void): void {
  test(name, () => scope(body));
}

function equal(actual: Tensor, expected: Nested, message?: string): void {
  assert.deepEqual(actual.tolist(), expected, message);
}

scoped('tensors are made from numbers, nested and typed arrays', () => {
  equal(tensor(3), 3);
  assert.equal(tensor(3).dtype, 'f32');
  equal(
    tensor([
      [1, 2],
      [3, 4],
    ]),
    [
      [1, 2],
      [3, 4],
    ],
  );
  equal(tensor([[true], [false]]), [[true], [false]]);
  assert.equal(tensor([true]).dtype, 'bool');
  assert.deepEqual([...tensor([[], []]).shape], [2, 0]);
  const typed = [
    [new Float32Array([1.5]), 'f32'],
    [new Float64Array([1.5]), 'f64'],
    [new BigInt64Array([5n]), 'i64'],
    [new Int32Array([5]), 'i32'],
    [new Int16Array([5]), 'i16'],
    [new Int8Array([5]), 'i8'],
    [new Uint8Array([5]), 'u8'],
  ] as const;
  for (const [data, dtype] of typed) {
    const made = tensor(data);
    assert.equal(made.dtype, dtype);
    assert.deepEqual(made.toArray(), data);
  }
  assert.deepEqual([...tensor(new Uint8Array(6), { shape: [2, 3] }).shape], [2, 3]);
  assert.equal(tensor([2 ** 40 + 1], { dtype: 'i64' }).item(), 2 ** 40 + 1, 'no detour through f32');
  assert.equal(tensor([0.1], { dtype: 'f64' }).item(), 0.1);
  assert.ok(tensor([1], { requiresGrad: true }).requiresGrad);
});

scoped('a part of a larger buffer is read from its own place', () => {
  const whole = new Float32Array([0, 1, 2, 3]);
  equal(tensor(whole.subarray(1, 3)), [1, 2]);
});

scoped('wrong data are TypeErrors', () => {
  for (const make of [
    () => tensor([[1, 2], [3]]),
    () => tensor([[1], 2] as never),
    () => tensor([1, [2]] as never),
    () => tensor(new Float32Array(5), { shape: [2, 3] }),
    () => tensor(new Uint16Array(2) as never),
    () => tensor(['a'] as never),
    () => tensor(null as never),
    () => zeros([-1]),
    () => zeros([1.5]),
    () => zeros('x' as never),
    () => fromBytes(new Uint8Array(3), [1], 'f32'),
    () => fromBytes(new Uint8Array(0), [-1], 'f32'),
    () => fromBytes([1] as never, [1], 'u8'),
    () => ones([2]).size(3),
  ]) {
    assert.throws(make, { name: /TypeError|TorchError/ }, String(make));
  }
});

scoped('factories fill as they say', () => {
  equal(zeros([2]), [0, 0]);
  equal(ones([1, 2], { dtype: 'i8' }), [[1, 1]]);
  equal(full([2], 7), [7, 7]);
  assert.deepEqual([...empty([3, 0]).shape], [3, 0]);
  equal(eye(2), [
    [1, 0],
    [0, 1],
  ]);
  equal(arange(3), [0, 1, 2]);
  assert.equal(arange(3).dtype, 'i64');
  equal(arange(1, 2, 0.25), [1, 1.25, 1.5, 1.75]);
  equal(arange(5, 0, -2), [5, 3, 1]);
  equal(arange(3, { dtype: 'f32' }), [0, 1, 2]);
  assert.deepEqual([...rand([4, 5]).shape, ...randn([2]).shape], [4, 5, 2]);
  const drawn = randint(2, 5, [100]).toArray() as BigInt64Array;
  assert.ok(drawn.every((v) => v >= 2n && v < 5n));
  assert.deepEqual((randperm(5).tolist() as number[]).sort(), [0, 1, 2, 3, 4]);
  equal(cat([ones([1]), zeros([2])]), [1, 0, 0]);
  equal(stack([ones([1]), zeros([1])]), [[1], [0]]);
  equal(where(tensor([true, false]), ones([2]), 5), [1, 5]);
  equal(
    einsum(
      'ij,j->i',
      tensor([
        [1, 2],
        [3, 4],
      ]),
      tensor([1, 10]),
    ),
    [21, 43],
  );
});

scoped('facts are right and follow in-place changes', () => {
  const x = zeros([2, 3], { dtype: 'bf16' });
  assert.deepEqual([[...x.shape], x.dtype, x.device, x.ndim, x.numel, x.size(-1)], [[2, 3], 'bf16', 'cpu', 2, 6, 3]);
  assert.equal(zeros([]).numel, 1);
  assert.throws(() => (x.shape as number[]).push(1), TypeError, 'the shape cannot be changed');
  assert.deepEqual(x.t().facts().strides, [1, 3]);
});

scoped('conversions between all dtypes keep small whole numbers', () => {
  const dtypes: DType[] = ['f64', 'f32', 'f16', 'bf16', 'i64', 'i32', 'i16', 'i8', 'u8'];
  for (const from of dtypes) {
    for (const to of dtypes) equal(tensor([0, 1, 100], { dtype: from }).to(to), [0, 1, 100], `${from} to ${to}`);
    equal(tensor([0, 1, 100], { dtype: from }).bool(), [false, true, true]);
  }
});

scoped('bf16 and f16 round to nearest and do not pass through arrays', () => {
  equal(tensor([1.00390625, 3.14159274], { dtype: 'bf16' }), [1, 3.140625]);
  equal(tensor([65504, 1e9], { dtype: 'f16' }), [65504, Infinity]);
  assert.throws(() => ones([1], { dtype: 'bf16' }).toArray(), {
    name: 'TypeError',
    message: /convert with \.float\(\)/,
  });
  assert.throws(() => ones([1], { dtype: 'f16' }).toArray(), TypeError);
  assert.deepEqual(ones([1], { dtype: 'bf16' }).toBytes(), new Uint8Array([0x80, 0x3f]));
});

scoped('raw bytes go round for every dtype, row by row whatever the strides', () => {
  for (const dtype of ['f64', 'f32', 'f16', 'bf16', 'i64', 'i32', 'i16', 'i8', 'u8', 'bool'] as const) {
    const x = tensor([
      [0, 1, 2],
      [3, 4, 5],
    ]).to(dtype);
    equal(fromBytes(x.toBytes(), [2, 3], dtype), x.tolist());
    equal(fromBytes(x.t().toBytes(), [3, 2], dtype), x.t().tolist());
  }
});

scoped('item takes one element, and no i64 beyond 2^53', () => {
  assert.equal(tensor([[4]]).item(), 4);
  assert.equal(tensor([true]).item(), 1);
  assert.throws(() => ones([2]).item());
  assert.throws(() => full([], 2n ** 60n, { dtype: 'i64' }).item(), RangeError);
});

scoped('printing shows type, shape and small contents', () => {
  assert.equal(String(tensor([1, 2])), 'Tensor(f32[2], [1,2])');
  assert.equal(inspect(zeros([4, 5])), 'Tensor(f32[4, 5])');
  assert.equal(String(zeros([2], { device: 'meta' })), 'Tensor(f32[2], meta)');
});

scoped('views share memory, copies do not', () => {
  const x = arange(6, { dtype: 'f32' });
  const pointer = x.facts().storagePointer;
  for (const view of [
    x.view(2, 3),
    x.reshape(3, -1),
    x.view(2, 3).t(),
    x.slice(0, 1, 3),
    x.narrow(0, 2, 2),
    x.unsqueeze(0),
    x.select(0, 1),
    x.expand(2, 6),
    x.view(2, 3).permute(1, 0),
    x.detach(),
    x.viewDtype('i32'),
    x.flatten(),
    x.unflatten(0, [3, 2]),
    x.chunk(2)[1],
    x.split(4)[0],
    x.unbind()[3],
    x.contiguous(),
    x.to('f32'),
    x.view(2, 3).diagonal(),
  ] as Tensor[]) {
    assert.equal(view.facts().storagePointer, pointer);
  }
  for (const copy of [x.clone(), x.add(0), x.view(2, 3).t().contiguous(), x.repeat(2), x.index([arange(2)])]) {
    assert.notEqual(copy.facts().storagePointer, pointer);
  }
  x.view(2, 3).select(0, 1).fill_(9);
  equal(x, [0, 1, 2, 9, 9, 9]);
});

scoped('in-place operators return the tensor itself', () => {
  const x = ones([2, 2]);
  const mask = tensor([
    [true, false],
    [false, false],
  ]);
  const index = tensor([0], { dtype: 'i64' });
  for (const out of [
    x.add_(1),
    x.sub_(1),
    x.mul_(2),
    x.div_(2),
    x.zero_(),
    x.fill_(3),
    x.copy_(ones([2, 2])),
    x.clamp_(0, 1),
    x.lerp_(zeros([2, 2]), 0.5),
    x.normal_(),
    x.uniform_(),
    x.maskedFill_(mask, 5),
    x.indexPut_([index], ones([1, 2])),
    x.indexAdd_(0, index, ones([1, 2])),
    x.requiresGrad_(false),
  ]) {
    assert.equal(out, x);
  }
});

scoped('arithmetic broadcasts tensors and numbers alike', () => {
  const x = tensor([
    [1, 2],
    [3, 4],
  ]);
  equal(x.add(tensor([10, 20])), [
    [11, 22],
    [13, 24],
  ]);
  equal(x.add(1, 2), [
    [3, 4],
    [5, 6],
  ]);
  equal(x.sub(x), [
    [0, 0],
    [0, 0],
  ]);
  equal(x.mul(2).div(4), [
    [0.5, 1],
    [1.5, 2],
  ]);
  equal(x.pow(2), [
    [1, 4],
    [9, 16],
  ]);
  equal(x.pow(x).select(0, 1), [27, 256]);
  equal(x.neg().abs().sqrt().pow(2).round(), [
    [1, 2],
    [3, 4],
  ]);
  equal(tensor([-1.5, 0, 2.5]).sign(), [-1, 0, 1]);
  equal(tensor([-1.5, 0.5, 1.5, 2.5]).round(), [-2, 0, 2, 2], 'half to even');
  equal(tensor([-1.5]).floor(), [-2]);
  equal(tensor([-1.5]).ceil(), [-1]);
  equal(tensor([-1, 0.5, 2]).clamp(0, 1), [0, 0.5, 1]);
  equal(tensor([-1, 2]).clamp(null, 1), [-1, 1]);
  equal(tensor([1, 5]).maximum(tensor([3, 3])), [3, 5]);
  equal(tensor([1, 5]).minimum(tensor([3, 3])), [1, 3]);
  equal(tensor([4]).rsqrt(), [0.5]);
  equal(tensor([4]).reciprocal(), [0.25]);
});

scoped('functions of numbers agree with JavaScript', () => {
  const values = [-2, -0.5, 0.25, 3];
  const sigmoid = (v: number) => 1 / (1 + Math.exp(-v));
  const pairs: [(x: Tensor) => Tensor, (v: number) => number][] = [
    [(x) => x.exp(), Math.exp],
    [(x) => x.sin(), Math.sin],
    [(x) => x.cos(), Math.cos],
    [(x) => x.tanh(), Math.tanh],
    [(x) => x.abs().log(), (v) => Math.log(Math.abs(v))],
    [(x) => x.abs().log1p(), (v) => Math.log1p(Math.abs(v))],
    [(x) => x.sigmoid(), sigmoid],
    [(x) => x.silu(), (v) => v * sigmoid(v)],
    [(x) => x.relu(), (v) => Math.max(v, 0)],
    [(x) => x.softplus(), (v) => Math.log1p(Math.exp(v))],
  ];
  for (const [onTensor, onNumber] of pairs) {
    const got = onTensor(tensor(values, { dtype: 'f64' })).toArray() as Float64Array;
    // At most an exponential, a sum, a quotient and a product.
    for (const [i, v] of values.entries())
      expectRounded(got[i]!, onNumber(v), { dtype: 'f64', steps: 4 }, String(onTensor));
  }
  expectRounded(tensor([1], { dtype: 'f64' }).erf().item(), 0.8427007929497149, { dtype: 'f64' });
  expectRounded(tensor([1], { dtype: 'f64' }).gelu().item(), 0.8413447460685429, { dtype: 'f64', steps: 4 });
});

scoped('reductions fold all or some axes', () => {
  const x = tensor([
    [1, 2, 3],
    [4, 5, 9],
  ]);
  assert.equal(x.sum().item(), 24);
  equal(x.sum(0), [5, 7, 12]);
  equal(x.sum([0, 1], true), [[24]]);
  equal(x.mean(1), [2, 6]);
  equal(x.mean(-1, true), [[2], [6]]);
  assert.equal(x.max().item(), 9);
  assert.equal(x.min().item(), 1);
  equal(x.amax(0), [4, 5, 9]);
  equal(x.amin(1), [1, 4]);
  equal(x.argmax(1), [2, 2]);
  equal(x.argmin(0), [0, 0, 0]);
  const { values, indices } = x.maxAlong(0);
  equal(values, [4, 5, 9]);
  equal(indices, [1, 1, 1]);
  assert.equal(x.prod().item(), 1080);
  assert.equal(tensor([3, 4]).norm().item(), 5);
  equal(x.cumsum(1), [
    [1, 3, 6],
    [4, 9, 18],
  ]);
  expectRounded(tensor([1, 2, 3, 4]).std().item(), Math.sqrt(5 / 3), { terms: 4, steps: 2 });
  assert.equal(tensor([1, 3]).var(0, false, 0).item(), 1);
  assert.equal(x.gt(8).any().item(), 1);
  equal(x.gt(2).all(1), [false, true]);
  expectRounded(tensor([0, 0], { dtype: 'f64' }).logsumexp(0).item(), Math.log(2), { dtype: 'f64', steps: 2 });
});

scoped('comparisons and masks', () => {
  const x = tensor([1, 2, 3]);
  equal(x.eq(2), [false, true, false]);
  equal(x.ne(2), [true, false, true]);
  equal(x.lt(2), [true, false, false]);
  equal(x.le(2), [true, true, false]);
  equal(x.gt(tensor([0, 2, 4])), [true, false, false]);
  equal(x.ge(tensor([0, 2, 4])), [true, true, false]);
  equal(x.gt(1).logicalAnd(x.lt(3)), [false, true, false]);
  equal(x.eq(1).logicalOr(x.eq(3)).logicalNot(), [false, true, false]);
  equal(x.maskedFill(x.gt(1), 0), [1, 0, 0]);
  equal(x.maskedSelect(x.gt(1)), [2, 3]);
  equal(x.where(x.gt(1), -1), [-1, 2, 3]);
  equal(tensor([Number.NaN, Infinity, 1]).isnan(), [true, false, false]);
  equal(tensor([Number.NaN, Infinity, 1]).isfinite(), [false, false, true]);
  equal(tensor([0, 2]).nonzero(), [[1]]);
});

scoped('shapes change', () => {
  const x = arange(24).view(2, 3, 4);
  assert.deepEqual([...x.transpose(0, 2).shape], [4, 3, 2]);
  assert.deepEqual([...x.permute(2, 0, 1).shape], [4, 2, 3]);
  assert.deepEqual([...x.flatten(1).shape], [2, 12]);
  assert.deepEqual([...x.unsqueeze(1).squeeze(1).shape], [2, 3, 4]);
  assert.deepEqual([...x.unsqueeze(1).squeeze().shape], [2, 3, 4]);
  assert.deepEqual([...x.repeat(2, 1, 1).shape], [4, 3, 4]);
  assert.deepEqual(
    x.split([1, 2], 1).map((part) => part.size(1)),
    [1, 2],
  );
  assert.equal(x.chunk(3, 2).length, 2, 'chunks of two');
  equal(tensor([1, 2]).repeatInterleave(2, 0), [1, 1, 2, 2]);
  equal(tensor([1, 2, 3]).flip(0), [3, 2, 1]);
  equal(tensor([1, 2, 3]).roll(1, 0), [3, 1, 2]);
  equal(tensor([1, 2, 3]).slice(0, -2), [2, 3]);
  equal(tensor([1, 2, 3]).slice(0, null, null, 2), [1, 3]);
  equal(ones([2, 2]).tril(), [
    [1, 0],
    [1, 1],
  ]);
  equal(ones([2, 2]).triu(1), [
    [0, 1],
    [0, 0],
  ]);
});

scoped('indexing reads and writes', () => {
  const x = tensor([
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  const i64 = (values: Nested) => tensor(values, { dtype: 'i64' });
  equal(x.index([i64([2, 0])]), [
    [5, 6],
    [1, 2],
  ]);
  equal(x.index([null, i64([1])]), [[2], [4], [6]]);
  equal(x.index([i64([0, 2]), i64([1, 0])]), [2, 5]);
  equal(x.indexSelect(1, i64([1, 1])), [
    [2, 2],
    [4, 4],
    [6, 6],
  ]);
  equal(x.gather(1, i64([[1], [0], [1]])), [[2], [3], [6]]);
  equal(zeros([3]).scatter(0, i64([2, 0]), tensor([7, 8])), [8, 0, 7]);
  equal(zeros([2]).scatterAdd(0, i64([1, 1]), tensor([7, 8])), [0, 15]);
  equal(x.indexPut([i64([0])], tensor([9, 9])), [
    [9, 9],
    [3, 4],
    [5, 6],
  ]);
  equal(zeros([2]).indexPut_([i64([0, 0])], ones([2]), true), [2, 0]);
});

scoped('sorting and drawing', () => {
  const x = tensor([3, 1, 2]);
  equal(x.sort().values, [1, 2, 3]);
  equal(x.sort(-1, true).indices, [0, 2, 1]);
  equal(x.argsort(), [1, 2, 0]);
  const top = x.topk(2);
  equal(top.values, [3, 2]);
  equal(top.indices, [0, 2]);
  equal(tensor([0, 1, 0]).multinomial(4, true), [1, 1, 1, 1]);
  equal(tensor([0, 1]).bernoulli(), [0, 1]);
});

scoped('products', () => {
  const [a, b] = [
    tensor([
      [1, 2],
      [3, 4],
    ]),
    tensor([
      [0, 1],
      [1, 0],
    ]),
  ];
  equal(a.matmul(b), [
    [2, 1],
    [4, 3],
  ]);
  equal(a.mm(b), [
    [2, 1],
    [4, 3],
  ]);
  equal(a.unsqueeze(0).bmm(b.unsqueeze(0)), [
    [
      [2, 1],
      [4, 3],
    ],
  ]);
  equal(a.linear(b, tensor([10, 20])), [
    [12, 21],
    [14, 23],
  ]);
  equal(tensor([1, 3]).layerNorm([2], null, null, 0), [-1, 1]);
  equal(tensor([0, 0]).softmax(0), [0.5, 0.5]);
  equal(tensor([0]).logSoftmax(0), [0]);
});

scoped('pipe passes through modules and functions', () => {
  equal(
    ones([1]).pipe(
      (x) => x.add(1),
      new nn.Identity(),
      (x) => x.mul(3),
    ),
    [6],
  );
});
