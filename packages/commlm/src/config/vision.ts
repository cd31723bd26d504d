/** Vision side of a model: the ViT, how its picture is prepared, which levels are read, how they are merged and aligned. */
import { z } from 'zod';
import { CommError } from './errors.js';

const positiveInt = z.int().positive();

/** Activation functions by the names that checkpoints use: `gelu` is the exact one, `quick_gelu` is x * sigmoid(1.702 x). */
export const Activation = z.enum(['gelu', 'gelu_tanh', 'quick_gelu', 'silu', 'relu']);
export type Activation = z.infer<typeof Activation>;

/**
 * How pixels become patch tokens: one linear map of a whole patch, or a pyramid of non-overlapping convolutions
 * (`strides` multiply to the patch size; `channels` are the widths between them), normalisation and GELU between.
 */
export const StemConfig = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('patch'), bias: z.boolean() }),
  z.strictObject({
    kind: z.literal('conv'),
    strides: z.array(positiveInt).min(2),
    channels: z.array(positiveInt).min(1),
  }),
]);
export type StemConfig = z.infer<typeof StemConfig>;

const gridSide = positiveInt.max(4096);
const Grid = z.tuple([gridSide, gridSide]);

/**
 * Positions: a learned table for a `grid` of [rows, columns] patches, resized by bicubic interpolation to any other grid,
 * with `antialias` where the references do so (DINOv2 with registers, timm, open_clip); or no table (DINOv3).
 */
export const PositionConfig = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('learned'),
    grid: Grid,
    antialias: z.boolean(),
    /** Tokens in front of the patches that have a row in the table, e.g. 0 for DeiT III, 2 with DeiT's distillation token; absent: CLS alone. */
    numSpecial: z.int().nonnegative().optional(),
  }),
  z.strictObject({ kind: z.literal('none') }),
]);
export type PositionConfig = z.infer<typeof PositionConfig>;

/**
 * Rotary positions of the patches in every attention: half of a head's frequencies turn with the row, half with the
 * column; tokens in front of the patches do not turn.
 */
export const PatchRopeConfig = z.strictObject({
  theta: z.number().positive(),
  coordinates: z.discriminatedUnion('kind', [
    /** Centres of the patches, from -1 to 1 on each axis, times 2 pi (DINOv3). */
    z.strictObject({ kind: z.literal('centred') }),
    /** Rows and columns counted from 0, stretched to `grid` (EVA-02). */
    z.strictObject({ kind: z.literal('index'), grid: Grid }),
  ]),
  /** Channels that turn together: i and i + half (DINOv3), or neighbours (EVA-02). */
  pairs: z.enum(['halves', 'neighbours']),
});
export type PatchRopeConfig = z.infer<typeof PatchRopeConfig>;

/** Far beyond any model, so that a damaged config cannot ask for a model that never ends. */
const MAX_LAYERS = 512;
const MAX_WIDTH = 65_536;
const MAX_SIDE = 65_536;

