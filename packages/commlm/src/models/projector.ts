/** From the encoders' width to the language model's. */
import { nn, type Tensor } from '@commlm/torch';
import type { ProjectorConfig } from '../config/model.js';
import { activate } from './activation.js';

// Shapes: B images, N visual tokens, W fused encoder width, E language-model width.

/**
 * The last Linear of COMM (eq. 6); LLaVA-1.5's `mlp2x_gelu`: Linear, activation, Linear; or nanoVLM's pixel shuffle, where
 * f x f neighbouring tokens lie side by side on the channels before one Linear.
 */
export class Projector extends nn.Module {
  readonly layers: nn.Linear[];
  readonly #config: ProjectorConfig;

  constructor(fromWidth: number, toWidth: number, config: ProjectorConfig) {
    super();
    this.#config = config;
    const widths = [inputWidth(fromWidth, config), ...innerWidths(toWidth, config), toWidth];
    const bias = config.bias ?? true;
    this.layers = widths.slice(1).map((width, i) => new nn.Linear(widths[i]!, width, { bias }));
    nn.init.normalLinears_(this, 0.02);
  }

  /** float[B, N, W] -> float[B, N, E]; with a pixel shuffle of f, float[B, N / f^2, E]. */
  forward(x_BNW: Tensor): Tensor {
    const config = this.#config;
    const first = config.kind === 'pixel-shuffle' ? pixelShuffle(x_BNW, config.factor) : x_BNW;
    return this.layers.reduce((x, layer, i) => {
      const input = i > 0 && config.kind === 'mlp' ? activate(x, config.act) : x;
      return layer.forward(input);
    }, first);
  }
}

const inputWidth = (width: number, config: ProjectorConfig): number =>
  config.kind === 'pixel-shuffle' ? width * config.factor ** 2 : width;

const innerWidths = (toWidth: number, config: ProjectorConfig): number[] =>
  config.kind === 'mlp' ? (config.widths ?? new Array<number>(config.layers - 1).fill(toWidth)) : [];

/**
 * Space to depth: a square of f x f tokens becomes one token with their channels in reading order,
 * float[B, N, W] -> float[B, N / f^2, f^2 W].
 */
export function pixelShuffle(x_BNW: Tensor, factor: number): Tensor {
  const [, numTokens, width] = x_BNW.shape as [number, number, number];
  const side = Math.round(Math.sqrt(numTokens)) / factor;
  return x_BNW
    .unflatten(1, [side, factor, side, factor])
    .permute(0, 1, 3, 2, 4, 5)
    .reshape(-1, side * side, factor * factor * width);
}
