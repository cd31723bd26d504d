/**
 * open_clip's models, the image half: open_clip_config.json beside the weights. Its own ViT has OpenAI's names
 * (`visual.transformer.resblocks`); others are timm's models under `visual.trunk`.
 */
import { join } from 'node:path';
import { z } from 'zod';
import type { ImageConfig, ViTConfig } from '../../config/model.js';
import { CLIP_MEAN, CLIP_STD } from '../../config/presets.js';
import type { EncoderPlan } from '../encoder-plan.js';
import { HfSide, readFolderJson, readForeign } from '../files/hf-config.js';
import { type KeyRule, layer, prefixed, reshaped, same, type TensorSource, within } from '../key-rules.js';
import { type Leftovers, notRun } from '../leftover.js';
import { timmVit } from './timm.js';
import { timmLeftovers, timmRules } from './timm-rules.js';

/** The file that makes a folder one of open_clip. */
export const OPEN_CLIP_CONFIG = 'open_clip_config.json';

const positiveInt = z.int().positive();
/** Options of the custom attention block, which is not implemented. */
const off = z.literal(false).nullish();
const Statistics = z.union([
  z.number().transform((x): [number, number, number] => [x, x, x]),
  z.tuple([z.number(), z.number(), z.number()]),
]);

const OpenClipConfig = z.looseObject({
  model_cfg: z.looseObject({
    quick_gelu: z.boolean().nullish(),
    vision_cfg: z.looseObject({
      image_size: HfSide.default(224),
      timm_model_name: z.string().nullish(),
      layers: positiveInt.default(12),
      width: positiveInt.default(768),
      head_width: positiveInt.default(64),
      mlp_ratio: z.number().positive().default(4),
      patch_size: HfSide.default(16),
      ls_init_value: z.number().positive().nullish(),
      attentional_pool: z.union([z.boolean(), z.string()]).nullish(),
      no_ln_pre: z.boolean().nullish(),
      norm_kwargs: z.strictObject({ eps: z.number().positive().optional() }).nullish(),
      act_kwargs: z.strictObject({ approximate: z.enum(['none', 'tanh']).optional() }).nullish(),
      block_type: z.literal('default').nullish(),
      qk_norm: off,
      scaled_cosine_attn: off,
      scale_heads: off,
      scale_attn_inner: off,
      scale_attn: off,
      scale_fc: off,
    }),
  }),
  preprocess_cfg: z
    .looseObject({
      size: HfSide.nullish(),
      mean: Statistics.nullish(),
      std: Statistics.nullish(),
      interpolation: z.enum(['bicubic', 'bilinear', 'random']).nullish(),
      resize_mode: z.enum(['shortest', 'squash']).nullish(),
    })
    .nullish(),
});
type VisionCfg = z.infer<typeof OpenClipConfig>['model_cfg']['vision_cfg'];

/** The plan for a folder of open_clip. */
export function openClipEncoder(folder: string, files: TensorSource): EncoderPlan {
  const { model_cfg: model, preprocess_cfg } = readForeign(
    OpenClipConfig,
    readFolderJson(folder, OPEN_CLIP_CONFIG),
    join(folder, OPEN_CLIP_CONFIG),
  );
  const { vision_cfg: vision } = model;
  const image = openClipImage(preprocess_cfg ?? {}, vision.image_size);
  if (vision.timm_model_name) {
    const prefix = 'visual.trunk.';
    const architecture = vision.timm_model_name;
    const trunk = within(files, prefix);
    const { type, vit, spelling } = timmVit({ architecture, args: {}, imageSize: vision.image_size }, trunk);
    const leftovers: Leftovers = (key) =>
      key.startsWith(prefix) ? timmLeftovers(key.slice(prefix.length)) : besideTower(key);
    return { type, vit, image, source: files, rules: () => prefixed(timmRules(vit, spelling), prefix), leftovers };
  }
  const vit = towerConfig(vision, model.quick_gelu === true);
  const leftovers: Leftovers = (key) => besideTower(key) ?? notRun(!vit.finalNorm && key.startsWith('visual.ln_post.'));
  const type = vit.preNorm ? 'clip' : 'vit';
  return { type, vit, image, source: files, rules: () => prefixed(openClipRules(vit), 'visual.'), leftovers };
}

