/** Llama, Mistral, Qwen2 and Qwen3 as transformers stores them; our keys are their keys, so the weights stay mapped as they are. */
import { z } from 'zod';
import { CommError } from '../../config/errors.js';
import type { LlamaConfig, SlidingWindow } from '../../config/model.js';
import { HfActivation, readForeign } from '../files/hf-config.js';
import { ropeFields, ropeSettings } from './hf-rope.js';

const positiveInt = z.int().positive();

/** Fields that the family shares, with Llama's defaults. */
const base = {
  ...ropeFields,
  vocab_size: positiveInt.default(32_000),
  hidden_size: positiveInt.default(4096),
  intermediate_size: positiveInt.default(11_008),
  num_hidden_layers: positiveInt.default(32),
  num_attention_heads: positiveInt.default(32),
  num_key_value_heads: positiveInt.nullish(),
  head_dim: positiveInt.nullish(),
  hidden_act: HfActivation.default('silu'),
  max_position_embeddings: positiveInt.default(2048),
  rms_norm_eps: z.number().positive().default(1e-6),
  tie_word_embeddings: z.boolean().default(false),
};

const HfLlamaConfig = z.looseObject({
  ...base,
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
});

/** What the layouts of the family have in common. */
function commonConfig(hf: z.infer<z.ZodObject<typeof base>>, source: string): LlamaConfig {
  const { ropeTheta, ropeScaling, maxPositions, rotaryShare } = ropeSettings(hf, source);
  const headDim = hf.head_dim ?? hf.hidden_size / hf.num_attention_heads;
  return {
    vocabSize: hf.vocab_size,
    hiddenSize: hf.hidden_size,
    intermediateSize: hf.intermediate_size,
    numLayers: hf.num_hidden_layers,
    numHeads: hf.num_attention_heads,
    numKvHeads: hf.num_key_value_heads ?? hf.num_attention_heads,
    headDim,
    maxPositions,
    ropeTheta,
    ropeScaling,
    rmsNormEps: hf.rms_norm_eps,
    tieWordEmbeddings: hf.tie_word_embeddings,
    qkvBias: false,
    outBias: false,
    mlpBias: false,
    ...(rotaryShare === 1 ? {} : { rotaryDim: Math.floor(headDim * rotaryShare) }),
    ...(hf.hidden_act === 'silu' ? {} : { act: hf.hidden_act }),
  };
}

/** Llama 1 to 3.x, Vicuna, SmolLM2, TinyLlama. */
export function llamaConfig(json: Record<string, unknown>, source: string): LlamaConfig {
  const hf = readForeign(HfLlamaConfig, json, source);
  const { attention_bias: attentionBias, mlp_bias: mlpBias } = hf;
  return { ...commonConfig(hf, source), qkvBias: attentionBias, outBias: attentionBias, mlpBias };
}

/** Options that Llama's layout has no field for. */
const BEYOND_LLAMA = [
  ...(['headBias', 'qkNorm', 'rotaryDim', 'slidingWindow', 'norm', 'mlp', 'act', 'block', 'queryScalar'] as const),
  ...(['scoreCap', 'logitCap', 'embedScale'] as const),
];

/** `config.json` of transformers' Llama for a config of ours. @throws CommError for what that layout cannot say. */
export function llamaToHf(config: LlamaConfig): Record<string, unknown> {
  const { qkvBias, outBias, ropeScaling } = config;
  const odd = [
    ...BEYOND_LLAMA.filter((name) => config[name] !== undefined),
    ...(ropeScaling.kind === 'none' ? [] : ['ropeScaling']),
    ...(qkvBias === outBias ? [] : ['qkvBias without outBias']),
  ];
  if (odd.length > 0) {
    throw new CommError(`Llama's layout cannot say ${odd.join(', ')}.`, {
      code: 'weights/llama-layout',
      fix: 'Leave these options of the model out.',
      exitCode: 2,
    });
  }
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    num_key_value_heads: config.numKvHeads,
    head_dim: config.headDim,
    hidden_act: 'silu',
    max_position_embeddings: config.maxPositions,
    rope_theta: config.ropeTheta,
    rope_scaling: null,
    rms_norm_eps: config.rmsNormEps,
    tie_word_embeddings: config.tieWordEmbeddings,
    attention_bias: qkvBias,
    mlp_bias: config.mlpBias,
  };
}

