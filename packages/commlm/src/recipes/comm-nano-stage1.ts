/** Stage 1 of COMM for one GPU: all tasks of Shikra's data, 100,000 steps of 64 samples (2310.08825, section 5). */
import type { Recipe } from '../config/recipe.js';
import { CONCAT8, STAGE1_SETS } from './paper-data.js';
import { PAPER_LOOP, PAPER_STAGE, paperData } from './stage.js';

export const recipe: Recipe = {
  kind: 'comm',
  about: 'stage 1 of COMM for one GPU: VQA, captions, pointing and regions, mixed by size',
  // The paper tells no rate for this model: what is behind DINOv2 learns more slowly, so that it stays alive (paper-notes).
  loop: { ...PAPER_LOOP, steps: 100_000, batchSize: 16, accumulate: 4, lrFactors: { align: 0.25 } },
  comm: {
    ...PAPER_STAGE,
    assembled: 'comm-nano',
    // Made with: commlm convert --recipe comm-nano
    model: 'runs/out/comm-nano',
    data: paperData({ sets: { ...STAGE1_SETS }, mix: CONCAT8 }),
  },
};
