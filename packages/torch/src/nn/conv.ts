/** The two-dimensional convolution. */
import { type Conv2dOptions, conv2d, type Pair } from '../functional.js';
import type { Tensor } from '../tensor.js';
import { kaimingUniform_, uniform_ } from './fill.js';
import { Module } from './module.js';
import { newParameter, type Parameter } from './parameter.js';
import type { Placement } from './placement.js';

/** Convolution: `float[B, in, H, W]` to `float[B, out, H', W']`; weight `[out, in / groups, kH, kW]`, drawn as PyTorch does. */
export class Conv2d extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  readonly options: Readonly<Conv2dOptions>;

  constructor(
    inChannels: number,
    outChannels: number,
    kernelSize: Pair,
    { bias = true, dtype, device, ...options }: { bias?: boolean } & Conv2dOptions & Placement = {},
  ) {
    super();
    this.options = options;
    const [kH, kW] = typeof kernelSize === 'number' ? [kernelSize, kernelSize] : kernelSize;
    const shape = [outChannels, inChannels / (options.groups ?? 1), kH, kW] as const;
    const bound = 1 / Math.sqrt(shape[1] * kH * kW);
    this.weight = newParameter(shape, { dtype, device }, (w) => kaimingUniform_(w, Math.sqrt(5)));
    this.bias = bias ? newParameter([outChannels], { dtype, device }, (b) => uniform_(b, -bound, bound)) : null;
  }

  /** `float[B, in, H, W]` to `float[B, out, H', W']`. */
  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias, this.options);
  }
}
