/** Multi-level feature merging (COMM, 2310.08825, section 3 and eq. 3 to 5): every merge kind, the alignment, a branch, all branches. */
import { cat, nn, op, scope, type Tensor, zeros } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import {
  type AlignConfig,
  branchWidth,
  type EncoderConfig,
  type MergeConfig,
  resolveLevels,
  type ScaleConfig,
  type VisionConfig,
  type ViTConfig,
} from '../config/model.js';
import { activate } from './activation.js';
import { buildEncoder } from './encoders.js';
import type { Grid } from './vit/grid.js';
import type { LevelOptions, ViT } from './vit.js';

// Shapes: B images, N patches, D encoder width, M merged width, L levels.

const addcmul = op('aten::addcmul');

/** The learnable scaling parameters alpha (CLIP) and beta (DINOv2): one number a level, summing to 1 under softmax, free otherwise. */
export class LevelScale extends nn.Module {
  /** Logits under softmax, the scales themselves when free: float[L]. */
  readonly weight: nn.Parameter;
  readonly #kind: ScaleConfig['kind'];

  constructor(numLevels: number, config: ScaleConfig) {
    super();
    this.#kind = config.kind;
    this.weight = scope(() => new nn.Parameter(zeros([numLevels])));
    if (config.kind === 'free') nn.init.constant_(this.weight, config.init === 'ones' ? 1 : 1 / numLevels);
  }

  /** The scales: float[L]. */
  forward(): Tensor {
    return this.#kind === 'softmax' ? this.weight.to('f32').softmax(0).to(this.weight.dtype) : this.weight;
  }

  /** sum_l scale_l * v_l of equally shaped `float[B, N, M]`. */
  weightedSum(levels: Iterable<Tensor>): Tensor {
    const scales = this.forward().unbind(0);
    let sum: Tensor | undefined;
    let l = 0;
    for (const level of levels) {
      const scale = scales[l++]!;
      sum = sum === undefined ? level.mul(scale) : addcmul(sum, level, scale);
    }
    return sum!;
  }
}

/** Merges the levels of one encoder into one map; `grid` is the rows and columns of patches. */
export interface LevelMerge extends nn.Module {
  /** float[B, N, D] x L -> float[B, N, M]. */
  forward(levels_BND: readonly Tensor[], grid: Grid): Tensor;
}

/** One level as it is: LLaVA's and Shikra's reading (their layer 23 of 24). */
export class SingleLevel extends nn.Module implements LevelMerge {
  forward([level_BND]: readonly Tensor[]): Tensor {
    return level_BND!;
  }
}

/** Mean(range) of section 3: y = 1/L sum_l v_l. */
export class MeanMerge extends nn.Module implements LevelMerge {
  forward(levels_BND: readonly Tensor[]): Tensor {
    return levels_BND.reduce((sum_BND, v_BND) => sum_BND.add(v_BND)).div(levels_BND.length);
  }
}

/** Layerscale of section 3: y = sum_l w_l v_l. */
export class LayerscaleMerge extends nn.Module implements LevelMerge {
  readonly scale: LevelScale;

  constructor(numLevels: number, { weights }: Extract<MergeConfig, { kind: 'layerscale' }>) {
    super();
    this.scale = new LevelScale(numLevels, weights);
  }

  forward(levels_BND: readonly Tensor[]): Tensor {
    return this.scale.weightedSum(levels_BND);
  }
}

/** LLN-Layerscale, eq. 3 and 4: y = sum_l alpha_l Linear_l(LN_l(v_l)); the linear-layernorm is one a level, or one for all. */
export class LlnLayerscaleMerge extends nn.Module implements LevelMerge {
  readonly norms: nn.LayerNorm[];
  readonly linears: nn.Linear[];
  readonly scale: LevelScale;
  readonly #normFirst: boolean;

  constructor(vit: ViTConfig, numLevels: number, config: Extract<MergeConfig, { kind: 'lln-layerscale' }>) {
    super();
    this.#normFirst = config.order === 'norm-linear';
    const count = config.shared ? 1 : numLevels;
    const normWidth = this.#normFirst ? vit.hiddenSize : config.width;
    this.norms = Array.from({ length: count }, () => new nn.LayerNorm(normWidth, { eps: vit.layerNormEps }));
    this.linears = Array.from({ length: count }, () => new nn.Linear(vit.hiddenSize, config.width));
    this.scale = new LevelScale(numLevels, config.weights);
  }

  forward(levels_BND: readonly Tensor[]): Tensor {
    return this.scale.weightedSum(
      levels_BND.map((v_BND, l) => {
        const norm = this.norms[l] ?? this.norms[0]!;
        const linear = this.linears[l] ?? this.linears[0]!;
        return this.#normFirst ? v_BND.pipe(norm, linear) : v_BND.pipe(linear, norm);
      }),
    );
  }
}

