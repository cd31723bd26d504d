/** nanoVLM as its authors store it: SigLIP with its final norm, a pixel shuffle before one linear map, and a SmolLM2. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { CommError } from '../../config/errors.js';
import { CommConfig, type ConversationConfig, parseConfig } from '../../config/model.js';
import { readForeign } from '../files/hf-config.js';
import { WeightFiles } from '../files/weight-files.js';
import { type KeyRule, layer, nested, reshaped, same } from '../key-rules.js';
import { rotaryTable } from '../leftover.js';
import { checkSizes, type OpenModelOptions, type WholeModel } from '../whole-model.js';
import { hfLanguageModel } from './hf-language.js';
import { siglipConfig } from './hf-siglip.js';

const positiveInt = z.int().positive();

const NanoConfig = z.looseObject({
  vit_hidden_dim: positiveInt,
  vit_inter_dim: positiveInt,
  vit_patch_size: positiveInt,
  vit_img_size: positiveInt,
  vit_n_heads: positiveInt,
  vit_n_blocks: positiveInt,
  vit_ln_eps: z.number().positive(),
  vit_cls_flag: z.literal(false).default(false),
  lm_hidden_dim: positiveInt,
  lm_inter_dim: positiveInt,
  lm_rms_eps: z.number().positive(),
  lm_re_base: z.number().positive(),
  lm_max_position_embeddings: positiveInt,
  lm_vocab_size: positiveInt,
  lm_base_vocab_size: positiveInt.optional(),
  lm_n_heads: positiveInt,
  lm_n_kv_heads: positiveInt,
  lm_n_blocks: positiveInt,
  lm_attn_scaling: z.literal(1).default(1),
  lm_tie_weights: z.boolean().default(true),
  lm_tokenizer: z.string().min(1),
  lm_chat_template: z.string().min(1).optional(),
  mp_pixel_shuffle_factor: positiveInt.min(2),
  max_img_size: positiveInt.optional(),
});
type NanoConfig = z.infer<typeof NanoConfig>;

/** nanoVLM's config.json has no model_type; its fields tell it. */
export const isNanoVlm = (json: Record<string, unknown>): boolean =>
  json['model_type'] === undefined && 'vit_hidden_dim' in json && 'lm_hidden_dim' in json;

/** Reads `config.json`; the tokenizer is the language model's, by `--base` or in the cache. */
export function nanoVlmModel(folder: string, json: Record<string, unknown>, options: OpenModelOptions): WholeModel {
  const source = join(folder, 'config.json');
  const nano = readForeign(NanoConfig, json, source);
  if (nano.max_img_size !== undefined && nano.max_img_size > nano.vit_img_size) {
    throw new CommError(
      `${source} cuts pictures of up to ${nano.max_img_size} pixels into tiles, which is not supported.`,
      {
        code: 'weights/unsupported',
        fix: 'Use a nanoVLM that sees a picture as one square, e.g. lusxvr/nanoVLM-222M.',
      },
    );
  }
  const language = hfLanguageModel(languageJson(nano), source, { ours: 'language_model.' });
  const config = parseConfig(
    CommConfig,
    {
      modelType: 'comm',
      vision: { encoders: [encoderOf(nano, source)], fuse: 'channels' },
      projector: { kind: 'pixel-shuffle', factor: nano.mp_pixel_shuffle_factor, bias: false },
      // The tokens that were added begin behind the language model's own, with that of a picture.
      imageTokens: { kind: 'bare', patchId: nano.lm_base_vocab_size ?? nano.lm_vocab_size },
      textConfig: language.config,
      conversation: conversationOf(nano),
    },
    source,
  );
  checkSizes(config, source);
  const { tiedHead } = language;
  const kernel = [nano.vit_hidden_dim, 3, nano.vit_patch_size, nano.vit_patch_size];
  return {
    modelType: 'nanovlm',
    config,
    tokenizer: tokenizerOf(folder, source, nano, options),
    openWeights: () => WeightFiles.open(folder),
    rules: [
      ...nested(visionRules(nano.vit_n_blocks, kernel), 'vision.encoders.0.vit.', 'vision_encoder.'),
      ...layer('projector.layers.0', 'MP.proj', false),
      ...language.rules.map(nanoRule),
    ],
    leftovers: (key) => (key === 'decoder.rotary_embd.inv_freq' ? rotaryTable(language.config) : undefined),
    tiedHead: tiedHead && { table: nanoRule(tiedHead.table), head: nanoRule(tiedHead.head) },
  };
}

