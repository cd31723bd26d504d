/** timm's ViT, DeiT (1 and III), MAE, CLIP, SigLIP, DINOv2, DINOv3 and EVA models: config.json with `architecture`, weights by timm's names. */
import { z } from 'zod';
import { CommError } from '../../config/errors.js';
import type { ImageConfig, PatchRopeConfig, PositionConfig, ViTConfig } from '../../config/model.js';
import { IMAGENET_MEAN, IMAGENET_STD } from '../../config/presets.js';
import type { EncoderPlan } from '../encoder-plan.js';
import { HfSide, readForeign } from '../files/hf-config.js';
import { checkKeys, type TensorSource } from '../key-rules.js';
import { type TimmFacts, timmFacts } from './timm-names.js';
import { type TimmSpelling, timmLeftovers, timmRules } from './timm-rules.js';

const positiveInt = z.int().positive();
const Triple = z.tuple([z.number(), z.number(), z.number()]);

const PretrainedConfig = z.looseObject({
  tag: z.string().nullish(),
  input_size: z
    .tuple([positiveInt, positiveInt, positiveInt])
    .refine(([, height, width]) => height === width, 'height and width must be equal'),
  crop_pct: z.number().positive().max(1).nullish(),
  crop_mode: z.enum(['center', 'squash']).nullish(),
  interpolation: z.enum(['bicubic', 'bilinear', 'lanczos']).nullish(),
  mean: Triple.nullish(),
  std: Triple.nullish(),
});

/** Arguments that change the arithmetic without leaving a trace in the weights; null is timm's "as by the name". */
const ModelArgs = z.strictObject({
  num_heads: positiveInt.nullish(),
  act_layer: z.enum(['gelu', 'quick_gelu', 'gelu_tanh', 'silu', 'swish', 'relu']).nullish(),
  rope_type: z.enum(['cat', 'dinov3']).nullish(),
  rope_temperature: z.number().positive().nullish(),
  rope_rotate_half: z.boolean().nullish(),
  rope_grid_offset: z.literal(0).nullish(),
  rope_grid_indexing: z.literal('ij').nullish(),
  ref_feat_shape: HfSide.nullish(),
  use_rot_pos_emb: z.boolean().nullish(),
  use_post_norm: z.boolean().nullish(),
});
type ModelArgs = z.infer<typeof ModelArgs>;

/** Arguments that the weights or the size of the picture tell anyhow, and those of training. */
const TOLD_BY_WEIGHTS = new Set(
  (
    'img_size patch_size in_chans num_classes embed_dim depth mlp_ratio qkv_bias qkv_fused init_values class_token ' +
    'reg_tokens num_reg_tokens no_embed_class pre_norm use_pre_transformer_norm final_norm fc_norm use_fc_norm ' +
    'use_post_transformer_norm global_pool pool_include_prefix swiglu_mlp swiglu_align_to scale_mlp scale_attn_inner ' +
    'use_abs_pos_emb dynamic_img_size dynamic_img_pad strict_img_size drop_rate pos_drop_rate patch_drop_rate ' +
    'proj_drop_rate attn_drop_rate drop_path_rate weight_init fix_init head_init_scale rope_shift_coords ' +
    'rope_jitter_coords rope_rescale_coords'
  ).split(' '),
);

const TimmConfig = z.looseObject({
  architecture: z.string(),
  model_args: z.record(z.string(), z.unknown()).nullish(),
  pretrained_cfg: PretrainedConfig,
});

/** Whether a config.json is one of timm's. */
export const isTimm = (json: Record<string, unknown>): boolean => typeof json['architecture'] === 'string';

