/** What the recipes of the stages share: COMM's settings (2310.08825, section 5) and, where it is silent, Shikra's (2306.15195). */
import type { CommTrainConfig, DataConfig, MixtureData } from '../config/comm-train.js';
import type { SkipConfig } from '../config/skip.js';
import type { LoopConfig } from '../config/train.js';
import { PAPER_STORES } from './paper-data.js';

/** A few broken pictures, or boxes that show nothing, are no reason to stop a run of days; anything else wrong with a sample is. */
export const STAGE_SKIP: SkipConfig = {
  picture: 'skip',
  malformed: 'error',
  'empty-box': 'skip',
  'picture-size': 'error',
  'image-count': 'error',
  'too-long': 'truncate',
  untrained: 'error',
  limit: 1000,
};

/** AdamW, cosine from 2e-5 after 3 % warm-up, no weight decay, 64 samples a step; both stages. */
export const PAPER_LOOP: Omit<LoopConfig, 'steps' | 'batchSize' | 'accumulate'> = {
  lr: 2e-5,
  betas: [0.9, 0.999],
  weightDecay: 0,
  warmupRatio: 0.03,
  minLrRatio: 0,
  clipNorm: 1,
  seed: 42,
  saveEvery: 2000,
  logEvery: 10,
  evalEvery: 2000,
  keepLast: 1,
};

/** The language model, the merge of levels, the alignment and the projector learn; both encoders are frozen. */
export const PAPER_STAGE: Omit<CommTrainConfig, 'model' | 'data'> = {
  dtype: 'bf16',
  device: 'cuda',
  trains: ['languageModel', 'projector', 'merge', 'align'],
  lora: null,
  recompute: 1,
  features: null,
  losses: [],
  workers: 4,
  ahead: 8,
};

/** How rows are made of the paper's data, whose stores lie where `paper-data.ts` says. */
export const paperData = (data: Pick<DataConfig, 'sets' | 'mix'>): MixtureData => ({
  kind: 'mixture',
  stores: { ...PAPER_STORES },
  ...data,
  seed: 42,
  held: null,
  maxLength: 4096,
  packing: 'pad',
  groupBatches: 1,
  skip: STAGE_SKIP,
});