const encoderOf = (nano: NanoConfig, source: string): object => {
  const json = {
    hidden_size: nano.vit_hidden_dim,
    intermediate_size: nano.vit_inter_dim,
    num_hidden_layers: nano.vit_n_blocks,
    num_attention_heads: nano.vit_n_heads,
    image_size: nano.vit_img_size,
    patch_size: nano.vit_patch_size,
    layer_norm_eps: nano.vit_ln_eps,
    hidden_act: 'gelu_pytorch_tanh',
  };
  return {
    type: 'siglip',
    vit: siglipConfig(json, source),
    // Pixels are 0..1, not normalised.
    image: {
      size: nano.vit_img_size,
      fit: 'stretch',
      shortSide: null,
      padColor: null,
      resample: 'bilinear',
      mean: [0, 0, 0],
      std: [1, 1, 1],
    },
    levels: [-1],
    applyFinalNorm: true,
    merge: { kind: 'single' },
    align: { kind: 'none' },
  };
};

/** The decoder is a Llama under other names. */
const languageJson = (nano: NanoConfig): Record<string, unknown> => ({
  model_type: 'llama',
  vocab_size: nano.lm_vocab_size,
  hidden_size: nano.lm_hidden_dim,
  intermediate_size: nano.lm_inter_dim,
  num_hidden_layers: nano.lm_n_blocks,
  num_attention_heads: nano.lm_n_heads,
  num_key_value_heads: nano.lm_n_kv_heads,
  max_position_embeddings: nano.lm_max_position_embeddings,
  rms_norm_eps: nano.lm_rms_eps,
  rope_theta: nano.lm_re_base,
  tie_word_embeddings: nano.lm_tie_weights,
});

/** Later versions have a chat template with the picture's token in the text; the first put the picture before everything. */
const conversationOf = (nano: NanoConfig): ConversationConfig =>
  nano.lm_chat_template === undefined
    ? {
        kind: 'roles',
        begin: false,
        system: '',
        systemEnd: '',
        user: 'Question: ',
        assistant: ' Answer:',
        answerStart: ' ',
        pictureEnd: '',
        pictures: 'front',
      }
    : { kind: 'template', contents: 'text', template: nano.lm_chat_template };

function tokenizerOf(folder: string, source: string, nano: NanoConfig, options: OpenModelOptions): string {
  const own = existsSync(join(folder, 'tokenizer.json')) ? folder : undefined;
  const found = options.base ?? own ?? options.resolve?.(nano.lm_tokenizer);
  if (found !== undefined) return found;
  throw new CommError(`${source} takes its tokenizer from '${nano.lm_tokenizer}', which is not here.`, {
    code: 'weights/tokenizer',
    fix: `Get it with "commlm pull ${nano.lm_tokenizer}", or name a folder that has it with --base.`,
  });
}

const visionRules = (numBlocks: number, kernel: readonly number[]): KeyRule[] => [
  same('pos_embed', 'patch_embedding.position_embedding'),
  reshaped('patch_embed.proj.weight', 'patch_embedding.conv.weight', kernel),
  same('patch_embed.proj.bias', 'patch_embedding.conv.bias'),
  ...Array.from({ length: numBlocks }, (_, i) => [
    ...layer(`blocks.${i}.norm1`, `blocks.${i}.ln1`),
    ...layer(`blocks.${i}.attn.qkv`, `blocks.${i}.attn.qkv_proj`),
    ...layer(`blocks.${i}.attn.proj`, `blocks.${i}.attn.out_proj`),
    ...layer(`blocks.${i}.norm2`, `blocks.${i}.ln2`),
    ...layer(`blocks.${i}.mlp.fc1`, `blocks.${i}.mlp.fc1`),
    ...layer(`blocks.${i}.mlp.fc2`, `blocks.${i}.mlp.fc2`),
  ]).flat(),
  ...layer('norm', 'layer_norm'),
];

/** The rule of a Llama's tensor by nanoVLM's name. */
const nanoRule = ({ ours, theirs }: KeyRule): KeyRule => same(ours, nanoName(theirs[0]!));

/** transformers' name of a Llama's tensor as nanoVLM has it. */
const nanoName = (key: string): string =>
  key
    .replace(/^model\.embed_tokens\./, 'decoder.token_embedding.')
    .replace(/^model\.norm\./, 'decoder.norm.')
    .replace(/^lm_head\./, 'decoder.head.')
    .replace(/^model\.layers\./, 'decoder.blocks.')
    .replace('.input_layernorm.', '.norm1.')
    .replace('.post_attention_layernorm.', '.norm2.')
    .replace('.self_attn.o_proj.', '.attn.out_proj.')
    .replace('.self_attn.', '.attn.');