/** The plan for a folder of timm; `files` holds the model alone. */
export function timmEncoder(json: Record<string, unknown>, source: string, files: TensorSource): EncoderPlan {
  // Older files have the fields of pretrained_cfg beside the architecture.
  const config = readForeign(TimmConfig, { pretrained_cfg: json, ...json }, source);
  const { architecture, pretrained_cfg: pretrained } = config;
  const args = readArgs(config.model_args ?? {}, source);
  const [, imageSize] = pretrained.input_size;
  const { type, vit, spelling } = timmVit({ architecture, args, imageSize }, files);
  return {
    type: type === 'vit' && /^mae\b/.test(pretrained.tag ?? '') ? 'mae' : type,
    vit,
    image: timmImage(pretrained, imageSize),
    source: files,
    rules: () => timmRules(vit, spelling),
    leftovers: timmLeftovers,
  };
}

function readArgs(args: Record<string, unknown>, source: string): ModelArgs {
  const deciding = Object.entries(args).filter(([name]) => !TOLD_BY_WEIGHTS.has(name));
  const result = ModelArgs.safeParse(Object.fromEntries(deciding));
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  throw new CommError(`${source} has model_args that are not supported: ${[...path, message].join(': ')}.`, {
    code: 'weights/unsupported',
    fix: 'This checkpoint needs arithmetic that is not implemented.',
  });
}

/** Short side to `size / crop_pct` and the centre (`center`), or both sides (`squash`), as timm evaluates. */
function timmImage(pretrained: z.infer<typeof PretrainedConfig>, size: number): ImageConfig {
  const side = Math.floor(size / (pretrained.crop_pct ?? 0.875));
  const shared = {
    size,
    padColor: null,
    resample: pretrained.interpolation ?? 'bicubic',
    mean: pretrained.mean ?? [...IMAGENET_MEAN],
    std: pretrained.std ?? [...IMAGENET_STD],
  };
  const squash = pretrained.crop_mode === 'squash';
  if (squash && side === size) return { ...shared, fit: 'stretch', shortSide: null };
  return { ...shared, fit: squash ? 'stretch-crop' : 'crop', shortSide: side, cropOffset: 'half-to-even' };
}

/** The ViT that an architecture's name, its arguments and its weights make together. */
export function timmVit(
  { architecture, args, imageSize }: { architecture: string; args: ModelArgs; imageSize: number },
  files: TensorSource,
): { type: TimmFacts['type']; vit: ViTConfig; spelling: TimmSpelling } {
  const facts = timmFacts(architecture);
  const keys = new Set(files.keys);
  const has = (key: string): boolean => keys.has(key);
  const [hiddenSize, numChannels, patchSize] = shapeOf(files, 'patch_embed.proj.weight', 4) as [number, number, number];
  const [, intermediateSize] = shapeOf(files, 'blocks.0.mlp.fc2.weight', 2) as [number, number];
  const spelling: TimmSpelling = {
    qkv: has('blocks.0.attn.q_proj.weight') ? 'split' : has('blocks.0.attn.q_bias') ? 'split-bias' : 'fused',
    glu: has('blocks.0.mlp.fc1_g.weight') ? 'split' : 'packed',
    scale: has('blocks.0.gamma_1') ? 'gamma_1' : 'gamma',
    registers: has('dist_token') ? 'dist_token' : 'reg_token',
  };
  const gated = spelling.glu === 'split' || shapeOf(files, 'blocks.0.mlp.fc1.weight', 2)[0] === 2 * intermediateSize;
  const clsToken = has('cls_token');
  const numRegisters = has(spelling.registers) ? shapeOf(files, spelling.registers, 3)[1]! : 0;
  const scaled = has('blocks.0.ls1.gamma') || has('blocks.0.gamma_1');
  const qkvBias = ['qkv.bias', 'q_bias', 'q_proj.bias'].some((name) => has(`blocks.0.attn.${name}`));
  const rope = ropeOf(facts, args);
  const post = args.use_post_norm ?? facts.blockNorm === 'post';
  const act = args.act_layer === 'swish' ? 'silu' : (args.act_layer ?? facts.act);
  const vit: ViTConfig = {
    hiddenSize,
    numLayers: numBlocks(files.keys),
    numHeads: args.num_heads ?? facts.numHeads,
    intermediateSize,
    numChannels,
    imageSize,
    patchSize,
    ...(imageSize % patchSize === 0 ? {} : { restPixels: 'drop' as const }),
    stem: { kind: 'patch', bias: !facts.preNorm },
    mlp: gated ? 'swiglu' : 'mlp',
    act: gated ? 'silu' : act,
    layerNormEps: facts.layerNormEps,
    qkvBias,
    preNorm: facts.preNorm,
    finalNorm: has('norm.weight'),
    layerScale: scaled ? 1 : null,
    clsToken,
    numRegisters,
    maskToken: false,
    posEmbed: positionsOf(files, { clsToken, numRegisters, grid: Math.floor(imageSize / patchSize) }),
    rope,
    ...(has('blocks.0.mlp.norm.weight')
      ? { subNorm: has('blocks.0.attn.norm.weight') ? ('attention-and-mlp' as const) : ('mlp' as const) }
      : {}),
    ...(post ? { blockNorm: 'post' as const } : {}),
  };
  return { type: facts.type, vit, spelling };
}

