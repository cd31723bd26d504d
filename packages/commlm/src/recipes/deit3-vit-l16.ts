/**
 * DeiT III ViT-L/16 at 192 px (2204.07118): the authors' 800 epochs of ImageNet-1k, before their short fine-tuning at 224 px.
 * They step with LAMB; the rate for AdamW is ours.
 */
import { IMAGENET_MEAN, IMAGENET_STD, plainBranch, plainViTL16 } from '../config/presets.js';
import type { Recipe } from '../config/recipe.js';

const batchSize = 256;
const accumulate = 8;
/** Whole batches of the 1,281,167 pictures. */
const epoch = Math.floor(1_281_167 / (batchSize * accumulate));

export const recipe: Recipe = {
  kind: 'deit',
  about: 'DeiT III ViT-L/16 from nothing, on a folder for each class',
  loop: {
    steps: 800 * epoch,
    batchSize,
    accumulate,
    lr: 1e-3,
    betas: [0.9, 0.999],
    weightDecay: 0.05,
    warmupRatio: 5 / 800,
    minLrRatio: 0.01,
    clipNorm: 1,
    seed: 0,
    saveEvery: epoch,
    logEvery: 10,
    evalEvery: 10 * epoch,
    keepLast: 2,
  },
  deit: {
    dtype: 'bf16',
    device: 'cuda',
    encoder: plainBranch('deit', plainViTL16({ imageSize: 192, layerScale: 1e-4 }), {
      mean: IMAGENET_MEAN,
      std: IMAGENET_STD,
    }),
    numClasses: 1000,
    dropPath: 0.45,
    cut: { kind: 'area', area: [0.08, 1] },
    jitter: 0.3,
    mixup: 0.8,
    cutmix: 1,
    repeats: 3,
    data: { kind: 'classes', folder: 'data/imagenet/train', seed: 0, workers: 14, maxBroken: 100 },
    held: {
      data: { kind: 'classes', folder: 'data/imagenet/val', seed: 0, workers: 14, maxBroken: 100 },
      batches: 195,
    },
  },
};
