/**
 * CIDEr-D (Vedantam et al. 2015) as the COCO caption tools print it under the name CIDEr: n = 1..4, sigma 6, document
 * frequencies from the references of this very set, no stemming, times 10.
 */
import { mean } from './mean.js';
import { MAX_ORDER, type NgramCounts, type NgramIndex } from './ngrams.js';
import type { CaptionMetric } from './rouge.js';

const SIGMA = 6;
const SCALE = 10;

/** tf-idf weights of one caption, parallel to the ids of its counts. */
interface Weighted {
  readonly ids: readonly number[];
  readonly starts: readonly number[];
  readonly weights: readonly number[];
  readonly norms: readonly number[];
  /** Number of bigrams: the length that the penalty compares. */
  readonly length: number;
}

function weigh(caption: NgramCounts, inverseFrequency: Float64Array): Weighted {
  const weights: number[] = [];
  for (let i = 0; i < caption.ids.length; i++) {
    weights.push((caption.counts[i] as number) * (inverseFrequency[caption.ids[i] as number] as number));
  }
  const norms: number[] = [];
  for (let n = 0; n < MAX_ORDER; n++) {
    let squares = 0;
    for (let i = caption.starts[n] as number; i < (caption.starts[n + 1] as number); i++) {
      squares += (weights[i] as number) ** 2;
    }
    norms.push(Math.sqrt(squares));
  }
  return { ids: caption.ids, starts: caption.starts, weights, norms, length: Math.max(0, caption.length - 1) };
}

/** Similarity for each n, added to `total`; `place` is scratch space of one zero per n-gram and is left so. */
function addSimilarity(candidate: Weighted, reference: Weighted, place: Int32Array, total: number[]): void {
  const delta = candidate.length - reference.length;
  const penalty = Math.E ** (-(delta ** 2) / (2 * SIGMA ** 2));
  for (let i = 0; i < reference.ids.length; i++) place[reference.ids[i] as number] = i + 1;
  for (let n = 0; n < MAX_ORDER; n++) {
    let value = 0;
    for (let i = candidate.starts[n] as number; i < (candidate.starts[n + 1] as number); i++) {
      const at = (place[candidate.ids[i] as number] as number) - 1;
      if (at < 0) continue;
      const weight = reference.weights[at] as number;
      value += Math.min(candidate.weights[i] as number, weight) * weight;
    }
    const candidateNorm = candidate.norms[n] as number;
    const referenceNorm = reference.norms[n] as number;
    if (candidateNorm !== 0 && referenceNorm !== 0) value /= candidateNorm * referenceNorm;
    total[n] = (total[n] as number) + value * penalty;
  }
  for (const id of reference.ids) place[id] = 0;
}

function inverseFrequencies(references: ReadonlyArray<readonly NgramCounts[]>, numNgrams: number): Float64Array {
  const frequency = new Int32Array(numNgrams);
  const lastImage = new Int32Array(numNgrams).fill(-1);
  references.forEach((captions, image) => {
    for (const { ids } of captions) {
      for (const id of ids) {
        if (lastImage[id] === image) continue;
        lastImage[id] = image;
        frequency[id] = (frequency[id] as number) + 1;
      }
    }
  });
  const logImages = Math.log(references.length);
  return Float64Array.from(frequency, (count) => logImages - Math.log(Math.max(1, count)));
}

/** CIDEr-D of candidates against their references, all counted with `index`; one image alone scores 0. */
export function cider(
  references: ReadonlyArray<readonly NgramCounts[]>,
  candidates: readonly NgramCounts[],
  index: NgramIndex,
): CaptionMetric {
  const inverseFrequency = inverseFrequencies(references, index.numNgrams);
  const place = new Int32Array(index.numNgrams);
  const perCaption = candidates.map((candidate, image) => {
    const captions = references[image] ?? [];
    const weighted = weigh(candidate, inverseFrequency);
    const total = new Array<number>(MAX_ORDER).fill(0);
    for (const caption of captions) addSimilarity(weighted, weigh(caption, inverseFrequency), place, total);
    return (mean(total) / captions.length) * SCALE;
  });
  return { corpus: mean(perCaption), perCaption };
}