/** Conv-Layerscale of section 3: a convolution over the grid of patches and BatchNorm in place of the linear-layernorm. */
export class ConvLayerscaleMerge extends nn.Module implements LevelMerge {
  readonly convs: nn.Conv2d[];
  readonly norms: nn.BatchNorm2d[];
  readonly scale: LevelScale;

  constructor(vit: ViTConfig, numLevels: number, config: Extract<MergeConfig, { kind: 'conv-layerscale' }>) {
    super();
    const { kernelSize, width } = config;
    this.convs = Array.from(
      { length: numLevels },
      () => new nn.Conv2d(vit.hiddenSize, width, kernelSize, { padding: (kernelSize - 1) / 2, bias: false }),
    );
    this.norms = Array.from({ length: numLevels }, () => new nn.BatchNorm2d(width));
    this.scale = new LevelScale(numLevels, config.weights);
  }

  forward(levels_BND: readonly Tensor[], grid: Grid): Tensor {
    return this.scale.weightedSum(
      levels_BND.map((v_BND, l) =>
        v_BND.transpose(1, 2).unflatten(2, grid).pipe(this.convs[l]!, this.norms[l]!).flatten(2).transpose(1, 2),
      ),
    );
  }
}

/** Levels side by side on the channels, as LLaVA-type models do with a list of feature layers: M = L * D. */
export class ConcatMerge extends nn.Module implements LevelMerge {
  forward(levels_BND: readonly Tensor[]): Tensor {
    return levels_BND.length === 1 ? levels_BND[0]! : cat(levels_BND, -1);
  }
}

/** Builds the merge of one encoder with fresh weights. */
export function buildMerge(encoder: Pick<EncoderConfig, 'vit' | 'levels' | 'merge'>): LevelMerge {
  const { vit, merge } = encoder;
  const numLevels = resolveLevels(encoder.levels, vit.numLayers).length;
  switch (merge.kind) {
    case 'single':
      return new SingleLevel();
    case 'mean':
      return new MeanMerge();
    case 'layerscale':
      return new LayerscaleMerge(numLevels, merge);
    case 'lln-layerscale':
      return new LlnLayerscaleMerge(vit, numLevels, merge);
    case 'conv-layerscale':
      return new ConvLayerscaleMerge(vit, numLevels, merge);
    case 'concat':
      return new ConcatMerge();
  }
}

/** One block of the alignment: Linear(D, r D), activation, Linear(r D, D). */
export class AlignBlock extends nn.Module {
  readonly fc1: nn.Linear;
  readonly fc2: nn.Linear;
  readonly #act: Extract<AlignConfig, { kind: 'mlp' }>['act'];

  constructor(width: number, { ratio, act, init = 'scaled' }: Extract<AlignConfig, { kind: 'mlp' }>) {
    super();
    this.#act = act;
    const hidden = Math.round(width * ratio);
    this.fc1 = new nn.Linear(width, hidden);
    this.fc2 = new nn.Linear(hidden, width);
    if (init === 'default') return;
    // There is no skip around the block: its output has to keep the size of its input, or this branch starts mute.
    nn.init.normal_(this.fc1.weight, 0, Math.sqrt(2 / width));
    nn.init.normal_(this.fc2.weight, 0, Math.sqrt(1 / hidden));
  }

  /** What the activation is given: float[B, N, D] -> float[B, N, r D]. */
  activationInputs(x_BND: Tensor): Tensor {
    return this.fc1.forward(x_BND);
  }

