/** What the small pre-trainings of comm-tiny's size share: how they step and save; rates, steps and seeds are their own. */
import { commTiny, IMAGENET_MEAN, IMAGENET_STD, plainBranch, TINY_VOCABULARY, tinyViT } from '../config/presets.js';

export const TINY_PRETRAIN_LOOP = {
  betas: [0.9, 0.95],
  weightDecay: 0.05,
  warmupRatio: 0.05,
  minLrRatio: 0.02,
  clipNorm: 1,
  saveEvery: 250,
  logEvery: 50,
  evalEvery: 1000,
  keepLast: 2,
} as const;

/** The ViT of comm-tiny as a tower by itself, pictures padded as comm-tiny pads them. */
export const tinyTower = (type: 'mae' | 'deit', layerScale: number | null) => ({
  ...plainBranch(type, { ...tinyViT(), layerScale }, { mean: IMAGENET_MEAN, std: IMAGENET_STD }),
  image: commTiny(TINY_VOCABULARY).vision.encoders[1]!.image,
});
