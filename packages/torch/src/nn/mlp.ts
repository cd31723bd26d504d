/** The two-layer perceptron of a transformer block. */
import { gelu } from '../functional.js';
import type { Tensor } from '../tensor.js';
import { Linear } from './linear.js';
import { Module } from './module.js';
import type { Placement } from './placement.js';

/** Options of {@link Mlp}. */
export interface MlpOptions extends Placement {
  /** Width of the output, that of the input by default. */
  outDim?: number;
  /** What stands between the layers, exact GELU by default. */
  activation?: (x: Tensor) => Tensor;
  bias?: boolean;
}

/** `fc2(activation(fc1(x)))`: `float[*, D]` to `float[*, outDim]`. */
export class Mlp extends Module {
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly activation: (x: Tensor) => Tensor;

  constructor(dim: number, hiddenDim: number, { outDim = dim, activation, ...options }: MlpOptions = {}) {
    super();
    this.fc1 = new Linear(dim, hiddenDim, options);
    this.fc2 = new Linear(hiddenDim, outDim, options);
    this.activation = activation ?? ((x) => gelu(x));
  }

  /** `float[*, D]` to `float[*, outDim]`. */
  forward(x: Tensor): Tensor {
    return this.fc2.forward(this.activation(this.fc1.forward(x)));
  }
}
