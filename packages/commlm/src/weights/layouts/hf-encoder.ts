/** Encoders as transformers stores them, by the `model_type` of config.json; a new one is a new entry in `layouts`. */
import { join } from 'node:path';
import type { Tensor } from '@commlm/torch';
import type { EncoderConfig, ImageConfig, ViTConfig } from '../../config/model.js';
import { CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD } from '../../config/presets.js';
import type { EncoderPlan } from '../encoder-plan.js';
import { readPictureConfig } from '../files/picture-config.js';
import { type KeyRule, type TensorSource, toTheirs, withoutPrefix } from '../key-rules.js';
import { type Leftovers, NO_LEFTOVERS } from '../leftover.js';
import { CLIP_PREFIX, clipConfig, clipLeftovers, clipRules } from './hf-clip.js';
import { DINOV2_PREFIX, dinov2Config, dinov2Rules } from './hf-dinov2.js';
import { DINOV3_PREFIX, dinov3Config, dinov3Leftovers, dinov3Rules } from './hf-dinov3.js';
import { SIGLIP_PREFIX, siglipConfig, siglipLeftovers, siglipRules } from './hf-siglip.js';
import { DEIT_PREFIX, VIT_PREFIX, vitConfig, vitLeftovers, vitRules } from './hf-vit.js';
import { timmRules } from './timm-rules.js';

type Triple = readonly [number, number, number];

/** How the published models of a type prepare a picture. */
type Preparation = Pick<ImageConfig, 'resample' | 'rounding'> & {
  /** Short side and centre cut, or both sides. */
  readonly fit: 'crop' | 'stretch';
  readonly mean: Triple;
  readonly std: Triple;
};

interface HfEncoderLayout {
  readonly type: EncoderConfig['type'];
  readonly config: (json: Record<string, unknown>, source: string) => ViTConfig;
  readonly rules: (vit: ViTConfig) => KeyRule[];
  readonly prefix: string;
  readonly leftovers: Leftovers;
  readonly usual: Preparation;
}

const HALF: Triple = [0.5, 0.5, 0.5];

const clip: HfEncoderLayout = {
  type: 'clip',
  config: clipConfig,
  rules: clipRules,
  prefix: CLIP_PREFIX,
  leftovers: clipLeftovers,
  usual: { fit: 'crop', resample: 'bicubic', mean: CLIP_MEAN, std: CLIP_STD },
};

const dinov2: HfEncoderLayout = {
  type: 'dinov2',
  config: dinov2Config,
  rules: dinov2Rules,
  prefix: DINOV2_PREFIX,
  leftovers: NO_LEFTOVERS,
  usual: { fit: 'crop', resample: 'bicubic', mean: IMAGENET_MEAN, std: IMAGENET_STD },
};

const siglip: HfEncoderLayout = {
  type: 'siglip',
  config: siglipConfig,
  rules: siglipRules,
  prefix: SIGLIP_PREFIX,
  leftovers: siglipLeftovers,
  usual: { fit: 'stretch', resample: 'bicubic', mean: HALF, std: HALF },
};

const vit: HfEncoderLayout = {
  type: 'vit',
  config: vitConfig,
  rules: vitRules,
  prefix: VIT_PREFIX,
  leftovers: vitLeftovers,
  usual: { fit: 'stretch', resample: 'bilinear', mean: HALF, std: HALF },
};

const mae: HfEncoderLayout = {
  ...vit,
  type: 'mae',
  usual: { fit: 'stretch', resample: 'bilinear', mean: IMAGENET_MEAN, std: IMAGENET_STD },
};

const deit: HfEncoderLayout = {
  ...vit,
  type: 'deit',
  prefix: DEIT_PREFIX,
  usual: { fit: 'stretch', resample: 'bicubic', mean: HALF, std: HALF },
};

const dinov3: HfEncoderLayout = {
  type: 'dinov3',
  config: dinov3Config,
  rules: dinov3Rules,
  prefix: DINOV3_PREFIX,
  leftovers: dinov3Leftovers,
  usual: { fit: 'stretch', resample: 'bilinear', mean: IMAGENET_MEAN, std: IMAGENET_STD, rounding: 'none' },
};

const layouts: Readonly<Record<string, HfEncoderLayout>> = {
  clip,
  clip_vision_model: clip,
  dinov2,
  dinov2_with_registers: dinov2,
  siglip,
  siglip_vision_model: siglip,
  vit,
  vit_mae: mae,
  deit,
  dinov3_vit: dinov3,
};

/** The `model_type`s of transformers that are read here. */
export const HF_ENCODER_TYPES: readonly string[] = Object.keys(layouts);

/** Whether a config.json is of one of these types. */
export const isHfEncoder = (json: Record<string, unknown>): boolean =>
  typeof json['model_type'] === 'string' && Object.hasOwn(layouts, json['model_type']);

/** The plan for a folder of transformers whose config.json passed `isHfEncoder`. */
export function hfEncoder(folder: string, json: Record<string, unknown>, files: TensorSource): EncoderPlan {
  const layout = layouts[json['model_type'] as string]!;
  const config = layout.config(json, join(folder, 'config.json'));
  return {
    type: layout.type,
    vit: config,
    image: readPictureConfig(folder, json['model_type'] as string, usualImage(config, layout.usual)),
    source: withoutPrefix(files, layout.prefix),
    rules: () => layout.rules(config),
    leftovers: layout.leftovers,
  };
}

const byType: Readonly<Record<EncoderConfig['type'], (vit: ViTConfig) => KeyRule[]>> = {
  clip: clipRules,
  dinov2: dinov2Rules,
  siglip: siglipRules,
  vit: vitRules,
  mae: vitRules,
  deit: vitRules,
  dinov3: dinov3Rules,
  eva: timmRules,
};

/** Tensors of an encoder (its state dict, or gradients by the same names) under transformers' names (EVA: timm's), without copies. */
export const encoderToHf = (
  type: EncoderConfig['type'],
  config: ViTConfig,
  tensors: ReadonlyMap<string, Tensor>,
): Map<string, Tensor> => toTheirs(tensors, byType[type](config));

/** Pictures of a folder without a processor's file: as the published models of that type want them, at the model's size. */
function usualImage({ imageSize: size }: ViTConfig, { fit, resample, mean, std, rounding }: Preparation): ImageConfig {
  return {
    size,
    fit,
    shortSide: fit === 'crop' ? size : null,
    padColor: null,
    resample,
    mean: [...mean],
    std: [...std],
    rounding,
  };
}
