/** Stage 2 of comm-tiny: goes on from stage 1, with half of the weight on dialogue, pointing and yes or no (paper, A.6: grounded dialogue raised to half). */
import type { Recipe } from '../config/recipe.js';
import { TINY_LOOP, TINY_STAGE } from './tiny.js';

export const recipe: Recipe = {
  kind: 'comm',
  about: 'stage 2 of comm-tiny: dialogue, pointing and existence raised to half of the mix',
  loop: {
    ...TINY_LOOP,
    steps: 3600,
    batchSize: 16,
    lr: 1.2e-3,
    warmupRatio: 0.02,
    minLrRatio: 0.01,
    seed: 22,
    saveEvery: 250,
  },
  comm: {
    ...TINY_STAGE,
    model: 'runs/out/tiny-stage1/result',
    data: {
      kind: 'world',
      seed: 202,
      style: 'known',
      augment: 'light',
      questions: 8,
      types: {
        existence: 2,
        object: 1,
        color: 1,
        count: 1.5,
        position: 1.5,
        relation: 1.5,
        rec: 7,
        reg: 0.5,
        'name-at': 2,
        caption: 1,
        spot: 0.6,
        exact: 0.6,
        choice: 1,
      },
      conversationShare: 0.15,
      yesNoWeight: 2,
      probes: { words: 8, edges: 12 },
      pairRows: 3,
    },
    losses: [
      { kind: 'numbers', weight: 1 },
      { kind: 'patch-names', weight: 0.5 },
      { kind: 'patch-places', weight: 0.3 },
    ],
  },
};
