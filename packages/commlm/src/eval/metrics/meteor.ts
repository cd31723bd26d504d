import type { CaptionMetric } from './rouge.js';
export interface MeteorScorer {
  score(references: ReadonlyArray<readonly string[]>, candidates: readonly string[]): CaptionMetric;
}
