/**
 * Stateless building blocks of neural networks: thin, documented doors to the ATen operators that modules use.
 *
 * Shapes: `B` batch, `N` positions, `D` width, `C` channels, `H`/`W` height and width, `V` classes, `*` any leading axes.
 */
import { op } from './ops.js';
import type { Tensor } from './tensor.js';

const linearOp = op('aten::linear');
const layerNormOp = op('aten::layer_norm');
const rmsNormOp = op('aten::rms_norm');
const embeddingOp = op('aten::embedding');
const geluOp = op('aten::gelu');
const siluOp = op('aten::silu');
const softmaxOp = op('aten::softmax.int');
const logSoftmaxOp = op('aten::log_softmax.int');
const dropoutOp = op('aten::dropout');
const attentionOp = op('aten::scaled_dot_product_attention');
const crossEntropyOp = op('aten::cross_entropy_loss');
const conv2dOp = op('aten::conv2d');
const bicubicOp = op('aten::upsample_bicubic2d.vec');
const bicubicAaOp = op('aten::_upsample_bicubic2d_aa.vec');
const bilinearOp = op('aten::upsample_bilinear2d.vec');
const bilinearAaOp = op('aten::_upsample_bilinear2d_aa.vec');
const nearestOp = op('aten::upsample_nearest2d.vec');
const vectorNormOp = op('aten::linalg_vector_norm');
const clampMinOp = op('aten::clamp_min');
const divOp = op('aten::div.Tensor');
const padOp = op('aten::pad');
const oneHotOp = op('aten::one_hot');
const batchNormOp = op('aten::batch_norm');

/** How a loss folds its values: their mean, their sum, or no folding. */
export type Reduction = 'mean' | 'sum' | 'none';

const REDUCTIONS = { none: 0, mean: 1, sum: 2 } as const;

/** `x w^T + b`: `float[*, in]` by `float[out, in]` and `float[out]` gives `float[*, out]`. */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  return linearOp(x, weight, bias);
}

/** Layer normalisation over the trailing axes `shape` (a number is the last axis): `float[*, D]` to `float[*, D]`. */
export function layerNorm(
  x: Tensor,
  shape: number | readonly number[],
  weight: Tensor | null = null,
  bias: Tensor | null = null,
  eps = 1e-5,
): Tensor {
  return layerNormOp(x, typeof shape === 'number' ? [shape] : shape, weight, bias, eps);
}

/**
 * Root-mean-square normalisation over the last axis: `x / sqrt(mean(x^2) + eps) * weight`, `float[*, D]` to `float[*, D]`.
 * bf16 and f16 are normalised in f32 and rounded once at the end.
 */
export function rmsNorm(x: Tensor, weight: Tensor | null = null, eps = 1e-6): Tensor {
  return rmsNormOp(x, [lastDim(x)], weight, eps);
}

/** Rows of a table by index: `int[*]` and `float[V, D]` give `float[*, D]`; row `paddingIdx` receives no gradient. */
export function embedding(indices: Tensor, weight: Tensor, { paddingIdx = -1 }: { paddingIdx?: number } = {}): Tensor {
  return embeddingOp(weight, indices, paddingIdx);
}

/** Gaussian error linear unit, exact (`'none'`) or by its tanh approximation: `float[*]` to `float[*]`. */
export function gelu(x: Tensor, approximate: 'none' | 'tanh' = 'none'): Tensor {
  return geluOp(x, approximate);
}

/** `x * sigmoid(x)`: `float[*]` to `float[*]`. */
export function silu(x: Tensor): Tensor {
  return siluOp(x);
}

/** Exponentials normalised to sum 1 along `dim`: `float[*]` to `float[*]`. */
export function softmax(x: Tensor, dim: number): Tensor {
  return softmaxOp(x, dim);
}

/** Logarithm of {@link softmax}, without overflow: `float[*]` to `float[*]`. */
export function logSoftmax(x: Tensor, dim: number): Tensor {
  return logSoftmaxOp(x, dim);
}

/** Zeroes each element with probability `p` and divides the rest by `1 - p`; returns `x` unchanged outside training. */
export function dropout(x: Tensor, p: number, training = true): Tensor {
  return training && p > 0 ? dropoutOp(x, p, true) : x;
}

/** What {@link scaledDotProductAttention} takes besides queries, keys and values. */
export interface AttentionOptions {
  /** `bool[*, Nq, Nk]`, true where a query may look, or `float[*, Nq, Nk]` added to the scores. */
  mask?: Tensor | null | undefined;
  /** Query `i` sees keys `0..i` only; not together with `mask`. */
  isCausal?: boolean | undefined;
  /** Factor of the scores, `1 / sqrt(D)` by default. */
  scale?: number | undefined;
  /** Probability of dropping an attention weight. */
  dropout?: number | undefined;
}

/**
 * `softmax(q k^T * scale + mask) v` by the fastest kernel at hand: `float[B, Hq, Nq, D]`, `float[B, Hk, Nk, D]`,
 * `float[B, Hk, Nk, Dv]` to `float[B, Hq, Nq, Dv]`. Fewer key heads than query heads are shared in equal groups.
 */
