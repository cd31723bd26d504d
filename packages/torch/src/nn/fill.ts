/** Initialisers of one tensor: they fill it in place, without recording a gradient, and return it. */
import { noGrad } from '../autograd.js';
import { op } from '../ops.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';

const normalOp = op('aten::normal_');
const uniformOp = op('aten::uniform_');
const fillOp = op('aten::fill_.Scalar');
const emptyLikeOp = op('aten::empty_like');
const whereOp = op('aten::where.self');

/** Fills with draws from the normal distribution of `mean` and `std`. */
export function normal_(tensor: Tensor, mean = 0, std = 1): Tensor {
  return noGrad(() => normalOp(tensor, mean, std));
}

/** Fills with draws from the uniform distribution over `[low, high)`. */
export function uniform_(tensor: Tensor, low = 0, high = 1): Tensor {
  return noGrad(() => uniformOp(tensor, low, high));
}

/** Fills with one value. */
export function constant_(tensor: Tensor, value: number): Tensor {
  return noGrad(() => fillOp(tensor, value));
}

/** Fills with 0. */
export function zeros_(tensor: Tensor): Tensor {
  return constant_(tensor, 0);
}

/** Fills with 1. */
export function ones_(tensor: Tensor): Tensor {
  return constant_(tensor, 1);
}

/**
 * Fills with draws from the normal distribution of `mean` and `std`, drawn again until they fall into `[low, high]`.
 * The interval has to hold `mean` and be at least `std / 2` wide, else nearly every draw would be rejected.
 */
export function truncNormal_(tensor: Tensor, mean = 0, std = 1, low = -2, high = 2): Tensor {
  if (!(low <= mean && mean <= high && high - low >= std / 2)) {
    throw new RangeError(
      `truncNormal_: [${low}, ${high}] must hold the mean ${mean} and be at least half of std ${std} wide`,
    );
  }
  if (tensor.device === 'meta') return tensor;
  noGrad(() => {
    normalOp(tensor, mean, std);
    while (redrawOutside(tensor, mean, std, low, high));
  });
  return tensor;
}

/** One round of rejection; false when nothing had to be drawn again. */
function redrawOutside(tensor: Tensor, mean: number, std: number, low: number, high: number): boolean {
  return scope(() => {
    const outside = tensor.lt(low).logicalOr(tensor.gt(high));
    if (Number(outside.any().item()) === 0) return false;
    tensor.copy_(whereOp(outside, normalOp(emptyLikeOp(tensor), mean, std), tensor));
    return true;
  });
}

/** Uniform over `+-gain * sqrt(6 / (fanIn + fanOut))` (Glorot and Bengio, 2010). */
export function xavierUniform_(tensor: Tensor, gain = 1): Tensor {
  const { fanIn, fanOut } = fans(tensor.shape);
  const bound = gain * Math.sqrt(6 / (fanIn + fanOut));
  return uniform_(tensor, -bound, bound);
}

/**
 * Uniform over `+-sqrt(6 / ((1 + slope^2) fanIn))` (He et al., 2015) for a leaky ReLU of that negative slope.
 * `Linear` and `Conv2d` use slope sqrt(5), that is `+-1 / sqrt(fanIn)`.
 */
export function kaimingUniform_(tensor: Tensor, slope = 0): Tensor {
  // The order of operations is PyTorch's, so that equal seeds give equal bits.
  const gain = Math.sqrt(2 / (1 + slope ** 2));
  const std = gain / Math.sqrt(fans(tensor.shape).fanIn);
  const bound = Math.sqrt(3) * std;
  return uniform_(tensor, -bound, bound);
}

/** Inputs and outputs of one unit of a weight `[out, in, ...kernel]`. */
export function fans(shape: readonly number[]): { fanIn: number; fanOut: number } {
  const [out, inner, ...kernel] = shape;
  if (out === undefined || inner === undefined) {
    throw new TypeError(`fans need a weight of at least two axes, got [${shape.join(', ')}]`);
  }
  const receptive = kernel.reduce((area, size) => area * size, 1);
  return { fanIn: inner * receptive, fanOut: out * receptive };
}
