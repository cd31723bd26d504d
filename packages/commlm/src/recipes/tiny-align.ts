/**
 * Before stage 1 of comm-tiny: merge, alignment, projector and word embeddings learn to name what each patch shows, without
 * the blocks of the language model. A language model of the world comes with words that mean something and needs no such
 * start; this one begins from nothing.
 */
import { commTiny } from '../config/presets.js';
import type { Recipe } from '../train/recipe.js';
import { TINY_VOCABULARY } from './tiny.js';

const batchSize = 64;

export const recipe: Recipe = {
  kind: 'comm',
  about: 'before stage 1 of comm-tiny: visual tokens and words for the same thing become alike',
  loop: {
    steps: 2000,
    batchSize,
    lr: 4e-3,
    betas: [0.9, 0.95],
    weightDecay: 0.02,
    warmupRatio: 0.03,
    minLrRatio: 0.02,
    clipNorm: 1,
    seed: 20,
    saveEvery: 500,
    logEvery: 50,
    evalEvery: 1000,
    keepLast: 2,
  },
  comm: {
    model: commTiny(TINY_VOCABULARY),
    batchSize,
    encoders: ['runs/out/tiny-clip/result', 'runs/out/tiny-dinov2/result'],
    from: null,
    tokenizer: 'runs/out/tiny-tokenizer/result',
    questions: 0,
    mix: {
      types: {},
      conversationShare: 0,
      yesNoWeight: 1,
      patchNameWeight: 1,
      patchPlaceWeight: 0.5,
      wordProbes: 0,
      edgeProbes: 0,
    },
    world: { seed: 200, style: 'known', augment: 'light' },
  },
};
