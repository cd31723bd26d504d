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
  z.strictObject({
    kind: z.literal('patch').describe('One linear map of a whole patch.'),
    bias: z.boolean().describe('Whether the map has a bias.'),
  }),
  z.strictObject({
    kind: z
      .literal('conv')
      .describe('A pyramid of convolutions that do not overlap, with normalisation and GELU between.'),
    strides: z.array(positiveInt).min(2).describe('Side of each convolution; they multiply to the patch size.'),
    channels: z.array(positiveInt).min(1).describe('Widths between two convolutions.'),
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
    kind: z.literal('learned').describe('A learned table, resized by bicubic interpolation to any other grid.'),
    grid: Grid.describe('Rows and columns of patches that the table is for.'),
    antialias: z.boolean().describe('Whether resizing smooths, as in DINOv2 with registers, timm and open_clip.'),
    numSpecial: z
      .int()
      .nonnegative()
      .optional()
      .describe(
        "Tokens in front of the patches that have a row in the table, e.g. 0 for DeiT III, 2 with DeiT's distillation token; absent: CLS alone.",
      ),
  }),
  z.strictObject({ kind: z.literal('none').describe('No table (DINOv3).') }),
]);
export type PositionConfig = z.infer<typeof PositionConfig>;

/**
 * Rotary positions of the patches in every attention: half of a head's frequencies turn with the row, half with the
 * column; tokens in front of the patches do not turn.
 */
export const PatchRopeConfig = z.strictObject({
  theta: z.number().positive().describe('Base of the wavelengths.'),
  coordinates: z
    .discriminatedUnion('kind', [
      /** Centres of the patches, from -1 to 1 on each axis, times 2 pi (DINOv3). */
      z.strictObject({
        kind: z.literal('centred').describe('Centres of the patches, from -1 to 1 on each axis, times 2 pi (DINOv3).'),
      }),
      /** Rows and columns counted from 0, stretched to `grid` (EVA-02). */
      z.strictObject({
        kind: z.literal('index').describe('Rows and columns counted from 0, stretched to `grid` (EVA-02).'),
        grid: Grid.describe('Rows and columns that the counting is stretched to.'),
      }),
    ])
    .describe('How places on the grid are counted.'),
  pairs: z
    .enum(['halves', 'neighbours'])
    .describe('Channels that turn together: i and i + half (DINOv3), or neighbours (EVA-02).'),
});
export type PatchRopeConfig = z.infer<typeof PatchRopeConfig>;

/** Far beyond any model, so that a damaged config cannot ask for a model that never ends. */
const MAX_LAYERS = 512;
const MAX_WIDTH = 65_536;
const MAX_SIDE = 65_536;

