/** Stage 2 of comm-tiny: goes on from stage 1, with half of the weight on dialogue, pointing and yes or no (paper, A.6: grounded dialogue raised to half). */
import { commTiny } from '../config/presets.js';
import type { Recipe } from '../train/recipe.js';
import { TINY_VOCABULARY } from './tiny.js';

const batchSize = 16;

export const recipe: Recipe = {
  kind: 'comm',
  about: 'stage 2 of comm-tiny: dialogue, pointing and existence raised to half of the mix',
  loop: {
    steps: 3200,
    batchSize,
    lr: 1.5e-3,
    betas: [0.9, 0.95],
    weightDecay: 0.02,
    warmupRatio: 0.02,
    minLrRatio: 0.01,
    clipNorm: 1,
    seed: 22,
    saveEvery: 250,
    logEvery: 50,
    evalEvery: 1000,
    keepLast: 2,
  },
  comm: {
    model: commTiny(TINY_VOCABULARY),
    batchSize,
    encoders: ['runs/out/tiny-clip/result', 'runs/out/tiny-dinov2/result'],
    from: 'runs/out/tiny-stage1/result',
    tokenizer: 'runs/out/tiny-tokenizer/result',
    questions: 7,
    mix: {
      types: {
        existence: 3,
        object: 1,
        color: 0.7,
        count: 0.7,
        position: 1.5,
        relation: 1.5,
        rec: 5,
        reg: 0.5,
        'name-at': 1.2,
        caption: 1,
        spot: 0.6,
      },
      conversationShare: 0.1,
      yesNoWeight: 3,
      patchNameWeight: 0.5,
      patchPlaceWeight: 0.3,
      wordProbes: 12,
      edgeProbes: 8,
    },
    world: { seed: 202, style: 'known', augment: 'light' },
  },
};
