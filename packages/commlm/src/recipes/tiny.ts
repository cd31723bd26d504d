/** What the recipes of comm-tiny share: how they step, what learns, where it computes. */

import type { CommTrainConfig } from '../config/comm-train.js';

/**
 * How the trainings of the whole model step and save; rates, steps and seeds are their own. At the full rate of these recipes the
 * inputs of the alignment's second block drift along one direction until no unit is active any more (runs/LOG.md): a quarter
 * of it keeps both branches alive.
 */
export const TINY_LOOP = {
  lrFactors: { align: 0.25 },
  betas: [0.9, 0.95],
  weightDecay: 0.02,
  clipNorm: 1,
  logEvery: 50,
  evalEvery: 1000,
  keepLast: 2,
} as const;

/** What learns, and where: towers frozen, bf16 on the processor. */
export const TINY_STAGE = {
  assembled: 'comm-tiny',
  dtype: 'bf16',
  device: 'cpu',
  trains: ['merge', 'align', 'projector', 'languageModel'],
  lora: null,
  recompute: null,
  features: null,
  workers: 1,
  ahead: 4,
} as const satisfies Partial<CommTrainConfig>;
