/**
 * Tensor: one reference to a libtorch tensor, with the field's operators as fluent methods, and the functions that
 * make tensors. Methods never change dtype silently; those that end in `_` work in place and return `this`.
 */
import { backward } from './autograd.js';
import { type Device, type DType, isFloating, type Scalar, type Shape } from './dtype.js';
import { TorchError } from './errors.js';
import { Handle, setHandleFactory } from './handle.js';
import { native, type TensorFacts } from './native.js';
import { describe, fail, op } from './ops.js';
import type { Generator } from './random.js';
import { disposeHandle, track } from './scope.js';

/** A tensor or a plain number. */
export type TensorLike = Tensor | number;
/** One dimension or several; negative counts from the end. */
export type Dims = number | readonly number[];
/** Typed arrays that a tensor can be made from and read into. */
export type TypedArray = Float32Array | Float64Array | Int32Array | Int16Array | Int8Array | Uint8Array | BigInt64Array;
/** Numbers nested to any depth. */
export type Nested = number | boolean | readonly Nested[];
/** Options of the functions that make tensors. */
export interface TensorOptions {
  readonly dtype?: DType | undefined;
  readonly device?: Device | undefined;
  readonly requiresGrad?: boolean | undefined;
}
/** A module or function of one tensor, as `pipe` takes it. */
export type Pipeable = { forward(x: Tensor): Tensor } | ((x: Tensor) => Tensor);

const ops = {
  abs: op('aten::abs'),
  add: op('aten::add.Tensor'),
  addS: op('aten::add.Scalar'),
  add_: op('aten::add_.Tensor'),
  addS_: op('aten::add_.Scalar'),
  addmm: op('aten::addmm'),
  all: op('aten::all'),
  allDim: op('aten::all.dim'),
  amax: op('aten::amax'),
  amin: op('aten::amin'),
  any: op('aten::any'),
  anyDim: op('aten::any.dim'),
  arange: op('aten::arange.start_step'),
  argmax: op('aten::argmax'),
  argmin: op('aten::argmin'),
  argsort: op('aten::argsort'),
  baddbmm: op('aten::baddbmm'),
  bernoulli: op('aten::bernoulli'),
  bitwiseNot: op('aten::bitwise_not'),
  bmm: op('aten::bmm'),
  cat: op('aten::cat'),
  ceil: op('aten::ceil'),
  chunk: op('aten::chunk'),
  clamp: op('aten::clamp'),
  clamp_: op('aten::clamp_'),
  clone: op('aten::clone'),
  contiguous: op('aten::contiguous'),
  copy_: op('aten::copy_'),
  cos: op('aten::cos'),
  cumsum: op('aten::cumsum'),
  detach: op('aten::detach'),
  diagonal: op('aten::diagonal'),
  div: op('aten::div.Tensor'),
  divS: op('aten::div.Scalar'),
  div_: op('aten::div_.Tensor'),
  divS_: op('aten::div_.Scalar'),
  einsum: op('aten::einsum'),
  empty: op('aten::empty.memory_format'),
  eq: op('aten::eq.Tensor'),
  eqS: op('aten::eq.Scalar'),
  erf: op('aten::erf'),
  exp: op('aten::exp'),
  expand: op('aten::expand'),
  eye: op('aten::eye'),
  fill_: op('aten::fill_.Scalar'),
  fillT_: op('aten::fill_.Tensor'),
  flatten: op('aten::flatten.using_ints'),
  flip: op('aten::flip'),
  floor: op('aten::floor'),
  full: op('aten::full'),
  gather: op('aten::gather'),
  ge: op('aten::ge.Tensor'),
  geS: op('aten::ge.Scalar'),
  gelu: op('aten::gelu'),
  gt: op('aten::gt.Tensor'),
  gtS: op('aten::gt.Scalar'),
  index: op('aten::index.Tensor'),
  indexAdd_: op('aten::index_add_'),
  indexPut: op('aten::index_put'),
  indexPut_: op('aten::index_put_'),
  indexSelect: op('aten::index_select'),
  isfinite: op('aten::isfinite'),
  isnan: op('aten::isnan'),
  item: op('aten::item'),
  layerNorm: op('aten::layer_norm'),
  le: op('aten::le.Tensor'),
  leS: op('aten::le.Scalar'),
  lerp_: op('aten::lerp_.Scalar'),
  linear: op('aten::linear'),
  log: op('aten::log'),
  log1p: op('aten::log1p'),
  logSoftmax: op('aten::log_softmax.int'),
  logicalAnd: op('aten::logical_and'),
  logicalNot: op('aten::logical_not'),
  logicalOr: op('aten::logical_or'),
  logsumexp: op('aten::logsumexp'),
  lt: op('aten::lt.Tensor'),
  ltS: op('aten::lt.Scalar'),
  maskedFill: op('aten::masked_fill.Scalar'),
  maskedFill_: op('aten::masked_fill_.Scalar'),
  maskedSelect: op('aten::masked_select'),
  matmul: op('aten::matmul'),
  max: op('aten::max'),
  maxDim: op('aten::max.dim'),
  maximum: op('aten::maximum'),
  mean: op('aten::mean'),
  meanDim: op('aten::mean.dim'),
  min: op('aten::min'),
  minDim: op('aten::min.dim'),
  minimum: op('aten::minimum'),
  mm: op('aten::mm'),
  mul: op('aten::mul.Tensor'),
  mulS: op('aten::mul.Scalar'),
  mul_: op('aten::mul_.Tensor'),
  mulS_: op('aten::mul_.Scalar'),
  multinomial: op('aten::multinomial'),
  ne: op('aten::ne.Tensor'),
  neS: op('aten::ne.Scalar'),
  neg: op('aten::neg'),
  nonzero: op('aten::nonzero'),
  norm: op('aten::linalg_vector_norm'),
  normal_: op('aten::normal_'),
  permute: op('aten::permute'),
  pow: op('aten::pow.Tensor_Tensor'),
  powS: op('aten::pow.Tensor_Scalar'),
  prod: op('aten::prod'),
  rand: op('aten::rand.generator'),
  randint: op('aten::randint.low_generator'),
  randn: op('aten::randn.generator'),
  randperm: op('aten::randperm.generator'),
  reciprocal: op('aten::reciprocal'),
  relu: op('aten::relu'),
  repeat: op('aten::repeat'),
  repeatInterleave: op('aten::repeat_interleave.self_int'),
  reshape: op('aten::reshape'),
  roll: op('aten::roll'),
  round: op('aten::round'),
  rsqrt: op('aten::rsqrt'),
  scatter: op('aten::scatter.src'),
  scatterAdd: op('aten::scatter_add'),
  select: op('aten::select.int'),
  sigmoid: op('aten::sigmoid'),
  sign: op('aten::sign'),
  silu: op('aten::silu'),
  sin: op('aten::sin'),
  slice: op('aten::slice.Tensor'),
  softmax: op('aten::softmax.int'),
  softplus: op('aten::softplus'),
  sort: op('aten::sort'),
  splitSize: op('aten::split.Tensor'),
  splitSizes: op('aten::split_with_sizes'),
  sqrt: op('aten::sqrt'),
  squeeze: op('aten::squeeze'),
  squeezeDim: op('aten::squeeze.dim'),
  stack: op('aten::stack'),
  std: op('aten::std.correction'),
  sub: op('aten::sub.Tensor'),
  subS: op('aten::sub.Scalar'),
  sub_: op('aten::sub_.Tensor'),
  subS_: op('aten::sub_.Scalar'),
  sum: op('aten::sum'),
  sumDim: op('aten::sum.dim_IntList'),
  t: op('aten::t'),
  tanh: op('aten::tanh'),
  to: op('aten::to.dtype_layout'),
  topk: op('aten::topk'),
  transpose: op('aten::transpose.int'),
  tril: op('aten::tril'),
  triu: op('aten::triu'),
  unbind: op('aten::unbind.int'),
  unflatten: op('aten::unflatten.int'),
  uniform_: op('aten::uniform_'),
  unsqueeze: op('aten::unsqueeze'),
  var: op('aten::var.correction'),
  view: op('aten::view'),
  viewDtype: op('aten::view.dtype'),
  where: op('aten::where.self'),
  whereS: op('aten::where.ScalarOther'),
  zero_: op('aten::zero_'),
  zeros: op('aten::zeros'),
};

