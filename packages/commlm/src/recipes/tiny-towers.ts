/**
 * Between the two stages of comm-tiny: the CLIP-type tower itself learns what each patch shows and where that
 * thing ends. Frozen towers are only as good as what they were taught; the word embeddings stand still, so that the
 * language model goes on understanding what it reads.
 */
import type { Recipe } from '../config/recipe.js';
import { TINY_LOOP, TINY_MODEL } from './tiny.js';

export const recipe: Recipe = {
  kind: 'comm',
  about: 'the CLIP-type tower of comm-tiny learns names, colours, places and edges at every patch',
  loop: {
    ...TINY_LOOP,
    steps: 4000,
    batchSize: 64,
    lr: 1e-3,
    warmupRatio: 0.03,
    minLrRatio: 0.02,
    seed: 23,
    saveEvery: 250,
  },
  comm: {
    ...TINY_MODEL,
    trains: ['clip', 'fusion', 'projector'],
    from: 'runs/out/tiny-stage1/result',
    questions: 0,
    mix: {
      types: {},
      conversationShare: 0,
      yesNoWeight: 1,
      patchNameWeight: 1,
      patchPlaceWeight: 1,
      wordProbes: 0,
      edgeProbes: 0,
      numberWeight: 0,
      pairRows: 0,
    },
    world: { seed: 203, style: 'known', augment: 'strong' },
  },
};
