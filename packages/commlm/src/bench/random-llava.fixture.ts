/**
 * A LLaVA of any size with random weights in transformers' layout, written file by file: what speed and memory are measured
 * on where published weights cannot be had. Its answers mean nothing.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { empty, io, manualSeed, nn, noGrad, ones, scope, type Tensor } from '@commlm/torch';
import { theirShapes } from '../weights/key-rules.js';
import { describeModel } from '../weights/open-model.js';
import { buildComm } from '../weights/quantise.js';

/** Sizes by name: LLaVA-1.5's own, and smaller ones of the same shape. */
export const LLAVA_SIZES = {
  '13b': { hidden: 5120, intermediate: 13_824, layers: 40, heads: 40, vocab: 32_064, vision: 'large' },
  '7b': { hidden: 4096, intermediate: 11_008, layers: 32, heads: 32, vocab: 32_064, vision: 'large' },
  '100m': { hidden: 768, intermediate: 2048, layers: 8, heads: 12, vocab: 32_064, vision: 'small' },
} as const;
export type LlavaSize = keyof typeof LLAVA_SIZES;

/** Random numbers that all weights are cut from: each tensor from another place, repeated where it is longer. */
const POOL = 2 ** 24;
/** Llama's own spread of fresh weights. */
const STD = 0.02;
const SHARD_BYTES = 2e9;
const IMAGE_ID = 32_000;

/** Writes a model folder; returns the number of parameters. */
export function writeRandomLlava(
  folder: string,
  size: LlavaSize,
  onShard: (done: number, total: number) => void = () => {},
): number {
  mkdirSync(folder, { recursive: true });
  const write = (name: string, json: unknown): void => writeFileSync(join(folder, name), `${JSON.stringify(json)}\n`);
  write('config.json', configOf(size));
  write('tokenizer.json', tokenizer());
  write('tokenizer_config.json', { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>', pad_token: '<pad>' });
  write('generation_config.json', { bos_token_id: 1, eos_token_id: 2 });
  const shapes = storedShapes(folder);
  const shards = intoShards(shapes);
  const nameOf = (i: number): string => `model-${five(i + 1)}-of-${five(shards.length)}.safetensors`;
  manualSeed(0);
  const pool = noGrad(() => nn.init.normal_(empty([POOL], { dtype: 'bf16' }), 0, STD));
  let offset = 0;
  for (const [i, shard] of shards.entries()) {
    scope(() =>
      io.writeSafetensors(
        join(folder, nameOf(i)),
        shard.map((key) => {
          offset = (offset + 1_000_003) % (POOL / 2);
          return [key, randomWeight(key, shapes.get(key)!, pool, offset)] as const;
        }),
        { format: 'pt' },
      ),
    );
    onShard(i + 1, shards.length);
  }
  pool.dispose();
  const sizes = [...shapes.values()].map(numel);
  const total = sizes.reduce((a, b) => a + b, 0);
  const weightMap = Object.fromEntries(shards.flatMap((shard, i) => shard.map((key) => [key, nameOf(i)])));
  write('model.safetensors.index.json', { metadata: { total_size: 2 * total }, weight_map: weightMap });
  return total;
}

const numel = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const five = (n: number): string => String(n).padStart(5, '0');

/** A weight of that shape; those of norms are ones, so that activations keep their size. */
function randomWeight(key: string, shape: readonly number[], pool: Tensor, offset: number): Tensor {
  if (/norm|layrnorm/.test(key) && key.endsWith('.weight')) return ones(shape, { dtype: 'bf16' });
  return scope(() => {
    const length = POOL - offset;
    const total = numel(shape);
    const repeats = Math.ceil(total / length);
    const piece = pool.narrow(0, offset, Math.min(length, total));
    const whole = repeats === 1 ? piece : piece.unsqueeze(0).expand(repeats, length).reshape(-1).narrow(0, 0, total);
    return whole.view(...shape);
  });
}

/** Names and shapes as published LLaVA-1.5 folders have them, from the rules of the layout itself. */
function storedShapes(folder: string): Map<string, readonly number[]> {
  const whole = describeModel(folder);
  const model = buildComm(whole.config);
  const shapes = theirShapes(whole.rules, model.stateDict());
  model.dispose();
  return new Map([...shapes].map(([key, shape]) => [published(key), shape] as const));
}

const published = (key: string): string =>
  key
    .replace(/^language_model\./, 'language_model.model.')
    .replace(/^lm_head\./, 'language_model.lm_head.')
    .replace(/^vision_tower\.(?!vision_model\.)/, 'vision_tower.vision_model.');

function intoShards(shapes: ReadonlyMap<string, readonly number[]>): string[][] {
  const shards: string[][] = [[]];
  let filled = 0;
  for (const [key, shape] of shapes) {
    const bytes = 2 * numel(shape);
    if (filled > 0 && filled + bytes > SHARD_BYTES) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)!.push(key);
    filled += bytes;
  }
  return shards;
}

function configOf(size: LlavaSize): object {
  const { hidden, intermediate, layers, heads, vocab, vision } = LLAVA_SIZES[size];
  const large = vision === 'large';
  return {
    architectures: ['LlavaForConditionalGeneration'],
    model_type: 'llava',
    torch_dtype: 'bfloat16',
    image_token_index: IMAGE_ID,
    projector_hidden_act: 'gelu',
    vision_feature_layer: -2,
    vision_feature_select_strategy: 'default',
    tie_word_embeddings: false,
    text_config: {
      model_type: 'llama',
      hidden_act: 'silu',
      hidden_size: hidden,
      intermediate_size: intermediate,
      num_hidden_layers: layers,
      num_attention_heads: heads,
      num_key_value_heads: heads,
      max_position_embeddings: 4096,
      rms_norm_eps: 1e-5,
      vocab_size: vocab,
    },
    vision_config: {
      model_type: 'clip_vision_model',
      hidden_act: 'quick_gelu',
      hidden_size: large ? 1024 : 384,
      intermediate_size: large ? 4096 : 1536,
      num_hidden_layers: large ? 24 : 6,
      num_attention_heads: large ? 16 : 6,
      image_size: 336,
      patch_size: 14,
      projection_dim: 768,
    },
  };
}

/** Llama's 32,000 tokens in form: bytes, letters, then names that no text has; `<image>` behind them. */
function tokenizer(): object {
  const special = (id: number, content: string): object => ({
    ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
  });
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  const letters = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
  const names = ['<unk>', '<s>', '</s>', ...bytes, '▁', ...letters];
  while (names.length < IMAGE_ID) names.push(`▁word${names.length}`);
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [
      special(0, '<unk>'),
      special(1, '<s>'),
      special(2, '</s>'),
      special(IMAGE_ID, '<image>'),
      special(IMAGE_ID + 1, '<pad>'),
    ],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 0 } }],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(names.map((name, id) => [name, id])),
      merges: [],
    },
  };
}
