/**
 * ROUGE-L (Lin 2004) of the COCO caption tools: the best precision and the best recall over the references, which may
 * come from different ones, and F with beta 1.2.
 */
import { mean } from './mean.js';

const BETA_SQUARED = 1.2 ** 2;

/** Corpus mean and the score of each caption. */
export interface CaptionMetric {
  readonly corpus: number;
  readonly perCaption: readonly number[];
}

/** Length of the longest common subsequence of two lists. */
export function longestCommonSubsequence<T>(a: readonly T[], b: readonly T[]): number {
  const row = new Int32Array(b.length + 1);
  for (const item of a) {
    let diagonal = 0;
    for (let j = 1; j <= b.length; j++) {
      const above = row[j]!;
      row[j] = item === b[j - 1] ? diagonal + 1 : Math.max(above, row[j - 1]!);
      diagonal = above;
    }
  }
  return row[b.length]!;
}

function rougeOf(references: readonly string[], candidate: string): number {
  const words = candidate.split(' '); // one blank: an empty caption is one empty word
  let precision = 0;
  let recall = 0;
  for (const reference of references) {
    const referenceWords = reference.split(' ');
    const common = longestCommonSubsequence(words, referenceWords);
    precision = Math.max(precision, common / words.length);
    recall = Math.max(recall, common / referenceWords.length);
  }
  if (precision === 0 || recall === 0) return 0;
  return ((1 + BETA_SQUARED) * precision * recall) / (recall + BETA_SQUARED * precision);
}

/** ROUGE-L of tokenised candidates against their tokenised references. */
export function rougeL(references: ReadonlyArray<readonly string[]>, candidates: readonly string[]): CaptionMetric {
  const perCaption = candidates.map((candidate, i) => rougeOf(references[i] ?? [], candidate));
  return { corpus: mean(perCaption), perCaption };
}
