/** MAE ViT-L/16 at 224 px (2111.06377): the authors' 800 epochs of ImageNet-1k. */
import { IMAGENET_MEAN, IMAGENET_STD, plainBranch, plainViTL16 } from '../config/presets.js';
import type { Recipe } from '../config/recipe.js';

const batchSize = 256;
const accumulate = 16;
/** Whole batches of the 1,281,167 pictures. */
const epoch = Math.floor(1_281_167 / (batchSize * accumulate));

export const recipe: Recipe = {
  kind: 'mae',
  about: 'MAE ViT-L/16 from nothing, on a folder of pictures',
  loop: {
    steps: 800 * epoch,
    batchSize,
    accumulate,
    lr: (1.5e-4 * batchSize * accumulate) / 256,
    betas: [0.9, 0.95],
    weightDecay: 0.05,
    warmupRatio: 40 / 800,
    minLrRatio: 0,
    // Nothing is clipped.
    clipNorm: 1e9,
    seed: 0,
    saveEvery: epoch,
    logEvery: 10,
    evalEvery: 10 * epoch,
    keepLast: 2,
  },
  mae: {
    dtype: 'bf16',
    device: 'cuda',
    encoder: plainBranch('mae', plainViTL16(), { mean: IMAGENET_MEAN, std: IMAGENET_STD }),
    decoder: { hiddenSize: 512, numLayers: 8, numHeads: 16, intermediateSize: 2048 },
    maskShare: 0.75,
    normPixels: true,
    cutArea: [0.2, 1],
    data: { kind: 'pictures', folder: 'data/imagenet/train', seed: 0, workers: 14, maxBroken: 100 },
  },
};
