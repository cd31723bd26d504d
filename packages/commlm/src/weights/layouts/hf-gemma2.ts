/** Gemma 2 as transformers stores it (`gemma2`): norms around each branch, soft caps, every other layer looks at a window. */
import { z } from 'zod';
import type { LlamaConfig } from '../../config/model.js';
import { HfActivation, readForeign } from '../files/hf-config.js';
import { checkLayerTypes, windowOf } from './hf-llama.js';
import { ropeFields, ropeSettings } from './hf-rope.js';

const positiveInt = z.int().positive();
const positive = z.number().positive();

const HfGemma2Config = z.looseObject({
  ...ropeFields,
  vocab_size: positiveInt.default(256_000),
  hidden_size: positiveInt.default(2304),
  intermediate_size: positiveInt.default(9216),
  num_hidden_layers: positiveInt.default(26),
  num_attention_heads: positiveInt.default(8),
  num_key_value_heads: positiveInt.default(4),
  head_dim: positiveInt.default(256),
  hidden_activation: HfActivation.nullish().default('gelu_tanh'),
  max_position_embeddings: positiveInt.default(8192),
  rms_norm_eps: positive.default(1e-6),
  tie_word_embeddings: z.boolean().default(true),
  attention_bias: z.boolean().default(false),
  query_pre_attn_scalar: positive.default(256),
  sliding_window: positiveInt.nullish().default(4096),
  layer_types: z.array(z.enum(['full_attention', 'sliding_attention'])).nullish(),
  final_logit_softcapping: positive.nullish().default(30),
  attn_logit_softcapping: positive.nullish().default(50),
  use_bidirectional_attention: z.literal(false).nullish(),
});

/** `config.json` to ours. */
export function gemma2Config(json: Record<string, unknown>, source: string): LlamaConfig {
  const hf = readForeign(HfGemma2Config, json, source);
  const { rotaryShare: _, ...rope } = ropeSettings(hf, source);
  checkLayerTypes(hf, source, hf.sliding_window !== null);
  const windowed = (i: number): boolean => (hf.layer_types ? hf.layer_types[i] === 'sliding_attention' : i % 2 === 0);
  return {
    vocabSize: hf.vocab_size,
    hiddenSize: hf.hidden_size,
    intermediateSize: hf.intermediate_size,
    numLayers: hf.num_hidden_layers,
    numHeads: hf.num_attention_heads,
    numKvHeads: hf.num_key_value_heads,
    headDim: hf.head_dim,
    ...rope,
    rmsNormEps: hf.rms_norm_eps,
    tieWordEmbeddings: hf.tie_word_embeddings,
    qkvBias: hf.attention_bias,
    outBias: hf.attention_bias,
    mlpBias: false,
    norm: 'rms-offset',
    act: hf.hidden_activation ?? 'gelu_tanh',
    block: 'sandwich',
    queryScalar: hf.query_pre_attn_scalar,
    embedScale: Math.sqrt(hf.hidden_size),
    ...(hf.sliding_window === null ? {} : windowOf(hf.sliding_window, hf.num_hidden_layers, windowed)),
    ...(hf.attn_logit_softcapping === null ? {} : { scoreCap: hf.attn_logit_softcapping }),
    ...(hf.final_logit_softcapping === null ? {} : { logitCap: hf.final_logit_softcapping }),
  };
}
