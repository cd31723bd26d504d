/**
 * Corpus BLEU-1..4 (Papineni et al. 2002) with the closest reference length (of equals the shorter) and the two tiny
 * constants of the COCO caption tools in place of smoothing.
 */
import { MAX_ORDER, type NgramCounts, type NgramIndex } from './ngrams.js';

const NUMERATOR_OFFSET = 1e-15;
const DENOMINATOR_OFFSET = 1e-9;

/** BLEU of a corpus and of each caption alone; index n - 1 holds BLEU-n. */
export interface BleuScores {
  readonly corpus: readonly number[];
  readonly perCaption: ReadonlyArray<readonly number[]>;
  /** What `corpus` is the BLEU of the sum of. */
  readonly counts: readonly BleuCounts[];
}

/** Statistics of a caption or a corpus: they add up. Index n - 1 is of n-grams. */
export interface BleuCounts {
  length: number;
  referenceLength: number;
  readonly correct: number[];
  readonly guessed: number[];
}

function closestLength(references: readonly NgramCounts[], length: number): number {
  let best = 0;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const reference of references) {
    const distance = Math.abs(reference.length - length);
    if (distance < bestDistance || (distance === bestDistance && reference.length < best)) {
      best = reference.length;
      bestDistance = distance;
    }
  }
  return best;
}

/** Matches of one candidate; `limits` is scratch space of one zero per n-gram and is left so. */
function countMatches(
  references: readonly NgramCounts[],
  candidate: NgramCounts,
  { ids, counts }: NgramIndex,
  limits: Int32Array,
): BleuCounts {
  for (const { starts } of references) {
    for (let i = starts[0]!; i < starts[MAX_ORDER]!; i++) {
      const id = ids[i]!;
      if (counts[i]! > limits[id]!) limits[id] = counts[i]!;
    }
  }
  const correct: number[] = [];
  const guessed: number[] = [];
  for (let order = 1; order <= MAX_ORDER; order++) {
    let matches = 0;
    for (let i = candidate.starts[order - 1]!; i < candidate.starts[order]!; i++) {
      matches += Math.min(counts[i]!, limits[ids[i]!]!);
    }
    correct.push(matches);
    guessed.push(Math.max(0, candidate.length - order + 1));
  }
  for (const { starts } of references) {
    for (let i = starts[0]!; i < starts[MAX_ORDER]!; i++) limits[ids[i]!] = 0;
  }
  return { length: candidate.length, referenceLength: closestLength(references, candidate.length), correct, guessed };
}

/** BLEU-1..4 of statistics. */
export function bleuOf(counts: BleuCounts): number[] {
  const ratio = (counts.length + NUMERATOR_OFFSET) / (counts.referenceLength + DENOMINATOR_OFFSET);
  const brevity = ratio < 1 ? Math.exp(1 - 1 / ratio) : 1;
  const scores: number[] = [];
  let product = 1;
  for (let k = 0; k < MAX_ORDER; k++) {
    product *= (counts.correct[k]! + NUMERATOR_OFFSET) / (counts.guessed[k]! + DENOMINATOR_OFFSET);
    scores.push(product ** (1 / (k + 1)) * brevity);
  }
  return scores;
}

/** BLEU-1..4 of candidates against their references, all counted with `index`. */
export function bleu(
  references: ReadonlyArray<readonly NgramCounts[]>,
  candidates: readonly NgramCounts[],
  index: NgramIndex,
): BleuScores {
  const limits = new Int32Array(index.numNgrams);
  const total: BleuCounts = {
    length: 0,
    referenceLength: 0,
    correct: new Array<number>(MAX_ORDER).fill(0),
    guessed: new Array<number>(MAX_ORDER).fill(0),
  };
  const perCaptionCounts = candidates.map((candidate, i) => {
    const counts = countMatches(references[i] ?? [], candidate, index, limits);
    total.length += counts.length;
    total.referenceLength += counts.referenceLength;
    for (let k = 0; k < MAX_ORDER; k++) {
      total.correct[k] = total.correct[k]! + counts.correct[k]!;
      total.guessed[k] = total.guessed[k]! + counts.guessed[k]!;
    }
    return counts;
  });
  return { corpus: bleuOf(total), perCaption: perCaptionCounts.map(bleuOf), counts: perCaptionCounts };
}
