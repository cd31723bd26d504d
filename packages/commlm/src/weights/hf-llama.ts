/** Llama as transformers stores it (`llama`); our keys are its keys, so the weights stay mapped as they are. */
import { z } from 'zod';
import type { LlamaConfig, RopeScaling } from '../config/model.js';
import { readForeign } from './hf-config.js';

const positiveInt = z.int().positive();

const HfRope = z.discriminatedUnion('rope_type', [
  z.looseObject({ rope_type: z.literal('default') }),
  z.looseObject({ rope_type: z.literal('linear'), factor: z.number().positive() }),
  z.looseObject({
    rope_type: z.literal('llama3'),
    factor: z.number().positive(),
    low_freq_factor: z.number().positive(),
    high_freq_factor: z.number().positive(),
    original_max_position_embeddings: positiveInt,
  }),
]);

const HfLlamaConfig = z.looseObject({
  vocab_size: positiveInt.default(32_000),
  hidden_size: positiveInt.default(4096),
  intermediate_size: positiveInt.default(11_008),
  num_hidden_layers: positiveInt.default(32),
  num_attention_heads: positiveInt.default(32),
  num_key_value_heads: positiveInt.nullish(),
  head_dim: positiveInt.nullish(),
  hidden_act: z.enum(['silu', 'swish']).default('silu'),
  max_position_embeddings: positiveInt.default(2048),
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: z.record(z.string(), z.unknown()).nullish(),
  rope_parameters: z.record(z.string(), z.unknown()).nullish(),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(false),
});

/** `config.json` to ours. Newer versions write `rope_parameters`, older ones `rope_theta` and `rope_scaling` (with `type` for `rope_type`). */
export function llamaConfig(json: Record<string, unknown>, source: string): LlamaConfig {
  const hf = readForeign(HfLlamaConfig, json, source);
  const rope = hf.rope_parameters ?? hf.rope_scaling ?? {};
  const theta = z.number().positive().nullish().parse(rope['rope_theta']) ?? hf.rope_theta ?? 10_000;
  return {
    vocabSize: hf.vocab_size,
    hiddenSize: hf.hidden_size,
    intermediateSize: hf.intermediate_size,
    numLayers: hf.num_hidden_layers,
    numHeads: hf.num_attention_heads,
    numKvHeads: hf.num_key_value_heads ?? hf.num_attention_heads,
    headDim: hf.head_dim ?? hf.hidden_size / hf.num_attention_heads,
    maxPositions: hf.max_position_embeddings,
    ropeTheta: theta,
    ropeScaling: ropeScaling(rope, source),
    rmsNormEps: hf.rms_norm_eps,
    tieWordEmbeddings: hf.tie_word_embeddings,
    qkvBias: hf.attention_bias,
    outBias: hf.attention_bias,
    mlpBias: hf.mlp_bias,
  };
}

function ropeScaling(rope: Record<string, unknown>, source: string): RopeScaling {
  const type = rope['rope_type'] ?? rope['type'] ?? 'default';
  const scaling = readForeign(HfRope, { ...rope, rope_type: type }, source);
  switch (scaling.rope_type) {
    case 'default':
      return { kind: 'none' };
    case 'linear':
      return { kind: 'linear', factor: scaling.factor };
    case 'llama3':
      return {
        kind: 'llama3',
        factor: scaling.factor,
        lowFreqFactor: scaling.low_freq_factor,
        highFreqFactor: scaling.high_freq_factor,
        originalMaxPositions: scaling.original_max_position_embeddings,
      };
  }
}

/** Tables that old versions stored and new ones compute, and the head that is the embedding when tied. */
export const llamaIgnorable =
  (config: LlamaConfig) =>
  (key: string): boolean =>
    key.endsWith('.rotary_emb.inv_freq') || (config.tieWordEmbeddings && key === 'lm_head.weight');
