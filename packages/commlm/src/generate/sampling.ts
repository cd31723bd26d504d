/**
 * From logits to token ids: greedy, temperature, top-p, all rows at once where the logits lie. The uniform numbers come from
 * a generator of our own, one a row and step, so that a seed gives the same tokens on every machine.
 */
import { full, op, scope, type Tensor, tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';

// Shapes: B rows, R of them that are sampled, V vocabulary.

const sortStable = op('aten::sort.stable');

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

/** How one row draws: its settings and, above temperature 0, the next number of its own generator. */
export interface Draw extends Pick<Sampling, 'temperature' | 'topP'> {
  /** In [0, 1). */
  readonly uniform: number;
}

/** In place of the token of a row that holds NaN, +Infinity, or -Infinity alone. */
export const NOT_FINITE = -1;

/**
 * Draws one token id a row from logits float[B, V], on their device; only the ids are copied to the host. Temperature 0
 * takes the largest logit, the first one on a tie. A row without a choice gives `NOT_FINITE`, the others their tokens.
 */
export function drawTokens(logits_BV: Tensor, draws: readonly Draw[]): number[] {
  return scope(() => {
    const x_BV = logits_BV.to('f32');
    const max_B1 = x_BV.amax(1, true);
    const greedy_B = x_BV.argmax(1);
    const sampled = draws.flatMap(({ temperature }, row) => (temperature > 0 ? [row] : []));
    const finite_B = max_B1.squeeze(1).isfinite();
    const chosen_B = sampled.length === 0 ? greedy_B : drawRows(x_BV, max_B1, greedy_B, draws, sampled);
    const none = full([1], NOT_FINITE, { dtype: 'i64', device: x_BV.device });
    return Array.from(chosen_B.where(finite_B, none).toArray(), Number);
  });
}

/** The error of an answer whose row holds no number to choose. */
export function notFinite(): CommError {
  return new CommError('The model computed values that are not numbers (NaN or infinity) in place of an answer.', {
    code: 'generate/not-finite',
    fix: 'The weights may be damaged, or too large for the number format: try --dtype f32, or get the model again.',
  });
}

/** The greedy choice i64[B] with the rows `sampled` drawn; arithmetic in f64, so that no share of a large vocabulary is lost. */
function drawRows(x_BV: Tensor, max_B1: Tensor, greedy_B: Tensor, draws: readonly Draw[], sampled: number[]): Tensor {
  const { device } = x_BV;
  const column = (values: number[]): Tensor => tensor(Float64Array.from(values), { device }).unsqueeze(1);
  const pick = (rows: readonly number[]): Tensor => tensor(BigInt64Array.from(rows, BigInt), { device });
  const isAll = sampled.length === draws.length;
  const rows = pick(sampled);
  const own = (x: Tensor): Tensor => (isAll ? x : x.indexSelect(0, rows));
  const settings = sampled.map((row) => draws[row]!);
  const temperature_R1 = column(settings.map(({ temperature }) => temperature));
  const uniform_R1 = column(settings.map(({ uniform }) => uniform));
  const logits_RV = own(x_BV);
  const weights_RV = logits_RV.to('f64').sub(own(max_B1).to('f64')).div(temperature_R1).exp();
  const topP = settings.map(({ topP }) => topP);
  let ids_R = drawFrom(weights_RV.cumsum(1), uniform_R1);
  if (topP.some((p) => p < 1)) {
    const nucleus_R = drawFromNucleus(logits_RV, weights_RV, column(topP), uniform_R1);
    ids_R = topP.every((p) => p < 1) ? nucleus_R : nucleus_R.where(column(topP).squeeze(1).lt(1), ids_R);
  }
  return isAll ? ids_R : greedy_B.indexPut([rows], ids_R);
}

/** The first place whose running sum f64[R, V] exceeds the share `uniform` f64[R, 1] of the whole, i64[R]. */
function drawFrom(held_RV: Tensor, uniform_R1: Tensor): Tensor {
  const total_R1 = held_RV.narrow(1, held_RV.shape[1]! - 1, 1);
  const place_R = held_RV.le(total_R1.mul(uniform_R1)).sum(1);
  // Rounding may reach the sum exactly: the last place then that adds to it.
  return place_R.minimum(held_RV.lt(total_R1).sum(1));
}

/** The nucleus is the shortest prefix, likeliest first, whose share reaches topP; ties keep the lower id first. */
function drawFromNucleus(logits_RV: Tensor, weights_RV: Tensor, topP_R1: Tensor, uniform_R1: Tensor): Tensor {
  const [, order_RV] = sortStable(logits_RV, true, 1, true);
  const sorted_RV = weights_RV.gather(1, order_RV);
  const held_RV = sorted_RV.cumsum(1);
  const before_RV = held_RV.sub(sorted_RV);
  const wanted_R1 = weights_RV.sum(1, true).mul(topP_R1);
  const outside_RV = before_RV.ge(wanted_R1);
  const place_R = drawFrom(sorted_RV.maskedFill(outside_RV, 0).cumsum(1), uniform_R1);
  return order_RV.gather(1, place_R.unsqueeze(1)).squeeze(1);
}