const LayerTypes = z.array(z.enum(['full_attention', 'sliding_attention'])).nullish();

const HfMistralConfig = z.looseObject({
  ...base,
  layer_types: LayerTypes,
  intermediate_size: positiveInt.default(14_336),
  num_key_value_heads: positiveInt.nullish().default(8),
  max_position_embeddings: positiveInt.default(131_072),
  sliding_window: positiveInt.nullish().default(4096),
});

/** Mistral 7B: v0.1 looks at a window of 4096, later versions at everything (`sliding_window` null). */
export function mistralConfig(json: Record<string, unknown>, source: string): LlamaConfig {
  const hf = readForeign(HfMistralConfig, json, source);
  const window = hf.sliding_window;
  checkLayerTypes(hf, source, window !== null);
  if (hf.layer_types?.some((type) => (type === 'sliding_attention') !== (window !== null))) {
    throw oddLayers(source, 'layers of both kinds');
  }
  return {
    ...commonConfig(hf, source),
    ...(window === null ? {} : { slidingWindow: { size: window, layers: 'all' } }),
  };
}

const HfQwenConfig = z.looseObject({
  ...base,
  vocab_size: positiveInt.default(151_936),
  intermediate_size: positiveInt.default(22_016),
  num_key_value_heads: positiveInt.nullish().default(32),
  max_position_embeddings: positiveInt.default(32_768),
  attention_bias: z.boolean().default(false),
  use_sliding_window: z.boolean().default(false),
  sliding_window: positiveInt.nullish().default(4096),
  max_window_layers: z.int().nonnegative().default(28),
  layer_types: LayerTypes,
});

/** Qwen2 and Qwen2.5: biases on queries, keys and values only. */
export function qwen2Config(json: Record<string, unknown>, source: string): LlamaConfig {
  const hf = readForeign(HfQwenConfig, json, source);
  return { ...commonConfig(hf, source), qkvBias: true, ...qwenWindow(hf, source) };
}

/** Qwen3: an RMSNorm on each head of queries and keys, heads of 128 whatever the width. */
export function qwen3Config(json: Record<string, unknown>, source: string): LlamaConfig {
  const hf = readForeign(HfQwenConfig, { ...json, head_dim: json['head_dim'] ?? 128 }, source);
  const bias = hf.attention_bias;
  return { ...commonConfig(hf, source), qkvBias: bias, outBias: bias, qkNorm: true, ...qwenWindow(hf, source) };
}

/** The window counts only when it is switched on, and from layer `max_window_layers` on unless each layer is named. */
function qwenWindow(hf: z.infer<typeof HfQwenConfig>, source: string): { slidingWindow?: SlidingWindow } {
  const size = hf.use_sliding_window ? hf.sliding_window : null;
  checkLayerTypes(hf, source, size !== null);
  if (size === null) return {};
  return windowOf(size, hf.num_hidden_layers, (i) =>
    hf.layer_types ? hf.layer_types[i] === 'sliding_attention' : i >= hf.max_window_layers,
  );
}

/** Throws a CommError for a list of layers that is not one a block, or that asks for a window where none is switched on. */
export function checkLayerTypes(
  {
    layer_types: types,
    num_hidden_layers: numLayers,
  }: { layer_types?: readonly string[] | null | undefined; num_hidden_layers: number },
  source: string,
  hasWindow: boolean,
): void {
  if (types === null || types === undefined) return;
  if (types.length !== numLayers) throw oddLayers(source, `${types.length} entries for ${numLayers} layers`);
  if (!hasWindow && types.includes('sliding_attention')) throw oddLayers(source, 'a sliding window, and none is set');
}

const oddLayers = (source: string, what: string): CommError =>
  new CommError(`${source} has 'layer_types' with ${what}.`, {
    code: 'weights/unsupported',
    fix: 'This checkpoint needs arithmetic that is not implemented, or its config.json is damaged.',
  });

/** The layers of a window by a rule; none at all is no window. */
export function windowOf(
  size: number,
  numLayers: number,
  isWindowed: (layer: number) => boolean,
): { slidingWindow?: SlidingWindow } {
  // Absurd layer counts are refused later, by the schema of our config.
  const layers = Array.from({ length: Math.min(numLayers, 1000) }, (_, i) => i).filter(isWindowed);
  return layers.length === 0 ? {} : { slidingWindow: { size, layers } };
}
