/** The fully connected layer with 8-bit weights, which stay as they are. */
import { isGradEnabled, noGrad } from '../autograd.js';
import { linear } from '../functional.js';
import { untypedOp } from '../ops.js';
import { scope } from '../scope.js';
import { empty, type Tensor } from '../tensor.js';
import type { Linear } from './linear.js';
import { Module } from './module.js';
import { Parameter } from './parameter.js';
import { factoryOptions, type Placement } from './placement.js';

const quantizeRowsOp = untypedOp('commtorch::quantize_rows') as (weight: Tensor) => [Tensor, Tensor];
const int8LinearOp = untypedOp('commtorch::int8_linear') as (
  x: Tensor,
  weight: Tensor,
  scale: Tensor,
  bias: Tensor | null,
) => Tensor;

/**
 * A matrix in 8 bits, symmetric with one scale a row: `float[out, in]` to `i8[out, in]` in -127..127 and `bf16[out]`, with
 * `weight[n] ~ scale[n] * quantized[n]`. The scale is the largest value of the row over 127, rounded up to bf16.
 * @throws TorchError where the matrix holds NaN or infinity.
 */
export function quantizeRows(weight: Tensor): { weight: Tensor; scale: Tensor } {
  return noGrad(() => {
    const [quantized, scale] = quantizeRowsOp(weight.detach());
    return { weight: quantized, scale };
  });
}

/**
 * `x W^T + b` like {@link Linear}, with the weight in 8 bits and activations as they come: `float[*, in]` to
 * `float[*, out]`. Weight `i8[out, in]`, scale `bf16[out]`. Not trainable itself; gradients reach its input, for which the
 * graph holds the weight in the input's dtype.
 */
export class Int8Linear extends Module {
  readonly weight: Parameter;
  readonly scale: Parameter;
  readonly bias: Parameter | null;

  constructor(inDim: number, outDim: number, { bias = true, ...placement }: { bias?: boolean } & Placement = {}) {
    super();
    const { device } = factoryOptions(placement);
    const place = device === undefined ? {} : { device };
    const frozen = (shape: readonly number[], dtype: 'i8' | 'bf16'): Parameter =>
      scope(() => new Parameter(empty(shape, { ...place, dtype }).zero_(), { requiresGrad: false }));
    this.weight = frozen([outDim, inDim], 'i8');
    this.scale = frozen([outDim], 'bf16');
    this.bias = bias ? frozen([outDim], 'bf16') : null;
  }

  /** An empty layer of the shape of another one; weights come by `loadStateDict`. */
  static like({ weight, bias }: Linear): Int8Linear {
    const [outDim, inDim] = weight.shape as [number, number];
    return new Int8Linear(inDim, outDim, { bias: bias !== null, device: weight.device });
  }

  /** The same map as `layer`, whose weights are quantised; `layer` stays as it is. */
  static from(layer: Linear): Int8Linear {
    const made = Int8Linear.like(layer);
    scope(() => {
      const { weight, scale } = quantizeRows(layer.weight);
      const bias = layer.bias === null ? [] : [['bias', layer.bias.detach()] as const];
      made.loadStateDict(new Map([['weight', weight], ['scale', scale], ...bias]), { assign: true });
    });
    return made;
  }

  /** `float[*, in]` to `float[*, out]`. */
  forward(x: Tensor): Tensor {
    if (x.device === 'cpu' && !(x.requiresGrad && isGradEnabled()))
      return int8LinearOp(x, this.weight, this.scale, this.bias);
    return scope(() => {
      const product = linear(x, this.weight.to(x.dtype)).mul_(this.scale.to(x.dtype));
      return this.bias === null ? product : product.add_(this.bias.to(x.dtype));
    });
  }
}