/** Number of elements of a shape. */
function countOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** A copy of the elements in row-major order. */
function bytesOf({ id }: Tensor): ArrayBuffer {
  try {
    return native().toBytes(id);
  } catch (error) {
    fail(error, 'toArray');
  }
}

/** A reference to a multi-dimensional array inside libtorch; see scope.ts for how long it lives. */
export class Tensor extends Handle {
  #shape: Shape | undefined;
  #dtype: DType | undefined;
  #device: Device | undefined;

  // ------------------------------------------------------------------------------------------------ what it is

  /** Sizes, outermost first. */
  get shape(): Shape {
    this.#shape ??= Object.freeze(native().shape(this.id));
    return this.#shape;
  }

  /** Element type. */
  get dtype(): DType {
    this.#dtype ??= native().dtype(this.id) as DType;
    return this.#dtype;
  }

  /** Where the elements live. */
  get device(): Device {
    this.#device ??= native().device(this.id) as Device;
    return this.#device;
  }

  /** Number of dimensions. */
  get ndim(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get numel(): number {
    return countOf(this.shape);
  }

  /** Size of one dimension; negative counts from the end. */
  size(dim: number): number {
    const { shape } = this;
    const size = shape[dim < 0 ? dim + shape.length : dim];
    if (size === undefined) throw new TypeError(`size: a tensor of ${shape.length} dimensions has no dimension ${dim}`);
    return size;
  }

  /** Strides, storage and flags, for reports and tests. */
  facts(): TensorFacts {
    return native().facts(this.id);
  }

  override invalidate(): void {
    this.#shape = undefined;
    this.#dtype = undefined;
    this.#device = undefined;
  }

  // ------------------------------------------------------------------------------------------------ life

  /** Drop this reference now. What autograd or another handle needs stays alive. */
  dispose(): void {
    disposeHandle(this);
  }

  [Symbol.dispose](): void {
    disposeHandle(this);
  }

  /** Whether `dispose` was called or its scope ended. */
  get disposed(): boolean {
    return this.id === 0;
  }

  // ------------------------------------------------------------------------------------------------ values

  /** The only element as a number. */
  item(): number {
    const value: unknown = ops.item(this);
    if (typeof value === 'bigint')
      throw new RangeError(`item: ${value} does not fit into a JavaScript number; use toArray()`);
    return Number(value);
  }

  /**
   * A copy of the elements in row-major order: Float32Array for f32, BigInt64Array for i64, Uint8Array for u8 and bool …
   * @throws TypeError for f16 and bf16, which JavaScript has no array of: convert with `.float()` first.
   */
  toArray(): TypedArray {
    const { dtype } = this;
    if (dtype === 'f16' || dtype === 'bf16') {
      throw new TypeError(`toArray: JavaScript has no array type for ${dtype}; convert with .float() first`);
    }
    const buffer = bytesOf(this);
    switch (dtype) {
      case 'f32':
        return new Float32Array(buffer);
      case 'f64':
        return new Float64Array(buffer);
      case 'i64':
        return new BigInt64Array(buffer);
      case 'i32':
        return new Int32Array(buffer);
      case 'i16':
        return new Int16Array(buffer);
      case 'i8':
        return new Int8Array(buffer);
      default:
        return new Uint8Array(buffer);
    }
  }

  /** The raw bytes of the elements in row-major order (little-endian), any dtype. */
  toBytes(): Uint8Array {
    return new Uint8Array(bytesOf(this));
  }

  /** The elements as nested arrays of numbers (booleans for bool); a single number for a scalar. */
  tolist(): Nested {
    const source = isFloating(this.dtype) && this.dtype !== 'f64' ? this.float() : this;
    const flat = source.toArray();
    if (source !== this) source.dispose();
    const isBool = this.dtype === 'bool';
    const { shape } = this;
    let at = 0;
    const build = (dim: number): Nested => {
      if (dim === shape.length) {
        const value = flat[at++];
        return isBool ? value !== 0 : Number(value);
      }
      return Array.from({ length: shape[dim]! }, () => build(dim + 1));
    };
    return build(0);
  }

  /** Type, shape and, for small tensors, the values. */
  override toString(): string {
    if (this.disposed) return 'Tensor(disposed)';
    const head = `Tensor(${this.dtype}[${this.shape.join(', ')}]${this.device === 'cpu' ? '' : `, ${this.device}`}`;
    return this.numel <= 16 && this.device !== 'meta' ? `${head}, ${JSON.stringify(this.tolist())})` : `${head})`;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  // ------------------------------------------------------------------------------------------------ gradients

  /** Whether operators on this tensor are recorded. */
  get requiresGrad(): boolean {
    return native().requiresGrad(this.id);
  }

  set requiresGrad(on: boolean) {
    native().setRequiresGrad(this.id, on);
  }

  /** Set `requiresGrad` and return this. */
  requiresGrad_(on = true): this {
    native().setRequiresGrad(this.id, on);
    return this;
  }

  /** The gradient gathered by `backward`, or null. Each read is a new handle. */
  get grad(): Tensor | null {
    const id = native().grad(this.id);
    return id === null ? null : track(new Tensor(id));
  }

  set grad(value: Tensor | null) {
    native().setGrad(this.id, value === null ? null : value.id);
  }

  /** Gradients of this scalar (or of the sum weighted by `grad`) into the leaves. */
  backward(grad?: Tensor, options: { readonly retainGraph?: boolean } = {}): void {
    backward([this], grad === undefined ? null : [grad], options);
  }

  /** The same values without their history. */
  detach(): Tensor {
    return ops.detach(this);
  }

  // ------------------------------------------------------------------------------------------------ conversion

  /** Convert to a dtype, a device, or both; the same storage when nothing changes. */
  to(target: DType | Device | { readonly dtype?: DType; readonly device?: Device }): Tensor {
    if (typeof target !== 'string') return ops.to(this, target.dtype ?? null, null, target.device ?? null);
    const isDevice = /^(cpu|cuda|mps|meta)/.test(target);
    return isDevice ? ops.to(this, null, null, target as Device) : ops.to(this, target as DType);
  }

  /** As f32. */
  float(): Tensor {
    return ops.to(this, 'f32');
  }

  /** As bf16. */
  bfloat16(): Tensor {
    return ops.to(this, 'bf16');
  }

  /** As i64. */
  long(): Tensor {
    return ops.to(this, 'i64');
  }

  /** As bool: non-zero is true. */
  bool(): Tensor {
    return ops.to(this, 'bool');
  }

  /** A copy with storage of its own. */
  clone(): Tensor {
    return ops.clone(this);
  }

  /** The same values in row-major order; this storage when it is so already. */
  contiguous(): Tensor {
    return ops.contiguous(this);
  }

  /** Reinterpret the bytes as another dtype; the last dimension changes by the ratio of sizes. */
  viewDtype(dtype: DType): Tensor {
    return ops.viewDtype(this, dtype);
  }

  // ------------------------------------------------------------------------------------------------ arithmetic

  /** this + alpha * other, broadcast. */
  add(other: TensorLike, alpha?: number): Tensor {
    return typeof other === 'number' ? ops.addS(this, other, alpha) : ops.add(this, other, alpha);
  }

  /** this - alpha * other, broadcast. */
  sub(other: TensorLike, alpha?: number): Tensor {
    return typeof other === 'number' ? ops.subS(this, other, alpha) : ops.sub(this, other, alpha);
  }

  /** Element-wise product, broadcast. */
  mul(other: TensorLike): Tensor {
    return typeof other === 'number' ? ops.mulS(this, other) : ops.mul(this, other);
  }

  /** Element-wise true quotient, broadcast. */
  div(other: TensorLike): Tensor {
    return typeof other === 'number' ? ops.divS(this, other) : ops.div(this, other);
  }

  /** Element-wise power. */
  pow(exponent: TensorLike): Tensor {
    return typeof exponent === 'number' ? ops.powS(this, exponent) : ops.pow(this, exponent);
  }

  /** In place this += alpha * other. */
  add_(other: TensorLike, alpha?: number): this {
    return (typeof other === 'number' ? ops.addS_(this, other, alpha) : ops.add_(this, other, alpha)) as this;
  }

  /** In place this -= alpha * other. */
  sub_(other: TensorLike, alpha?: number): this {
    return (typeof other === 'number' ? ops.subS_(this, other, alpha) : ops.sub_(this, other, alpha)) as this;
  }

  /** In place product. */
  mul_(other: TensorLike): this {
    return (typeof other === 'number' ? ops.mulS_(this, other) : ops.mul_(this, other)) as this;
  }

  /** In place quotient. */
  div_(other: TensorLike): this {
    return (typeof other === 'number' ? ops.divS_(this, other) : ops.div_(this, other)) as this;
  }

  /** In place zero. */
  zero_(): this {
    return ops.zero_(this) as this;
  }

  /** In place constant. */
  fill_(value: TensorLike): this {
    return (typeof value === 'number' ? ops.fill_(this, value) : ops.fillT_(this, value)) as this;
  }

  /** In place copy, broadcast, with conversion of dtype and device. */
  copy_(source: Tensor): this {
    return ops.copy_(this, source) as this;
  }

  /** In place this += weight * (end - this). */
  lerp_(end: Tensor, weight: number): this {
    return ops.lerp_(this, end, weight) as this;
  }

  /** In place bounds. */
  clamp_(min: number | null, max: number | null = null): this {
    return ops.clamp_(this, min, max) as this;
  }

  /** In place draws from a normal distribution. */
  normal_(mean = 0, std = 1, generator: Generator | null = null): this {
    return ops.normal_(this, mean, std, generator) as this;
  }

  /** In place draws from a uniform distribution over [from, to). */
  uniform_(from = 0, to = 1, generator: Generator | null = null): this {
    return ops.uniform_(this, from, to, generator) as this;
  }

  /** -this. */
  neg(): Tensor {
    return ops.neg(this);
  }

  /** |this|. */
  abs(): Tensor {
    return ops.abs(this);
  }

  /** -1, 0 or 1. */
  sign(): Tensor {
    return ops.sign(this);
  }

  /** e^this. */
  exp(): Tensor {
    return ops.exp(this);
  }

  /** Natural logarithm. */
  log(): Tensor {
    return ops.log(this);
  }

  /** log(1 + this). */
  log1p(): Tensor {
    return ops.log1p(this);
  }

  /** Square root. */
  sqrt(): Tensor {
    return ops.sqrt(this);
  }

  /** 1 / sqrt(this). */
  rsqrt(): Tensor {
    return ops.rsqrt(this);
  }

  /** 1 / this. */
  reciprocal(): Tensor {
    return ops.reciprocal(this);
  }

  /** Sine. */
  sin(): Tensor {
    return ops.sin(this);
  }

  /** Cosine. */
  cos(): Tensor {
    return ops.cos(this);
  }

  /** Error function. */
  erf(): Tensor {
    return ops.erf(this);
  }

  /** Round half to even. */
  round(): Tensor {
    return ops.round(this);
  }

  /** Round down. */
  floor(): Tensor {
    return ops.floor(this);
  }

  /** Round up. */
  ceil(): Tensor {
    return ops.ceil(this);
  }

  /** Bounds; null leaves a side open. */
  clamp(min: number | null, max: number | null = null): Tensor {
    return ops.clamp(this, min, max);
  }

  /** Element-wise larger, broadcast. */
  maximum(other: Tensor): Tensor {
    return ops.maximum(this, other);
  }

  /** Element-wise smaller, broadcast. */
  minimum(other: Tensor): Tensor {
    return ops.minimum(this, other);
  }

  // ------------------------------------------------------------------------------------------------ activations

  /** tanh(this). */
  tanh(): Tensor {
    return ops.tanh(this);
  }

  /** 1 / (1 + e^-this). */
  sigmoid(): Tensor {
    return ops.sigmoid(this);
  }

  /** max(this, 0). */
  relu(): Tensor {
    return ops.relu(this);
  }

  /** Gaussian error linear unit, exact or by its tanh approximation. */
  gelu(approximate: 'none' | 'tanh' = 'none'): Tensor {
    return ops.gelu(this, approximate);
  }

  /** this * sigmoid(this). */
  silu(): Tensor {
    return ops.silu(this);
  }

  /** log(1 + e^this). */
  softplus(): Tensor {
    return ops.softplus(this);
  }

  /** e^x / sum(e^x) along `dim`; optionally computed and returned in another dtype. */
  softmax(dim: number, dtype: DType | null = null): Tensor {
    return ops.softmax(this, dim, dtype);
  }

  /** log(softmax) along `dim`. */
  logSoftmax(dim: number, dtype: DType | null = null): Tensor {
    return ops.logSoftmax(this, dim, dtype);
  }

  // ------------------------------------------------------------------------------------------------ products, norms

  /** Matrix product with broadcast batch dimensions. */
  matmul(other: Tensor): Tensor {
    return ops.matmul(this, other);
  }

  /** Product of two matrices [N, K] x [K, M]. */
  mm(other: Tensor): Tensor {
    return ops.mm(this, other);
  }

  /** Batched product [B, N, K] x [B, K, M]. */
  bmm(other: Tensor): Tensor {
    return ops.bmm(this, other);
  }

  /** x W^T + b over the last dimension; `weight` float[out, in]. */
  linear(weight: Tensor, bias: Tensor | null = null): Tensor {
    return ops.linear(this, weight, bias);
  }

  /** Layer normalisation over the trailing `shape`. */
  layerNorm(shape: Shape, weight: Tensor | null = null, bias: Tensor | null = null, eps = 1e-5): Tensor {
    return ops.layerNorm(this, shape, weight, bias, eps);
  }

  /** Vector norm of order `ord` over `dim` (all when left out). */
  norm(ord = 2, dim: Dims | null = null, keepdim = false): Tensor {
    return ops.norm(this, ord, dim === null ? null : dimList(dim), keepdim);
  }

  // ------------------------------------------------------------------------------------------------ reductions

  /** Sum over all elements or over `dim`. */
  sum(dim?: Dims, keepdim = false): Tensor {
    return dim === undefined ? ops.sum(this) : ops.sumDim(this, dimList(dim), keepdim);
  }

  /** Mean over all elements or over `dim`. */
  mean(dim?: Dims, keepdim = false): Tensor {
    return dim === undefined ? ops.mean(this) : ops.meanDim(this, dimList(dim), keepdim);
  }

  /** Product of all elements. */
  prod(): Tensor {
    return ops.prod(this);
  }

  /** Standard deviation; `correction` 1 divides by n - 1. */
  std(dim?: Dims, keepdim = false, correction = 1): Tensor {
    return ops.std(this, dim === undefined ? null : dimList(dim), correction, keepdim);
  }

  /** Variance; `correction` 1 divides by n - 1. */
  var(dim?: Dims, keepdim = false, correction = 1): Tensor {
    return ops.var(this, dim === undefined ? null : dimList(dim), correction, keepdim);
  }

  /** Largest element of all. */
  max(): Tensor {
    return ops.max(this);
  }

  /** Smallest element of all. */
  min(): Tensor {
    return ops.min(this);
  }

  /** Largest elements along `dim` and where they stand. */
  maxAlong(dim: number, keepdim = false): { values: Tensor; indices: Tensor } {
    const [values, indices] = ops.maxDim(this, dim, keepdim);
    return { values, indices };
  }

  /** Smallest elements along `dim` and where they stand. */
  minAlong(dim: number, keepdim = false): { values: Tensor; indices: Tensor } {
    const [values, indices] = ops.minDim(this, dim, keepdim);
    return { values, indices };
  }

  /** Largest elements over `dim`; gradients are shared among equals. */
  amax(dim: Dims, keepdim = false): Tensor {
    return ops.amax(this, dimList(dim), keepdim);
  }

  /** Smallest elements over `dim`; gradients are shared among equals. */
  amin(dim: Dims, keepdim = false): Tensor {
    return ops.amin(this, dimList(dim), keepdim);
  }

  /** Index of the largest element, of all or along `dim`; i64. */
  argmax(dim: number | null = null, keepdim = false): Tensor {
    return ops.argmax(this, dim, keepdim);
  }

  /** Index of the smallest element, of all or along `dim`; i64. */
  argmin(dim: number | null = null, keepdim = false): Tensor {
    return ops.argmin(this, dim, keepdim);
  }

  /** log(sum(exp)) over `dim`. */
  logsumexp(dim: Dims, keepdim = false): Tensor {
    return ops.logsumexp(this, dimList(dim), keepdim);
  }

  /** Running sum along `dim`. */
  cumsum(dim: number, dtype: DType | null = null): Tensor {
    return ops.cumsum(this, dim, dtype);
  }

  /** Whether every element (along `dim`) is non-zero; bool. */
  all(dim?: number, keepdim = false): Tensor {
    return dim === undefined ? ops.all(this) : ops.allDim(this, dim, keepdim);
  }

  /** Whether any element (along `dim`) is non-zero; bool. */
  any(dim?: number, keepdim = false): Tensor {
    return dim === undefined ? ops.any(this) : ops.anyDim(this, dim, keepdim);
  }

  // ------------------------------------------------------------------------------------------------ comparison

  /** Element-wise ==; bool. */
  eq(other: TensorLike): Tensor {
    return typeof other === 'number' ? ops.eqS(this, other) : ops.eq(this, other);
  }

  /** Element-wise !=; bool. */
  ne(other: TensorLike): Tensor {
    return typeof other === 'number' ? ops.neS(this, other) : ops.ne(this, other);
  }

  /** Element-wise <; bool. */
  lt(other: TensorLike): Tensor {
    return typeof other === 'number' ? ops.ltS(this, other) : ops.lt(this, other);
  }

  /** Element-wise <=; bool. */
  le(other: TensorLike): Tensor {
    return typeof other === 'number' ? ops.leS(this, other) : ops.le(this, other);
  }

  /** Element-wise >; bool. */
  gt(other: TensorLike): Tensor {
    return typeof other === 'number' ? ops.gtS(this, other) : ops.gt(this, other);
  }

  /** Element-wise >=; bool. */
  ge(other: TensorLike): Tensor {
    return typeof other === 'number' ? ops.geS(this, other) : ops.ge(this, other);
  }

  /** Element-wise and; bool. */
  logicalAnd(other: Tensor): Tensor {
    return ops.logicalAnd(this, other);
  }

  /** Element-wise or; bool. */
  logicalOr(other: Tensor): Tensor {
    return ops.logicalOr(this, other);
  }

  /** Element-wise not; bool. */
  logicalNot(): Tensor {
    return ops.logicalNot(this);
  }

  /** Bitwise not (logical for bool). */
  bitwiseNot(): Tensor {
    return ops.bitwiseNot(this);
  }

  /** Where not a number; bool. */
  isnan(): Tensor {
    return ops.isnan(this);
  }

  /** Where neither infinite nor not a number; bool. */
  isfinite(): Tensor {
    return ops.isfinite(this);
  }

  /** this where `condition`, else `other`. */
  where(condition: Tensor, other: TensorLike): Tensor {
    return typeof other === 'number' ? ops.whereS(condition, this, other) : ops.where(condition, this, other);
  }

  /** `value` where `mask` is true. */
  maskedFill(mask: Tensor, value: number): Tensor {
    return ops.maskedFill(this, mask, value);
  }

  /** In place `value` where `mask` is true. */
  maskedFill_(mask: Tensor, value: number): this {
    return ops.maskedFill_(this, mask, value) as this;
  }

  /** The elements where `mask` is true, in a row. */
  maskedSelect(mask: Tensor): Tensor {
    return ops.maskedSelect(this, mask);
  }

  // ------------------------------------------------------------------------------------------------ shape

  /** The same elements in another shape (-1: whatever is left); copies only when it must. */
  reshape(...shape: number[]): Tensor {
    return ops.reshape(this, shape);
  }

  /** As reshape, but never copies: throws when the strides do not allow it. */
  view(...shape: number[]): Tensor {
    return ops.view(this, shape);
  }

  /** Merge the dimensions start..end. */
  flatten(start = 0, end = -1): Tensor {
    return ops.flatten(this, start, end);
  }

  /** Split one dimension into several. */
  unflatten(dim: number, sizes: Shape): Tensor {
    return ops.unflatten(this, dim, sizes);
  }

  /** Drop dimensions of size 1, all or one. */
  squeeze(dim?: number): Tensor {
    return dim === undefined ? ops.squeeze(this) : ops.squeezeDim(this, dim);
  }

  /** Insert a dimension of size 1. */
  unsqueeze(dim: number): Tensor {
    return ops.unsqueeze(this, dim);
  }

  /** Swap two dimensions. */
  transpose(a: number, b: number): Tensor {
    return ops.transpose(this, a, b);
  }

  /** Reorder the dimensions. */
  permute(...dims: number[]): Tensor {
    return ops.permute(this, dims);
  }

  /** Transpose of a matrix. */
  t(): Tensor {
    return ops.t(this);
  }

  /** Broadcast view; -1 keeps a size. */
  expand(...sizes: number[]): Tensor {
    return ops.expand(this, sizes);
  }

  /** Copies along each dimension. */
  repeat(...counts: number[]): Tensor {
    return ops.repeat(this, counts);
  }

  /** Each element `count` times in a row, along `dim`. */
  repeatInterleave(count: number, dim: number): Tensor {
    return ops.repeatInterleave(this, count, dim);
  }

  /** Turn around along `dims`. */
  flip(...dims: number[]): Tensor {
    return ops.flip(this, dims);
  }

  /** Shift with wrap-around along `dims`. */
  roll(shifts: Dims, dims: Dims): Tensor {
    return ops.roll(this, dimList(shifts), dimList(dims));
  }

  // ------------------------------------------------------------------------------------------------ parts

  /** View of `length` entries from `start` along `dim`. */
  narrow(dim: number, start: number, length: number): Tensor {
    return ops.slice(this, dim, start, start + length);
  }

  /** View start:end:step along `dim`; negative counts from the end. */
  slice(dim: number, start: number | null = null, end: number | null = null, step = 1): Tensor {
    return ops.slice(this, dim, start, end, step);
  }

  /** View of entry `index` along `dim`, without that dimension. */
  select(dim: number, index: number): Tensor {
    return ops.select(this, dim, index);
  }

  /** View of the diagonal of two dimensions. */
  diagonal(offset = 0, dim1 = 0, dim2 = 1): Tensor {
    return ops.diagonal(this, offset, dim1, dim2);
  }

  /** Advanced indexing by i64 or bool tensors, one a leading dimension, null for all of it. */
  index(indices: readonly (Tensor | null)[]): Tensor {
    return ops.index(this, indices);
  }

  /** A copy with `values` written at `indices`; added up instead with `accumulate`. */
  indexPut(indices: readonly (Tensor | null)[], values: Tensor, accumulate = false): Tensor {
    return ops.indexPut(this, indices, values, accumulate);
  }

  /** In place `indexPut`. */
  indexPut_(indices: readonly (Tensor | null)[], values: Tensor, accumulate = false): this {
    return ops.indexPut_(this, indices, values, accumulate) as this;
  }

  /** Entries `index` (i64[n]) along `dim`. */
  indexSelect(dim: number, index: Tensor): Tensor {
    return ops.indexSelect(this, dim, index);
  }

  /** In place: add the slices of `source` at `index` along `dim`. */
  indexAdd_(dim: number, index: Tensor, source: Tensor): this {
    return ops.indexAdd_(this, dim, index, source) as this;
  }

  /** out[i][j] = this[index[i][j]][j] for dim 0, and so on. */
  gather(dim: number, index: Tensor): Tensor {
    return ops.gather(this, dim, index);
  }

  /** The inverse of gather: a copy with `source` written at `index`. */
  scatter(dim: number, index: Tensor, source: Tensor): Tensor {
    return ops.scatter(this, dim, index, source);
  }

  /** As scatter, but added up. */
  scatterAdd(dim: number, index: Tensor, source: Tensor): Tensor {
    return ops.scatterAdd(this, dim, index, source);
  }

  /** At most `count` views of equal size along `dim`. */
  chunk(count: number, dim = 0): Tensor[] {
    return ops.chunk(this, count, dim);
  }

  /** Views of the given size, or sizes, along `dim`. */
  split(sizes: Dims, dim = 0): Tensor[] {
    return typeof sizes === 'number' ? ops.splitSize(this, sizes, dim) : ops.splitSizes(this, sizes, dim);
  }

  /** Views of all entries along `dim`. */
  unbind(dim = 0): Tensor[] {
    return ops.unbind(this, dim);
  }

  /** Lower triangle, the rest zero. */
  tril(diagonal = 0): Tensor {
    return ops.tril(this, diagonal);
  }

  /** Upper triangle, the rest zero. */
  triu(diagonal = 0): Tensor {
    return ops.triu(this, diagonal);
  }

  /** Positions of the non-zero elements, i64[n, ndim]. */
  nonzero(): Tensor {
    return ops.nonzero(this);
  }

  // ------------------------------------------------------------------------------------------------ order, draws

  /** Sorted values along `dim` and where they came from. */
  sort(dim = -1, descending = false): { values: Tensor; indices: Tensor } {
    const [values, indices] = ops.sort(this, dim, descending);
    return { values, indices };
  }

  /** Order of the elements along `dim`, i64. */
  argsort(dim = -1, descending = false): Tensor {
    return ops.argsort(this, dim, descending);
  }

  /** The k largest values along `dim`, sorted, and where they stand. */
  topk(k: number, dim = -1, largest = true): { values: Tensor; indices: Tensor } {
    const [values, indices] = ops.topk(this, k, dim, largest);
    return { values, indices };
  }

  /** Draw `count` indices with these weights, per row; i64. */
  multinomial(count: number, replacement = false, generator: Generator | null = null): Tensor {
    return ops.multinomial(this, count, replacement, generator);
  }

  /** One coin per element, with these chances. */
  bernoulli(generator: Generator | null = null): Tensor {
    return ops.bernoulli(this, generator);
  }

  // ------------------------------------------------------------------------------------------------ composition

  /** Pass through modules or functions from left to right. */
  pipe(...stages: Pipeable[]): Tensor {
    let x: Tensor = this;
    for (const stage of stages) x = typeof stage === 'function' ? stage(x) : stage.forward(x);
    return x;
  }
}

setHandleFactory((id) => new Tensor(id));

function dimList(dims: Dims): readonly number[] {
  return typeof dims === 'number' ? [dims] : dims;
}

// -------------------------------------------------------------------------------------------------- making tensors

function finish(tensor: Tensor, options: TensorOptions | undefined): Tensor {
  return options?.requiresGrad ? tensor.requiresGrad_() : tensor;
}

function dtypeOfArray(data: ArrayBufferView): DType {
  if (data instanceof Float32Array) return 'f32';
  if (data instanceof Float64Array) return 'f64';
  if (data instanceof BigInt64Array) return 'i64';
  if (data instanceof Int32Array) return 'i32';
  if (data instanceof Int16Array) return 'i16';
  if (data instanceof Int8Array) return 'i8';
  if (data instanceof Uint8Array) return 'u8';
  throw new TypeError(`tensor: no dtype belongs to ${data.constructor.name}`);
}

/** As many dimensions as libtorch's reductions take. */
const MAX_DEPTH = 64;

function shapeOfNested(data: Nested): number[] {
  const shape: number[] = [];
  let level = data;
  while (Array.isArray(level)) {
    if (shape.length === MAX_DEPTH)
      throw new TypeError(`tensor: the arrays are nested more than ${MAX_DEPTH} deep (does one hold itself?)`);
    const { length } = level;
    if (!Number.isSafeInteger(length) || length < 0) throw new TypeError('tensor: an array has no length');
    shape.push(length);
    if (length === 0) return shape;
    level = level[0]!;
  }
  // Before any memory is taken: an array may claim more elements than it holds.
  if (typeof level !== 'number' && typeof level !== 'boolean') throw wrongElement(level);
  return shape;
}

function wrongElement(value: unknown): TypeError {
  return new TypeError(`tensor: the arrays must hold numbers or booleans, got ${describe(value)}`);
}

function allocate(count: number): Float64Array<ArrayBuffer> {
  try {
    return new Float64Array(count);
  } catch (error) {
    throw new TorchError(`tensor: there is no memory for ${count} numbers`, 'ERR_TORCH_OOM', { cause: error });
  }
}

/**
 * The numbers of nested arrays in row-major order. Exactly `shape` elements are read, whatever getters do to the arrays
 * meanwhile.
 */
function readNested(data: Nested, shape: readonly number[]): { values: Float64Array<ArrayBuffer>; isBool: boolean } {
  const values = allocate(countOf(shape));
  let count = 0;
  let numBools = 0;
  const read = (part: unknown, depth: number): void => {
    if (depth === shape.length) {
      if (Array.isArray(part)) throw new TypeError('tensor: the nested arrays differ in depth');
      if (typeof part === 'boolean') numBools++;
      else if (typeof part !== 'number') throw wrongElement(part);
      values[count++] = Number(part);
      return;
    }
    if (!Array.isArray(part)) throw new TypeError('tensor: the nested arrays differ in depth');
    const size = shape[depth]!;
    if (part.length !== size) throw new TypeError('tensor: the nested arrays differ in length');
    for (let i = 0; i < size; i++) read(part[i], depth + 1);
  };
  read(data, 0);
  return { values, isBool: count > 0 && numBools === count };
}

/** A tensor over a copy of raw little-endian bytes. */
export function fromBytes(data: ArrayBufferView, shape: Shape, dtype: DType): Tensor {
  try {
    return track(new Tensor(native().fromBytes(data, shape, dtype)));
  } catch (error) {
    fail(error, 'fromBytes');
  }
}

/**
 * A tensor from numbers: a typed array (its own dtype, `shape` or one dimension), a number, or nested arrays
 * (f32, or bool for booleans, unless `dtype` says otherwise).
 */
export function tensor(data: Nested | TypedArray, options: TensorOptions & { readonly shape?: Shape } = {}): Tensor {
  let made: Tensor;
  if (ArrayBuffer.isView(data)) {
    made = fromBytes(data, options.shape ?? [data.length], dtypeOfArray(data));
  } else {
    const shape = shapeOfNested(data);
    const { values, isBool } = readNested(data, shape);
    const wide = options.dtype === 'i64' || options.dtype === 'f64' || options.dtype === 'i32';
    const bytes = isBool ? new Uint8Array(values) : wide ? values : new Float32Array(values);
    made = fromBytes(bytes, options.shape ?? shape, isBool ? 'bool' : wide ? 'f64' : 'f32');
  }
  const { dtype, device } = options;
  if ((dtype !== undefined && dtype !== made.dtype) || (device !== undefined && device !== 'cpu')) {
    const source = made;
    made = ops.to(source, dtype ?? null, null, device ?? null);
    source.dispose();
  }
  return finish(made, options);
}

/** Zeros. */
export function zeros(shape: Shape, options: TensorOptions = {}): Tensor {
  return finish(ops.zeros(shape, options.dtype ?? 'f32', null, options.device ?? null), options);
}

/** Ones. */
export function ones(shape: Shape, options: TensorOptions = {}): Tensor {
  return full(shape, 1, options);
}

/** One value everywhere. */
export function full(shape: Shape, value: Scalar, options: TensorOptions = {}): Tensor {
  return finish(ops.full(shape, value, options.dtype ?? 'f32', null, options.device ?? null), options);
}

/** Memory as it lies. */
export function empty(shape: Shape, options: TensorOptions = {}): Tensor {
  return finish(ops.empty(shape, options.dtype ?? 'f32', null, options.device ?? null), options);
}

/** Whole numbers start, start + step, … below `end`, i64 unless `dtype` says otherwise; `arange(n)` counts from 0. */
export function arange(end: number, options?: TensorOptions): Tensor;
export function arange(start: number, end: number, step?: number, options?: TensorOptions): Tensor;
export function arange(first: number, second?: number | TensorOptions, step = 1, last: TensorOptions = {}): Tensor {
  const single = typeof second !== 'number';
  const options = single ? (second ?? {}) : last;
  const whole = Number.isInteger(first) && Number.isInteger(step) && (single || Number.isInteger(second));
  const dtype = options.dtype ?? (whole ? 'i64' : 'f32');
  return finish(
    ops.arange(single ? 0 : first, single ? first : second, step, dtype, null, options.device ?? null),
    options,
  );
}

/** Uniform draws from [0, 1). */
export function rand(shape: Shape, options: TensorOptions & { readonly generator?: Generator } = {}): Tensor {
  return finish(
    ops.rand(shape, options.generator ?? null, options.dtype ?? 'f32', null, options.device ?? null),
    options,
  );
}

/** Draws from the standard normal distribution. */
export function randn(shape: Shape, options: TensorOptions & { readonly generator?: Generator } = {}): Tensor {
  return finish(
    ops.randn(shape, options.generator ?? null, options.dtype ?? 'f32', null, options.device ?? null),
    options,
  );
}

/** Whole numbers drawn from [low, high), i64 unless `dtype` says otherwise. */
export function randint(
  low: number,
  high: number,
  shape: Shape,
  options: TensorOptions & { readonly generator?: Generator } = {},
): Tensor {
  return ops.randint(low, high, shape, options.generator ?? null, options.dtype ?? 'i64', null, options.device ?? null);
}

/** 0 … n-1 in random order, i64. */
export function randperm(n: number, options: TensorOptions & { readonly generator?: Generator } = {}): Tensor {
  return ops.randperm(n, options.generator ?? null, options.dtype ?? 'i64', null, options.device ?? null);
}

/** The identity matrix. */
export function eye(n: number, options: TensorOptions = {}): Tensor {
  return finish(ops.eye(n, options.dtype ?? 'f32', null, options.device ?? null), options);
}

/** Join along an existing dimension. */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  return ops.cat(tensors, dim);
}

/** Join along a new dimension. */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  return ops.stack(tensors, dim);
}

/** `a` where the condition holds, else `b`, broadcast. */
export function where(condition: Tensor, a: Tensor, b: TensorLike): Tensor {
  return a.where(condition, b);
}

/** Sums of products in Einstein's notation, e.g. `einsum('bij,bjk->bik', a, b)`. */
export function einsum(equation: string, ...operands: Tensor[]): Tensor {
  return ops.einsum(equation, operands);
}
