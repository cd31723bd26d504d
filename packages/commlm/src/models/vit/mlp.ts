/** The MLPs of an encoder: plain, and gated. */
import { F, nn, type Tensor } from '@commlm/torch';
import type { ViTConfig } from '../../config/model.js';
import { activate } from '../activation.js';

// Shapes: B images, S tokens, D width, F width inside.

/** D -> F -> D with an activation between. */
export class ViTMlp extends nn.Module {
  readonly fc1: nn.Linear;
  readonly norm: nn.LayerNorm | nn.Identity;
  readonly fc2: nn.Linear;
  readonly #act: ViTConfig['act'];

  constructor(vit: ViTConfig) {
    super();
    this.#act = vit.act;
    this.fc1 = new nn.Linear(vit.hiddenSize, vit.intermediateSize);
    this.norm = innerNorm(vit);
    this.fc2 = new nn.Linear(vit.intermediateSize, vit.hiddenSize);
  }

  /** float[B, S, D] -> float[B, S, D]. */
  forward(x_BSD: Tensor): Tensor {
    return activate(this.fc1.forward(x_BSD), this.#act).pipe(this.norm, this.fc2);
  }
}

/** fc2(silu(gate) * value), gate and value from one fused projection (SwiGLU, 2002.05202). */
export class ViTSwiGlu extends nn.Module {
  readonly fc1: nn.Linear;
  readonly norm: nn.LayerNorm | nn.Identity;
  readonly fc2: nn.Linear;

  constructor(vit: ViTConfig) {
    super();
    this.fc1 = new nn.Linear(vit.hiddenSize, 2 * vit.intermediateSize);
    this.norm = innerNorm(vit);
    this.fc2 = new nn.Linear(vit.intermediateSize, vit.hiddenSize);
  }

  /** float[B, S, D] -> float[B, S, D]. */
  forward(x_BSD: Tensor): Tensor {
    const [gate, value] = this.fc1.forward(x_BSD).chunk(2, -1) as [Tensor, Tensor];
    return F.silu(gate).mul(value).pipe(this.norm, this.fc2);
  }
}

/** The norm before the last map under sub-LN (EVA-02, 2303.11331). */
const innerNorm = ({ subNorm, intermediateSize, layerNormEps: eps }: ViTConfig): nn.LayerNorm | nn.Identity =>
  subNorm === undefined ? new nn.Identity() : new nn.LayerNorm(intermediateSize, { eps });

/** The MLP that a config asks for. */
export const buildMlp = (vit: ViTConfig): ViTMlp | ViTSwiGlu =>
  vit.mlp === 'swiglu' ? new ViTSwiGlu(vit) : new ViTMlp(vit);
