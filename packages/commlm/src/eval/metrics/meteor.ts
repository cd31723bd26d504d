import type { CaptionMetric } from './rouge.js';
export interface MeteorScorer {
  readonly modules: readonly string[];
  score(references: ReadonlyArray<readonly string[]>, candidates: readonly string[]): CaptionMetric;
}
export async function loadMeteor(_path: string): Promise<MeteorScorer> {
  throw new Error('not yet');
}
