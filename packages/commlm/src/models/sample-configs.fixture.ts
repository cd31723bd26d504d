/** Small configs for tests: every part of COMM in a fraction of a second. */
import type { CommConfig, EncoderConfig, LlamaConfig, ViTConfig } from '../config/model.js';
import { commTiny } from '../config/presets.js';

/** A ViT of 3 blocks and width 24 on 32 px pictures, 16 patches. */
export const smallViT = (changes: Partial<ViTConfig> = {}): ViTConfig => ({
  hiddenSize: 24,
  numLayers: 3,
  numHeads: 3,
  intermediateSize: 48,
  numChannels: 3,
  imageSize: 32,
  patchSize: 8,
  stem: { kind: 'patch', bias: true },
  mlp: 'mlp',
  act: 'gelu',
  layerNormEps: 1e-6,
  qkvBias: true,
  preNorm: false,
  finalNorm: true,
  layerScale: 1,
  clsToken: true,
  numRegisters: 0,
  maskToken: false,
  posEmbed: { kind: 'learned', grid: [4, 4], antialias: false },
  ...changes,
});

/**
 * How results of these models round, for `expectRounded`: the longest sum that repeats is over the 48 or 40 hidden
 * channels of an MLP, and a block is eight steps: norm, projection, scores, softmax, values, projection, and the
 * two of the MLP with its norm.
 */
export const SMALL_VIT_ROUNDING = { terms: 48, steps: 3 * 8 + 2 } as const;
export const SMALL_LLAMA_ROUNDING = { terms: 40, steps: 2 * 8 + 2 } as const;
/** Pictures through an encoder, merge, alignment and projector into the decoder. */
export const SMALL_COMM_ROUNDING = {
  terms: 48,
  steps: SMALL_VIT_ROUNDING.steps + 8 + SMALL_LLAMA_ROUNDING.steps,
} as const;

/** A decoder of 2 blocks and width 32 with grouped heads. */
export const smallLlama = (changes: Partial<LlamaConfig> = {}): LlamaConfig => ({
  vocabSize: 48,
  hiddenSize: 32,
  intermediateSize: 40,
  numLayers: 2,
  numHeads: 4,
  numKvHeads: 2,
  headDim: 8,
  maxPositions: 128,
  ropeTheta: 10_000,
  ropeScaling: { kind: 'none' },
  rmsNormEps: 1e-5,
  tieWordEmbeddings: true,
  qkvBias: false,
  outBias: false,
  mlpBias: false,
  ...changes,
});

/** COMM with both branches at that size; `branches` change the two encoders. */
export function smallComm(
  changes: Partial<CommConfig> = {},
  branches: readonly [Partial<EncoderConfig>, Partial<EncoderConfig>] = [{}, {}],
): CommConfig {
  const imageTokens = { kind: 'wrapped', patchId: 3, startId: 4, endId: 5 } as const;
  const tiny = commTiny({ vocabSize: 48, imageTokens });
  const vits = [smallViT({ preNorm: true, layerScale: null }), smallViT()];
  const encoders = tiny.vision.encoders.map((encoder, i): EncoderConfig => {
    const merge = { ...encoder.merge, width: 24 } as EncoderConfig['merge'];
    const levels = i === 0 ? { from: 1, to: 3 } : { from: 2, to: 3 };
    return { ...encoder, vit: vits[i]!, image: { ...encoder.image, size: 32 }, levels, merge, ...branches[i] };
  });
  return { ...tiny, vision: { encoders, fuse: 'channels' }, textConfig: smallLlama(), ...changes };
}
