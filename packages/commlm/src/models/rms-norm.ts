/** Norms of the decoder. */
import { cat, F, nn, ones, scope, type Tensor, zeros } from '@commlm/torch';
import type { LlamaConfig } from '../config/model.js';

// Shapes: E width that is normed.

/**
 * x / sqrt(mean(x^2) + eps) * w. On a CPU the fused kernel's backward in bf16 takes twice as long as LayerNorm's, so
 * rows that need a gradient go through LayerNorm of [x, -x]: its mean is 0 and its variance is mean(x^2), exactly.
 */
export class RmsNorm extends nn.Module {
  readonly weight: nn.Parameter;
  readonly #eps: number;

  constructor(width: number, eps: number) {
    super();
    this.#eps = eps;
    this.weight = scope(() => new nn.Parameter(ones([width])));
  }

  /** float[*, E] -> float[*, E]. */
  forward(x: Tensor): Tensor {
    if (x.device !== 'cpu' || !(x.requiresGrad || this.weight.requiresGrad))
      return F.rmsNorm(x, this.weight, this.#eps);
    const width = this.weight.shape[0]!;
    const mirrored = cat([x, x.neg()], -1);
    const weights = cat([this.weight, this.weight.detach()]);
    return F.layerNorm(mirrored, 2 * width, weights, null, this.#eps).narrow(-1, 0, width);
  }
}

/** x / sqrt(mean(x^2) + eps) * (1 + w) in f32, rounded once at the end (Gemma). */
export class OffsetRmsNorm extends nn.Module {
  readonly weight: nn.Parameter;
  readonly #eps: number;

  constructor(width: number, eps: number) {
    super();
    this.#eps = eps;
    this.weight = scope(() => new nn.Parameter(zeros([width])));
  }

  /** float[*, E] -> float[*, E]. */
  forward(x: Tensor): Tensor {
    return F.rmsNorm(x.to('f32'), this.weight.to('f32').add(1), this.#eps).to(x.dtype);
  }
}

/** Any norm of a decoder. */
export type Norm = RmsNorm | OffsetRmsNorm | nn.LayerNorm;

/** The norm that a config asks for. */
export function buildNorm(width: number, { norm = 'rms', rmsNormEps: eps }: LlamaConfig): Norm {
  switch (norm) {
    case 'rms':
      return new RmsNorm(width, eps);
    case 'rms-offset':
      return new OffsetRmsNorm(width, eps);
    case 'layer':
      return new nn.LayerNorm(width, { eps });
  }
}
