/** The plain ViT as transformers stores it, and the two models on it: `vit`, `deit` (a distillation token more), `vit_mae` (its encoder). */
import { z } from 'zod';
import type { ViTConfig } from '../../config/model.js';
import { HfActivation, HfSide, readForeign, vitSizes } from '../files/hf-config.js';
import { type KeyRule, layer, reshaped, same } from '../key-rules.js';
import { type Leftovers, notRun } from '../leftover.js';

const positiveInt = z.int().positive();

const HfViTConfig = z.looseObject({
  hidden_size: positiveInt.default(768),
  num_hidden_layers: positiveInt.default(12),
  num_attention_heads: positiveInt.default(12),
  intermediate_size: positiveInt.default(3072),
  hidden_act: HfActivation.default('gelu'),
  layer_norm_eps: z.number().positive().default(1e-12),
  image_size: HfSide.default(224),
  patch_size: HfSide.default(16),
  num_channels: positiveInt.default(3),
  qkv_bias: z.boolean().default(true),
});

/** `config.json` to ours; absent fields have transformers' defaults, which it may leave out on disk. */
export function vitConfig(json: Record<string, unknown>, source: string): ViTConfig {
  const hf = readForeign(HfViTConfig, json, source);
  const grid = hf.image_size / hf.patch_size;
  const distilled = json['model_type'] === 'deit';
  return {
    ...vitSizes(hf),
    stem: { kind: 'patch', bias: true },
    mlp: 'mlp',
    act: hf.hidden_act,
    layerNormEps: hf.layer_norm_eps,
    qkvBias: hf.qkv_bias,
    preNorm: false,
    finalNorm: true,
    layerScale: null,
    clsToken: true,
    numRegisters: distilled ? 1 : 0,
    maskToken: false,
    posEmbed: {
      kind: 'learned',
      grid: [grid, grid],
      antialias: false,
      // The distillation token has a row of its own behind that of CLS.
      ...(distilled ? { numSpecial: 2 } : {}),
    },
  };
}

/** Names in front of the encoder in checkpoints of a task model. */
export const VIT_PREFIX = 'vit.';
export const DEIT_PREFIX = 'deit.';

/** Stored beside the encoder, not part of it: pooler, classifiers, the mask token and decoder of masked training. */
export const vitLeftovers: Leftovers = (key) =>
  notRun(
    /^(pooler|classifier|cls_classifier|distillation_classifier|decoder)\./.test(key) ||
      ['embeddings.mask_token', 'mask_token', 'decoder_pos_embed'].includes(key),
  );

/** Our names and transformers' without the prefix. */
export function vitRules(vit: ViTConfig): KeyRule[] {
  const { hiddenSize, numChannels, patchSize, numLayers, numRegisters, qkvBias } = vit;
  const blocks = Array.from({ length: numLayers }, (_, i) => {
    const [ours, theirs] = [`blocks.${i}`, `encoder.layer.${i}`];
    return [
      layer(`${ours}.norm1`, `${theirs}.layernorm_before`),
      layer(
        `${ours}.attn.qkv`,
        ['query', 'key', 'value'].map((name) => `${theirs}.attention.attention.${name}`),
        qkvBias,
      ),
      layer(`${ours}.attn.proj`, `${theirs}.attention.output.dense`),
      layer(`${ours}.norm2`, `${theirs}.layernorm_after`),
      layer(`${ours}.mlp.fc1`, `${theirs}.intermediate.dense`),
      layer(`${ours}.mlp.fc2`, `${theirs}.output.dense`),
    ].flat();
  });
  const projection = 'embeddings.patch_embeddings.projection';
  return [
    same('cls_token', 'embeddings.cls_token'),
    ...(numRegisters > 0 ? [same('register_tokens', 'embeddings.distillation_token')] : []),
    same('pos_embed', 'embeddings.position_embeddings'),
    reshaped('patch_embed.proj.weight', `${projection}.weight`, [hiddenSize, numChannels, patchSize, patchSize]),
    same('patch_embed.proj.bias', `${projection}.bias`),
    ...blocks.flat(),
    ...layer('norm', 'layernorm'),
  ];
}
