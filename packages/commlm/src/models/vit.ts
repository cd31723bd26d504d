/** The vision transformer behind every encoder: one block for CLIP, DINOv2, SigLIP, EVA-02 and the others, any list of levels out. */
import { cat, F, nn, scope, type Tensor, zeros } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import {
  numPositions,
  numSpecialPositions,
  type PositionConfig,
  resolveLevels,
  type StemConfig,
  type ViTConfig,
} from '../config/model.js';
import { activate } from './activation.js';
import { attend } from './attention.js';
import { type Chain, type RunBlocks, runBlocks } from './blocks.js';
import { PatchRope } from './patch-rope.js';

// Shapes: B images, C channels, N patches, S tokens (CLS, registers, patches), D width, H heads, K width of a head.

/** Rows and columns of a grid of patches. */
export type Grid = readonly [rows: number, columns: number];

/** Spread of freshly drawn weights. */
const INIT_STD = 0.02;

/** Patches of pixels as rows for a linear map, in the order of a convolution's weight: float[B, C, H, W] -> float[B, N, C * P * P]. */
export function patchRows(pixels_BCHW: Tensor, patchSize: number): Tensor {
  const [b, c, height, width] = pixels_BCHW.shape as [number, number, number, number];
  const [rows, columns] = [height / patchSize, width / patchSize];
  return pixels_BCHW
    .reshape(b, c, rows, patchSize, columns, patchSize)
    .permute(0, 2, 4, 1, 3, 5)
    .reshape(b, rows * columns, c * patchSize * patchSize);
}

/** The patch embedding of the original ViT: a convolution of kernel = stride = patch, computed as one matrix product. */
export class PatchStem extends nn.Module {
  readonly proj: nn.Linear;
  readonly #patchSize: number;

  constructor(vit: ViTConfig, bias: boolean) {
    super();
    this.#patchSize = vit.patchSize;
    this.proj = new nn.Linear(vit.numChannels * vit.patchSize ** 2, vit.hiddenSize, { bias });
  }

