/** Names of timm's ViT and EVA models, in each of the ways that timm splits the same weights. */
import type { ViTConfig } from '../../config/model.js';
import { joined, type KeyRule, layer, reshaped, same } from '../key-rules.js';
import { type Leftovers, notRun } from '../leftover.js';

/** Which of timm's spellings a checkpoint has; the arithmetic is the same. */
export interface TimmSpelling {
  /** `fused`: attn.qkv; `split-bias`: attn.qkv.weight with q_bias and v_bias; `split`: q_proj, k_proj, v_proj (EVA-02). */
  readonly qkv: 'fused' | 'split-bias' | 'split';
  /** Gate and value of a gated MLP as one fc1, or as fc1_g and fc1_x. */
  readonly glu: 'packed' | 'split';
  /** Layer scale as ls1.gamma (ViT) or gamma_1 (EVA). */
  readonly scale: 'gamma' | 'gamma_1';
  /** Name of the tokens between CLS and patches. */
  readonly registers: 'reg_token' | 'dist_token';
}

/** How timm writes EVA-02 of base size and larger. */
export const EVA_SPELLING: TimmSpelling = { qkv: 'split', glu: 'split', scale: 'gamma_1', registers: 'reg_token' };

function attention(ours: string, theirs: string, { qkvBias, subNorm }: ViTConfig, { qkv }: TimmSpelling): KeyRule[] {
  const norm = subNorm === 'attention-and-mlp' ? layer(`${ours}.norm`, `${theirs}.norm`) : [];
  const rest = [...norm, ...layer(`${ours}.proj`, `${theirs}.proj`)];
  if (qkv === 'fused') return [...layer(`${ours}.qkv`, `${theirs}.qkv`, qkvBias), ...rest];
  const names = ['q', 'k', 'v'].map((name) => (qkv === 'split' ? `${theirs}.${name}_proj` : `${theirs}.${name}`));
  const weight =
    qkv === 'split'
      ? joined(
          `${ours}.qkv.weight`,
          names.map((name) => `${name}.weight`),
        )
      : same(`${ours}.qkv.weight`, `${theirs}.qkv.weight`);
  const biases = names.map((name) => (qkv === 'split' ? `${name}.bias` : `${name}_bias`));
  // Neither way stores a bias of the key: it would shift all scores of a query alike.
  const bias = qkvBias ? [{ ...joined(`${ours}.qkv.bias`, biases), zero: biases[1]! }] : [];
  return [weight, ...bias, ...rest];
}

/** Our names and timm's; by default as timm writes EVA-02. */
export function timmRules(vit: ViTConfig, spelling: TimmSpelling = EVA_SPELLING): KeyRule[] {
  const { hiddenSize, numChannels, patchSize, numLayers, numRegisters } = vit;
  const blocks = Array.from({ length: numLayers }, (_, i) => {
    const name = `blocks.${i}`;
    const split = vit.mlp === 'swiglu' && spelling.glu === 'split';
    const scale = (n: 1 | 2): KeyRule[] =>
      vit.layerScale === null
        ? []
        : [same(`${name}.ls${n}.lambda1`, `${name}.${spelling.scale === 'gamma' ? `ls${n}.gamma` : `gamma_${n}`}`)];
    return [
      ...layer(`${name}.norm1`, `${name}.norm1`),
      ...attention(`${name}.attn`, `${name}.attn`, vit, spelling),
      ...scale(1),
      ...layer(`${name}.norm2`, `${name}.norm2`),
      ...layer(`${name}.mlp.fc1`, split ? [`${name}.mlp.fc1_g`, `${name}.mlp.fc1_x`] : `${name}.mlp.fc1`),
      ...(vit.subNorm === undefined ? [] : layer(`${name}.mlp.norm`, `${name}.mlp.norm`)),
      ...layer(`${name}.mlp.fc2`, `${name}.mlp.fc2`),
      ...scale(2),
    ];
  });
  const kernel = [hiddenSize, numChannels, patchSize, patchSize];
  return [
    ...(vit.clsToken ? [same('cls_token', 'cls_token')] : []),
    ...(numRegisters > 0 ? [same('register_tokens', spelling.registers)] : []),
    ...(vit.posEmbed.kind === 'none' ? [] : [same('pos_embed', 'pos_embed')]),
    reshaped('patch_embed.proj.weight', 'patch_embed.proj.weight', kernel),
    ...(vit.stem.kind === 'patch' && vit.stem.bias ? [same('patch_embed.proj.bias', 'patch_embed.proj.bias')] : []),
    ...(vit.preNorm ? layer('norm_pre', 'norm_pre') : []),
    ...blocks.flat(),
    ...(vit.finalNorm ? layer('norm', 'norm') : []),
  ];
}

/** Stored beside the encoder, not part of it: classifiers, the norm behind average pooling, attention pooling. */
export const timmLeftovers: Leftovers = (key) => notRun(/^(head|head_dist|fc_norm|attn_pool)\./.test(key));
