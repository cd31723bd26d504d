/** Encoders as transformers stores them, by the `model_type` of config.json; a new one is a new entry in `layouts`. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { EncoderConfig, ImageConfig, ViTConfig } from '../config/model.js';
import { CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD } from '../config/presets.js';
import { parsePreprocessorConfig } from '../images/preprocess.js';
import type { EncoderPlan } from './encoder-plan.js';
import { CLIP_PREFIX, clipConfig, clipLeftovers, clipRules } from './hf-clip.js';
import { readFolderJson } from './hf-config.js';
import { DINOV2_PREFIX, dinov2Config, dinov2Rules } from './hf-dinov2.js';
import { DINOV3_PREFIX, dinov3Config, dinov3Leftovers, dinov3Rules } from './hf-dinov3.js';
import { SIGLIP_PREFIX, siglipConfig, siglipLeftovers, siglipRules } from './hf-siglip.js';
import { DEIT_PREFIX, VIT_PREFIX, vitConfig, vitLeftovers, vitRules } from './hf-vit.js';
import { type KeyRule, type TensorSource, toTheirs, withoutPrefix } from './key-rules.js';
import { type Leftovers, NO_LEFTOVERS } from './leftover.js';
import { timmRules } from './timm-rules.js';

type Triple = readonly [number, number, number];

/** How the processor class of a model type prepares a picture where preprocessor_config.json is silent. */
interface Processor {
  /** Short side and centre cut, or both sides; a bare number in `size` means the same. */
  readonly fit: 'crop' | 'stretch' | 'stretch-crop';
  /** Pillow's number of the filter: 2 bilinear, 3 bicubic. */
  readonly resample: 2 | 3;
  readonly mean: Triple;
  readonly std: Triple;
  /** Set for the class that resizes in floating point. */
  readonly rounding?: 'none';
}

interface HfEncoderLayout {
  readonly type: EncoderConfig['type'];
  readonly config: (json: Record<string, unknown>, source: string) => ViTConfig;
  readonly rules: (vit: ViTConfig) => KeyRule[];
  readonly prefix: string;
  readonly leftovers: Leftovers;
  readonly processor: Processor;
}

const HALF: Triple = [0.5, 0.5, 0.5];

const clip: HfEncoderLayout = {
  type: 'clip',
  config: clipConfig,
  rules: clipRules,
  prefix: CLIP_PREFIX,
  leftovers: clipLeftovers,
  processor: { fit: 'crop', resample: 3, mean: CLIP_MEAN, std: CLIP_STD },
};

const dinov2: HfEncoderLayout = {
  type: 'dinov2',
  config: dinov2Config,
  rules: dinov2Rules,
  prefix: DINOV2_PREFIX,
  leftovers: NO_LEFTOVERS,
  processor: { fit: 'crop', resample: 3, mean: IMAGENET_MEAN, std: IMAGENET_STD },
};

const siglip: HfEncoderLayout = {
  type: 'siglip',
  config: siglipConfig,
  rules: siglipRules,
  prefix: SIGLIP_PREFIX,
  leftovers: siglipLeftovers,
  processor: { fit: 'stretch', resample: 3, mean: HALF, std: HALF },
};

const vit: HfEncoderLayout = {
  type: 'vit',
  config: vitConfig,
  rules: vitRules,
  prefix: VIT_PREFIX,
  leftovers: vitLeftovers,
  processor: { fit: 'stretch', resample: 2, mean: HALF, std: HALF },
};

const mae: HfEncoderLayout = {
  ...vit,
  type: 'mae',
  processor: { fit: 'stretch', resample: 2, mean: IMAGENET_MEAN, std: IMAGENET_STD },
};

const deit: HfEncoderLayout = {
  ...vit,
  type: 'deit',
  prefix: DEIT_PREFIX,
  processor: { fit: 'stretch-crop', resample: 3, mean: HALF, std: HALF },
};

const dinov3: HfEncoderLayout = {
  type: 'dinov3',
  config: dinov3Config,
  rules: dinov3Rules,
  prefix: DINOV3_PREFIX,
  leftovers: dinov3Leftovers,
  processor: { fit: 'stretch', resample: 2, mean: IMAGENET_MEAN, std: IMAGENET_STD, rounding: 'none' },
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
    image: imageConfig(folder, config, layout.processor),
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

/** `preprocessor_config.json` as an ImageConfig; what it leaves out is as in the processor class of the model type. */
function imageConfig(folder: string, vit: ViTConfig, processor: Processor): ImageConfig {
  const image = bytewiseImageConfig(folder, vit, processor);
  const { rounding } = processor;
  return rounding === undefined || image.fit !== 'stretch' ? image : { ...image, rounding };
}

function bytewiseImageConfig(folder: string, { imageSize }: ViTConfig, processor: Processor): ImageConfig {
  const name = 'preprocessor_config.json';
  const { fit, resample, mean, std } = processor;
  if (!existsSync(join(folder, name))) {
    const shared = { size: imageSize, padColor: null, resample: resample === 2 ? 'bilinear' : 'bicubic' } as const;
    return {
      ...shared,
      fit: fit === 'crop' ? 'crop' : 'stretch',
      shortSide: fit === 'crop' ? imageSize : null,
      mean: [...mean],
      std: [...std],
    };
  }
  const source = join(folder, name);
  const json = readFolderJson(folder, name);
  if (json['do_resize'] === false) {
    throw new CommError(`${source} asks for pictures that are not resized, which is not supported.`, {
      code: 'weights/unsupported',
      fix: 'Set do_resize to true.',
    });
  }
  return parsePreprocessorConfig({ resample, image_mean: mean, image_std: std, ...withSides(json, fit) }, source);
}

/** A bare number in `size` as the processor class means it, and a short side always with a cut: encoders take squares. */
function withSides(json: Record<string, unknown>, fit: Processor['fit']): Record<string, unknown> {
  const { size } = json;
  const square = typeof size === 'number' && fit !== 'crop';
  const sides = typeof size !== 'number' ? size : square ? { height: size, width: size } : { shortest_edge: size };
  const short = typeof sides === 'object' && sides !== null && 'shortest_edge' in sides;
  const cut = json['do_center_crop'] ?? (fit === 'stretch-crop' && 'crop_size' in json);
  if (short && cut !== true) return { ...json, size: sides, do_center_crop: true, crop_size: sides.shortest_edge };
  return { ...json, size: sides, do_center_crop: cut };
}