  /** float[B, N, D] -> float[B, N, D]. */
  forward(x_BND: Tensor): Tensor {
    return this.fc2.forward(activate(this.activationInputs(x_BND), this.#act));
  }
}

/** MLP(v2) of eq. 5, which aligns DINOv2 with the language model: `blocks` in a row without a skip; `linear` is table 6's first row. */
export class Align extends nn.Module {
  readonly blocks: (AlignBlock | nn.Linear)[];

  constructor(width: number, config: AlignConfig) {
    super();
    const count = config.kind === 'mlp' ? config.blocks : config.kind === 'linear' ? 1 : 0;
    this.blocks = Array.from({ length: count }, () =>
      config.kind === 'mlp' ? new AlignBlock(width, config) : new nn.Linear(width, width),
    );
  }

  /** float[B, N, D] -> float[B, N, D]. */
  forward(x_BND: Tensor): Tensor {
    return x_BND.pipe(...this.blocks);
  }
}

/** What learns behind one encoder, with fresh weights. */
export function buildFusion(encoder: EncoderConfig): { readonly merge: LevelMerge; readonly align: Align } {
  const merge = buildMerge(encoder);
  const align = new Align(branchWidth(encoder), encoder.align);
  nn.init.normalLinears_(merge, 0.02);
  return { merge, align };
}

/** Options of `encode`: how the blocks are run, see `LevelOptions`. */
export type EncodeOptions = Pick<LevelOptions, 'run'>;

/** One encoder with its levels, merge and alignment. */
export class VisualBranch extends nn.Module {
  readonly config: EncoderConfig;
  readonly vit: ViT;
  readonly merge: LevelMerge;
  readonly align: Align;
  readonly #levels: readonly number[];

  constructor(config: EncoderConfig) {
    super();
    this.config = config;
    this.#levels = resolveLevels(config.levels, config.vit.numLayers);
    this.vit = buildEncoder(config);
    ({ merge: this.merge, align: this.align } = buildFusion(config));
  }

  /** The levels that the merge reads: float[B, C, H, W] -> float[B, N, D] x L. Frozen encoders leave no graph behind. */
  encode(pixels_BCHW: Tensor, { run }: EncodeOptions = {}): Tensor[] {
    const { applyFinalNorm } = this.config;
    return this.vit.forward(pixels_BCHW, this.#levels, { applyFinalNorm, run });
  }

  /** Merge, then alignment: float[B, N, D] x L -> float[B, N, M]; throws a CommError when the number of levels differs. */
  fuse(levels_BND: readonly Tensor[]): Tensor {
    return this.align.forward(this.mergeLevels(levels_BND));
  }

  /** The merge alone: float[B, N, D] x L -> float[B, N, M]; throws a CommError when the number of levels differs. */
  mergeLevels(levels_BND: readonly Tensor[]): Tensor {
    if (levels_BND.length !== this.#levels.length) {
      throw new CommError(
        `The ${this.config.type} branch merges ${this.#levels.length} levels, not ${levels_BND.length}.`,
        {
          code: 'model/levels',
          fix: 'Give one map for each level of the config, in its order.',
        },
      );
    }
    return this.merge.forward(levels_BND, squareGrid(levels_BND[0]!));
  }

  /** float[B, C, H, W] -> float[B, N, M]. */
  forward(pixels_BCHW: Tensor): Tensor {
    return this.fuse(this.encode(pixels_BCHW));
  }
}

function squareGrid(level_BND: Tensor): Grid {
  const side = Math.round(Math.sqrt(level_BND.shape[1]!));
  return [side, side];
}

/** All branches, joined on the channels (N tokens, eq. 5) or in a row (one group of tokens an encoder). */
export class VisionModel extends nn.Module {
  readonly encoders: VisualBranch[];
  readonly #fuse: VisionConfig['fuse'];

  constructor(config: VisionConfig) {
    super();
    this.#fuse = config.fuse;
    this.encoders = config.encoders.map((encoder) => new VisualBranch(encoder));
  }

  /** Levels of every encoder: one float[B, C, H, W] an encoder -> one list of float[B, N, D] an encoder. */
  encode(pixels: readonly Tensor[], options: EncodeOptions = {}): Tensor[][] {
    this.#checkCount(pixels.length);
    return this.encoders.map((branch, i) => branch.encode(pixels[i]!, options));
  }

  /** Levels of every encoder, e.g. from a cache of frozen features, to the visual tokens: float[B, N, W]. */
  fuse(levels: readonly (readonly Tensor[])[]): Tensor {
    return this.join(this.branches(levels));
  }

  /** Levels of every encoder to the tokens of each branch: float[B, N, M], one an encoder. */
  branches(levels: readonly (readonly Tensor[])[]): Tensor[] {
    this.#checkCount(levels.length);
    return this.encoders.map((branch, i) => branch.fuse(levels[i]!));
  }

  /** The branches side by side, or in a row: float[B, N, M], one an encoder -> float[B, N, W]. */
  join(branches_BNM: readonly Tensor[]): Tensor {
    return branches_BNM.length === 1 ? branches_BNM[0]! : cat(branches_BNM, this.#fuse === 'channels' ? -1 : 1);
  }

  /** One float[B, C, H, W] an encoder -> float[B, N, W]. */
  forward(pixels: readonly Tensor[]): Tensor {
    return this.fuse(this.encode(pixels));
  }

  #checkCount(count: number): void {
    if (count === this.encoders.length) return;
    throw new CommError(`The model has ${this.encoders.length} encoders, but input came for ${count}.`, {
      code: 'model/encoders',
      fix: 'Prepare each picture once for every encoder of the config.',
    });
  }
}
