/** What the recipes of the stages share: Shikra's settings (its configs and paper, 2306.15195), which COMM goes on from. */
import type { SkipConfig } from '../config/skip.js';

/** A few broken pictures are no reason to stop a run of days; anything else wrong with a sample is. */
export const STAGE_SKIP: SkipConfig = {
  picture: 'skip',
  malformed: 'error',
  'image-count': 'error',
  'too-long': 'truncate',
  untrained: 'error',
  limit: 1000,
};
