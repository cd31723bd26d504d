/**
 * DINOv2 ViT-L/14 at 224 px (2304.07193) on a folder of pictures: the numbers of the authors' configuration for training it from
 * nothing on ImageNet-22k (their published ViT-L was distilled from a larger one). docs/pretraining.md lists what differs.
 */
import { dinov2ViTL14, IMAGENET_MEAN, IMAGENET_STD, plainBranch } from '../config/presets.js';
import type { Recipe } from '../config/recipe.js';

const batchSize = 32;
const accumulate = 96;
/** Steps that the authors call an epoch. */
const epoch = 1250;
const steps = 500 * epoch;
/** The rate for a batch of 1024, scaled by the root of the batch. */
const lr = 2e-4 * Math.sqrt((batchSize * accumulate) / 1024);

export const recipe: Recipe = {
  kind: 'dinov2',
  about: 'DINOv2 ViT-L/14 from nothing, on a folder of pictures',
  loop: {
    steps,
    batchSize,
    accumulate,
    lr,
    lrFactors: { 'encoder.patch_embed': 0.2 },
    betas: [0.9, 0.999],
    weightDecay: 0.04,
    warmupRatio: 80 / 500,
    minLrRatio: 1e-6 / lr,
    clipNorm: 3,
    seed: 0,
    saveEvery: epoch,
    logEvery: 10,
    evalEvery: 10 * epoch,
    keepLast: 2,
  },
  dinov2: {
    dtype: 'bf16',
    device: 'cuda',
    encoder: plainBranch(
      'dinov2',
      {
        ...dinov2ViTL14({ imageSize: 224 }),
        layerScale: 1e-5,
        posEmbed: { kind: 'learned', grid: [16, 16], antialias: false },
      },
      { mean: IMAGENET_MEAN, std: IMAGENET_STD },
    ),
    headHidden: 2048,
    bottleneck: 384,
    numPrototypes: 131_072,
    patchHead: { headHidden: 2048, bottleneck: 256, numPrototypes: 131_072 },
    studentTemperature: 0.1,
    teacherTemperature: { first: 0.04, last: 0.07, steps: 30 * epoch },
    teacherMomentum: [0.994, 1],
    balance: { kind: 'sinkhorn', iterations: 3 },
    freezePrototypes: epoch,
    dropPath: 0.4,
    patchWeight: 1,
    koleoWeight: 0.1,
    hidden: { views: 0.5, patches: [0.1, 0.5], shape: 'blocks' },
    largeArea: [0.32, 1],
    largeSide: 224,
    positions: 'resized',
    redraw: null,
    placeWeight: 0,
    smallViews: 8,
    smallSide: 98,
    smallArea: [0.05, 0.32],
    colours: { kind: 'paper' },
    data: { kind: 'pictures', folder: 'data/imagenet22k/train', seed: 0, workers: 14, maxBroken: 1000 },
  },
};