/** A vision transformer: everything that decides shapes and arithmetic, so that CLIP, DINOv2 and others are values of it. */
export const ViTConfig = z
  .strictObject({
    hiddenSize: positiveInt.max(MAX_WIDTH).describe('Width of the tokens.'),
    numLayers: positiveInt.max(MAX_LAYERS).describe('Number of blocks.'),
    numHeads: positiveInt.describe('Heads of the attention; they divide the width.'),
    intermediateSize: positiveInt
      .max(8 * MAX_WIDTH)
      .describe('Hidden width of the MLP; with `swiglu` the width after gating.'),
    numChannels: positiveInt.max(1024).describe('Channels of a picture, 3 for colours.'),
    imageSize: positiveInt.max(MAX_SIDE).describe('Side of the square picture it is fed, in pixels.'),
    patchSize: positiveInt.max(MAX_SIDE).describe('Side of a patch in pixels.'),
    restPixels: z
      .literal('drop')
      .optional()
      .describe(
        'Pixels on the right and at the bottom that fill no patch are dropped (SigLIP: 384 = 27 x 14 + 6); absent: there must be none.',
      ),
    stem: StemConfig.describe('How pixels become patch tokens.'),
    mlp: z.enum(['mlp', 'swiglu']).describe('MLP of a block: `mlp` is plain, `swiglu` gated.'),
    act: Activation.describe('Activation of the MLP; `quick_gelu` is x * sigmoid(1.702 x). A gated one has `silu`.'),
    layerNormEps: z.number().positive().describe('Epsilon of every norm.'),
    qkvBias: z.boolean().describe('Whether queries, keys and values have biases.'),
    preNorm: z.boolean().describe('Whether the embeddings are normed before the first block (CLIP).'),
    finalNorm: z
      .boolean()
      .describe("Whether a norm after the last block exists (CLIP's post_layernorm, DINOv2's layernorm)."),
    layerScale: z
      .number()
      .positive()
      .nullable()
      .describe('Start value of the per-channel scale behind attention and MLP (DINOv2); null: no such scale.'),
    clsToken: z.boolean().describe('Whether a class token stands in front.'),
    numRegisters: z
      .int()
      .nonnegative()
      .max(4096)
      .describe("Learned tokens between CLS and the patches; DeiT's distillation token is one."),
    maskToken: z
      .boolean()
      .describe('Whether a learned token for masked patches exists (DINOv2; used in self-distillation only).'),
    posEmbed: PositionConfig.describe('Positions of the tokens.'),
    rope: PatchRopeConfig.optional().describe('Rotary positions beside the table or in its place; absent: none.'),
    subNorm: z
      .enum(['mlp', 'attention-and-mlp'])
      .optional()
      .describe(
        'A further norm before the last linear map of the MLP, or of attention and MLP (sub-LN of EVA-02); absent: none.',
      ),
    blockNorm: z
      .literal('post')
      .optional()
      .describe('`post`: the norms of a block stand behind attention and MLP (EVA-02-E); absent: before them.'),
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
  size: positiveInt.describe('Side of the square that the encoder sees, in pixels.'),
  fit: z
    .enum(['pad', 'crop', 'stretch', 'stretch-crop'])
    .describe(
      '`pad`: whole picture on a square canvas of `padColor`; `crop`: short side to `shortSide`, then the centre; `stretch`: both sides to `size`; `stretch-crop`: both sides to `shortSide`, then the centre (DeiT).',
    ),
  shortSide: positiveInt
    .nullable()
    .describe(
      'Side before the centre is cut out, for the two crops only (DINOv2 takes 224 of 256); null for the other fits.',
    ),
  cropOffset: z
    .literal('half-to-even')
    .optional()
    .describe(
      'Where the centre lies when the margin is odd: half to even, as torchvision does (timm, open_clip); absent: floored, as transformers does.',
    ),
  padColor: z
    .tuple([z.int().min(0).max(255), z.int().min(0).max(255), z.int().min(0).max(255)])
    .nullable()
    .describe('Canvas colour for `pad`, RGB 0..255 (paper-notes 10); null for the other fits.'),
  resample: z.enum(['bicubic', 'bilinear', 'lanczos']).describe('Filter of the resizing.'),
  rounding: z
    .literal('none')
    .optional()
    .describe(
      "`none`: resized in floating point, as DINOv3's processor does, for `stretch` only; absent: to bytes, as Pillow does.",
    ),
  mean: z
    .tuple([z.number(), z.number(), z.number()])
    .describe('Mean of each channel, taken off after scaling to 0..1.'),
  std: z
    .tuple([z.number().positive(), z.number().positive(), z.number().positive()])
    .describe('Standard deviation of each channel, by which is divided.'),
});
export type ImageConfig = z.infer<typeof ImageConfig>;

/** Which hidden states are read: `hidden_states[i]`, 0 the embeddings, i the output of block i, -1 the last one; a list or an inclusive range. */
export const Levels = z.union([
  z.array(z.int()).min(1),
  z.strictObject({
    from: z.int().describe('First level of the range.'),
    to: z.int().describe('Last level of the range, itself included.'),
  }),
]);
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
  z.strictObject({ kind: z.literal('softmax').describe('The weights are a softmax: they are positive and sum to 1.') }),
  z.strictObject({
    kind: z.literal('free').describe('The weights are free numbers.'),
    init: z.enum(['uniform', 'ones']).describe('What they start at: `uniform` 1 / number of levels, `ones` 1.'),
  }),
]);
export type ScaleConfig = z.infer<typeof ScaleConfig>;

