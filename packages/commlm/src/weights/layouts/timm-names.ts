/**
 * What the name of one of timm's ViTs says and its weights do not: heads, activation, eps, rotary positions. Widths,
 * depth, tokens and biases are read from the weights; a name that is not understood whole is refused.
 */
import { CommError } from '../../config/errors.js';
import type { Activation, EncoderConfig, PatchRopeConfig } from '../../config/model.js';

/** Facts of one architecture. */
export interface TimmFacts {
  readonly type: EncoderConfig['type'];
  readonly numHeads: number;
  readonly act: Activation;
  readonly layerNormEps: number;
  readonly preNorm: boolean;
  readonly rope?: PatchRopeConfig;
  readonly blockNorm?: 'post';
}

/** Attention heads by size name. */
const HEADS: Readonly<Record<string, number>> = {
  tiny: 3,
  xsmall: 4,
  wee: 4,
  little: 5,
  small: 6,
  medium: 8,
  mediumd: 8,
  betwixt: 10,
  base: 12,
  so150m: 14,
  so150m2: 13,
  large: 16,
  so400m: 16,
  huge: 16,
  giant: 16,
  giantopt: 16,
  gigantic: 16,
  enormous: 16,
  '7b': 32,
};

/** Parts that a name may have behind model and size. */
const PARTS = /^(patch\d+|reg\d+|\d+|plus|clip|quickgelu|siglip|gap|map|dinov2|dinov3|qkvb|distilled)$/;

const EVA02_ROPE: PatchRopeConfig = {
  theta: 10_000,
  coordinates: { kind: 'index', grid: [16, 16] },
  pairs: 'neighbours',
};

const DINOV3_ROPE: PatchRopeConfig = { theta: 100, coordinates: { kind: 'centred' }, pairs: 'halves' };

/** Facts by the name of the architecture, e.g. `vit_large_patch14_reg4_dinov2`; throws a CommError for another kind of model. */
export function timmFacts(architecture: string): TimmFacts {
  const [model = '', size = '', ...parts] = (architecture.split('.')[0] ?? '').split('_');
  const known = ['vit', 'deit', 'deit3', 'eva', 'eva02'].includes(model) && Object.hasOwn(HEADS, size);
  if (!known || !parts.every((part) => PARTS.test(part))) {
    throw new CommError(`The timm architecture '${architecture}' is not known here.`, {
      code: 'weights/unsupported',
      fix: 'Known are the plain ViTs of timm: vit, deit, deit3, eva and eva02, with clip, siglip, dinov2, dinov3.',
    });
  }
  const has = (part: string): boolean => parts.includes(part);
  const numHeads = headsOf(size, has);
  const plain = { numHeads, act: 'gelu', layerNormEps: 1e-6, preNorm: false } as const;
  if (model === 'eva') return { ...plain, type: 'eva' };
  if (model === 'eva02') {
    return size === 'enormous'
      ? { ...plain, type: 'eva', blockNorm: 'post' }
      : { ...plain, type: 'eva', rope: EVA02_ROPE };
  }
  if (model !== 'vit') return { ...plain, type: 'deit' };
  if (has('dinov3')) return { ...plain, type: 'dinov3', layerNormEps: 1e-5, rope: DINOV3_ROPE };
  if (has('dinov2')) return { ...plain, type: 'dinov2' };
  if (has('siglip')) return { ...plain, type: 'siglip', act: hasTanhGelu(size, has) ? 'gelu_tanh' : 'gelu' };
  if (!has('clip')) return { ...plain, type: 'vit' };
  return { ...plain, type: 'clip', act: has('quickgelu') ? 'quick_gelu' : 'gelu', layerNormEps: 1e-5, preNorm: true };
}

function headsOf(size: string, has: (part: string) => boolean): number {
  if (has('dinov2') && size === 'giant') return 24;
  if (has('dinov3') && has('plus') && size === 'huge') return 20;
  if (has('plus') && size === 'base') return 14;
  // The first ViT-B with average pooling has wider attention; SigLIP's variants do not.
  if (size === 'base' && has('gap') && !has('siglip') && !has('reg4')) return 16;
  return HEADS[size]!;
}

/** timm runs the newer SigLIP 2 sizes with the tanh form of GELU, the older ones with the exact one. */
const hasTanhGelu = (size: string, has: (part: string) => boolean): boolean =>
  size === 'giantopt' ||
  (size === 'base' && has('patch32')) ||
  (size === 'large' && has('512')) ||
  (size === 'so400m' && has('patch16'));
