/** DINOv3's ViT (2508.10104) as transformers stores it: `dinov3_vit`, with the plain or the gated MLP. */
import { z } from 'zod';
import type { ViTConfig } from '../../config/model.js';
import { HfActivation, HfSide, readForeign, vitSizes } from '../files/hf-config.js';
import { joined, type KeyRule, layer, reshaped, same } from '../key-rules.js';
import { empty, type Leftovers } from '../leftover.js';

const positiveInt = z.int().positive();

const HfDinov3Config = z.looseObject({
  hidden_size: positiveInt.default(384),
  intermediate_size: positiveInt.default(1536),
  num_hidden_layers: positiveInt.default(12),
  num_attention_heads: positiveInt.default(6),
  hidden_act: HfActivation.default('gelu'),
  layer_norm_eps: z.number().positive().default(1e-5),
  rope_theta: z.number().positive().default(100),
  image_size: HfSide.default(224),
  patch_size: HfSide.default(16),
  num_channels: positiveInt.default(3),
  // The key's bias shifts all scores of a query alike, so that the models have none.
  query_bias: z.boolean().default(true),
  key_bias: z.literal(false).default(false),
  value_bias: z.boolean().default(true),
  proj_bias: z.literal(true).default(true),
  mlp_bias: z.literal(true).default(true),
  layerscale_value: z.number().positive().default(1),
  use_gated_mlp: z.boolean().default(false),
  num_register_tokens: z.int().nonnegative().default(0),
});

/** `config.json` to ours; absent fields have transformers' defaults, which it may leave out on disk. */
export function dinov3Config(json: Record<string, unknown>, source: string): ViTConfig {
  const hf = readForeign(
    HfDinov3Config.refine((config) => config.query_bias === config.value_bias, {
      path: ['value_bias'],
      message: 'it must be as query_bias is',
    }),
    json,
    source,
  );
  return {
    ...vitSizes(hf),
    stem: { kind: 'patch', bias: true },
    mlp: hf.use_gated_mlp ? 'swiglu' : 'mlp',
    act: hf.hidden_act,
    layerNormEps: hf.layer_norm_eps,
    qkvBias: hf.query_bias,
    preNorm: false,
    finalNorm: true,
    layerScale: hf.layerscale_value,
    clsToken: true,
    numRegisters: hf.num_register_tokens,
    maskToken: true,
    posEmbed: { kind: 'none' },
    rope: { theta: hf.rope_theta, coordinates: { kind: 'centred' }, pairs: 'halves' },
  };
}

/** Names in front of the encoder in some versions. */
export const DINOV3_PREFIX = 'model.';

/** An empty table of registers is stored where there are none. */
export const dinov3Leftovers: Leftovers = (key) => (key === 'embeddings.register_tokens' ? empty : undefined);

/** Our names and transformers' without the prefix. */
export function dinov3Rules(vit: ViTConfig): KeyRule[] {
  const { hiddenSize, numChannels, patchSize, numLayers, numRegisters, qkvBias } = vit;
  const blocks = Array.from({ length: numLayers }, (_, i) => {
    const [ours, theirs] = [`blocks.${i}`, `layer.${i}`];
    const qkv = (part: string): string[] => ['q', 'k', 'v'].map((name) => `${theirs}.attention.${name}_proj.${part}`);
    const up = vit.mlp === 'swiglu' ? [`${theirs}.mlp.gate_proj`, `${theirs}.mlp.up_proj`] : `${theirs}.mlp.up_proj`;
    return [
      ...layer(`${ours}.norm1`, `${theirs}.norm1`),
      joined(`${ours}.attn.qkv.weight`, qkv('weight')),
      ...(qkvBias
        ? [{ ...joined(`${ours}.attn.qkv.bias`, qkv('bias')), zero: `${theirs}.attention.k_proj.bias` }]
        : []),
      ...layer(`${ours}.attn.proj`, `${theirs}.attention.o_proj`),
      same(`${ours}.ls1.lambda1`, `${theirs}.layer_scale1.lambda1`),
      ...layer(`${ours}.norm2`, `${theirs}.norm2`),
      ...layer(`${ours}.mlp.fc1`, up),
      ...layer(`${ours}.mlp.fc2`, `${theirs}.mlp.down_proj`),
      same(`${ours}.ls2.lambda1`, `${theirs}.layer_scale2.lambda1`),
    ];
  });
  const patches = 'embeddings.patch_embeddings';
  return [
    same('cls_token', 'embeddings.cls_token'),
    ...(numRegisters > 0 ? [same('register_tokens', 'embeddings.register_tokens')] : []),
    same('mask_token', 'embeddings.mask_token'),
    reshaped('patch_embed.proj.weight', `${patches}.weight`, [hiddenSize, numChannels, patchSize, patchSize]),
    same('patch_embed.proj.bias', `${patches}.bias`),
    ...blocks.flat(),
    ...layer('norm', 'norm'),
  ];
}
