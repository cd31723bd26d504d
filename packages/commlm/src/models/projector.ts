/** From the encoders' width to the language model's. */
import { nn, type Tensor } from '@commlm/torch';
import type { ProjectorConfig } from '../config/model.js';
import { activate } from './activation.js';
import { initLinears } from './vit.js';

// Shapes: B images, N visual tokens, W fused encoder width, E language-model width.

/** The last Linear of COMM (eq. 6), or LLaVA-1.5's `mlp2x_gelu`: Linear, activation, Linear. */
export class Projector extends nn.Module {
  readonly layers: nn.Linear[];
  readonly #config: ProjectorConfig;

  constructor(fromWidth: number, toWidth: number, config: ProjectorConfig) {
    super();
    this.#config = config;
    const count = config.kind === 'linear' ? 1 : config.layers;
    this.layers = Array.from({ length: count }, (_, i) => new nn.Linear(i === 0 ? fromWidth : toWidth, toWidth));
    initLinears(this, 0.02);
  }

  /** float[B, N, W] -> float[B, N, E]. */
  forward(x_BNW: Tensor): Tensor {
    const config = this.#config;
    return this.layers.reduce((x, layer, i) => {
      const input = i > 0 && config.kind === 'mlp' ? activate(x, config.act) : x;
      return layer.forward(input);
    }, x_BNW);
  }
}
