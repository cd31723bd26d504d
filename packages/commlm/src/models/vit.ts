/**
 * The vision transformer behind every encoder: any list of levels out. The plain path is the original's; where the families
 * leave it, one field of `ViTConfig` says so and one file does it:
 *
 *     what                         field                     by whom                                  where
 *     pyramid of convolutions      stem: conv                (ours alone)                             vit/stem.ts
 *     pixels that fill no patch    restPixels                SigLIP so400m at 384                     vit/grid.ts
 *     no table of positions        posEmbed: none            DINOv3                                   vit/positions.ts
 *     places of special tokens     posEmbed.numSpecial       DeiT, DeiT III                           vit/positions.ts
 *     rotary positions             rope                      EVA-02, DINOv3                           patch-rope.ts
 *     norm within the branches     subNorm                   EVA-02                                   vit/attention.ts, vit/mlp.ts
 *     gated MLP                    mlp: swiglu               DINOv2 giant, DINOv3 H+, EVA-02          vit/mlp.ts
 *     scale behind the branches    layerScale                DINOv2, DINOv3, DeiT III                 vit/block.ts
 *     norm behind the branches     blockNorm: post           EVA-02-E                                 vit/block.ts
 *     norm of the embeddings       preNorm                   CLIP                                     here
 *     no CLS token                 clsToken                  SigLIP                                   here
 *     register tokens              numRegisters              DINOv2 with registers, DINOv3, DeiT      here
 *     token for masked patches     maskToken                 DINOv2, DINOv3                           here
 */
import { cat, nn, scope, type Tensor, zeros } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import { numPositions, resolveLevels, type ViTConfig } from '../config/model.js';
import { type Chain, type RunBlocks, runBlocks } from './blocks.js';
import { PatchRope } from './patch-rope.js';
import { ViTBlock } from './vit/block.js';
import { type Grid, gridOf, wholePatches } from './vit/grid.js';
import { placePatches, placeSpecial } from './vit/positions.js';
import { buildStem, type ConvStem, type PatchStem } from './vit/stem.js';

// Shapes: B images, C channels, N patches, S tokens (CLS, registers, patches), D width, K visible patches.

/** Spread of freshly drawn weights. */
const INIT_STD = 0.02;

/** Options of `ViT.forward`. */
export interface LevelOptions {
  /** Keeps CLS and register tokens in front of the patches. */
  readonly keepSpecial?: boolean | undefined;
  /** Applies the final norm to the level of the last block. */
  readonly applyFinalNorm?: boolean | undefined;
  /** How the blocks are run; another way than the plain one recomputes them for gradients. */
  readonly run?: RunBlocks | undefined;
}

/** Which patches take part as they are; for pre-training. */
export interface HiddenPatches {
  /** bool[B, N], true where the mask token stands in (DINOv2). */
  readonly mask?: Tensor | null;
  /** i64[B, K], the only patches that go through the blocks (MAE); absent: all. */
  readonly visible?: Tensor | null;
  /** i64[B, N], where each patch stands in a learned table of positions, in place of the table resized to the grid. */
  readonly places?: Tensor | null;
}

/** Output of the whole encoder behind its final norm. */
export interface ViTTokens {
  /** float[B, D]; null without a CLS token. */
  readonly cls: Tensor | null;
  /** float[B, N, D]; of the visible patches float[B, K, D], in their order. */
  readonly patches: Tensor;
}

/** A vision transformer (Dosovitskiy et al., 2010.11929) that hands back any of its levels. */
export class ViT extends nn.Module {
  readonly config: ViTConfig;
  readonly patchEmbed: PatchStem | ConvStem;
  readonly clsToken: nn.Parameter | null;
  readonly registerTokens: nn.Parameter | null;
  readonly maskToken: nn.Parameter | null;
  /** float[1, special tokens with a position + rows * columns, D]; null without a table. */
  readonly posEmbed: nn.Parameter | null;
  readonly normPre: nn.LayerNorm | nn.Identity;
  readonly blocks: ViTBlock[];
  readonly norm: nn.LayerNorm | nn.Identity;

  constructor(config: ViTConfig) {
    super();
    this.config = config;
    const { hiddenSize, layerNormEps: eps } = config;
    const token = (count: number): nn.Parameter | null =>
      count === 0 ? null : scope(() => new nn.Parameter(zeros([1, count, hiddenSize])));
    const norm = (wanted: boolean): nn.LayerNorm | nn.Identity =>
      wanted ? new nn.LayerNorm(hiddenSize, { eps }) : new nn.Identity();
    this.patchEmbed = buildStem(config);
    this.clsToken = token(config.clsToken ? 1 : 0);
    this.registerTokens = token(config.numRegisters);
    this.maskToken = token(config.maskToken ? 1 : 0);
    this.posEmbed = token(numPositions(config));
    this.normPre = norm(config.preNorm);
    this.blocks = Array.from({ length: config.numLayers }, () => new ViTBlock(config));
    this.norm = norm(config.finalNorm);
    nn.init.normalLinears_(this, INIT_STD);
    for (const start of [this.clsToken, this.registerTokens, this.posEmbed]) {
      if (start !== null) nn.init.normal_(start, 0, INIT_STD);
    }
  }

