/**
 * Prismatic VLMs (2402.07865) as their authors store them: a run's config.json, `checkpoints/latest-checkpoint.pt` with
 * projector and language model, and the frozen encoders in folders of timm; second-to-last level, joined on the channels.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { vicunaConversation } from '../../config/conversation.js';
import { CommError } from '../../config/errors.js';
import {
  CommConfig,
  type ConversationConfig,
  type ImageConfig,
  type ProjectorConfig,
  parseConfig,
} from '../../config/model.js';
import { readFolderJson, readForeign } from '../files/hf-config.js';
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

const RunConfig = z.looseObject({
  vision_backbone_id: z.string(),
  llm_backbone_id: z.string(),
  arch_specifier: z.string(),
  image_resize_strategy: z.enum(['resize-naive', 'resize-crop', 'letterbox']),
});

const CHECKPOINT = join('checkpoints', 'latest-checkpoint.pt');

/** An encoder of a backbone: its name in the checkpoint, and on the hub. */
type Featurizer = readonly [name: string, hub: string];

const DINO: Featurizer = ['dino_featurizer', 'timm/vit_large_patch14_reg4_dinov2.lvd142m'];

/** Backbones by their id: side of the picture and encoders in the order of their channels. */
const backbones: Readonly<Record<string, { readonly size: number; readonly featurizers: readonly Featurizer[] }>> = {
  'dinosiglip-vit-so-384px': {
    size: 384,
    featurizers: [DINO, ['siglip_featurizer', 'timm/vit_so400m_patch14_siglip_384.webli']],
  },
  'dinosiglip-vit-so-224px': {
    size: 224,
    featurizers: [DINO, ['siglip_featurizer', 'timm/vit_so400m_patch14_siglip_224.webli']],
  },
  'dinoclip-vit-l-336px': {
    size: 336,
    featurizers: [DINO, ['clip_featurizer', 'timm/vit_large_patch14_clip_336.openai']],
  },
  'clip-vit-l-336px': { size: 336, featurizers: [['featurizer', 'timm/vit_large_patch14_clip_336.openai']] },
  'clip-vit-l': { size: 224, featurizers: [['featurizer', 'timm/vit_large_patch14_clip_224.openai']] },
  'siglip-vit-so400m-384px': { size: 384, featurizers: [['featurizer', 'timm/vit_so400m_patch14_siglip_384.webli']] },
  'siglip-vit-so400m': { size: 224, featurizers: [['featurizer', 'timm/vit_so400m_patch14_siglip_224.webli']] },
  'dinov2-vit-l': { size: 224, featurizers: [['featurizer', DINO[1]]] },
};

/** Language models by their id, those that are asked in a form known here. */
const languageModels: Readonly<Record<string, { readonly hub: string; readonly pure: boolean }>> = {
  'llama2-7b-pure': { hub: 'meta-llama/Llama-2-7b-hf', pure: true },
  'llama2-13b-pure': { hub: 'meta-llama/Llama-2-13b-hf', pure: true },
  'vicuna-v15-7b': { hub: 'lmsys/vicuna-7b-v1.5', pure: false },
  'vicuna-v15-13b': { hub: 'lmsys/vicuna-13b-v1.5', pure: false },
};

/** A run's config.json has its model below `model`. */
export const isPrismatic = (json: Record<string, unknown>): boolean =>
  json['model_type'] === undefined && RunConfig.safeParse(json['model']).success;

/** Reads a run folder; encoders by `--vision-tower` (once each), the language model's config and tokenizer by `--base`. */
export function prismaticModel(folder: string, json: Record<string, unknown>, options: OpenModelOptions): WholeModel {
  const source = join(folder, 'config.json');
  const run = readForeign(RunConfig, json['model'], source);
  const backbone = known(backbones, run.vision_backbone_id, 'picture encoder', source);
  const family = known(languageModels, run.llm_backbone_id, 'language model', source);
  const base = options.base ?? options.resolve?.(family.hub);
  if (base === undefined) throw noBase(source, family.hub);
  const towers = backbone.featurizers.map(([, hub], i) => visionTower(source, hub, i, options));
  // With all encoders given, the picture's size is theirs: a run may have turned it down.
  const sizes = towers.map(({ vit }, i) => (options.visionTowers?.[i] === undefined ? backbone.size : vit.imageSize));
  const baseJson = { ...readFolderJson(base, 'config.json'), vocab_size: vocabSize(folder) };
  const language = hfLanguageModel(baseJson, join(base, 'config.json'), {
    ours: 'language_model.',
    model: 'llm_backbone.llm.model.',
    head: 'llm_backbone.llm.lm_head.',
  });
  const width = towers.reduce((sum, { vit }) => sum + vit.hiddenSize, 0);
  const projector = projectorConfig(run.arch_specifier, width, language.config.hiddenSize, source);
  const config = parseConfig(
    CommConfig,
    {
      modelType: 'comm',
      vision: { encoders: towers.map((tower, i) => encoderOf(tower, sizes[i]!, run)), fuse: 'channels' },
      projector,
      imageTokens: { kind: 'bare', patchId: language.config.vocabSize },
      textConfig: language.config,
      conversation: family.pure ? PURE : { ...vicunaConversation(''), pictures: 'front' },
    },
    source,
  );
  checkSizes(config, source);
  const places = backbone.featurizers.map(([name]) => `vision_backbone.${name}.`);
  return {
    modelType: 'prismatic',
    config,
    tokenizer: base,
    openWeights: () => openCheckpoint(folder, source, backbone.featurizers, places, towers),
    rules: [
      ...towers.flatMap((tower, i) => nested(tower.rules(), `vision.encoders.${i}.vit.`, places[i]!)),
      ...projectorRules(projector),
      ...language.rules,
    ],
    tiedHead: language.tiedHead,
    leftovers: (key) => {
      const i = places.findIndex((place) => key.startsWith(place));
      return i < 0 ? language.leftovers(key) : towers[i]!.leftovers(key.slice(places[i]!.length));
    },
  };
}