/** A vision transformer: everything that decides shapes and arithmetic, so that CLIP, DINOv2 and others are values of it. */
export const ViTConfig = z
  .strictObject({
    hiddenSize: positiveInt.max(MAX_WIDTH),
    numLayers: positiveInt.max(MAX_LAYERS),
    numHeads: positiveInt,
    /** Hidden width of the MLP; with `swiglu` the width after gating. */
    intermediateSize: positiveInt.max(8 * MAX_WIDTH),
    numChannels: positiveInt.max(1024),
    /** Side of the square picture it is fed, in pixels. */
    imageSize: positiveInt.max(MAX_SIDE),
    patchSize: positiveInt.max(MAX_SIDE),
    /** Pixels on the right and at the bottom that fill no patch are dropped (SigLIP: 384 = 27 x 14 + 6); absent: there must be none. */
    restPixels: z.literal('drop').optional(),
    stem: StemConfig,
    mlp: z.enum(['mlp', 'swiglu']),
    act: Activation,
    layerNormEps: z.number().positive(),
    qkvBias: z.boolean(),
    /** CLIP normalises the embeddings before the first block. */
    preNorm: z.boolean(),
    /** Whether a norm after the last block exists (CLIP's post_layernorm, DINOv2's layernorm). */
    finalNorm: z.boolean(),
    /** Start value of the per-channel scale behind attention and MLP (DINOv2); null: no such scale. */
    layerScale: z.number().positive().nullable(),
    clsToken: z.boolean(),
    /** Learned tokens between CLS and the patches; DeiT's distillation token is one. */
    numRegisters: z.int().nonnegative().max(4096),
    /** Whether a learned token for masked patches exists (DINOv2; used in self-distillation only). */
    maskToken: z.boolean(),
    posEmbed: PositionConfig,
    /** Rotary positions beside the table or in its place; absent: none. */
    rope: PatchRopeConfig.optional(),
    /** A further norm before the last linear map of the MLP, or of attention and MLP (sub-LN of EVA-02); absent: none. */
    subNorm: z.enum(['mlp', 'attention-and-mlp']).optional(),
    /** `post`: the norms of a block stand behind attention and MLP (EVA-02-E); absent: before them. */
    blockNorm: z.literal('post').optional(),
  })
  .superRefine((vit, ctx) => {
    const fail = (path: string, message: string): void => ctx.addIssue({ code: 'custom', path: [path], message });
    if (vit.hiddenSize % vit.numHeads !== 0) {
      fail('numHeads', `hidden_size ${vit.hiddenSize} is not a multiple of num_heads ${vit.numHeads}`);
    }
    if (vit.imageSize < vit.patchSize || (vit.imageSize % vit.patchSize !== 0 && vit.restPixels === undefined)) {
      fail('imageSize', `image_size ${vit.imageSize} is not a multiple of patch_size ${vit.patchSize}`);
    }
    if (vit.stem.kind === 'conv') {
      if (vit.stem.strides.reduce((a, b) => a * b, 1) !== vit.patchSize) {
        fail('stem', `strides ${vit.stem.strides.join(' x ')} do not multiply to patch_size ${vit.patchSize}`);
      }
      if (vit.stem.channels.length !== vit.stem.strides.length - 1) {
        fail('stem', `channels must list one width between each two of the ${vit.stem.strides.length} strides`);
      }
    }
    if (vit.rope !== undefined && (vit.hiddenSize / vit.numHeads) % 4 !== 0) {
      fail('rope', `it needs heads of a width that is a multiple of 4, not ${vit.hiddenSize / vit.numHeads}`);
    }
    const numCls = vit.clsToken ? 1 : 0;
    if (![0, numCls, numCls + vit.numRegisters].includes(numSpecialPositions(vit))) {
      fail('posEmbed', `num_special must be 0, ${numCls} or ${numCls + vit.numRegisters}`);
    }
    if (vit.mlp === 'swiglu' && vit.act !== 'silu') fail('act', "a swiglu MLP gates with 'silu'");
  });
export type ViTConfig = z.infer<typeof ViTConfig>;

/** Tokens in front of the patches that have a row in the position table. */
export const numSpecialPositions = ({ posEmbed, clsToken }: Pick<ViTConfig, 'posEmbed' | 'clsToken'>): number =>
  posEmbed.kind === 'none' ? 0 : (posEmbed.numSpecial ?? (clsToken ? 1 : 0));

/** Rows of the position table: special tokens and patches; 0 without one. */
export const numPositions = (vit: Pick<ViTConfig, 'posEmbed' | 'clsToken'>): number =>
  vit.posEmbed.kind === 'none' ? 0 : vit.posEmbed.grid[0] * vit.posEmbed.grid[1] + numSpecialPositions(vit);

/** How a picture becomes an encoder's pixels: square padding or the processor's resize and centre crop, then (x / 255 - mean) / std. */
export const ImageConfig = z.strictObject({
  /** Side of the square that the encoder sees, in pixels. */
  size: positiveInt,
  /**
   * `pad`: whole picture on a square canvas of `padColor`; `crop`: short side to `shortSide`, then the centre; `stretch`:
   * both sides to `size`; `stretch-crop`: both sides to `shortSide`, then the centre (DeiT).
   */
  fit: z.enum(['pad', 'crop', 'stretch', 'stretch-crop']),
  /** Side before the centre is cut out, for the two crops only (DINOv2 takes 224 of 256); null for the other fits. */
  shortSide: positiveInt.nullable(),
  /** Where the centre lies when the margin is odd: half to even, as torchvision does (timm, open_clip); absent: floored, as transformers does. */
  cropOffset: z.literal('half-to-even').optional(),
  /** Canvas colour for `pad`, RGB 0..255 (paper-notes 10); null for the other fits. */
  padColor: z.tuple([z.int().min(0).max(255), z.int().min(0).max(255), z.int().min(0).max(255)]).nullable(),
  resample: z.enum(['bicubic', 'bilinear', 'lanczos']),
  /** `none`: resized in floating point, as DINOv3's processor does, for `stretch` only; absent: to bytes, as Pillow does. */
  rounding: z.literal('none').optional(),
  mean: z.tuple([z.number(), z.number(), z.number()]),
  std: z.tuple([z.number().positive(), z.number().positive(), z.number().positive()]),
});
export type ImageConfig = z.infer<typeof ImageConfig>;