export function scaledDotProductAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { mask = null, isCausal = false, scale, dropout: p = 0 }: AttentionOptions = {},
): Tensor {
  const grouped = q.shape.length > 2 && q.shape.at(-3) !== k.shape.at(-3);
  return attentionOp(q, k, v, mask, p, isCausal, scale ?? null, grouped);
}

/** What {@link crossEntropy} takes besides logits and targets. */
export interface CrossEntropyOptions {
  /** Targets of this value count neither in the sum nor in the mean; -100 by default. */
  ignoreIndex?: number;
  reduction?: Reduction;
  /** Share of the target's weight spread over all classes. */
  labelSmoothing?: number;
  /** `float[V]`, the weight of each class. */
  weight?: Tensor | null;
}

/**
 * Cross-entropy of logits `float[N, V]` (or `float[N, V, *]`) against classes `i64[N]` (or `i64[N, *]`), in nats.
 * The mean over zero counted targets is NaN, as in PyTorch.
 */
export function crossEntropy(
  logits: Tensor,
  targets: Tensor,
  { ignoreIndex = -100, reduction = 'mean', labelSmoothing = 0, weight = null }: CrossEntropyOptions = {},
): Tensor {
  return crossEntropyOp(logits, targets, weight, REDUCTIONS[reduction], ignoreIndex, labelSmoothing);
}

/** A size along height and width; one number means both. */
export type Pair = number | readonly [number, number];

/** What {@link conv2d} takes besides its tensors. */
export interface Conv2dOptions {
  stride?: Pair;
  padding?: Pair;
  dilation?: Pair;
  groups?: number;
}

/** Two-dimensional cross-correlation: `float[B, C, H, W]` by `float[O, C / groups, kH, kW]` gives `float[B, O, H', W']`. */
export function conv2d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  { stride = 1, padding = 0, dilation = 1, groups = 1 }: Conv2dOptions = {},
): Tensor {
  return conv2dOp(x, weight, bias, pair(stride), pair(padding), pair(dilation), groups);
}

/** What {@link interpolate} takes besides the pictures. */
export interface InterpolateOptions {
  /** Height and width of the result, in pixels. */
  size: Pair;
  mode: 'bicubic' | 'bilinear' | 'nearest';
  /** Widen the filter when shrinking, as Pillow does; 'bicubic' and 'bilinear' only. */
  antialias?: boolean;
  /** Map corner centres onto corner centres; 'bicubic' and 'bilinear' only. */
  alignCorners?: boolean;
}

/** Resamples pictures: `float[B, C, H, W]` to `float[B, C, size[0], size[1]]`. */
export function interpolate(
  x: Tensor,
  { size, mode, antialias = false, alignCorners = false }: InterpolateOptions,
): Tensor {
  const [height, width] = pair(size);
  if (mode === 'nearest') {
    if (antialias || alignCorners)
      throw new TypeError("interpolate: 'nearest' takes neither antialias nor alignCorners");
    return nearestOp(x, [height, width], null);
  }
  const resample = mode === 'bicubic' ? (antialias ? bicubicAaOp : bicubicOp) : antialias ? bilinearAaOp : bilinearOp;
  return resample(x, [height, width], alignCorners, null);
}

/** Divides by the Euclidean length along `dim`, which is taken as at least `eps`: `float[*]` to `float[*]`. */
export function normalize(x: Tensor, dim = -1, eps = 1e-12): Tensor {
  return divOp(x, clampMinOp(vectorNormOp(x, 2, [dim], true), eps));
}

/** What {@link pad} takes besides the widths. */
export interface PadOptions {
  mode?: 'constant' | 'reflect' | 'replicate' | 'circular';
  /** What a constant padding is filled with. */
  value?: number;
}

/** Pads from the last axis backwards; `widths` is `[left, right, top, bottom, ...]`, negative widths crop. */
export function pad(x: Tensor, widths: readonly number[], { mode = 'constant', value = 0 }: PadOptions = {}): Tensor {
  return padOp(x, widths, mode, mode === 'constant' ? value : null);
}

/** Classes as unit vectors: `i64[*]` to `i64[*, numClasses]`; without `numClasses` one more than the largest index. */
export function oneHot(indices: Tensor, numClasses = -1): Tensor {
  return oneHotOp(indices, numClasses);
}

/** What {@link batchNorm} takes besides its tensors. */
export interface BatchNormOptions {
  weight?: Tensor | null;
  bias?: Tensor | null;
  /** Normalise by this batch and update the running statistics in place. */
  training?: boolean;
  /** Share of the new batch in the running statistics. */
  momentum?: number;
  eps?: number;
}

/** Normalises each channel: `float[B, C, *]` with statistics `float[C]` to `float[B, C, *]`. */
export function batchNorm(
  x: Tensor,
  runningMean: Tensor | null,
  runningVar: Tensor | null,
  { weight = null, bias = null, training = false, momentum = 0.1, eps = 1e-5 }: BatchNormOptions = {},
): Tensor {
  return batchNormOp(x, weight, bias, runningMean, runningVar, training, momentum, eps, true);
}

function pair(size: Pair): readonly [number, number] {
  return typeof size === 'number' ? [size, size] : size;
}

function lastDim(x: Tensor): number {
  const size = x.shape.at(-1);
  if (size === undefined) throw new TypeError('rmsNorm: the input has no axis to normalise');
  return size;
}
