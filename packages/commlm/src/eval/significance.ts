/** Tests of a difference between two systems that answered the same questions; questions about one picture count together. */
import type { GroupSums } from './benchmarks/benchmark.js';
import { type BootstrapUnit, type DrawOptions, drawFigures, percentileInterval } from './bootstrap.js';
import type { PicturedUnit } from './clusters.js';

/** One unit with the statistics of both systems. */
export interface PairedUnit extends PicturedUnit {
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
export interface PairedOptions extends DrawOptions {
  readonly level: number;
}

/**
 * Exact sign-flip test: two-sided p-value of a sum of whole numbers whose signs might as well have been the other way
 * round, `P(|sum of +-d| >= |sum of d|)`. A number is what one picture gained less what it lost; where each picture has one
 * question this is the exact McNemar test, `min(1, 2 * P(X <= min(lost, gained)))` for X of `Binomial(lost + gained, 1/2)`.
 */
export function signFlipTest(differences: readonly number[]): number {
  const sizes = differences.map(Math.abs).filter((size) => size > 0);
  const reach = sizes.reduce((sum, size) => sum + size, 0);
  const observed = Math.abs(differences.reduce((sum, each) => sum + each, 0));
  // chances[k] is that of the sum `k - covered`, as far as the numbers so far can reach.
  let chances = new Float64Array(2 * reach + 1);
  let next = new Float64Array(2 * reach + 1);
  chances[0] = 1;
  let covered = 0;
  for (const size of sizes) {
    next.fill(0, 0, 2 * (covered + size) + 1);
    for (let k = 0; k <= 2 * covered; k++) {
      const half = chances[k]! / 2;
      next[k] = next[k]! + half;
      next[k + 2 * size] = next[k + 2 * size]! + half;
    }
    [chances, next] = [next, chances];
    covered += size;
  }
  let tail = 0;
  for (let k = 0; k <= reach - observed; k++) tail += chances[k]!;
  return Math.min(1, observed === 0 ? 1 : 2 * tail);
}

/**
 * Two-sided p-value that inverts the percentile interval: twice the smaller share of draws on one side of zero, with one
 * added to both counts, so that it is never 0.
 */
function pValueOf(drawn: Float64Array): number {
  const notAbove = drawn.filter((value) => value <= 0).length;
  const notBelow = drawn.filter((value) => value >= 0).length;
  return Math.min(1, (2 * (Math.min(notAbove, notBelow) + 1)) / (drawn.length + 1));
}

/**
 * Paired bootstrap: the same pictures are drawn for both systems, their statistics summed, and the figures of the sums
 * subtracted. Figures that some draw does not have are left out.
 */
export function pairedBootstrap(
  units: readonly PairedUnit[],
  figures: (sums: GroupSums) => Readonly<Record<string, number>>,
  options: PairedOptions,
): ReadonlyMap<string, PairedDifference> {
  const width = units[0]?.a.length ?? 0;
  const halves = (sums: GroupSums, start: number): GroupSums =>
    new Map([...sums].map(([group, each]) => [group, Array.from(each).slice(start, start + width)]));
  const differences = (sums: GroupSums): Record<string, number> => {
    const ofA = figures(halves(sums, 0));
    const ofB = Object.entries(figures(halves(sums, width)));
    return Object.fromEntries(ofB.map(([name, value]) => [name, value - (ofA[name] ?? Number.NaN)]));
  };
  const joined = units.map(({ group, pictures, a, b }): BootstrapUnit => ({ group, pictures, sums: [...a, ...b] }));
  const { values } = drawFigures(joined, differences, options, 'paired bootstrap');
  return new Map(
    [...values].map(([name, drawn]) => [
      name,
      { ...percentileInterval(drawn, options.level), p: pValueOf(drawn) } satisfies PairedDifference,
    ]),
  );
}
