/** The embedded model's tokenizer: about a thousand pieces, digits one by one, any text representable. */
import type { Recipe } from '../config/recipe.js';

export const recipe: Recipe = {
  kind: 'tokenizer',
  about: 'tokenizer of comm-tiny, from the texts of the synthetic world',
  tokenizer: {
    vocabSize: 1088,
    specialTokens: ['<unk>', '<s>', '</s>', '<im_start>', '<im_end>', '<im_patch>'],
    scenes: 6000,
    seed: 1,
    maxNewTokens: 256,
  },
};
