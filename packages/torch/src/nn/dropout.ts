/** Dropout as a layer. */
import { dropout } from '../functional.js';
import type { Tensor } from '../tensor.js';
import { Module } from './module.js';

/** In training zeroes each element with probability `p` and divides the rest by `1 - p`; otherwise the identity. */
export class Dropout extends Module {
  readonly p: number;

  constructor(p = 0.5) {
    super();
    if (!(p >= 0 && p <= 1)) throw new RangeError(`Dropout: the probability ${p} is not in [0, 1]`);
    this.p = p;
  }

  /** `float[*]` to `float[*]`. */
  forward(x: Tensor): Tensor {
    return dropout(x, this.p, this.training);
  }
}
