/** The language model of comm-tiny on the texts of the world alone, without a picture. */
import { commTiny } from '../config/presets.js';
import type { Recipe } from '../config/recipe.js';
import { TINY_VOCABULARY } from './tiny.js';
import { TINY_PRETRAIN_LOOP } from './tiny-pretrain.js';

export const recipe: Recipe = {
  kind: 'lm',
  about: 'language model of comm-tiny on the texts of the synthetic world',
  loop: { ...TINY_PRETRAIN_LOOP, steps: 2000, batchSize: 16, lr: 1e-3, seed: 15 },
  lm: {
    dtype: 'bf16',
    device: 'cpu',
    model: commTiny(TINY_VOCABULARY).textConfig,
    tokenizer: 'runs/out/tiny-tokenizer/result',
    rowLength: 256,
    data: { kind: 'world', seed: 105 },
    held: { data: { kind: 'world', seed: 905 }, batches: 8 },
  },
};
