/** The decoder of a masked autoencoder (He et al., 2111.06377): visible tokens and mask tokens in, pixels of all patches out. Dropped after pre-training. */
import { cat, nn, scope, type Tensor, tensor, zeros } from '@commlm/torch';
import type { ViTConfig } from '../config/model.js';
import { ViTBlock } from './vit/block.js';

// Shapes: B pictures, N patches, K visible patches, D width of the encoder, E width of the decoder, P pixels of a patch.

/** Sizes of a decoder. */
export interface MaeDecoderConfig {
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly intermediateSize: number;
}

const WAVELENGTH = 10_000;

/**
 * Fixed positions of a grid of patches: the first half of the width tells the column, the second the row, each by sines and
 * cosines of falling frequencies. f32[1, grid * grid, width]; the width is a multiple of 4.
 */
export function sincosPositions(width: number, grid: number): Tensor {
  const quarter = width / 4;
  const table = new Float32Array(grid * grid * width);
  for (let patch = 0; patch < grid * grid; patch++) {
    for (const [half, place] of [patch % grid, Math.floor(patch / grid)].entries()) {
      for (let i = 0; i < quarter; i++) {
        const angle = place / WAVELENGTH ** (i / quarter);
        const at = patch * width + half * 2 * quarter + i;
        table[at] = Math.sin(angle);
        table[at + quarter] = Math.cos(angle);
      }
    }
  }
  return tensor(table, { shape: [1, grid * grid, width] });
}

/** float[B, 1 + K, D] of CLS and visible patches -> float[B, N, P]. */
export class MaeDecoder extends nn.Module {
  readonly embed: nn.Linear;
  readonly maskToken: nn.Parameter;
  readonly posEmbed: nn.Buffer;
  readonly blocks: ViTBlock[];
  readonly norm: nn.LayerNorm;
  readonly pred: nn.Linear;

  constructor(vit: ViTConfig, { hiddenSize, numLayers, numHeads, intermediateSize }: MaeDecoderConfig) {
    super();
    const grid = vit.imageSize / vit.patchSize;
    const config: ViTConfig = { ...vit, hiddenSize, numHeads, intermediateSize, layerScale: null };
    this.embed = new nn.Linear(vit.hiddenSize, hiddenSize);
    this.maskToken = scope(() => new nn.Parameter(zeros([1, 1, hiddenSize])));
    this.posEmbed = scope(() => new nn.Buffer(sincosPositions(hiddenSize, grid), { persistent: false }));
    this.blocks = Array.from({ length: numLayers }, () => new ViTBlock(config));
    this.norm = new nn.LayerNorm(hiddenSize, { eps: vit.layerNormEps });
    this.pred = new nn.Linear(hiddenSize, vit.numChannels * vit.patchSize ** 2);
    nn.init.normal_(this.maskToken, 0, 0.02);
  }

  /** CLS float[B, D], visible patches float[B, K, D] and their places i64[B, K] -> pixels of every patch. */
  forward(cls_BD: Tensor, patches_BKD: Tensor, visible_BK: Tensor): Tensor {
    return scope(() => {
      const [b, k] = visible_BK.shape as [number, number];
      const [, n, e] = this.posEmbed.shape as [number, number, number];
      const seen_BKE = this.embed.forward(patches_BKD);
      const places = visible_BK.unsqueeze(2).expand(b, k, e);
      const full_BNE = this.maskToken.expand(b, n, e).scatter(1, places, seen_BKE).add(this.posEmbed);
      let x_BSE = cat([this.embed.forward(cls_BD).unsqueeze(1), full_BNE], 1);
      for (const block of this.blocks) x_BSE = block.forward(x_BSE);
      return this.pred.forward(this.norm.forward(x_BSE.narrow(1, 1, n)));
    });
  }
}

/** Xavier-uniform weights and no biases in all linear maps of a module, the start of MAE. */
export function xavierLinears(module: nn.Module): void {
  module.apply((part) => {
    if (!(part instanceof nn.Linear)) return;
    nn.init.xavierUniform_(part.weight);
    if (part.bias !== null && part.bias !== undefined) nn.init.zeros_(part.bias);
  });
}
