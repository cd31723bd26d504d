/** A supervised tower of comm-tiny's size (DeiT III, 2204.07118): which nouns and colours a picture of the world shows. */
import type { Recipe } from '../config/recipe.js';
import { TINY_PRETRAIN_LOOP, tinyTower } from './tiny-pretrain.js';

export const recipe: Recipe = {
  kind: 'deit',
  about: 'supervised tower of the size of those of comm-tiny: nouns and colours of the synthetic world',
  loop: { ...TINY_PRETRAIN_LOOP, steps: 2100, batchSize: 96, lr: 1e-3, seed: 14 },
  deit: {
    dtype: 'bf16',
    device: 'cpu',
    // A short training never leaves the 1e-4 that the paper begins with.
    encoder: tinyTower('deit', 0.1),
    numClasses: 58,
    dropPath: 0.05,
    cut: { kind: 'simple' },
    jitter: 0.3,
    mixup: 0,
    cutmix: 0,
    repeats: 1,
    data: { kind: 'world', seed: 101, style: 'known', augment: 'strong' },
    held: { data: { kind: 'world', seed: 904, style: 'known', augment: 'none' }, batches: 8 },
  },
};
