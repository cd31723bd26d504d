/** LLaVA as transformers stores it (`llava`): a picture encoder, a two-layer projector and a language model below one config. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { vicunaConversation } from '../../config/conversation.js';
import { CommError } from '../../config/errors.js';
import { CommConfig, type ConversationConfig, type MergeConfig, parseConfig } from '../../config/model.js';
import { HfActivation, readFolderJson, readForeign } from '../files/hf-config.js';
import { readPictureConfig } from '../files/picture-config.js';
import { WeightFiles } from '../files/weight-files.js';
import { layer, nested, renamed, type TensorSource } from '../key-rules.js';
import { checkSizes, type OpenModelOptions, sourceAs, type WholeModel, withTower } from '../whole-model.js';
import { HF_ENCODER_TYPES, hfEncoder, isHfEncoder } from './hf-encoder.js';
import { hfLanguageModel } from './hf-language.js';

const positiveInt = z.int().positive();

const HfLlavaConfig = z.looseObject({
  vision_config: z.record(z.string(), z.unknown()),
  text_config: z.record(z.string(), z.unknown()),
  vision_feature_layer: z.union([z.int(), z.array(z.int()).min(1)]).default(-2),
  vision_feature_select_strategy: z.enum(['default', 'full']).default('default'),
  projector_hidden_act: HfActivation.default('gelu'),
  multimodal_projector_bias: z.boolean().default(true),
  image_token_index: z.int().nonnegative().nullish(),
  image_token_id: z.int().nonnegative().nullish(),
  image_seq_length: positiveInt.nullish(),
  tie_word_embeddings: z.boolean().nullish(),
});

/** Names of the newer versions and of the older ones, told apart by what stands in front, as one. */
function canonical(key: string): string {
  const plain = key.replace(/^model\.(?=vision_tower\.|multi_modal_projector\.|language_model\.)/, '');
  return plain.replace(/^language_model\.(?=lm_head\.)/, '').replace(/^language_model\.model\./, 'language_model.');
}

/** Stands for the weights while only the config is read. */
const NOTHING: TensorSource = {
  name: 'config.json',
  keys: [],
  info: () => ({ dtype: 'f32', shape: [] }),
  tensor: () => {
    throw new TypeError('no weights are read yet');
  },
};

const unknownEncoder = (type: string, source: string): CommError =>
  new CommError(`${source} has a picture encoder of type '${type}', which is not known here.`, {
    code: 'weights/model-type',
    fix: `Known types are ${HF_ENCODER_TYPES.join(', ')}.`,
  });

/** Reads `config.json` and what stands beside it; the weights are not touched. */
export function llavaModel(folder: string, json: Record<string, unknown>, _options: OpenModelOptions): WholeModel {
  const source = join(folder, 'config.json');
  const hf = readForeign(HfLlavaConfig, json, source);
  // Old config files leave out the types that LLaVA-1.5 has.
  const visionJson = { model_type: 'clip_vision_model', ...hf.vision_config };
  const textJson = { model_type: 'llama', ...hf.text_config };
  const tied = hf.tie_word_embeddings === true ? { tie_word_embeddings: true } : {};
  if (!isHfEncoder(visionJson)) throw unknownEncoder(String(visionJson['model_type']), source);
  const encoder = hfEncoder(folder, visionJson, NOTHING);
  const language = hfLanguageModel({ ...textJson, ...tied }, source, {
    ours: 'language_model.',
    model: 'language_model.',
  });
  const { vit } = encoder;
  const levels = [hf.vision_feature_layer].flat();
  const merge: MergeConfig = levels.length === 1 ? { kind: 'single' } : { kind: 'concat' };
  if ((hf.vision_feature_select_strategy === 'default') !== vit.clsToken) {
    throw new CommError(
      `${source} reads '${hf.vision_feature_select_strategy}' features of an encoder ${vit.clsToken ? 'with' : 'without'} a CLS token.`,
      {
        code: 'weights/unsupported',
        fix: "Supported are 'default' with a CLS token, which is left out, and 'full' without one.",
      },
    );
  }
  const config = parseConfig(
    CommConfig,
    {
      modelType: 'comm',
      vision: {
        encoders: [
          {
            type: encoder.type,
            vit,
            image: readPictureConfig(folder, 'llava', encoder.image),
            levels,
            applyFinalNorm: false,
            merge,
            align: { kind: 'none' },
          },
        ],
        fuse: 'channels',
      },
      projector: {
        kind: 'mlp',
        layers: 2,
        act: hf.projector_hidden_act,
        ...(hf.multimodal_projector_bias ? {} : { bias: false }),
      },
      imageTokens: { kind: 'bare', patchId: hf.image_token_id ?? hf.image_token_index ?? 32_000 },
      textConfig: language.config,
      conversation: folderConversation(folder) ?? vicunaConversation('\n', ''),
    },
    source,
  );
  checkSizes(config, source);
  const towerPrefix = 'vision_tower.';
  return {
    modelType: 'llava',
    config,
    tokenizer: folder,
    openWeights: () => {
      const files = WeightFiles.open(folder);
      const named = (inside: TensorSource): TensorSource => hfEncoder(folder, visionJson, inside).source;
      return sourceAs(files, withTower(renamed(files, canonical), towerPrefix, named));
    },
    rules: [
      ...nested(encoder.rules(), 'vision.encoders.0.vit.', towerPrefix),
      ...layer('projector.layers.0', 'multi_modal_projector.linear_1', hf.multimodal_projector_bias),
      ...layer('projector.layers.1', 'multi_modal_projector.linear_2', hf.multimodal_projector_bias),
      ...language.rules,
    ],
    tiedHead: language.tiedHead,
    leftovers: (key) =>
      key.startsWith(towerPrefix) ? encoder.leftovers(key.slice(towerPrefix.length)) : language.leftovers(key),
  };
}

/** The chat template of a folder as a conversation, whatever file holds it; undefined where there is none. */
export function folderConversation(folder: string): ConversationConfig | undefined {
  if (existsSync(join(folder, 'chat_template.jinja'))) return { kind: 'template', contents: 'parts' };
  for (const name of ['chat_template.json', 'processor_config.json', 'tokenizer_config.json']) {
    if (!existsSync(join(folder, name))) continue;
    const { chat_template: template } = readFolderJson(folder, name);
    if (template === undefined || template === null) continue;
    // The tokenizer's own template knows text only, unless it asks for the type of a content.
    const parts = name !== 'tokenizer_config.json' || /\btype\b/.test(JSON.stringify(template));
    const own = name === 'processor_config.json' && typeof template === 'string' ? { template } : {};
    return { kind: 'template', contents: parts ? 'parts' : 'text', ...own };
  }
  return undefined;
}
