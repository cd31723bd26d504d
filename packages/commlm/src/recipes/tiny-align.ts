/**
 * Before stage 1 of comm-tiny: merge, alignment, projector and word embeddings learn to name what each patch shows, without
 * the blocks of the language model. A language model of the world comes with words that mean something and needs no such
 * start; this one begins from nothing.
 */
import type { Recipe } from '../config/recipe.js';
import { TINY_LOOP, TINY_MODEL } from './tiny.js';

export const recipe: Recipe = {
  kind: 'comm',
  about: 'before stage 1 of comm-tiny: visual tokens and words for the same thing become alike',
  loop: {
    ...TINY_LOOP,
    steps: 2000,
    batchSize: 64,
    lr: 4e-3,
    warmupRatio: 0.03,
    minLrRatio: 0.02,
    seed: 20,
    saveEvery: 500,
  },
  comm: {
    ...TINY_MODEL,
    from: null,
    questions: 0,
    mix: {
      types: {},
      conversationShare: 0,
      yesNoWeight: 1,
      patchNameWeight: 1,
      patchPlaceWeight: 0.5,
      wordProbes: 0,
      edgeProbes: 0,
      numberWeight: 0,
      pairRows: 0,
    },
    world: { seed: 200, style: 'known', augment: 'light' },
  },
};
