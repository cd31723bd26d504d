/**
 * 95 % intervals by the percentile bootstrap over pictures: clusters of units (clusters.ts) are drawn with replacement, their
 * additive statistics are summed, and the figures are computed from the sums. So corpus figures (BLEU, F1) cost no more
 * than means. `runs/interval-coverage.mjs` shows how often such an interval holds the truth.
 */
import { Random } from '../data/world/random.js';
import type { GroupSums } from './benchmarks/benchmark.js';
import { type PicturedUnit, type Stratum, strataOf } from './clusters.js';

/** One unit with its statistics. */
export interface BootstrapUnit extends PicturedUnit {
  readonly sums: readonly number[];
}

/** Bounds of a figure. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** How often is drawn, and from which seed. */
export interface DrawOptions {
  readonly resamples: number;
  readonly seed: number;
}

/** Resamples, seed and level that `eval` uses. */
export const BOOTSTRAP = { resamples: 1000, seed: 0, level: 0.95 } as const;

/** Percentiles of fewer clusters than this are too close together: at 25 normal ones, 93 of 100 intervals hold the truth. */
export const FEW_CLUSTERS = 25;

/** The clusters of a stratum as rows: for each of its groups the number of units, then their summed statistics. */
interface Rows {
  readonly groups: readonly string[];
  readonly numClusters: number;
  /** Statistics of a unit. */
  readonly numSums: number;
  /** float64[numClusters, groups * (1 + numSums)] */
  readonly values: Float64Array;
}

function rowsOf({ groups, clusters }: Stratum<BootstrapUnit>): Rows {
  const numSums = clusters[0]?.[0]?.sums.length ?? 0;
  const width = groups.length * (1 + numSums);
  const values = new Float64Array(clusters.length * width);
  const add = (at: number, value: number): void => {
    values[at] = values[at]! + value;
  };
  clusters.forEach((units, cluster) => {
    for (const { group, sums } of units) {
      const start = cluster * width + groups.indexOf(group) * (1 + numSums);
      add(start, 1);
      sums.forEach((value, k) => {
        add(start + 1 + k, value);
      });
    }
  });
  return { groups, numClusters: clusters.length, numSums, values };
}

/** Sums of one draw, a group at a time; undefined when a group has no unit in it. */
function drawSums(
  { groups, numClusters, numSums, values }: Rows,
  random: Random,
): [string, Float64Array][] | undefined {
  const width = groups.length * (1 + numSums);
  const total = new Float64Array(width);
  for (let drawn = 0; drawn < numClusters; drawn++) {
    const start = random.int(numClusters) * width;
    for (let k = 0; k < width; k++) total[k] = total[k]! + values[start + k]!;
  }
  const sums = groups.map((group, i): [string, Float64Array] => {
    const start = i * (1 + numSums);
    return [group, total.subarray(start + 1, start + 1 + numSums)];
  });
  return groups.every((_, i) => total[i * (1 + numSums)]! > 0) ? sums : undefined;
}

/** Figures of drawn sets. */
export interface Draws {
  /** Clusters in all. */
  readonly numClusters: number;
  /** Clusters of the smallest stratum. */
  readonly fewest: number;
  /** By figure, one value a draw. A figure that some draw does not have (accuracy of a kind that was not drawn) is left out. */
  readonly values: ReadonlyMap<string, Float64Array>;
}

/** Draws clusters anew and computes the figures of each draw; `stream` names the stream of random numbers. */
export function drawFigures(
  units: readonly BootstrapUnit[],
  figures: (sums: GroupSums) => Readonly<Record<string, number>>,
  { resamples, seed }: DrawOptions,
  stream: string,
): Draws {
  const strata = strataOf(units).map(rowsOf);
  const numClusters = strata.reduce((sum, each) => sum + each.numClusters, 0);
  const fewest = Math.min(...strata.map((each) => each.numClusters));
  // One picture alone says nothing about others.
  if (units.length === 0 || fewest < 2)
    return { numClusters, fewest: units.length === 0 ? 0 : fewest, values: new Map() };
  const random = new Random(seed, stream);
  const values = new Map<string, Float64Array>();
  for (let draw = 0; draw < resamples; draw++) {
    const sums = strata.map((stratum) => drawSums(stratum, random));
    if (sums.includes(undefined)) continue;
    for (const [name, value] of Object.entries(figures(new Map(sums.flatMap((each) => each ?? []))))) {
      let drawn = values.get(name);
      if (drawn === undefined) {
        drawn = new Float64Array(resamples).fill(Number.NaN);
        values.set(name, drawn);
      }
      drawn[draw] = value;
    }
  }
  return { numClusters, fewest, values: new Map([...values].filter(([, drawn]) => !drawn.some(Number.isNaN))) };
}

/** Value at a share of sorted values, between neighbours by distance. */
function quantile(sorted: Float64Array, at: number): number {
  const place = at * (sorted.length - 1);
  const below = Math.floor(place);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (high - low) * (place - below);
}

/** The middle share `level` of drawn values. */
export function percentileInterval(drawn: Float64Array, level: number): Interval {
  const sorted = drawn.slice().sort();
  return { low: quantile(sorted, (1 - level) / 2), high: quantile(sorted, (1 + level) / 2) };
}

/** Intervals of the figures that `figures` computes from sums by group, and of how many clusters they are. */
export function bootstrapIntervals(
  units: readonly BootstrapUnit[],
  figures: (sums: GroupSums) => Readonly<Record<string, number>>,
  options: DrawOptions & { readonly level: number } = BOOTSTRAP,
): Omit<Draws, 'values'> & { readonly intervals: ReadonlyMap<string, Interval> } {
  const { values, ...counts } = drawFigures(units, figures, options, 'bootstrap');
  const intervals = [...values].map(([name, drawn]) => [name, percentileInterval(drawn, options.level)] as const);
  return { ...counts, intervals: new Map(intervals) };
}
