/** Ready-made configs: the published encoders and language models, COMM-7B of the paper, and the embedded comm-tiny. */
import type { CommConfig, EncoderConfig, ImageConfig, ImageTokensConfig, LlamaConfig, ViTConfig } from './model.js';

/** Mean and standard deviation that CLIP's pixels are normalised with. */
export const CLIP_MEAN: [number, number, number] = [0.48145466, 0.4578275, 0.40821073];
export const CLIP_STD: [number, number, number] = [0.26862954, 0.26130258, 0.27577711];

/** Mean and standard deviation of ImageNet, used by DINOv2. */
export const IMAGENET_MEAN: [number, number, number] = [0.485, 0.456, 0.406];
export const IMAGENET_STD: [number, number, number] = [0.229, 0.224, 0.225];

/** White, Shikra's canvas (paper-notes 10). */
export const WHITE: [number, number, number] = [255, 255, 255];

const squarePadded = (size: number, mean: ImageConfig['mean'], std: ImageConfig['std']): ImageConfig => ({
  size,
  fit: 'pad',
  shortSide: null,
  padColor: [...WHITE],
  resample: 'bicubic',
  mean: [...mean],
  std: [...std],
});

/** OpenAI's CLIP ViT-L/14; `imageSize` 336 is the native 336 checkpoint, `grid` the side of the stored position table. */
export const clipViTL14 = ({ imageSize = 336, grid = 24 } = {}): ViTConfig => ({
  hiddenSize: 1024,
  numLayers: 24,
  numHeads: 16,
  intermediateSize: 4096,
  numChannels: 3,
  imageSize,
  patchSize: 14,
  stem: { kind: 'patch', bias: false },
  mlp: 'mlp',
  act: 'quick_gelu',
  layerNormEps: 1e-5,
  qkvBias: true,
  preNorm: true,
  finalNorm: true,
  layerScale: null,
  clsToken: true,
  numRegisters: 0,
  maskToken: false,
  posEmbed: { kind: 'learned', grid: [grid, grid], antialias: false },
});

/** Meta's DINOv2 ViT-L/14 (position table of 518 px = 37 x 37); `numRegisters` 4 is the `_reg` checkpoint. */
export const dinov2ViTL14 = ({ imageSize = 336, numRegisters = 0 } = {}): ViTConfig => ({
  hiddenSize: 1024,
  numLayers: 24,
  numHeads: 16,
  intermediateSize: 4096,
  numChannels: 3,
  imageSize,
  patchSize: 14,
  stem: { kind: 'patch', bias: true },
  mlp: 'mlp',
  act: 'gelu',
  layerNormEps: 1e-6,
  qkvBias: true,
  preNorm: false,
  finalNorm: true,
  layerScale: 1,
  clsToken: true,
  numRegisters,
  maskToken: true,
  posEmbed: { kind: 'learned', grid: [37, 37], antialias: numRegisters > 0 },
});

/** The plain ViT-L/16 of MAE and, with `layerScale` and no position for CLS, of DeiT III. */
export const plainViTL16 = ({
  imageSize = 224,
  layerScale = null,
}: {
  imageSize?: number;
  layerScale?: number | null;
} = {}): ViTConfig => ({
  hiddenSize: 1024,
  numLayers: 24,
  numHeads: 16,
  intermediateSize: 4096,
  numChannels: 3,
  imageSize,
  patchSize: 16,
  stem: { kind: 'patch', bias: true },
  mlp: 'mlp',
  act: 'gelu',
  layerNormEps: 1e-6,
  qkvBias: true,
  preNorm: false,
  finalNorm: true,
  layerScale,
  clsToken: true,
  numRegisters: 0,
  maskToken: false,
  posEmbed: {
    kind: 'learned',
    grid: [imageSize / 16, imageSize / 16],
    antialias: false,
    ...(layerScale === null ? {} : { numSpecial: 0 }),
  },
});

/** An encoder by itself: its last level, pictures cut from the middle as the published processors do. */
export const plainBranch = (
  type: EncoderConfig['type'],
  vit: ViTConfig,
  { mean, std }: Pick<ImageConfig, 'mean' | 'std'>,
): EncoderConfig => ({
  type,
  vit,
  image: {
    size: vit.imageSize,
    fit: 'crop',
    shortSide: vit.imageSize,
    padColor: null,
    resample: 'bicubic',
    mean: [...mean],
    std: [...std],
  },
  levels: [-1],
  applyFinalNorm: false,
  merge: { kind: 'single' },
  align: { kind: 'none' },
});

/** Vicuna 7B v1.5 (Llama-2 shape); v1.1 differs in `maxPositions` 2048. */
export const vicuna7b = ({ vocabSize = 32_000, maxPositions = 4096 } = {}): LlamaConfig => ({
  vocabSize,
  hiddenSize: 4096,
  intermediateSize: 11_008,
  numLayers: 32,
  numHeads: 32,
  numKvHeads: 32,
  headDim: 128,
  maxPositions,
  ropeTheta: 10_000,
  ropeScaling: { kind: 'none' },
  rmsNormEps: 1e-5,
  tieWordEmbeddings: false,
  qkvBias: false,
  outBias: false,
  mlpBias: false,
});

