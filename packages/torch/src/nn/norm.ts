/** Normalisation layers. */

import { noGrad } from '../autograd.js';
import { batchNorm, layerNorm, rmsNorm } from '../functional.js';
import { op } from '../ops.js';
import type { Tensor } from '../tensor.js';
import { ones_, zeros_ } from './fill.js';
import { Module } from './module.js';
import { type Buffer, newBuffer, newParameter, type Parameter } from './parameter.js';
import type { Placement } from './placement.js';

const addOneOp = op('aten::add_.Scalar');

/** Options of {@link LayerNorm}. */
export interface LayerNormOptions extends Placement {
  eps?: number;
  /** Whether there is a shift beside the scale. */
  bias?: boolean;
  /** Whether there are a scale and a shift at all. */
  affine?: boolean;
}

/** Layer normalisation over the last axis (1607.06450): `float[*, D]` to `float[*, D]`. */
export class LayerNorm extends Module {
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;
  readonly dim: number;
  readonly eps: number;

  constructor(dim: number, { eps = 1e-5, bias = true, affine = true, ...placement }: LayerNormOptions = {}) {
    super();
    this.dim = dim;
    this.eps = eps;
    this.weight = affine ? newParameter([dim], placement, ones_) : null;
    this.bias = affine && bias ? newParameter([dim], placement, zeros_) : null;
  }

  /** `float[*, D]` to `float[*, D]`. */
  forward(x: Tensor): Tensor {
    return layerNorm(x, this.dim, this.weight, this.bias, this.eps);
  }
}

/** Root-mean-square normalisation over the last axis (1910.07467): `float[*, D]` to `float[*, D]`. */
export class RmsNorm extends Module {
  readonly weight: Parameter;
  readonly eps: number;

  constructor(dim: number, { eps = 1e-6, ...placement }: { eps?: number } & Placement = {}) {
    super();
    this.eps = eps;
    this.weight = newParameter([dim], placement, ones_);
  }

  /** `float[*, D]` to `float[*, D]`. */
  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight, this.eps);
  }
}

/** Options of {@link BatchNorm2d}. */
export interface BatchNorm2dOptions extends Placement {
  eps?: number;
  /** Share of the new batch in the running statistics. */
  momentum?: number;
}

/** Batch normalisation of each channel (1502.03167): `float[B, C, H, W]` to `float[B, C, H, W]`. */
export class BatchNorm2d extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly runningMean: Buffer;
  readonly runningVar: Buffer;
  readonly numBatchesTracked: Buffer;
  readonly eps: number;
  readonly momentum: number;

  constructor(numChannels: number, { eps = 1e-5, momentum = 0.1, ...placement }: BatchNorm2dOptions = {}) {
    super();
    this.eps = eps;
    this.momentum = momentum;
    this.weight = newParameter([numChannels], placement, ones_);
    this.bias = newParameter([numChannels], placement, zeros_);
    this.runningMean = newBuffer([numChannels], placement, zeros_);
    this.runningVar = newBuffer([numChannels], placement, ones_);
    this.numBatchesTracked = newBuffer([], { ...placement, dtype: 'i64' }, zeros_);
  }

  /** `float[B, C, H, W]` to `float[B, C, H, W]`; in training it also updates the running statistics. */
  forward(x: Tensor): Tensor {
    const { weight, bias, training, momentum, eps } = this;
    if (training) noGrad(() => addOneOp(this.numBatchesTracked, 1));
    return batchNorm(x, this.runningMean, this.runningVar, { weight, bias, training, momentum, eps });
  }
}
