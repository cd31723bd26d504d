/** SigLIP's image tower as transformers stores it: `siglip_vision_model`, or the vision half of `siglip`; SigLIP 2 of fixed resolution is the same. */
import { z } from 'zod';
import { numPositions, type ViTConfig } from '../../config/model.js';
import { HfActivation, HfSide, readForeign, vitSizes } from '../files/hf-config.js';
import { type KeyRule, layer, reshaped } from '../key-rules.js';
import { type Leftovers, notRun, positionIds } from '../leftover.js';
import { clipBlockRules } from './hf-clip.js';

const positiveInt = z.int().positive();

const HfSiglipVisionConfig = z.looseObject({
  hidden_size: positiveInt.default(768),
  intermediate_size: positiveInt.default(3072),
  num_hidden_layers: positiveInt.default(12),
  num_attention_heads: positiveInt.default(12),
  num_channels: positiveInt.default(3),
  image_size: HfSide.default(224),
  patch_size: HfSide.default(16),
  hidden_act: HfActivation.default('gelu_tanh'),
  layer_norm_eps: z.number().positive().default(1e-6),
});

/** `config.json` (or its `vision_config`) to ours; absent fields have transformers' defaults, which it may leave out on disk. */
export function siglipConfig(json: Record<string, unknown>, source: string): ViTConfig {
  const hf = readForeign(HfSiglipVisionConfig, json['vision_config'] ?? json, source);
  const grid = Math.floor(hf.image_size / hf.patch_size);
  return {
    ...vitSizes(hf),
    // so400m-patch14-384 has 27 x 27 patches and a rest of 6 pixels.
    ...(hf.image_size % hf.patch_size === 0 ? {} : { restPixels: 'drop' as const }),
    stem: { kind: 'patch', bias: true },
    mlp: 'mlp',
    act: hf.hidden_act,
    layerNormEps: hf.layer_norm_eps,
    qkvBias: true,
    preNorm: false,
    finalNorm: true,
    layerScale: null,
    clsToken: false,
    numRegisters: 0,
    maskToken: false,
    posEmbed: { kind: 'learned', grid: [grid, grid], antialias: false },
  };
}

/** Names in front of the tower in some versions and in whole models. */
export const SIGLIP_PREFIX = 'vision_model.';

/** Stored beside the tower, not part of it: the attention-pooling head, position ids of old versions, the text half. */
export const siglipLeftovers: Leftovers = (key) =>
  key === 'embeddings.position_ids'
    ? positionIds
    : notRun(/^(head|text_model)\./.test(key) || ['logit_scale', 'logit_bias'].includes(key));

/** Our names and transformers' without the prefix. */
export function siglipRules(vit: ViTConfig): KeyRule[] {
  const { hiddenSize, numChannels, patchSize, numLayers } = vit;
  const [weight, bias] = layer('patch_embed.proj', 'embeddings.patch_embedding') as [KeyRule, KeyRule];
  return [
    reshaped('pos_embed', 'embeddings.position_embedding.weight', [numPositions(vit), hiddenSize]),
    { ...weight, theirShape: [hiddenSize, numChannels, patchSize, patchSize] },
    bias,
    ...clipBlockRules(numLayers),
    ...layer('norm', 'post_layernorm'),
  ];
}