/** Which hidden states are read: `hidden_states[i]`, 0 the embeddings, i the output of block i, -1 the last one; a list or an inclusive range. */
export const Levels = z.union([z.array(z.int()).min(1), z.strictObject({ from: z.int(), to: z.int() })]);
export type Levels = z.infer<typeof Levels>;

/** Resolves levels to indices 0..numLayers, order kept; throws a CommError for a level outside, a repeated one, or an empty range. */
export function resolveLevels(levels: Levels, numLayers: number): number[] {
  const absolute = (level: number): number => {
    const index = level < 0 ? numLayers + 1 + level : level;
    if (!Number.isInteger(level) || index < 0 || index > numLayers) {
      throw new CommError(`Level ${level} does not exist in an encoder of ${numLayers} blocks.`, {
        code: 'config/level',
        fix: `Use 0 (the embeddings) to ${numLayers}, or -1 (the last block) to ${-numLayers - 1}.`,
      });
    }
    return index;
  };
  if (!Array.isArray(levels)) {
    const [from, to] = [absolute(levels.from), absolute(levels.to)];
    if (from > to) {
      throw new CommError(`The level range ${levels.from} to ${levels.to} is empty.`, {
        code: 'config/level',
        fix: 'Put the shallower level first.',
      });
    }
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  }
  const indices = levels.map(absolute);
  const repeated = indices.find((index, i) => indices.indexOf(index) !== i);
  if (repeated !== undefined) {
    throw new CommError(`Level ${repeated} is listed twice.`, { code: 'config/level', fix: 'List each level once.' });
  }
  return indices;
}

/** Constraint on alpha and beta (paper-notes 1): softmax over learned logits that start at 0, or a free vector starting at 1/n or at 1. */
export const ScaleConfig = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('softmax') }),
  z.strictObject({ kind: z.literal('free'), init: z.enum(['uniform', 'ones']) }),
]);
export type ScaleConfig = z.infer<typeof ScaleConfig>;

/** How the levels of one encoder become one map (paper-notes 17; section 3 of the paper). */
export const MergeConfig = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('single') }),
  z.strictObject({ kind: z.literal('mean') }),
  z.strictObject({ kind: z.literal('layerscale'), weights: ScaleConfig }),
  z.strictObject({
    kind: z.literal('lln-layerscale'),
    weights: ScaleConfig,
    /** One linear-layernorm for all levels of the encoder instead of one each (paper-notes 2). */
    shared: z.boolean(),
    order: z.enum(['norm-linear', 'linear-norm']),
    width: positiveInt.max(65_536),
  }),
  z.strictObject({
    kind: z.literal('conv-layerscale'),
    weights: ScaleConfig,
    kernelSize: z
      .int()
      .positive()
      .max(255)
      .refine((size) => size % 2 === 1, 'the kernel size must be odd'),
    width: positiveInt.max(65_536),
  }),
  z.strictObject({ kind: z.literal('concat') }),
]);
export type MergeConfig = z.infer<typeof MergeConfig>;

/** What follows the merge of one encoder: nothing, one linear map, or `blocks` MLP blocks D -> ratio D -> D (paper-notes 5). */
export const AlignConfig = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('none') }),
  z.strictObject({ kind: z.literal('linear') }),
  z.strictObject({
    kind: z.literal('mlp'),
    blocks: positiveInt.max(64),
    ratio: z.number().positive().max(64),
    act: Activation,
    /** How the matrices start: so that the output keeps the size of the input, the default, or as PyTorch's linear maps do. */
    init: z.enum(['scaled', 'default']).optional(),
  }),
]);
export type AlignConfig = z.infer<typeof AlignConfig>;

