/** Opens encoders and language models that transformers wrote, by the `model_type` of their config.json. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Device, type DType, nn, scope, type Tensor } from '@commlm/torch';
import { z } from 'zod';
import { CommError } from '../config/errors.js';
import type { EncoderConfig, ImageConfig, LlamaConfig, ViTConfig } from '../config/model.js';
import { CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD } from '../config/presets.js';
import { buildEncoder } from '../models/encoders.js';
import { Llama } from '../models/llama.js';
import type { ViT } from '../models/vit.js';
import { CLIP_PREFIX, clipConfig, clipIgnorable, clipRules } from './hf-clip.js';
import { readFolderJson, readForeign } from './hf-config.js';
import { DINOV2_PREFIX, dinov2Config, dinov2Ignorable, dinov2Rules } from './hf-dinov2.js';
import { llamaConfig, llamaIgnorable } from './hf-llama.js';
import { checkKeys, type KeyRule, toOurs, toTheirs, withoutPrefix } from './key-rules.js';
import { WeightFiles } from './weight-files.js';

/** How an encoder layout is read; a new one is a new entry in `layouts`. */
export interface EncoderLayout {
  readonly type: EncoderConfig['type'];
  readonly config: (json: Record<string, unknown>, source: string) => ViTConfig;
  readonly rules: (vit: ViTConfig) => KeyRule[];
  readonly prefix: string;
  readonly ignorable: (key: string) => boolean;
  /** Normalisation when the folder has no preprocessor_config.json. */
  readonly mean: ImageConfig['mean'];
  readonly std: ImageConfig['std'];
}

const clip: EncoderLayout = {
  type: 'clip',
  config: clipConfig,
  rules: clipRules,
  prefix: CLIP_PREFIX,
  ignorable: clipIgnorable,
  mean: CLIP_MEAN,
  std: CLIP_STD,
};

const dinov2: EncoderLayout = {
  type: 'dinov2',
  config: dinov2Config,
  rules: dinov2Rules,
  prefix: DINOV2_PREFIX,
  ignorable: dinov2Ignorable,
  mean: IMAGENET_MEAN,
  std: IMAGENET_STD,
};

const layouts: Readonly<Record<string, EncoderLayout>> = {
  clip,
  clip_vision_model: clip,
  dinov2,
  dinov2_with_registers: dinov2,
};

/** Where loaded weights end up; by default on the CPU in the dtype that they are stored in. */
export interface LoadOptions {
  readonly dtype?: DType;
  readonly device?: Device;
}

/** An encoder with the preprocessing that its own folder asks for. */
export interface LoadedEncoder {
  readonly type: EncoderConfig['type'];
  readonly vit: ViT;
  readonly image: ImageConfig;
}

/** The layout of an encoder's config.json; throws a CommError for a type that is not known. */
export function encoderLayoutOf(json: Record<string, unknown>, folder: string): EncoderLayout {
  const type = String(json['model_type']);
  const layout = Object.hasOwn(layouts, type) ? layouts[type] : undefined;
  if (layout !== undefined) return layout;
  throw new CommError(`${folder} holds a model of type '${type}', which is not an encoder known here.`, {
    code: 'weights/model-type',
    fix: `Known encoder types are ${Object.keys(layouts).join(', ')}.`,
  });
}

/** Reads an encoder folder; missing, unexpected or misshaped tensors stop it with a CommError. Gradients are off. */
export function loadHfEncoder(folder: string, options: LoadOptions = {}): LoadedEncoder {
  const json = readFolderJson(folder, 'config.json');
  const layout = encoderLayoutOf(json, folder);
  const vit = layout.config(json, join(folder, 'config.json'));
  using files = WeightFiles.open(folder);
  const model = nn.onMeta(() => buildEncoder({ type: layout.type, vit }));
  scope(() => {
    const source = withoutPrefix(files, layout.prefix);
    model.loadStateDict(toOurs(source, layout.rules(vit), model.stateDict(), layout.ignorable), { assign: true });
    model.to(target(options)).requiresGrad_(false).eval();
  });
  return { type: layout.type, vit: model, image: imageConfig(folder, vit, layout) };
}

/** Tensors of an encoder (its state dict, or gradients by the same names) under transformers' names, without copies. */
export const encoderToHf = (
  type: EncoderConfig['type'],
  vit: ViTConfig,
  tensors: ReadonlyMap<string, Tensor>,
): Map<string, Tensor> => toTheirs(tensors, (type === 'clip' ? clip : dinov2).rules(vit));

