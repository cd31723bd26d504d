/**
 * Before stage 1 of comm-tiny: merge, alignment, projector and word embeddings learn to name what each patch shows, without
 * the blocks of the language model. A language model of the world comes with words that mean something and needs no such
 * start; this one begins from nothing.
 */
import { commTiny, TINY_VOCABULARY } from '../config/presets.js';
import type { Recipe } from '../config/recipe.js';
import { TINY_LOOP, TINY_STAGE } from './tiny.js';

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
    ...TINY_STAGE,
    model: {
      config: commTiny(TINY_VOCABULARY),
      encoders: ['runs/out/tiny-clip/result', 'runs/out/tiny-dinov2/result'],
      tokenizer: 'runs/out/tiny-tokenizer/result',
    },
    data: {
      kind: 'world',
      seed: 200,
      style: 'known',
      augment: 'light',
      questions: 0,
      types: {},
      conversationShare: 0,
      yesNoWeight: 1,
      probes: { words: 0, edges: 0 },
      pairRows: 0,
    },
    losses: [
      { kind: 'patch-names', weight: 1 },
      { kind: 'patch-places', weight: 0.5 },
    ],
  },
};
