/** Phi-1, 1.5 and 2 as transformers stores them (`phi`): parallel branches, LayerNorm, biases everywhere, part of each head turns. */
import { z } from 'zod';
import type { LlamaConfig } from '../../config/model.js';
import { HfActivation, readForeign } from '../files/hf-config.js';
import { ropeFields, ropeSettings } from './hf-rope.js';

const positiveInt = z.int().positive();

const HfPhiConfig = z.looseObject({
  ...ropeFields,
  vocab_size: positiveInt.default(51_200),
  hidden_size: positiveInt.default(2048),
  intermediate_size: positiveInt.nullish().default(8192),
  num_hidden_layers: positiveInt.default(24),
  num_attention_heads: positiveInt.default(32),
  num_key_value_heads: positiveInt.nullish(),
  head_dim: positiveInt.nullish(),
  hidden_act: HfActivation.default('gelu_tanh'),
  max_position_embeddings: positiveInt.default(2048),
  layer_norm_eps: z.number().positive().default(1e-5),
  qk_layernorm: z.literal(false).default(false),
  tie_word_embeddings: z.literal(false).default(false),
});

/** `config.json` to ours. */
export function phiConfig(json: Record<string, unknown>, source: string): LlamaConfig {
  const hf = readForeign(HfPhiConfig, json, source);
  const { rotaryShare, ...rope } = ropeSettings(hf, source, { rotaryShare: 0.5 });
  const headDim = hf.head_dim ?? hf.hidden_size / hf.num_attention_heads;
  return {
    vocabSize: hf.vocab_size,
    hiddenSize: hf.hidden_size,
    intermediateSize: hf.intermediate_size ?? 4 * hf.hidden_size,
    numLayers: hf.num_hidden_layers,
    numHeads: hf.num_attention_heads,
    numKvHeads: hf.num_key_value_heads ?? hf.num_attention_heads,
    headDim,
    ...rope,
    rmsNormEps: hf.layer_norm_eps,
    tieWordEmbeddings: false,
    qkvBias: true,
    outBias: true,
    mlpBias: true,
    headBias: true,
    rotaryDim: Math.floor(headDim * rotaryShare),
    norm: 'layer',
    mlp: 'plain',
    act: hf.hidden_act,
    block: 'parallel',
  };
}

/** Names that differ from ours. */
export const phiName = (ours: string): string =>
  ours.replace('.self_attn.o_proj.', '.self_attn.dense.').replace(/^model\.norm\./, 'model.final_layernorm.');
