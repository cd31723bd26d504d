/** CLIP's image tower as transformers stores it: `clip_vision_model`, or the vision half of `clip`. */
import { z } from 'zod';
import { numPositions, type ViTConfig } from '../../config/model.js';
import { HfActivation, readForeign, vitSizes } from '../files/hf-config.js';
import { type KeyRule, layer, reshaped } from '../key-rules.js';
import { type Leftovers, notRun, positionIds } from '../leftover.js';

const positiveInt = z.int().positive();

const HfClipVisionConfig = z.looseObject({
  hidden_size: positiveInt.default(768),
  intermediate_size: positiveInt.default(3072),
  num_hidden_layers: positiveInt.default(12),
  num_attention_heads: positiveInt.default(12),
  num_channels: positiveInt.default(3),
  image_size: positiveInt.default(224),
  patch_size: positiveInt.default(32),
  hidden_act: HfActivation.default('quick_gelu'),
  layer_norm_eps: z.number().positive().default(1e-5),
});

/** `config.json` (or its `vision_config`) to ours; absent fields have transformers' defaults, which it may leave out on disk. */
export function clipConfig(json: Record<string, unknown>, source: string): ViTConfig {
  const hf = readForeign(HfClipVisionConfig, json['vision_config'] ?? json, source);
  const grid = hf.image_size / hf.patch_size;
  return {
    ...vitSizes(hf),
    stem: { kind: 'patch', bias: false },
    mlp: 'mlp',
    act: hf.hidden_act,
    layerNormEps: hf.layer_norm_eps,
    qkvBias: true,
    preNorm: true,
    finalNorm: true,
    layerScale: null,
    clsToken: true,
    numRegisters: 0,
    maskToken: false,
    posEmbed: { kind: 'learned', grid: [grid, grid], antialias: false },
  };
}

/** Names in front of the tower in some versions. */
export const CLIP_PREFIX = 'vision_model.';

/** Stored beside the tower, not part of it: position ids of old versions, CLIP's text half and its projections. */
export const clipLeftovers: Leftovers = (key) =>
  key === 'embeddings.position_ids'
    ? positionIds
    : notRun(
        key.startsWith('text_model.') ||
          ['logit_scale', 'text_projection.weight', 'visual_projection.weight'].includes(key),
      );

/** The blocks of CLIP, which SigLIP's are named like. */
export const clipBlockRules = (numLayers: number): KeyRule[] =>
  Array.from({ length: numLayers }, (_, i) => {
    const [ours, theirs] = [`blocks.${i}`, `encoder.layers.${i}`];
    return [
      layer(`${ours}.norm1`, `${theirs}.layer_norm1`),
      layer(
        `${ours}.attn.qkv`,
        ['q', 'k', 'v'].map((name) => `${theirs}.self_attn.${name}_proj`),
      ),
      layer(`${ours}.attn.proj`, `${theirs}.self_attn.out_proj`),
      layer(`${ours}.norm2`, `${theirs}.layer_norm2`),
      layer(`${ours}.mlp.fc1`, `${theirs}.mlp.fc1`),
      layer(`${ours}.mlp.fc2`, `${theirs}.mlp.fc2`),
    ];
  }).flat(2);

/** Our names and transformers' without the prefix; `pre_layrnorm` is spelt so on disk. */
export function clipRules(vit: ViTConfig): KeyRule[] {
  const { hiddenSize, numChannels, patchSize, numLayers } = vit;
  return [
    reshaped('cls_token', 'embeddings.class_embedding', [hiddenSize]),
    reshaped('pos_embed', 'embeddings.position_embedding.weight', [numPositions(vit), hiddenSize]),
    reshaped('patch_embed.proj.weight', 'embeddings.patch_embedding.weight', [
      hiddenSize,
      numChannels,
      patchSize,
      patchSize,
    ]),
    ...layer('norm_pre', 'pre_layrnorm'),
    ...clipBlockRules(numLayers),
    ...layer('norm', 'post_layernorm'),
  ];
}