/** Rotary positions by the name of the architecture, as far as arguments do not change them. */
function ropeOf({ rope }: TimmFacts, args: ModelArgs): PatchRopeConfig | undefined {
  if (!(args.use_rot_pos_emb ?? rope !== undefined)) return undefined;
  const centred = args.rope_type == null ? rope?.coordinates.kind === 'centred' : args.rope_type === 'dinov3';
  const ref = args.ref_feat_shape ?? (rope?.coordinates.kind === 'index' ? rope.coordinates.grid[0] : undefined);
  if (!centred && ref === undefined) return undefined;
  const halves = args.rope_rotate_half ?? rope?.pairs === 'halves';
  return {
    theta: args.rope_temperature ?? rope?.theta ?? 10_000,
    coordinates: centred ? { kind: 'centred' } : { kind: 'index', grid: [ref as number, ref as number] },
    pairs: halves ? 'halves' : 'neighbours',
  };
}

/** Shape of a tensor that the config is read from; throws as the strict check does when it is not there. */
function shapeOf(files: TensorSource, key: string, ndim: number): readonly number[] {
  const shape = files.keys.includes(key) ? files.info(key).shape : [];
  // Only that one key is wanted: the rest is not unexpected yet.
  if (shape.length !== ndim) checkKeys(files, new Map([[key, Array.from({ length: ndim }, () => 0)]]), () => 'not run');
  return shape;
}

/** One more than the largest number in `blocks.<i>.`: a gap is found as missing keys later. */
const numBlocks = (keys: readonly string[]): number =>
  1 + keys.reduce((most, key) => Math.max(most, Number(/^blocks\.(\d{1,6})\./.exec(key)?.[1] ?? -1)), -1);

/** The table of positions: how many special tokens have a row is what leaves a square, best the one of the picture's size. */
function positionsOf(
  files: TensorSource,
  { clsToken, numRegisters, grid }: { clsToken: boolean; numRegisters: number; grid: number },
): PositionConfig {
  if (!files.keys.includes('pos_embed')) return { kind: 'none' };
  const rows = shapeOf(files, 'pos_embed', 3)[1]!;
  const numCls = clsToken ? 1 : 0;
  const sides = [numCls, 0, numCls + numRegisters].map((numSpecial) => ({
    numSpecial,
    side: Math.round(Math.sqrt(Math.max(0, rows - numSpecial))),
  }));
  const square = sides.filter(({ numSpecial, side }) => side > 0 && side * side === rows - numSpecial);
  const found = square.find(({ side }) => side === grid) ?? square[0];
  if (found === undefined) {
    throw new CommError(`pos_embed of ${files.name} has ${rows} rows, which is no square of patches.`, {
      code: 'weights/unsupported',
      fix: 'Only models for square pictures are read.',
    });
  }
  const { numSpecial, side } = found;
  return {
    kind: 'learned',
    grid: [side, side],
    antialias: true,
    ...(numSpecial === numCls ? {} : { numSpecial }),
  };
}
