/** Opens picture encoders as transformers, timm and open_clip write them: one way in, whatever the layout. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { nn, scope } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import { type EncoderConfig, type ImageConfig, parseConfig, ViTConfig } from '../config/model.js';
import { buildEncoder } from '../models/encoders.js';
import type { ViT } from '../models/vit.js';
import type { EncoderPlan } from './encoder-plan.js';
import { openEncoderFiles } from './files/encoder-files.js';
import { refuseQuantisedConfig } from './files/foreign-quantization.js';
import { type LoadOptions, readFolderJson } from './files/hf-config.js';
import { type TensorSource, toOurs } from './key-rules.js';
import { HF_ENCODER_TYPES, hfEncoder, isHfEncoder } from './layouts/hf-encoder.js';
import { OPEN_CLIP_CONFIG, openClipEncoder } from './layouts/open-clip.js';
import { isTimm, timmEncoder } from './layouts/timm.js';

/** An encoder with the preprocessing that its own folder asks for. */
export interface LoadedEncoder {
  readonly type: EncoderConfig['type'];
  readonly vit: ViT;
  readonly image: ImageConfig;
}

/**
 * Reads an encoder folder of transformers, timm or open_clip; missing, unexpected or misshaped tensors stop it with a
 * CommError. Gradients are off.
 */
export function loadHfEncoder(folder: string, { dtype, device }: LoadOptions = {}): LoadedEncoder {
  const open = layoutOf(folder);
  using files = openEncoderFiles(folder);
  const plan = open(files);
  const { type, image } = plan;
  const vit = soundConfig(plan, folder);
  const rules = plan.rules();
  const model = nn.onMeta(() => buildEncoder({ type, vit }));
  scope(() => {
    model.loadStateDict(toOurs(plan.source, rules, model.stateDict(), plan.leftovers), { assign: true });
    model.to({ dtype, device }).requiresGrad_(false).eval();
  });
  return { type, vit: model, image };
}

/** Whether a folder holds a picture encoder alone, in a layout that is known here. */
export function isEncoderFolder(folder: string): boolean {
  const path = join(folder, 'config.json');
  if (!existsSync(path)) return existsSync(join(folder, OPEN_CLIP_CONFIG));
  const json = readFolderJson(folder, 'config.json');
  return (
    isHfEncoder(json) ||
    isTimm(json) ||
    (json['model_type'] === undefined && existsSync(join(folder, OPEN_CLIP_CONFIG)))
  );
}

/** The plan for an encoder folder, its config checked; `files` are the folder's open weights. */
export function planEncoder(folder: string, files: TensorSource): EncoderPlan {
  const plan = layoutOf(folder)(files);
  return { ...plan, vit: soundConfig(plan, folder) };
}

/** The checked config; absurd sizes are refused here, before anything of that size is made. */
function soundConfig({ vit, image }: EncoderPlan, folder: string): ViTConfig {
  // A convolution passes over pixels that fill no patch, and a processor may ask for such a size.
  const drops = vit.restPixels === undefined && image.size % vit.patchSize !== 0;
  return parseConfig(ViTConfig, drops ? { ...vit, restPixels: 'drop' } : vit, `The encoder of ${folder}`);
}

/** The reader for a folder, by its config files. */
function layoutOf(folder: string): (files: TensorSource) => EncoderPlan {
  const path = join(folder, 'config.json');
  const openClip = existsSync(join(folder, OPEN_CLIP_CONFIG));
  const json = existsSync(path) || !openClip ? readFolderJson(folder, 'config.json') : {};
  refuseQuantisedConfig(json, path);
  if (isHfEncoder(json)) return (files) => hfEncoder(folder, json, files);
  if (isTimm(json)) return (files) => timmEncoder(json, path, files);
  if (openClip) return (files) => openClipEncoder(folder, files);
  const type = String(json['model_type']);
  throw new CommError(`${folder} holds a model of type '${type}', which is not an encoder known here.`, {
    code: 'weights/model-type',
    fix: /^siglip2/.test(type)
      ? 'This SigLIP 2 takes pictures of any shape (NaFlex), which is not implemented: use one of fixed resolution, e.g. google/siglip2-base-patch16-224.'
      : `Known encoder types are ${HF_ENCODER_TYPES.join(', ')}, and folders of timm and open_clip.`,
  });
}