/** How a language model's config.json is read and which of its keys may be left over. */
export interface LanguageLayout {
  readonly config: (json: Record<string, unknown>, source: string) => LlamaConfig;
  readonly ignorable: (config: LlamaConfig) => (key: string) => boolean;
}

/** The layout of a language model's config.json; throws a CommError for a type that is not known. */
export function languageLayoutOf(json: Record<string, unknown>, folder: string): LanguageLayout {
  if (json['model_type'] === 'llama') return { config: llamaConfig, ignorable: llamaIgnorable };
  throw new CommError(
    `${folder} holds a language model of type '${String(json['model_type'])}', which is not known here.`,
    {
      code: 'weights/model-type',
      fix: 'Known language models are llama.',
    },
  );
}

/** Reads a Llama folder; missing, unexpected or misshaped tensors stop it with a CommError. Gradients are off. */
export function loadHfLlama(folder: string, options: LoadOptions = {}): Llama {
  const json = readFolderJson(folder, 'config.json');
  if (json['model_type'] !== 'llama') {
    throw new CommError(`${folder} holds a model of type '${String(json['model_type'])}', not a Llama.`, {
      code: 'weights/model-type',
      fix: "Name a folder whose config.json says model_type 'llama'.",
    });
  }
  const config: LlamaConfig = llamaConfig(json, join(folder, 'config.json'));
  using files = WeightFiles.open(folder);
  const model = nn.onMeta(() => new Llama(config));
  scope(() => {
    const state = model.stateDict();
    checkKeys(files, new Map([...state].map(([key, { shape }]) => [key, shape])), llamaIgnorable(config));
    model.loadStateDict(new Map([...state.keys()].map((key) => [key, files.tensor(key)])), { assign: true });
    model.to(target(options)).requiresGrad_(false).eval();
  });
  return model;
}

const target = ({ dtype, device }: LoadOptions): { dtype?: DType; device?: Device } => ({
  ...(dtype === undefined ? {} : { dtype }),
  ...(device === undefined ? {} : { device }),
});

const Side = z.union([
  z.int().positive(),
  z.looseObject({ shortest_edge: z.int().positive() }),
  z.looseObject({ height: z.int().positive(), width: z.int().positive() }),
]);

const Preprocessor = z.looseObject({
  do_resize: z.literal(true).default(true),
  size: Side,
  do_center_crop: z.boolean().default(false),
  crop_size: Side.optional(),
  resample: z.int().default(3),
  do_normalize: z.literal(true).default(true),
  image_mean: z.tuple([z.number(), z.number(), z.number()]),
  image_std: z.tuple([z.number(), z.number(), z.number()]),
});

/** Pillow's filter numbers. */
const resamples: Readonly<Record<number, ImageConfig['resample']>> = { 1: 'lanczos', 2: 'bilinear', 3: 'bicubic' };

/** `preprocessor_config.json` as an ImageConfig; without that file short side to the encoder's size, centre cut, its usual normalisation. */
function imageConfig(folder: string, vit: ViTConfig, { mean, std }: EncoderLayout): ImageConfig {
  const name = 'preprocessor_config.json';
  if (!existsSync(join(folder, name))) {
    return {
      size: vit.imageSize,
      fit: 'crop',
      shortSide: vit.imageSize,
      padColor: null,
      resample: 'bicubic',
      mean,
      std,
    };
  }
  const source = join(folder, name);
  const json = readForeign(Preprocessor, readFolderJson(folder, name), source);
  const resample = resamples[json.resample];
  const crop = json.do_center_crop ? (json.crop_size ?? json.size) : json.size;
  const [size, short] = [sideOf(crop), sideOf(json.size)];
  if (resample === undefined || size === undefined || short === undefined) {
    throw new CommError(`${source} asks for a resize that is not supported.`, {
      code: 'weights/unsupported',
      fix: 'Sizes must be square, and the filter bicubic, bilinear or Lanczos.',
    });
  }
  const keepsAspect = typeof json.size === 'number' || 'shortest_edge' in json.size;
  const common = { size, padColor: null, resample, mean: json.image_mean, std: json.image_std };
  return keepsAspect ? { ...common, fit: 'crop', shortSide: short } : { ...common, fit: 'stretch', shortSide: null };
}

function sideOf(side: z.infer<typeof Side>): number | undefined {
  if (typeof side === 'number') return side;
  if ('shortest_edge' in side) return side['shortest_edge'] as number;
  return side['height'] === side['width'] ? (side['height'] as number) : undefined;
}
