/** DINOv2-type tower of comm-tiny: self-distillation on the pictures alone. */
import { commTiny, TINY_VOCABULARY } from '../config/presets.js';
import type { Recipe } from '../config/recipe.js';

const tiny = commTiny(TINY_VOCABULARY).vision.encoders[1]!;

export const recipe: Recipe = {
  kind: 'dinov2',
  about: 'DINOv2-type tower of comm-tiny, self-distillation on the synthetic world',
  loop: {
    steps: 4200,
    batchSize: 96,
    lr: 1e-3,
    betas: [0.9, 0.98],
    weightDecay: 0.05,
    warmupRatio: 0.05,
    minLrRatio: 0.02,
    clipNorm: 3,
    seed: 12,
    saveEvery: 250,
    logEvery: 50,
    evalEvery: 1000,
    keepLast: 2,
  },
  dinov2: {
    dtype: 'bf16',
    device: 'cpu',
    encoder: { ...tiny, vit: { ...tiny.vit, numLayers: 12 }, levels: { from: 10, to: 12 } },
    headHidden: 512,
    bottleneck: 96,
    numPrototypes: 192,
    patchHead: { headHidden: 512, bottleneck: 96, numPrototypes: 384 },
    studentTemperature: 0.1,
    teacherTemperature: { first: 0.02, last: 0.02, steps: 0 },
    teacherMomentum: [0.95, 0.995],
    balance: { kind: 'sinkhorn', iterations: 3 },
    freezePrototypes: 0,
    dropPath: 0,
    // Half of the views hide nothing, so that this is the weight 1 of a mean over the hidden patches.
    patchWeight: 1,
    koleoWeight: 0.1,
    hidden: { views: 0.5, patches: [0.15, 0.5], shape: 'places' },
    largeArea: [0.25, 0.6],
    largeSide: 64,
    positions: 'piece',
    redraw: { shift: 0.1, augment: 'strong' },
    placeWeight: 1,
    smallViews: 0,
    smallSide: 64,
    smallArea: [0.1, 0.4],
    colours: { kind: 'light', strength: 0.3 },
    data: { kind: 'world', seed: 101, style: 'known', augment: 'none' },
  },
};