/** COMM-7B: the paper, with the choices of docs/paper-notes.md where the paper is silent. Image tokens are Shikra's three after Vicuna's 32,000. */
export const comm7b = (): CommConfig => ({
  modelType: 'comm',
  vision: {
    encoders: [
      {
        type: 'clip',
        vit: clipViTL14(),
        image: squarePadded(336, CLIP_MEAN, CLIP_STD),
        levels: { from: 1, to: 24 },
        applyFinalNorm: false,
        merge: {
          kind: 'lln-layerscale',
          weights: { kind: 'softmax' },
          shared: false,
          order: 'norm-linear',
          width: 1024,
        },
        align: { kind: 'none' },
      },
      {
        type: 'dinov2',
        vit: dinov2ViTL14(),
        image: squarePadded(336, IMAGENET_MEAN, IMAGENET_STD),
        levels: { from: 19, to: 24 },
        applyFinalNorm: false,
        merge: {
          kind: 'lln-layerscale',
          weights: { kind: 'softmax' },
          shared: false,
          order: 'norm-linear',
          width: 1024,
        },
        align: { kind: 'mlp', blocks: 2, ratio: 4, act: 'gelu' },
      },
    ],
    fuse: 'channels',
  },
  projector: { kind: 'linear' },
  imageTokens: { kind: 'wrapped', patchId: 32_000, startId: 32_001, endId: 32_002 },
  textConfig: vicuna7b({ vocabSize: 32_003 }),
});

/** The ViT of comm-tiny: 128 px, patch 16 = 64 tokens, width 192, 12 blocks, 3 heads, convolutional stem 4 x 4, 2 x 2, 2 x 2. */
export const tinyViT = (): ViTConfig => ({
  hiddenSize: 192,
  numLayers: 12,
  numHeads: 3,
  intermediateSize: 768,
  numChannels: 3,
  imageSize: 128,
  patchSize: 16,
  stem: { kind: 'conv', strides: [4, 2, 2], channels: [48, 96] },
  mlp: 'mlp',
  act: 'gelu',
  layerNormEps: 1e-6,
  qkvBias: true,
  preNorm: false,
  finalNorm: true,
  layerScale: null,
  clsToken: true,
  numRegisters: 0,
  maskToken: false,
  posEmbed: { kind: 'learned', grid: [8, 8], antialias: false },
});

const tinyBranch = (type: EncoderConfig['type'], levels: EncoderConfig['levels'], vit: ViTConfig): EncoderConfig => ({
  type,
  vit,
  image: squarePadded(128, CLIP_MEAN, CLIP_STD),
  levels,
  applyFinalNorm: false,
  merge: { kind: 'lln-layerscale', weights: { kind: 'softmax' }, shared: false, order: 'norm-linear', width: 192 },
  align: { kind: 'none' },
});

/** Vocabulary and picture tokens of comm-tiny, in the order of recipes/tiny-tokenizer.ts. */
export const TINY_VOCABULARY = {
  vocabSize: 1088,
  imageTokens: { kind: 'wrapped', startId: 3, endId: 4, patchId: 5 },
} as const;

/** comm-tiny: COMM at 16 to 17 million parameters; vocabulary and image tokens come from its own tokenizer. */
export const commTiny = ({
  vocabSize,
  imageTokens,
}: {
  vocabSize: number;
  imageTokens: ImageTokensConfig;
}): CommConfig => ({
  modelType: 'comm',
  vision: {
    encoders: [
      tinyBranch('clip', { from: 1, to: 12 }, { ...tinyViT(), preNorm: true }),
      {
        ...tinyBranch('dinov2', { from: 10, to: 12 }, { ...tinyViT(), layerScale: 1, maskToken: true }),
        image: squarePadded(128, IMAGENET_MEAN, IMAGENET_STD),
        align: { kind: 'mlp', blocks: 2, ratio: 4, act: 'gelu' },
      },
    ],
    fuse: 'channels',
  },
  projector: { kind: 'linear' },
  imageTokens,
  textConfig: {
    vocabSize,
    hiddenSize: 256,
    intermediateSize: 704,
    numLayers: 5,
    numHeads: 4,
    numKvHeads: 2,
    headDim: 64,
    maxPositions: 1024,
    ropeTheta: 10_000,
    ropeScaling: { kind: 'none' },
    rmsNormEps: 1e-5,
    tieWordEmbeddings: true,
    qkvBias: false,
    outBias: false,
    mlpBias: false,
  },
});

/** The language model of SmolLM2 360M (its published config.json). */
export const smolLm2_360m = ({ vocabSize = 49_152 } = {}): LlamaConfig => ({
  ...vicuna7b({ vocabSize, maxPositions: 8192 }),
  hiddenSize: 960,
  intermediateSize: 2560,
  numLayers: 32,
  numHeads: 15,
  numKvHeads: 5,
  headDim: 64,
  ropeTheta: 100_000,
  tieWordEmbeddings: true,
});

/** COMM for one GPU: the vision of comm-7b before SmolLM2 360M. */
export const commNano = (): CommConfig => ({
  ...comm7b(),
  imageTokens: { kind: 'wrapped', patchId: 49_152, startId: 49_153, endId: 49_154 },
  textConfig: smolLm2_360m({ vocabSize: 49_155 }),
});

/** Shapes of models that are put together from other parts, by name. */
export const ASSEMBLED = {
  'comm-7b': comm7b,
  'comm-nano': commNano,
  'comm-tiny': () => commTiny(TINY_VOCABULARY),
} as const;
