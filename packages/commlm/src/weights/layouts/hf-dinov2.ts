/** DINOv2 as transformers stores it: `dinov2` and `dinov2_with_registers`. */
import { z } from 'zod';
import type { ViTConfig } from '../../config/model.js';
import { HfActivation, readForeign } from '../files/hf-config.js';
import { type KeyRule, layer, reshaped, same } from '../key-rules.js';

const positiveInt = z.int().positive();

const HfDinov2Config = z.looseObject({
  hidden_size: positiveInt.default(768),
  num_hidden_layers: positiveInt.default(12),
  num_attention_heads: positiveInt.default(12),
  mlp_ratio: z.number().positive().default(4),
  hidden_act: HfActivation.default('gelu'),
  layer_norm_eps: z.number().positive().default(1e-6),
  image_size: positiveInt.default(224),
  patch_size: positiveInt.default(14),
  num_channels: positiveInt.default(3),
  qkv_bias: z.boolean().default(true),
  layerscale_value: z.number().positive().default(1),
  use_swiglu_ffn: z.boolean().default(false),
  num_register_tokens: z.int().nonnegative().optional(),
  use_mask_token: z.boolean().default(true),
});

/** Width of the gated MLP: two thirds of the plain one, up to a multiple of 8. */
const swigluWidth = (plainWidth: number): number => Math.ceil(Math.floor((plainWidth * 2) / 3) / 8) * 8;

/** `config.json` to ours; absent fields have transformers' defaults, which it may leave out on disk. */
export function dinov2Config(json: Record<string, unknown>, source: string): ViTConfig {
  const hf = readForeign(HfDinov2Config, json, source);
  const grid = hf.image_size / hf.patch_size;
  const plainWidth = Math.trunc(hf.hidden_size * hf.mlp_ratio);
  const withRegisters = json['model_type'] === 'dinov2_with_registers';
  return {
    hiddenSize: hf.hidden_size,
    numLayers: hf.num_hidden_layers,
    numHeads: hf.num_attention_heads,
    intermediateSize: hf.use_swiglu_ffn ? swigluWidth(plainWidth) : plainWidth,
    numChannels: hf.num_channels,
    imageSize: hf.image_size,
    patchSize: hf.patch_size,
    stem: { kind: 'patch', bias: true },
    mlp: hf.use_swiglu_ffn ? 'swiglu' : 'mlp',
    act: hf.use_swiglu_ffn ? 'silu' : hf.hidden_act,
    layerNormEps: hf.layer_norm_eps,
    qkvBias: hf.qkv_bias,
    preNorm: false,
    finalNorm: true,
    layerScale: hf.layerscale_value,
    clsToken: true,
    numRegisters: hf.num_register_tokens ?? (withRegisters ? 4 : 0),
    maskToken: withRegisters || hf.use_mask_token,
    // transformers resizes the table with antialias in this variant only, as the original code does.
    posEmbed: { kind: 'learned', grid: [grid, grid], antialias: withRegisters },
  };
}

/** Names in front of the encoder in checkpoints of a task model. */
export const DINOV2_PREFIX = 'dinov2.';

/** Our names and transformers' without the prefix. */
export function dinov2Rules(vit: ViTConfig): KeyRule[] {
  const { hiddenSize, numChannels, patchSize, numLayers, qkvBias } = vit;
  const [fc1, fc2] = vit.mlp === 'swiglu' ? ['weights_in', 'weights_out'] : ['fc1', 'fc2'];
  const blocks = Array.from({ length: numLayers }, (_, i) => {
    const [ours, theirs] = [`blocks.${i}`, `encoder.layer.${i}`];
    return [
      ...layer(`${ours}.norm1`, `${theirs}.norm1`),
      ...layer(
        `${ours}.attn.qkv`,
        ['query', 'key', 'value'].map((name) => `${theirs}.attention.attention.${name}`),
        qkvBias,
      ),
      ...layer(`${ours}.attn.proj`, `${theirs}.attention.output.dense`),
      same(`${ours}.ls1.lambda1`, `${theirs}.layer_scale1.lambda1`),
      ...layer(`${ours}.norm2`, `${theirs}.norm2`),
      ...layer(`${ours}.mlp.fc1`, `${theirs}.mlp.${fc1}`),
      ...layer(`${ours}.mlp.fc2`, `${theirs}.mlp.${fc2}`),
      same(`${ours}.ls2.lambda1`, `${theirs}.layer_scale2.lambda1`),
    ];
  });
  return [
    same('cls_token', 'embeddings.cls_token'),
    ...(vit.numRegisters > 0 ? [same('register_tokens', 'embeddings.register_tokens')] : []),
    ...(vit.maskToken ? [reshaped('mask_token', 'embeddings.mask_token', [1, hiddenSize])] : []),
    same('pos_embed', 'embeddings.position_embeddings'),
    reshaped('patch_embed.proj.weight', 'embeddings.patch_embeddings.projection.weight', [
      hiddenSize,
      numChannels,
      patchSize,
      patchSize,
    ]),
    same('patch_embed.proj.bias', 'embeddings.patch_embeddings.projection.bias'),
    ...blocks.flat(),
    ...layer('norm', 'layernorm'),
  ];
}
