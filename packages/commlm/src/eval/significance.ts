/** Tests of a difference between two systems that answered the same questions. */
import { Random } from '../data/world/random.js';
import type { GroupSums } from './benchmarks/benchmark.js';

/** One unit with the statistics of both systems; units are drawn within their group. */
export interface PairedUnit {
  readonly group: string;
  readonly a: readonly number[];
  readonly b: readonly number[];
}

/** A difference B - A with the bounds of its interval and the two-sided p-value of "no difference". */
export interface PairedDifference {
  readonly low: number;
  readonly high: number;
  readonly p: number;
}

/** Settings of the resampling. */
export interface PairedOptions {
  readonly resamples: number;
  readonly seed: number;
  readonly level: number;
}

/**
 * Exact McNemar test: two-sided binomial p-value of `lost` against `gained` changes under equal chances.
 *
 * `p = min(1, 2 * P(X <= min(lost, gained)))` for X of `Binomial(lost + gained, 1/2)`; 1 when nothing changed.
 */
export function mcnemarExact(lost: number, gained: number): number {
  const trials = lost + gained;
  let logTerm = -trials * Math.LN2; // log of C(trials, 0) / 2^trials
  let tail = Math.exp(logTerm);
  for (let k = 1; k <= Math.min(lost, gained); k++) {
    logTerm += Math.log(trials - k + 1) - Math.log(k);
    tail += Math.exp(logTerm);
  }
  return Math.min(1, 2 * tail);
}

/** Value at a share of sorted values, between neighbours by distance. */
function quantile(sorted: Float64Array, at: number): number {
  const place = at * (sorted.length - 1);
  const below = Math.floor(place);
  const low = sorted[below] as number;
  return low + ((sorted[Math.min(below + 1, sorted.length - 1)] as number) - low) * (place - below);
}

function differenceOf(drawn: Float64Array, level: number): PairedDifference {
  const notAbove = drawn.filter((value) => value <= 0).length;
  const notBelow = drawn.filter((value) => value >= 0).length;
  const p = Math.min(1, (2 * (Math.min(notAbove, notBelow) + 1)) / (drawn.length + 1));
  const sorted = drawn.slice().sort();
  return { low: quantile(sorted, (1 - level) / 2), high: quantile(sorted, (1 + level) / 2), p };
}

/**
 * Paired bootstrap: the same units are drawn for both systems, their statistics summed, and the figures of the sums
 * subtracted. The p-value inverts the percentile interval: twice the smaller share of draws on one side of zero, with one
 * added to both counts, so that it is never 0. Figures that some draw does not have are left out.
 */
export function pairedBootstrap(
  units: readonly PairedUnit[],
  figures: (sums: GroupSums) => Readonly<Record<string, number>>,
  { resamples, seed, level }: PairedOptions,
): ReadonlyMap<string, PairedDifference> {
  const groups = new Map<string, PairedUnit[]>();
  for (const unit of units) {
    const group = groups.get(unit.group);
    if (group === undefined) groups.set(unit.group, [unit]);
    else group.push(unit);
  }
  const random = new Random(seed, 'paired bootstrap');
  const values = new Map<string, Float64Array>();
  for (let draw = 0; draw < resamples; draw++) {
    const a = new Map<string, Float64Array>();
    const b = new Map<string, Float64Array>();
    for (const [name, members] of groups) {
      const width = members[0]?.a.length ?? 0;
      const [sumA, sumB] = [new Float64Array(width), new Float64Array(width)];
      for (let i = 0; i < members.length; i++) {
        const unit = members[random.int(members.length)] as PairedUnit;
        for (let k = 0; k < width; k++) {
          sumA[k] = (sumA[k] as number) + (unit.a[k] as number);
          sumB[k] = (sumB[k] as number) + (unit.b[k] as number);
        }
      }
      a.set(name, sumA);
      b.set(name, sumB);
    }
    const figuresA = figures(a);
    for (const [name, value] of Object.entries(figures(b))) {
      let drawn = values.get(name);
      if (drawn === undefined) {
        drawn = new Float64Array(resamples).fill(Number.NaN);
        values.set(name, drawn);
      }
      drawn[draw] = value - (figuresA[name] ?? Number.NaN);
    }
  }
  return new Map(
    [...values].flatMap(([name, drawn]) =>
      drawn.some(Number.isNaN) ? [] : [[name, differenceOf(drawn, level)] as const],
    ),
  );
}
