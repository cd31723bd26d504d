/**
 * CIDEr-D (Vedantam et al. 2015) as the COCO caption tools print it under the name CIDEr: n = 1..4, sigma 6, document
 * frequencies from the references of this very set, no stemming, times 10.
 */
import { mean } from './mean.js';
import { MAX_ORDER, type NgramCounts, type NgramIndex } from './ngrams.js';
import type { CaptionMetric } from './rouge.js';

const SIGMA = 6;
const SCALE = 10;

/** tf-idf weights, parallel to the shared lists of the index, and scratch space of one zero per n-gram. */
interface Weights {
  readonly ids: Int32Array;
  readonly weights: Float64Array;
  /** Place + 1 of the n-grams of the reference in hand, else 0. */
  readonly place: Int32Array;
}

/** Length of the weight vector of each order. */
function normsOf({ starts }: NgramCounts, weights: Float64Array): number[] {
  const norms: number[] = [];
  for (let n = 0; n < MAX_ORDER; n++) {
    let squares = 0;
    for (let i = starts[n]!; i < starts[n + 1]!; i++) squares += weights[i]! ** 2;
    norms.push(Math.sqrt(squares));
  }
  return norms;
}

/** Number of bigrams: the length that the penalty compares, 0 for texts of no word and of one. */
const numBigrams = ({ length }: NgramCounts): number => Math.max(0, length - 1);

/** Similarity for each n, added to `total`. */
function addSimilarity(
  candidate: NgramCounts,
  candidateNorms: readonly number[],
  reference: NgramCounts,
  { ids, weights, place }: Weights,
  total: number[],
): void {
  const delta = numBigrams(candidate) - numBigrams(reference);
  const penalty = Math.E ** (-(delta ** 2) / (2 * SIGMA ** 2));
  const referenceNorms = normsOf(reference, weights);
  const first = reference.starts[0]!;
  const last = reference.starts[MAX_ORDER]!;
  for (let i = first; i < last; i++) place[ids[i]!] = i + 1;
  for (let n = 0; n < MAX_ORDER; n++) {
    let value = 0;
    for (let i = candidate.starts[n]!; i < candidate.starts[n + 1]!; i++) {
      const at = place[ids[i]!]! - 1;
      if (at < 0) continue;
      const weight = weights[at]!;
      value += Math.min(weights[i]!, weight) * weight;
    }
    const candidateNorm = candidateNorms[n]!;
    const referenceNorm = referenceNorms[n]!;
    if (candidateNorm !== 0 && referenceNorm !== 0) value /= candidateNorm * referenceNorm;
    total[n] = total[n]! + value * penalty;
  }
  for (let i = first; i < last; i++) place[ids[i]!] = 0;
}

function inverseFrequencies(references: ReadonlyArray<readonly NgramCounts[]>, index: NgramIndex): Float64Array {
  const { ids, numNgrams } = index;
  const frequency = new Int32Array(numNgrams);
  const lastImage = new Int32Array(numNgrams).fill(-1);
  references.forEach((captions, image) => {
    for (const { starts } of captions) {
      for (let i = starts[0]!; i < starts[MAX_ORDER]!; i++) {
        const id = ids[i]!;
        if (lastImage[id] === image) continue;
        lastImage[id] = image;
        frequency[id] = frequency[id]! + 1;
      }
    }
  });
  const logImages = Math.log(references.length);
  return Float64Array.from(frequency, (count) => logImages - Math.log(Math.max(1, count)));
}

function weigh(index: NgramIndex, inverseFrequency: Float64Array): Float64Array {
  const { ids, counts } = index;
  const weights = new Float64Array(ids.length);
  for (let i = 0; i < ids.length; i++) weights[i] = counts[i]! * inverseFrequency[ids[i]!]!;
  return weights;
}

/** CIDEr-D of candidates against their references, all counted with `index`; one image alone scores 0. */
export function cider(
  references: ReadonlyArray<readonly NgramCounts[]>,
  candidates: readonly NgramCounts[],
  index: NgramIndex,
): CaptionMetric {
  const weights = weigh(index, inverseFrequencies(references, index));
  const context: Weights = { ids: index.ids, weights, place: new Int32Array(index.numNgrams) };
  const perCaption = candidates.map((candidate, image) => {
    const captions = references[image] ?? [];
    const norms = normsOf(candidate, weights);
    const total = new Array<number>(MAX_ORDER).fill(0);
    for (const caption of captions) addSimilarity(candidate, norms, caption, context, total);
    return (mean(total) / captions.length) * SCALE;
  });
  return { corpus: mean(perCaption), perCaption };
}
