/** Layers that hold other layers, or nothing. */
import type { Tensor } from '../tensor.js';
import { type Layer, Module } from './module.js';

/** Applies its layers one after another; state-dict keys are `0.`, `1.` and so on. */
export class Sequential extends Module {
  static readonly keys = { layers: '' };
  readonly layers: readonly Layer[];

  constructor(...layers: readonly Layer[]) {
    super();
    this.layers = layers;
  }

  /** What the last layer makes of what the one before made, and so on down to `x`. */
  forward(x: Tensor): Tensor {
    return this.layers.reduce((y, layer) => layer.forward(y), x);
  }
}

/** Returns what it is given. */
export class Identity extends Module {
  /** `x` itself. */
  forward(x: Tensor): Tensor {
    return x;
  }
}
