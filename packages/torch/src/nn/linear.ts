/** The fully connected layer. */
import { linear } from '../functional.js';
import type { Tensor } from '../tensor.js';
import { kaimingUniform_, uniform_ } from './fill.js';
import { Module } from './module.js';
import { newParameter, type Parameter } from './parameter.js';
import type { Placement } from './placement.js';

/** `x W^T + b`: `float[*, in]` to `float[*, out]`; weight `[out, in]`, drawn as PyTorch does. */
export class Linear extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | null;

  constructor(inDim: number, outDim: number, { bias = true, ...placement }: { bias?: boolean } & Placement = {}) {
    super();
    this.weight = newParameter([outDim, inDim], placement, (w) => kaimingUniform_(w, Math.sqrt(5)));
    const bound = inDim > 0 ? 1 / Math.sqrt(inDim) : 0;
    this.bias = bias ? newParameter([outDim], placement, (b) => uniform_(b, -bound, bound)) : null;
  }

  /** `float[*, in]` to `float[*, out]`. */
  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }
}
