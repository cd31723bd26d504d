/**
 * CLIP ViT-L/14 at 224 px (2103.00020) on pictures with captions of one's own. Batch, rate, decay, warm-up, steps, widths of
 * both towers: the paper's tables 18 to 20. docs/pretraining.md lists what differs: above all, a picture is told apart from the
 * captions of one forward pass, not of the whole step.
 */
import { CLIP_MEAN, CLIP_STD, clipViTL14, plainBranch, vicuna7b } from '../config/presets.js';
import type { Recipe } from '../config/recipe.js';

const batchSize = 256;
const accumulate = 128;
/** 32 epochs of 400 million pairs. */
const steps = Math.round((32 * 400e6) / (batchSize * accumulate));

export const recipe: Recipe = {
  kind: 'clip',
  about: 'CLIP ViT-L/14 from nothing, on pictures with captions',
  loop: {
    steps,
    batchSize,
    accumulate,
    lr: 4e-4,
    betas: [0.9, 0.98],
    weightDecay: 0.2,
    warmupRatio: 2000 / steps,
    minLrRatio: 0,
    clipNorm: 1,
    seed: 0,
    saveEvery: 1000,
    logEvery: 10,
    evalEvery: 10_000,
    keepLast: 2,
  },
  clip: {
    dtype: 'bf16',
    device: 'cuda',
    encoder: plainBranch('clip', clipViTL14({ imageSize: 224, grid: 16 }), { mean: CLIP_MEAN, std: CLIP_STD }),
    text: {
      ...vicuna7b({ vocabSize: 32_000, maxPositions: 77 }),
      hiddenSize: 768,
      intermediateSize: 2048,
      numLayers: 12,
      numHeads: 12,
      numKvHeads: 12,
      headDim: 64,
    },
    sharedWidth: 768,
    regionWeight: 0,
    data: {
      kind: 'captions',
      file: 'data/llava-pretrain/blip_laion_cc_sbu_558k.json',
      pictures: { kind: 'zip', file: 'data/llava-pretrain/images.zip' },
      tokenizer: 'models/vicuna-7b-v1.5',
      maxTokens: 77,
      cutArea: [1, 1],
      seed: 0,
      workers: 14,
      maxBroken: 100,
    },
  },
};
