/** A fully connected layer that stays as it is, with a low-rank correction that learns. */
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { Dropout } from './dropout.js';
import { zeros_ } from './fill.js';
import { Int8Linear } from './int8-linear.js';
import { Linear } from './linear.js';
import { Module } from './module.js';
import type { Parameter } from './parameter.js';

/** Options of {@link LoraLinear}. */
export interface LoraOptions {
  /** Width of the correction. */
  readonly rank: number;
  /** Factor of the correction, in PEFT's terms alpha / rank. */
  readonly scale: number;
  /** Probability of dropping an element of the correction's input, in training. */
  readonly dropout?: number;
  /** Dtype of the two factors. */
  readonly dtype?: 'f32' | 'bf16';
}

/**
 * LoRA (2106.09685): `W x + b + scale * B A x`, `float[*, in]` to `float[*, out]`, with A `[rank, in]` drawn and B
 * `[out, rank]` zero, so that it starts as the layer it wraps. It takes over that layer's tensors, frozen and under
 * their own keys; the factors have PEFT's (`lora_A.weight`, `lora_B.weight`).
 */
export class LoraLinear extends Module {
  static readonly keys = { loraA: 'lora_A', loraB: 'lora_B' };
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  /** Of 8-bit weights. */
  readonly scale: Parameter | null;
  readonly loraA: Linear;
  readonly loraB: Linear;
  readonly dropout: Dropout;
  /** Factor of the correction. */
  readonly loraScale: number;
  readonly #base: Linear | Int8Linear;

  constructor(base: Linear | Int8Linear, { rank, scale, dropout = 0, dtype = 'f32' }: LoraOptions) {
    super();
    this.#base = base;
    this.weight = base.weight;
    this.bias = base.bias;
    this.scale = base instanceof Int8Linear ? base.scale : null;
    base.requiresGrad_(false);
    const [outDim, inDim] = this.weight.shape as [number, number];
    const placement = { bias: false, dtype, device: this.weight.device } as const;
    // A is drawn as every linear layer is, which is PEFT's default too.
    this.loraA = new Linear(inDim, rank, placement);
    this.loraB = new Linear(rank, outDim, placement);
    zeros_(this.loraB.weight);
    this.dropout = new Dropout(dropout);
    this.loraScale = scale;
  }

  /** `float[*, in]` to `float[*, out]` in the dtype of `x`; the correction is computed in that of its factors. */
  forward(x: Tensor): Tensor {
    return scope(() => {
      const correction = x.to(this.loraA.weight.dtype).pipe(this.dropout, this.loraA, this.loraB).mul(this.loraScale);
      return this.#base.forward(x).add(correction.to(x.dtype));
    });
  }
}
