/**
 * Stage 2 of COMM-7B of the paper: half of the samples are dialogues. For Shikra's "final19" set
 * stage.data.mix.parts.0.share=0.1 and stage.data.mix.parts.1.share=0.9.
 */
import type { Recipe } from '../config/recipe.js';
import { dialogueShare, STAGE2_SETS } from './paper-data.js';
import { PAPER_LOOP, PAPER_STAGE, paperStores } from './stage.js';

export const recipe: Recipe = {
  kind: 'stage',
  assembled: 'comm-7b',
  about: 'stage 2 of COMM-7B of the paper: LLaVA-Instruct and Shikra-RD raised to half of the mix',
  // The paper gives no number: its stage 2 took a fifth of the time of stage 1 (paper-notes 13).
  loop: { ...PAPER_LOOP, steps: 20_000, batchSize: 8, accumulate: 8 },
  stage: {
    ...PAPER_STAGE,
    model: 'runs/out/comm-7b-stage1/result',
    data: { stores: paperStores(), sets: { ...STAGE2_SETS }, mix: dialogueShare(0.5), seed: 42 },
  },
};