  /** Tokens in front of the patches: CLS and registers. */
  get numSpecial(): number {
    return (this.config.clsToken ? 1 : 0) + this.config.numRegisters;
  }

  /**
   * Hidden states of the asked levels, in the order asked: float[B, N, D] each. Level 0 is the embeddings, i the raw
   * output of block i, negative ones count from the end; nothing behind the deepest asked level is computed.
   */
  forward(
    pixels_BCHW: Tensor,
    levels: readonly number[],
    { keepSpecial = false, applyFinalNorm = false, run = runBlocks }: LevelOptions = {},
  ): Tensor[] {
    const { numLayers } = this.config;
    const wanted = resolveLevels([...levels], numLayers);
    return scope(() => {
      const x_BSD = scope(() => this.embed(pixels_BCHW));
      return run(x_BSD, this.#chain(pixels_BCHW), wanted).map((state, i) => {
        const out = applyFinalNorm && wanted[i] === numLayers ? this.norm.forward(state) : state;
        return keepSpecial ? out : this.#patches(out);
      });
    });
  }

  /** All tokens of the last block behind the final norm, for pre-training. */
  forwardTokens(pixels_BCHW: Tensor, { mask = null, visible = null, places = null }: HiddenPatches = {}): ViTTokens {
    return scope(() => {
      const x_BSD = scope(() => {
        const all_BSD = this.embed(pixels_BCHW, mask, places);
        return visible === null ? all_BSD : this.#keepVisible(all_BSD, visible);
      });
      const [last_BSD] = runBlocks(x_BSD, this.#chain(pixels_BCHW), [this.blocks.length]);
      const y_BSD = this.norm.forward(last_BSD!);
      return { cls: this.clsToken === null ? null : y_BSD.select(1, 0), patches: this.#patches(y_BSD) };
    });
  }

  /** Stochastic depth at one rate in all blocks, in training only. */
  setDropPath(rate: number): void {
    for (const { dropPath } of this.blocks) dropPath.rate = rate;
  }

  /** Embeddings (level 0): patches with positions behind CLS and registers, pre-normalised where the model does. float[B, S, D]. */
  embed(pixels_BCHW: Tensor, mask_BN: Tensor | null = null, places_BN: Tensor | null = null): Tensor {
    const grid = gridOf(pixels_BCHW, this.config);
    const pixels = wholePatches(pixels_BCHW, grid, this.config.patchSize).to(this.dtype);
    const plain_BND = this.patchEmbed.forward(pixels);
    const masked_BND = mask_BN === null ? plain_BND : this.#maskPatches(plain_BND, mask_BN);
    const patches_BND = placePatches(masked_BND, this.posEmbed, this.config, places_BN ?? grid);
    const special = placeSpecial([this.clsToken, this.registerTokens], this.posEmbed, this.config);
    const [b, , d] = patches_BND.shape as [number, number, number];
    const inFront = special.map((token) => token.expand(b, -1, d));
    return this.normPre.forward(inFront.length === 0 ? patches_BND : cat([...inFront, patches_BND], 1));
  }

  /** Dtype of the arithmetic, which pixels are converted to; norms keep it where linear layers are quantised. */
  get dtype(): Tensor['dtype'] {
    return this.blocks[0]!.norm1.weight!.dtype;
  }

  /** The blocks for pixels of that size. */
  #chain(pixels_BCHW: Tensor): Chain {
    const grid = gridOf(pixels_BCHW, this.config);
    return (input_BSD) => {
      const rope = this.#ropeFor(grid, input_BSD);
      return this.blocks.map((block) => (x_BSD) => block.forward(x_BSD, rope));
    };
  }

  /** The rotation of queries and keys on that grid; null without rotary positions. */
  #ropeFor(grid: Grid, x_BSD: Tensor): PatchRope | null {
    const { rope, hiddenSize, numHeads } = this.config;
    if (rope === undefined) return null;
    return new PatchRope(rope, hiddenSize / numHeads, grid, this.numSpecial, x_BSD);
  }

  #maskPatches(patches_BND: Tensor, mask_BN: Tensor): Tensor {
    if (this.maskToken === null) {
      throw new CommError('This encoder has no mask token.', {
        code: 'model/no-mask-token',
        fix: 'Set mask_token in its vit config.',
      });
    }
    return this.maskToken.where(mask_BN.unsqueeze(2), patches_BND);
  }

  /** Special tokens and the given patches: float[B, S, D], i64[B, K] -> float[B, special + K, D]. */
  #keepVisible(x_BSD: Tensor, visible_BK: Tensor): Tensor {
    if (this.config.rope !== undefined) {
      throw new CommError('Patches cannot be left out of an encoder with rotary positions.', {
        code: 'model/visible',
        fix: 'Choose an encoder with a table of positions.',
      });
    }
    const [b, k] = visible_BK.shape as [number, number];
    const kept_BKD = this.#patches(x_BSD).gather(1, visible_BK.unsqueeze(2).expand(b, k, x_BSD.shape[2]!));
    return cat([x_BSD.narrow(1, 0, this.numSpecial), kept_BKD], 1);
  }

  #patches(x_BSD: Tensor): Tensor {
    const special = this.numSpecial;
    return special === 0 ? x_BSD : x_BSD.narrow(1, special, x_BSD.shape[1]! - special);
  }
}
