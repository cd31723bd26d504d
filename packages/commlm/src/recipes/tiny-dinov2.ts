/** DINOv2-type tower of comm-tiny: self-distillation on the pictures alone. */
import { commTiny } from '../config/presets.js';
import type { Recipe } from '../config/recipe.js';
import { TINY_VOCABULARY } from './tiny.js';

export const recipe: Recipe = {
  kind: 'dinov2',
  about: 'DINOv2-type tower of comm-tiny, self-distillation on the synthetic world',
  loop: {
    steps: 1700,
    batchSize: 48,
    lr: 1e-3,
    betas: [0.9, 0.98],
    weightDecay: 0.05,
    warmupRatio: 0.08,
    minLrRatio: 0.02,
    clipNorm: 1,
    seed: 12,
    saveEvery: 250,
    logEvery: 50,
    evalEvery: 1000,
    keepLast: 2,
  },
  dinov2: {
    dtype: 'bf16',
    device: 'cpu',
    encoder: commTiny(TINY_VOCABULARY).vision.encoders[1]!,
    headHidden: 512,
    bottleneck: 96,
    numPrototypes: 768,
    patchHead: null,
    studentTemperature: 0.1,
    teacherTemperature: { first: 0.05, last: 0.05, steps: 0 },
    teacherMomentum: [0.99, 0.999],
    balance: { kind: 'sinkhorn', iterations: 3 },
    freezePrototypes: 0,
    dropPath: 0,
    // Half of the views hide nothing, so that this is the weight 1 of a mean over the hidden patches.
    patchWeight: 2,
    koleoWeight: 0.1,
    hidden: { views: 0.5, patches: [0.15, 0.5], shape: 'places' },
    largeArea: [0.4, 1],
    smallViews: 3,
    smallSide: 64,
    smallArea: [0.1, 0.4],
    colours: { kind: 'light', strength: 0.4 },
    data: { kind: 'world', seed: 102, style: 'known', augment: 'none' },
  },
};
