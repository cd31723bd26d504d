/** Stage 2 of comm-tiny: goes on from stage 1 at a lower rate, with half of the weight on dialogue and on answers that point (paper, A.6). */
import { commTiny } from '../config/presets.js';
import type { Recipe } from '../train/recipe.js';
import { TINY_VOCABULARY } from './tiny.js';

const batchSize = 24;

export const recipe: Recipe = {
  kind: 'comm',
  about: 'stage 2 of comm-tiny: dialogue and grounded answers raised to half of the mix',
  loop: {
    steps: 700,
    batchSize,
    lr: 4.5e-4,
    betas: [0.9, 0.95],
    weightDecay: 0.02,
    warmupRatio: 0.03,
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
    questions: 6,
    mix: {
      types: {
        existence: 3,
        object: 1.5,
        color: 1,
        count: 1,
        position: 1,
        relation: 1,
        rec: 4,
        reg: 1,
        'name-at': 2,
        caption: 1.5,
        spot: 1.5,
      },
      conversationShare: 0.4,
    },
    world: { seed: 202, style: 'known', augment: 'light' },
  },
};