/** How the levels of one encoder become one map (paper-notes 17; section 3 of the paper). */
export const MergeConfig = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('single').describe('The one level as it is.') }),
  z.strictObject({ kind: z.literal('mean').describe('The mean of the levels.') }),
  z.strictObject({
    kind: z.literal('layerscale').describe('A learned weighted sum of the levels.'),
    weights: ScaleConfig.describe('What the weights of the levels may be.'),
  }),
  z.strictObject({
    kind: z.literal('lln-layerscale').describe('A norm and a linear map for each level, then the weighted sum (COMM).'),
    weights: ScaleConfig.describe('What the weights of the levels may be.'),
    shared: z
      .boolean()
      .describe('One linear-layernorm for all levels of the encoder instead of one each (paper-notes 2).'),
    order: z.enum(['norm-linear', 'linear-norm']).describe('Which of the two comes first.'),
    width: positiveInt.max(65_536).describe('Width of the merged tokens.'),
  }),
  z.strictObject({
    kind: z
      .literal('conv-layerscale')
      .describe('A convolution over the grid of patches for each level, then the weighted sum.'),
    weights: ScaleConfig.describe('What the weights of the levels may be.'),
    kernelSize: z
      .int()
      .positive()
      .max(255)
      .refine((size) => size % 2 === 1, 'the kernel size must be odd')
      .describe('Side of the kernel, odd.'),
    width: positiveInt.max(65_536).describe('Width of the merged tokens.'),
  }),
  z.strictObject({ kind: z.literal('concat').describe('The levels side by side, as wider tokens.') }),
]);
export type MergeConfig = z.infer<typeof MergeConfig>;

/** What follows the merge of one encoder: nothing, one linear map, or `blocks` MLP blocks D -> ratio D -> D (paper-notes 5). */
export const AlignConfig = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('none').describe('Nothing follows the merge.') }),
  z.strictObject({ kind: z.literal('linear').describe('One linear map.') }),
  z.strictObject({
    kind: z.literal('mlp').describe('MLP blocks D -> ratio D -> D.'),
    blocks: positiveInt.max(64).describe('Number of blocks.'),
    ratio: z.number().positive().max(64).describe('Inner width over outer width.'),
    act: Activation.describe('Activation of the MLP.'),
    init: z
      .enum(['scaled', 'default'])
      .optional()
      .describe(
        'How the matrices start: so that the output keeps the size of the input (the default), or as the linear maps of PyTorch do.',
      ),
  }),
]);
export type AlignConfig = z.infer<typeof AlignConfig>;

/** One visual branch: an encoder, the levels read from it, their merge and the alignment behind. */
export const EncoderConfig = z
  .strictObject({
    type: z
      .enum(['clip', 'dinov2', 'siglip', 'mae', 'vit', 'deit', 'eva', 'dinov3'])
      .describe('Family of the encoder.'),
    vit: ViTConfig.describe('The vision transformer.'),
    image: ImageConfig.describe('How a picture is prepared for it.'),
    levels: Levels.describe(
      'Hidden states that are read: 0 the embeddings, i the output of block i, -1 the last one; a list or a range.',
    ),
    applyFinalNorm: z
      .boolean()
      .describe("Applies the encoder's final norm to the level of the last block (paper-notes 7)."),
    merge: MergeConfig.describe('How the levels become one map.'),
    align: AlignConfig.describe('What follows the merge.'),
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
  .strictObject({
    encoders: z.array(EncoderConfig).min(1).describe('The branches, in order.'),
    fuse: z
      .enum(['channels', 'tokens'])
      .describe(
        'Axis on which the tokens of the encoders meet: `channels` keeps their number, `tokens` puts them in a row.',
      ),
  })
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