function openClipImage(
  { size, mean, std, interpolation, resize_mode }: NonNullable<z.infer<typeof OpenClipConfig>['preprocess_cfg']>,
  imageSize: number,
): ImageConfig {
  const side = size ?? imageSize;
  const shared = {
    size: side,
    padColor: null,
    resample: interpolation === 'bilinear' ? ('bilinear' as const) : ('bicubic' as const),
    mean: mean ?? [...CLIP_MEAN],
    std: std ?? [...CLIP_STD],
  };
  if (resize_mode === 'squash') return { ...shared, fit: 'stretch', shortSide: null };
  return { ...shared, fit: 'crop', shortSide: side, cropOffset: 'half-to-even' };
}

function towerConfig(vision: VisionCfg, quickGelu: boolean): ViTConfig {
  const grid = Math.floor(vision.image_size / vision.patch_size);
  const gelu = vision.act_kwargs?.approximate === 'tanh' ? 'gelu_tanh' : 'gelu';
  return {
    hiddenSize: vision.width,
    numLayers: vision.layers,
    numHeads: Math.max(1, Math.floor(vision.width / vision.head_width)),
    intermediateSize: Math.trunc(vision.width * vision.mlp_ratio),
    numChannels: 3,
    imageSize: vision.image_size,
    patchSize: vision.patch_size,
    ...(vision.image_size % vision.patch_size === 0 ? {} : { restPixels: 'drop' as const }),
    stem: { kind: 'patch', bias: false },
    mlp: 'mlp',
    act: quickGelu ? 'quick_gelu' : gelu,
    layerNormEps: vision.norm_kwargs?.eps ?? 1e-5,
    qkvBias: true,
    preNorm: vision.no_ln_pre !== true,
    // Attention pooling stands before that norm and has a width of its own.
    finalNorm: !vision.attentional_pool,
    layerScale: vision.ls_init_value ?? null,
    clsToken: true,
    numRegisters: 0,
    maskToken: false,
    posEmbed: { kind: 'learned', grid: [grid, grid], antialias: true },
  };
}

/** Stored beside the image tower, not part of it: the text half, projections and pooling, temperature. */
const besideTower: Leftovers = (key) =>
  notRun(
    /^(text|transformer|token_embedding|ln_final|text_projection|text_decoder|visual\.head|visual\.attn_pool\w*)\./.test(
      key,
    ) ||
      [
        'text_projection',
        'positional_embedding',
        'logit_scale',
        'logit_bias',
        'attn_mask',
        'visual.proj',
        'cls_emb',
      ].includes(key),
  );

/** Our names and OpenAI's, below `visual.`. */
export function openClipRules(vit: ViTConfig): KeyRule[] {
  const { hiddenSize, numChannels, patchSize, numLayers } = vit;
  const blocks = Array.from({ length: numLayers }, (_, i) => {
    const [ours, theirs] = [`blocks.${i}`, `transformer.resblocks.${i}`];
    const scale = (n: 1 | 2): KeyRule[] =>
      vit.layerScale === null ? [] : [same(`${ours}.ls${n}.lambda1`, `${theirs}.ls_${n}.gamma`)];
    return [
      ...layer(`${ours}.norm1`, `${theirs}.ln_1`),
      same(`${ours}.attn.qkv.weight`, `${theirs}.attn.in_proj_weight`),
      same(`${ours}.attn.qkv.bias`, `${theirs}.attn.in_proj_bias`),
      ...layer(`${ours}.attn.proj`, `${theirs}.attn.out_proj`),
      ...scale(1),
      ...layer(`${ours}.norm2`, `${theirs}.ln_2`),
      ...layer(`${ours}.mlp.fc1`, `${theirs}.mlp.c_fc`),
      ...layer(`${ours}.mlp.fc2`, `${theirs}.mlp.c_proj`),
      ...scale(2),
    ];
  });
  const kernel = [hiddenSize, numChannels, patchSize, patchSize];
  const grid = vit.posEmbed.kind === 'none' ? 0 : vit.posEmbed.grid[0] * vit.posEmbed.grid[1];
  return [
    reshaped('cls_token', 'class_embedding', [hiddenSize]),
    reshaped('pos_embed', 'positional_embedding', [grid + 1, hiddenSize]),
    reshaped('patch_embed.proj.weight', 'conv1.weight', kernel),
    ...(vit.preNorm ? layer('norm_pre', 'ln_pre') : []),
    ...blocks.flat(),
    ...(vit.finalNorm ? layer('norm', 'ln_post') : []),
  ];
}