  /** float[B, C, H, W] -> float[B, N, D]. */
  forward(pixels_BCHW: Tensor): Tensor {
    return this.proj.forward(patchRows(pixels_BCHW, this.#patchSize));
  }
}

/**
 * Patch embedding in steps (e.g. 4 x 4, 2 x 2, 2 x 2), LayerNorm and GELU between. The kernels do not overlap, so each
 * step is a matrix product; the pixels are sorted once, after which every step reads its window as a plain view.
 */
export class ConvStem extends nn.Module {
  readonly convs: nn.Linear[];
  readonly norms: nn.LayerNorm[];
  readonly #strides: readonly number[];

  constructor(vit: ViTConfig, { strides, channels }: Extract<StemConfig, { kind: 'conv' }>) {
    super();
    this.#strides = strides;
    const widths = [vit.numChannels, ...channels, vit.hiddenSize];
    this.convs = strides.map((stride, i) => new nn.Linear(widths[i]! * stride ** 2, widths[i + 1]!));
    this.norms = channels.map((width) => new nn.LayerNorm(width, { eps: vit.layerNormEps }));
  }

  /** float[B, C, H, W] -> float[B, N, D]. */
  forward(pixels_BCHW: Tensor): Tensor {
    let [x, ...widerWindows] = [this.#sortPixels(pixels_BCHW), ...this.#strides.slice(1)];
    x = this.convs[0]!.forward(x);
    for (const [i, stride] of widerWindows.entries()) {
      // The tokens of one window lie side by side: they become one row of the next step.
      const window = stride * stride;
      x = F.gelu(this.norms[i]!.forward(x));
      x = x.reshape(x.shape[0]!, x.shape[1]! / window, window * x.shape[2]!);
      x = this.convs[i + 1]!.forward(x);
    }
    return x;
  }

  /** Pixels by patch, then by window of each step from the last to the first: float[B, N * windows, C * s1 * s1]. */
  #sortPixels(pixels_BCHW: Tensor): Tensor {
    const [b, c, height, width] = pixels_BCHW.shape as [number, number, number, number];
    const steps = this.#strides.toReversed();
    const patch = steps.reduce((a, s) => a * s, 1);
    // Axes: 0 B, 1 C, then rows: patch, last step ... first step; then columns likewise.
    const split = pixels_BCHW.reshape(b, c, height / patch, ...steps, width / patch, ...steps);
    const [row, column] = [2, 3 + steps.length];
    const windows = steps.slice(0, -1).flatMap((_, i) => [row + 1 + i, column + 1 + i]);
    const inner = [1, row + steps.length, column + steps.length];
    return split.permute(0, row, column, ...windows, ...inner).reshape(b, -1, c * this.#strides[0]! ** 2);
  }
}

/** Multi-head self-attention with one fused projection for queries, keys and values. */
export class ViTAttention extends nn.Module {
  readonly qkv: nn.Linear;
  readonly norm: nn.LayerNorm | null;
  readonly proj: nn.Linear;
  readonly #numHeads: number;

  constructor(vit: ViTConfig) {
    super();
    this.#numHeads = vit.numHeads;
    this.qkv = new nn.Linear(vit.hiddenSize, 3 * vit.hiddenSize, { bias: vit.qkvBias });
    this.norm =
      vit.subNorm === 'attention-and-mlp' ? new nn.LayerNorm(vit.hiddenSize, { eps: vit.layerNormEps }) : null;
    this.proj = new nn.Linear(vit.hiddenSize, vit.hiddenSize);
  }

  /** float[B, S, D] -> float[B, S, D]; queries and keys turn with their place where there is a `rope`. */
  forward(x_BSD: Tensor, rope: PatchRope | null = null): Tensor {
    const heads = [3, this.#numHeads, x_BSD.shape[2]! / this.#numHeads];
    const qkv_3BHSK = this.qkv.forward(x_BSD).unflatten(-1, heads).permute(2, 0, 3, 1, 4);
    let [q, k, v] = qkv_3BHSK.unbind(0) as [Tensor, Tensor, Tensor];
    if (rope !== null) [q, k] = [rope.rotate(q), rope.rotate(k)];
    const y_BSD = attend(q, k, v).transpose(1, 2).flatten(2);
    return this.proj.forward(this.norm === null ? y_BSD : this.norm.forward(y_BSD));
  }
}

/** The norm inside an MLP under sub-LN (EVA-02, 2303.11331), null without. */
const innerNorm = ({ subNorm, intermediateSize, layerNormEps: eps }: ViTConfig): nn.LayerNorm | null =>
  subNorm === undefined ? null : new nn.LayerNorm(intermediateSize, { eps });

/** D -> intermediate -> D with an activation between. */
export class ViTMlp extends nn.Module {
  readonly fc1: nn.Linear;
  readonly norm: nn.LayerNorm | null;
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
    const h_BSF = activate(this.fc1.forward(x_BSD), this.#act);
    return this.fc2.forward(this.norm === null ? h_BSF : this.norm.forward(h_BSF));
  }
}

/** Gated MLP of DINOv2-giant, DINOv3 and EVA-02: fc2(silu(gate) * value), gate and value from one fused projection. */
export class ViTSwiGlu extends nn.Module {
  readonly fc1: nn.Linear;
  readonly norm: nn.LayerNorm | null;
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
    const h_BSF = F.silu(gate).mul(value);
    return this.fc2.forward(this.norm === null ? h_BSF : this.norm.forward(h_BSF));
  }
}

/**
 * One transformer block, pre-norm unless the config says otherwise: x + ls1(attn(norm1(x))), then x + ls2(mlp(norm2(x)));
 * post-norm: x + ls1(norm1(attn(x))), then x + ls2(norm2(mlp(x))).
 */
export class ViTBlock extends nn.Module {
  readonly norm1: nn.LayerNorm;
  readonly attn: ViTAttention;
  readonly ls1: nn.LayerScale | nn.Identity;
  readonly norm2: nn.LayerNorm;
  readonly mlp: ViTMlp | ViTSwiGlu;
  readonly ls2: nn.LayerScale | nn.Identity;
  /** Leaves each of the two branches out for some samples, where pre-training sets a rate. */
  readonly dropPath = new nn.DropPath();
  readonly #postNorm: boolean;

  constructor(vit: ViTConfig) {
    super();
    this.#postNorm = vit.blockNorm === 'post';
    const { hiddenSize, layerNormEps: eps, layerScale } = vit;
    const scale = (): nn.LayerScale | nn.Identity =>
      layerScale === null ? new nn.Identity() : new nn.LayerScale(hiddenSize, { init: layerScale });
    this.norm1 = new nn.LayerNorm(hiddenSize, { eps });
    this.attn = new ViTAttention(vit);
    this.ls1 = scale();
    this.norm2 = new nn.LayerNorm(hiddenSize, { eps });
    this.mlp = vit.mlp === 'swiglu' ? new ViTSwiGlu(vit) : new ViTMlp(vit);
    this.ls2 = scale();
  }

  /** float[B, S, D] -> float[B, S, D]. */
  forward(x_BSD: Tensor, rope: PatchRope | null = null): Tensor {
    if (this.#postNorm) {
      // A norm's backward reads its output's neighbours, never the output itself: the sum may still go in place.
      const y_BSD = this.attn.forward(x_BSD, rope).pipe(this.norm1, this.ls1, this.dropPath).add_(x_BSD);
      return y_BSD.pipe(this.mlp, this.norm2, this.ls2, this.dropPath).add_(y_BSD);
    }
    // The branch's own output takes the sum in place: no extra tensor, and autograd does not need it.
    const y_BSD = this.attn.forward(this.norm1.forward(x_BSD), rope).pipe(this.ls1, this.dropPath).add_(x_BSD);
    return y_BSD.pipe(this.norm2, this.mlp, this.ls2, this.dropPath).add_(y_BSD);
  }
}

/** Resizes a table of patch positions by bicubic interpolation, in f32 and by size (as transformers does): float[1, N, D] -> float[1, M, D]. */
export function resizePositions(
  table_1ND: Tensor,
  { grid: from, antialias }: Extract<PositionConfig, { kind: 'learned' }>,
  to: Grid,
): Tensor {
  if (from[0] === to[0] && from[1] === to[1]) return table_1ND;
  const width = table_1ND.shape[2]!;
  const map_1DHW = table_1ND.reshape(1, from[0], from[1], width).permute(0, 3, 1, 2).to('f32');
  return F.interpolate(map_1DHW, { size: to, mode: 'bicubic', antialias })
    .permute(0, 2, 3, 1)
    .reshape(1, to[0] * to[1], width)
    .to(table_1ND.dtype);
}

/** Options of `ViT.forward`. */
export interface LevelOptions {
  /** Keeps CLS and register tokens in front of the patches. */
  readonly keepSpecial?: boolean;
  /** Applies the final norm to the level of the last block. */
  readonly applyFinalNorm?: boolean;
  /** How the blocks are run; another way than the plain one recomputes them for gradients. */
  readonly run?: RunBlocks;
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
    const { hiddenSize, layerNormEps: eps, stem } = config;
    const token = (count: number): nn.Parameter | null =>
      count === 0 ? null : scope(() => new nn.Parameter(zeros([1, count, hiddenSize])));
    const norm = (wanted: boolean): nn.LayerNorm | nn.Identity =>
      wanted ? new nn.LayerNorm(hiddenSize, { eps }) : new nn.Identity();
    this.patchEmbed = stem.kind === 'patch' ? new PatchStem(config, stem.bias) : new ConvStem(config, stem);
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
    const [rows, columns] = this.#gridOf(pixels_BCHW);
    let patches_BND = this.patchEmbed.forward(this.#wholePatches(pixels_BCHW, [rows, columns]).to(this.#dtype));
    if (mask_BN !== null) patches_BND = this.#maskPatches(patches_BND, mask_BN);
    const numPlaced = numSpecialPositions(this.config);
    const table = this.posEmbed;
    const positions = this.#patchPositions([rows, columns], places_BN);
    const positioned = positions === null ? patches_BND : patches_BND.add(positions);
    const [b, , d] = positioned.shape as [number, number, number];
    const special: Tensor[] = [];
    let first = 0;
    // Registers stand between CLS and patches and mostly carry no position (Darcet et al., 2309.16588).
    for (const token of [this.clsToken, this.registerTokens]) {
      if (token === null) continue;
      const count = token.shape[1]!;
      const placed = table !== null && first + count <= numPlaced ? token.add(table.narrow(1, first, count)) : token;
      special.push(placed.expand(b, -1, d));
      first += count;
    }
    return this.normPre.forward(special.length === 0 ? positioned : cat([...special, positioned], 1));
  }

  /** Positions of the patches: the table resized to their grid, or the rows of it that are named; null without a table. float[1 or B, N, D]. */
  #patchPositions(grid: Grid, places_BN: Tensor | null): Tensor | null {
    const { posEmbed } = this.config;
    if (this.posEmbed === null || posEmbed.kind === 'none') return null;
    const numPlaced = numSpecialPositions(this.config);
    const table_1ND = this.posEmbed.narrow(1, numPlaced, this.posEmbed.shape[1]! - numPlaced);
    if (places_BN === null) return resizePositions(table_1ND, posEmbed, grid);
    return table_1ND.squeeze(0).indexSelect(0, places_BN.flatten()).unflatten(0, places_BN.shape);
  }

  /** Dtype of the arithmetic, which pixels are converted to; norms keep it where linear layers are quantised. */
  get #dtype(): Tensor['dtype'] {
    return this.blocks[0]!.norm1.weight!.dtype;
  }

  /** The pixels without the rest on the right and at the bottom that fills no patch. */
  #wholePatches(pixels_BCHW: Tensor, [rows, columns]: Grid): Tensor {
    const { patchSize } = this.config;
    const [, , height, width] = pixels_BCHW.shape as [number, number, number, number];
    if (height === rows * patchSize && width === columns * patchSize) return pixels_BCHW;
    return pixels_BCHW.narrow(2, 0, rows * patchSize).narrow(3, 0, columns * patchSize);
  }

  /** The blocks for pixels of that size. */
  #chain(pixels_BCHW: Tensor): Chain {
    const grid = this.#gridOf(pixels_BCHW);
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

  #gridOf(pixels_BCHW: Tensor): Grid {
    const { numChannels, patchSize, restPixels } = this.config;
    const [, channels, height, width] = pixels_BCHW.shape;
    const fits = (side: number | undefined): side is number =>
      side !== undefined && side >= patchSize && (restPixels === 'drop' || side % patchSize === 0);
    if (pixels_BCHW.ndim !== 4 || channels !== numChannels || !fits(height) || !fits(width)) {
      throw new CommError(
        `The encoder takes pixels [B, ${numChannels}, H, W] with sides that are multiples of ${patchSize}, not [${pixels_BCHW.shape.join(', ')}].`,
        { code: 'model/pixels', fix: "Prepare the picture with the encoder's own image config." },
      );
    }
    return [Math.floor(height / patchSize), Math.floor(width / patchSize)];
  }
}