/** `In: {question}\nOut: {answer}</s>`, the form for language models that were never taught to chat. */
const PURE: ConversationConfig = {
  kind: 'roles',
  begin: true,
  system: '',
  systemEnd: '',
  user: 'In: ',
  assistant: '\nOut:',
  answerStart: ' ',
  pictureEnd: '',
  pictures: 'front',
};

function known<Value>(table: Readonly<Record<string, Value>>, id: string, what: string, source: string): Value {
  const found = Object.hasOwn(table, id) ? table[id] : undefined;
  if (found !== undefined) return found;
  throw new CommError(`${source} has the ${what} '${id}', which is not supported.`, {
    code: 'weights/unsupported',
    fix: `Supported are ${Object.keys(table).join(', ')}.`,
  });
}

const noBase = (source: string, hub: string): CommError =>
  new CommError(`${source} takes config and tokenizer of its language model from '${hub}', which is not here.`, {
    code: 'weights/base',
    fix: `Get it with "commlm pull ${hub}", or name a folder with --base.`,
  });

/** Rows of the stored embedding: the authors add a token for padding and fill up to a multiple of 64. */
function vocabSize(folder: string): number {
  const key = 'llm_backbone.llm.model.embed_tokens.weight';
  using files = WeightFiles.open(checkpointOf(folder));
  if (files.keys.includes(key)) return files.info(key).shape[0]!;
  throw new CommError(`${files.name} lacks ${key}.`, {
    code: 'weights/keys',
    fix: 'Use the checkpoint of the finetune stage: it holds the language model.',
  });
}

function checkpointOf(folder: string): string {
  if (existsSync(join(folder, CHECKPOINT))) return join(folder, CHECKPOINT);
  throw new CommError(`${folder} has no ${CHECKPOINT}.`, {
    code: 'weights/missing-file',
    fix: 'Name the folder of a run, with config.json and checkpoints/ in it.',
  });
}

const encoderOf = ({ type, vit, image }: VisionTower, size: number, run: z.infer<typeof RunConfig>): object => ({
  type,
  vit: { ...vit, imageSize: size, ...(size % vit.patchSize === 0 ? {} : { restPixels: 'drop' }) },
  image: resized(image, size, run.image_resize_strategy),
  levels: [-2],
  applyFinalNorm: false,
  merge: { kind: 'single' },
  align: { kind: 'none' },
});

/** `resize-naive` stretches, `resize-crop` cuts the centre out, `letterbox` pads with the mean colour. */
function resized(
  image: ImageConfig,
  size: number,
  strategy: z.infer<typeof RunConfig>['image_resize_strategy'],
): ImageConfig {
  // The cut of timm's own evaluation is not the run's.
  const { resample, mean, std } = image;
  const common = { size, shortSide: null, padColor: null, resample, mean, std };
  if (strategy === 'resize-naive') return { ...common, fit: 'stretch' };
  if (strategy === 'resize-crop') return { ...common, fit: 'crop', shortSide: size };
  return { ...common, fit: 'pad', padColor: meanColor(image.mean) };
}

function projectorConfig(arch: string, width: number, hidden: number, source: string): ProjectorConfig {
  const act = 'gelu';
  if (arch === 'linear') return { kind: 'linear' };
  if (arch.endsWith('fused-gelu-mlp')) return { kind: 'mlp', layers: 3, act, widths: [4 * width, hidden] };
  if (arch.endsWith('gelu-mlp')) return { kind: 'mlp', layers: 2, act };
  throw new CommError(`${source} has the projector '${arch}', which is not supported.`, {
    code: 'weights/unsupported',
    fix: "Supported are 'linear', 'gelu-mlp' and 'fused-gelu-mlp', with or without 'no-align+'.",
  });
}

const projectorRules = (projector: ProjectorConfig): KeyRule[] =>
  projector.kind === 'mlp'
    ? Array.from({ length: projector.layers }, (_, i) =>
        layer(`projector.layers.${i}`, `projector.projector.${2 * i}`),
      ).flat()
    : layer('projector.layers.0', 'projector.projector');

/** The checkpoint; encoders that it does not hold, since they were frozen, come from their folders. */
function openCheckpoint(
  folder: string,
  source: string,
  featurizers: readonly Featurizer[],
  places: readonly string[],
  towers: readonly VisionTower[],
): WeightSource {
  const files = WeightFiles.open(checkpointOf(folder));
  const isInside = (place: string): boolean => files.keys.some((key) => key.startsWith(place));
  let whole: WeightSource = files;
  for (const [i, place] of places.entries()) {
    const { named, open } = towers[i]!;
    if (isInside(place)) whole = sourceAs(whole, withTower(whole, place, named));
    else if (open !== undefined) whole = joinedSources([whole, open(place)]);
    else {
      whole.close();
      throw noTower(source, featurizers[i]![1]);
    }
  }
  return whole;
}
