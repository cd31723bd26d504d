/** A learned factor for each channel of a residual branch. */
import type { Tensor } from '../tensor.js';
import { constant_ } from './fill.js';
import { Module } from './module.js';
import { newParameter, type Parameter } from './parameter.js';
import type { Placement } from './placement.js';

/** LayerScale (2103.17239): `lambda1 * x`, `float[*, D]` to `float[*, D]`. */
export class LayerScale extends Module {
  /** `float[D]`, named as in Hugging Face checkpoints. */
  readonly lambda1: Parameter;

  /** @param init where every factor starts. */
  constructor(dim: number, { init = 1e-5, ...placement }: { init?: number } & Placement = {}) {
    super();
    this.lambda1 = newParameter([dim], placement, (scale) => constant_(scale, init));
  }

  /** `float[*, D]` to `float[*, D]`. */
  forward(x: Tensor): Tensor {
    return x.mul(this.lambda1);
  }
}
