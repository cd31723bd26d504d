/** Stage 1 of COMM-7B of the paper: all tasks of Shikra's data, 100,000 steps of 64 samples (2310.08825, section 5). */
import type { Recipe } from '../config/recipe.js';
import { CONCAT8, STAGE1_SETS } from './paper-data.js';
import { PAPER_LOOP, PAPER_STAGE, paperStores } from './stage.js';

export const recipe: Recipe = {
  kind: 'stage',
  assembled: 'comm-7b',
  about: 'stage 1 of COMM-7B of the paper: VQA, captions, pointing and regions, mixed by size',
  loop: { ...PAPER_LOOP, steps: 100_000, batchSize: 8, accumulate: 8 },
  stage: {
    ...PAPER_STAGE,
    // Made with: commlm convert --recipe comm-7b
    model: 'runs/out/comm-7b',
    data: { stores: paperStores(), sets: { ...STAGE1_SETS }, mix: CONCAT8, seed: 42 },
  },
};
