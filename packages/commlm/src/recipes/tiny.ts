/** What the recipes of comm-tiny share: the ids that its own tokenizer gives to the special pieces, the model, the steps. */

import { commTiny } from '../config/presets.js';

/** Vocabulary and picture tokens, in the order of recipes/tiny-tokenizer.ts. */
export const TINY_VOCABULARY = {
  vocabSize: 1088,
  imageTokens: { kind: 'wrapped', startId: 3, endId: 4, patchId: 5 },
} as const;

/** How all three trainings of the language model step and save; rates, steps and seeds are their own. */
export const TINY_LOOP = {
  betas: [0.9, 0.95],
  weightDecay: 0.02,
  clipNorm: 1,
  logEvery: 50,
  evalEvery: 1000,
  keepLast: 2,
} as const;

/** What they train, and the finished runs that it is made of. */
export const TINY_MODEL = {
  model: commTiny(TINY_VOCABULARY),
  encoders: ['runs/out/tiny-clip/result', 'runs/out/tiny-dinov2/result'],
  tokenizer: 'runs/out/tiny-tokenizer/result',
  trains: ['fusion', 'projector', 'languageModel'],
} as const;
