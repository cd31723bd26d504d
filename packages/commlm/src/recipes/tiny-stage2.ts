/** Stage 2 of comm-tiny: goes on with what the towers have learned, with half of the weight on dialogue, pointing and yes or no (paper, A.6: grounded dialogue raised to half). */
import type { Recipe } from '../config/recipe.js';
import { TINY_LOOP, TINY_MODEL } from './tiny.js';

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
    ...TINY_MODEL,
    from: 'runs/out/tiny-towers/result',
    questions: 8,
    mix: {
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
      patchNameWeight: 0.5,
      patchPlaceWeight: 0.3,
      wordProbes: 8,
      edgeProbes: 12,
      numberWeight: 1,
      pairRows: 3,
    },
    world: { seed: 202, style: 'known', augment: 'light' },
  },
};
