/** LLaVA-1.5 as its authors store it: a Llama with `model.mm_projector`, the picture encoder inside or in a folder of its own. */
import { join } from 'node:path';
import { z } from 'zod';
import { vicunaConversation } from '../../config/conversation.js';
import { CommError } from '../../config/errors.js';
import { CommConfig, type ImageConfig, type ProjectorConfig, parseConfig } from '../../config/model.js';
import { readForeign } from '../files/hf-config.js';
import { meanColor } from '../files/processors.js';
import { WeightFiles } from '../files/weight-files.js';
import { type KeyRule, layer, nested } from '../key-rules.js';
import {
  checkSizes,
  joinedSources,
  type OpenModelOptions,
  sourceAs,
  type WeightSource,
  type WholeModel,
  withTower,
} from '../whole-model.js';
import { hfLanguageModel } from './hf-language.js';
import { noTower, type VisionTower, visionTower } from './vision-tower.js';

const OriginalConfig = z.looseObject({
  mm_vision_tower: z.string().min(1),
  mm_projector_type: z.string().default('linear'),
  mm_vision_select_layer: z.int().default(-2),
  mm_vision_select_feature: z.literal('patch').default('patch'),
  mm_use_im_start_end: z.literal(false).default(false),
  image_aspect_ratio: z.enum(['pad', 'square']).nullish(),
  mm_resampler_type: z.null().optional(),
  // Several scales of one picture (S2).
  s2: z.literal(false).nullish(),
});

/** Where the weights of an encoder lie within a checkpoint that has them. */
export const INSIDE = 'model.vision_tower.vision_tower.';

/** Reads `config.json` of the original layout; `--vision-tower` or the cache gives the encoder. */
export function originalLlavaModel(
  folder: string,
  json: Record<string, unknown>,
  options: OpenModelOptions,
): WholeModel {
  const source = join(folder, 'config.json');
  const llava = readForeign(OriginalConfig, json, source);
  const language = hfLanguageModel({ ...json, model_type: 'llama' }, source, { ours: 'language_model.' });
  const { config: textConfig } = language;
  const tower = visionTower(source, llava.mm_vision_tower, 0, options);
  const projector = projectorConfig(llava.mm_projector_type, source);
  const config = parseConfig(
    CommConfig,
    {
      modelType: 'comm',
      vision: {
        encoders: [
          {
            type: tower.type,
            vit: tower.vit,
            image: llava.image_aspect_ratio === 'pad' ? padded(tower.image) : tower.image,
            levels: [llava.mm_vision_select_layer],
            applyFinalNorm: false,
            merge: { kind: 'single' },
            align: { kind: 'none' },
          },
        ],
        fuse: 'channels',
      },
      projector,
      // The layout has no token for a picture: one number behind the vocabulary marks its place.
      imageTokens: { kind: 'bare', patchId: textConfig.vocabSize },
      textConfig,
      conversation: { ...vicunaConversation('\n'), restart: true },
    },
    source,
  );
  checkSizes(config, source);
  return {
    modelType: 'llava (original)',
    config,
    tokenizer: folder,
    openWeights: () => openWithTower(folder, source, llava.mm_vision_tower, tower),
    rules: [
      ...nested(tower.rules(), 'vision.encoders.0.vit.', INSIDE),
      ...projectorRules(projector),
      ...language.rules,
    ],
    tiedHead: language.tiedHead,
    leftovers: (key) => (key.startsWith(INSIDE) ? tower.leftovers(key.slice(INSIDE.length)) : language.leftovers(key)),
  };
}

/** The model's files, with those of the encoder where they hold none; throws a CommError when it is in neither. */
export function openWithTower(folder: string, source: string, name: string, tower: VisionTower): WeightSource {
  const files = WeightFiles.open(folder);
  if (files.keys.some((key) => key.startsWith(INSIDE))) return sourceAs(files, withTower(files, INSIDE, tower.named));
  if (tower.open !== undefined) return joinedSources([files, tower.open(INSIDE)]);
  files.close();
  throw noTower(source, name);
}

/** `image_aspect_ratio: pad`: the whole picture on a square of the mean colour. */
const padded = (image: ImageConfig): ImageConfig => ({
  ...image,
  fit: 'pad',
  shortSide: null,
  padColor: meanColor(image.mean),
});

function projectorConfig(type: string, source: string): ProjectorConfig {
  const layers = Number(/^mlp(\d+)x_gelu$/.exec(type)?.[1] ?? 0);
  if (type === 'linear' || layers === 1) return { kind: 'linear' };
  if (layers > 1) return { kind: 'mlp', layers, act: 'gelu' };
  throw new CommError(`${source} has the projector '${type}', which is not supported.`, {
    code: 'weights/unsupported',
    fix: "Supported are 'linear' and 'mlp<n>x_gelu'.",
  });
}

/** `mm_projector.weight`, or a sequence of linear layers and activations. */
export const projectorRules = (projector: ProjectorConfig): KeyRule[] =>
  projector.kind === 'mlp'
    ? Array.from({ length: projector.layers }, (_, i) =>
        layer(`projector.layers.${i}`, `model.mm_projector.${2 * i}`),
      ).flat()
    : layer('projector.layers.0', 'model.mm_projector');