/** One visual branch: an encoder, the levels read from it, their merge and the alignment behind. */
export const EncoderConfig = z
  .strictObject({
    type: z.enum(['clip', 'dinov2', 'siglip', 'mae', 'vit', 'deit', 'eva', 'dinov3']),
    vit: ViTConfig,
    image: ImageConfig,
    levels: Levels,
    /** Applies the encoder's final norm to the level of the last block (paper-notes 7). */
    applyFinalNorm: z.boolean(),
    merge: MergeConfig,
    align: AlignConfig,
  })
  .superRefine((encoder, ctx) => {
    const fail = (path: string, message: string): void => ctx.addIssue({ code: 'custom', path: [path], message });
    let levels: number[];
    try {
      levels = resolveLevels(encoder.levels, encoder.vit.numLayers);
    } catch (error) {
      fail('levels', (error as Error).message.replace(/\.$/, ''));
      return;
    }
    if (encoder.merge.kind === 'single' && levels.length !== 1) {
      fail('levels', `merge 'single' reads one level, not ${levels.length}`);
    }
    if (encoder.applyFinalNorm && !encoder.vit.finalNorm) fail('applyFinalNorm', 'this encoder has no final norm');
    if (encoder.applyFinalNorm && !levels.includes(encoder.vit.numLayers)) {
      fail('applyFinalNorm', `it has no effect without level ${encoder.vit.numLayers}`);
    }
    if (encoder.image.size !== encoder.vit.imageSize) {
      fail('image', `size ${encoder.image.size} differs from the encoder's image_size ${encoder.vit.imageSize}`);
    }
    if ((encoder.image.fit === 'pad') !== (encoder.image.padColor !== null)) {
      fail('image', "pad_color belongs to fit 'pad': set it there and only there");
    }
    const crops = encoder.image.fit === 'crop' || encoder.image.fit === 'stretch-crop';
    if (crops !== (encoder.image.shortSide !== null)) {
      fail('image', "short_side belongs to fit 'crop' and 'stretch-crop': set it there and only there");
    }
    if (encoder.image.rounding !== undefined && encoder.image.fit !== 'stretch') {
      fail('image', `rounding 'none' is there for fit 'stretch' only`);
    }
    if (!crops && encoder.image.cropOffset !== undefined) {
      fail('image', `crop_offset has no effect with fit '${encoder.image.fit}'`);
    }
  });
export type EncoderConfig = z.infer<typeof EncoderConfig>;

/** Width of one branch's tokens after merge and alignment. */
export function branchWidth(encoder: EncoderConfig): number {
  const { merge, vit } = encoder;
  if (merge.kind === 'lln-layerscale' || merge.kind === 'conv-layerscale') return merge.width;
  return merge.kind === 'concat'
    ? vit.hiddenSize * resolveLevels(encoder.levels, vit.numLayers).length
    : vit.hiddenSize;
}

/** Patch tokens of one picture in one branch. */
export const numPatches = (vit: ViTConfig): number => Math.floor(vit.imageSize / vit.patchSize) ** 2;

/** Tokens of one picture within the encoder: patches, class token, registers. */
export const numTokens = (vit: ViTConfig): number => numPatches(vit) + (vit.clsToken ? 1 : 0) + vit.numRegisters;

/** All encoders and the axis on which their tokens meet (paper-notes 4): `channels` keeps N tokens, `tokens` puts them in a row. */
export const VisionConfig = z
  .strictObject({ encoders: z.array(EncoderConfig).min(1), fuse: z.enum(['channels', 'tokens']) })
  .superRefine((vision, ctx) => {
    const counts = vision.encoders.map((encoder) => numPatches(encoder.vit));
    const widths = vision.encoders.map(branchWidth);
    const differ = (values: readonly number[]): boolean => values.some((value) => value !== values[0]);
    if (vision.fuse === 'channels' && differ(counts)) {
      ctx.addIssue({
        code: 'custom',
        path: ['fuse'],
        message: `channels need equal token counts, not ${counts.join(', ')}`,
      });
    }
    if (vision.fuse === 'tokens' && differ(widths)) {
      ctx.addIssue({ code: 'custom', path: ['fuse'], message: `tokens need equal widths, not ${widths.join(', ')}` });
    }
  });
export type VisionConfig = z.infer<typeof VisionConfig>;

/** Visual tokens of one picture and their width before the projector. */
export function fusedShape(vision: VisionConfig): { readonly tokens: number; readonly width: number } {
  const counts = vision.encoders.map((encoder) => numPatches(encoder.vit));
  const widths = vision.encoders.map(branchWidth);
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  return vision.fuse === 'channels'
    ? { tokens: counts[0]!, width: sum(widths) }
    : { tokens: sum(counts), width: widths[0]! };
}
