/** Stochastic depth as a layer. */
import { op } from '../ops.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { Module } from './module.js';

const emptyOp = op('aten::empty.memory_format');
const bernoulliOp = op('aten::bernoulli_.float');

/**
 * Stochastic depth (1603.09382): in training a residual branch is left out for whole samples with probability `rate`, and
 * divided by `1 - rate` where it stays; otherwise the identity.
 */
export class DropPath extends Module {
  #rate = 0;

  constructor(rate = 0) {
    super();
    this.rate = rate;
  }

  /** Probability that a sample goes without the branch. */
  get rate(): number {
    return this.#rate;
  }

  set rate(rate: number) {
    if (!(rate >= 0 && rate < 1)) throw new RangeError(`DropPath: the rate ${rate} is not in [0, 1)`);
    this.#rate = rate;
  }

  /** `float[B, *]` to `float[B, *]`. */
  forward(x: Tensor): Tensor {
    if (this.#rate === 0 || !this.training) return x;
    const kept = 1 - this.#rate;
    return scope(() => {
      const { shape, dtype, device } = x;
      const mask = emptyOp([shape[0]!, ...shape.slice(1).map(() => 1)], dtype, null, device);
      return x.mul(bernoulliOp(mask, kept).div_(kept));
    });
  }
}
