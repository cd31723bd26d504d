// From one row of logits to one token id: greedy, temperature, top-p, with a generator of our own so that a seed
// gives the same tokens on every machine. Pure: no tensors, no state but the generator's.
import { CommError } from '../config/errors.js';

/** How tokens are drawn. */
export interface Sampling {
  /** 0 takes the likeliest token each time; 1 samples from the model's own distribution. */
  readonly temperature: number;
  /** Nucleus sampling: only the likeliest tokens that together hold this share of the probability; in (0, 1]. */
  readonly topP: number;
  /** Seed of the request's own generator; the same seed gives the same tokens whatever else runs beside it. */
  readonly seed: number;
}

/** Greedy decoding: the default. */
export const GREEDY: Sampling = { temperature: 0, topP: 1, seed: 0 };

/** Throws CommError when a field is outside its range. */
export function checkSampling({ temperature, topP, seed }: Sampling): void {
  const bad = (name: string, value: number, range: string): never => {
    throw new CommError(`${name} is ${value}, but it must be ${range}.`, { code: 'generate/sampling', exitCode: 2 });
  };
  if (!(temperature >= 0 && Number.isFinite(temperature))) bad('temperature', temperature, '0 or more');
  if (!(topP > 0 && topP <= 1)) bad('topP', topP, 'above 0 and at most 1');
  if (!Number.isSafeInteger(seed) || seed < 0) bad('seed', seed, 'a whole number of 0 or more');
}

/** A source of numbers in [0, 1). */
export type Random = () => number;

/**
 * A seeded generator of numbers in [0, 1) with 53 random bits: xoshiro128** (Blackman, Vigna 2018), its state filled
 * from the seed by SplitMix32 so that near seeds give unrelated streams.
 */
export function seededRandom(seed: number): Random {
  let mix = (seed ^ Math.floor(seed / 2 ** 32)) >>> 0;
  const split = (): number => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  let a = split();
  let b = split();
  let c = split();
  let d = split() | 1; // an all-zero state would stay zero
  const next = (): number => {
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  return () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
}

/** Index of the largest logit, the first one on a tie. Throws CommError when the logits hold NaN or only -Infinity. */
export function argmax(logits: Float32Array): number {
  let best = -1;
  let bestValue = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) {
    const value = logits[i] as number;
    if (value > bestValue) {
      best = i;
      bestValue = value;
    } else if (Number.isNaN(value)) {
      throw notFinite();
    }
  }
  if (best < 0 || bestValue === Number.POSITIVE_INFINITY) throw notFinite();
  return best;
}

function notFinite(): CommError {
  return new CommError('The model computed values that are not numbers (NaN or infinity) in place of an answer.', {
    code: 'generate/not-finite',
    fix: 'The weights may be damaged, or too large for the number format: try --dtype f32, or get the model again.',
  });
}

/** Draws one token id from a row of logits, float[V]; `random` is not used at temperature 0. */
export function sampleToken(logits: Float32Array, sampling: Sampling, random: Random): number {
  const top = argmax(logits);
  if (sampling.temperature === 0) return top;
  const weights = softmaxWeights(logits, logits[top] as number, sampling.temperature);
  return sampling.topP >= 1 ? drawFrom(weights, random) : drawFromNucleus(weights, sampling.topP, random);
}

/** exp((x - max) / t) for each logit, not normalised. */
function softmaxWeights(logits: Float32Array, max: number, temperature: number): Float64Array {
  const weights = new Float64Array(logits.length);
  for (let i = 0; i < logits.length; i++) weights[i] = Math.exp(((logits[i] as number) - max) / temperature);
  return weights;
}

function sum(values: Float64Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

function drawFrom(weights: Float64Array, random: Random): number {
  let left = random() * sum(weights);
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i] as number;
    if (weight === 0) continue;
    last = i;
    left -= weight;
    if (left < 0) return i;
  }
  return last; // rounding only: the sum was reached exactly
}

/** The nucleus is the shortest prefix, likeliest first, whose share reaches topP; ties keep the lower id first. */
function drawFromNucleus(weights: Float64Array, topP: number, random: Random): number {
  const total = sum(weights);
  // A token below this share cannot be in the nucleus: even V - 1 of them together hold less than 1 - topP.
  const floor = ((1 - topP) * total) / Math.max(1, weights.length - 1);
  const candidates: number[] = [];
  for (let i = 0; i < weights.length; i++) if ((weights[i] as number) >= floor) candidates.push(i);
  candidates.sort((x, y) => (weights[y] as number) - (weights[x] as number) || x - y);
  let held = 0;
  let count = 0;
  while (count < candidates.length && held < topP * total) {
    held += weights[candidates[count] as number] as number;
    count++;
  }
  let left = random() * held;
  for (let k = 0; k < count; k++) {
    left -= weights[candidates[k] as number] as number;
    if (left < 0) return candidates[k] as number;
  }
  return candidates[Math.max(0, count - 1)] as number;
}
