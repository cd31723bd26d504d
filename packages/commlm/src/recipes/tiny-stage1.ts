/** Stage 1 of comm-tiny (paper, section 5): all tasks mixed; language model, projector, merge and alignment learn, the towers are frozen. */
import type { Recipe } from '../config/recipe.js';
import { TINY_LOOP, TINY_MODEL } from './tiny.js';

export const recipe: Recipe = {
  kind: 'comm',
  about: 'stage 1 of comm-tiny: naming, existence, pointing, captions on the synthetic world',
  loop: {
    ...TINY_LOOP,
    steps: 6000,
    batchSize: 16,
    lr: 1.5e-3,
    warmupRatio: 0.02,
    minLrRatio: 0.3,
    seed: 21,
    saveEvery: 250,
  },
  comm: {
    ...TINY_MODEL,
    from: 'runs/out/tiny-align/result',
    questions: 6,
    mix: {
      types: {
        existence: 3,
        object: 1.5,
        color: 1,
        count: 1,
        position: 1,
        relation: 1,
        rec: 3,
        reg: 1,
        'name-at': 1.5,
        caption: 1.5,
        spot: 0.5,
      },
      conversationShare: 0.1,
      yesNoWeight: 2,
      patchNameWeight: 0.5,
      patchPlaceWeight: 0.3,
      wordProbes: 12,
      edgeProbes: 8,
      numberWeight: 1,
      pairRows: 0,
    },
    world: { seed: 201, style: 'known', augment: 'light' },
  },
};
