/**
 * 95 % intervals by the percentile bootstrap: units are drawn with replacement within their group, their additive
 * statistics are summed, and the figures are computed from the sums. So corpus figures (BLEU, F1) cost no more than means.
 */
import { Random } from '../data/world/random.js';
import type { GroupSums } from './benchmarks/benchmark.js';

/** One unit: the group it is drawn within, and its statistics. */
export interface BootstrapUnit {
  readonly group: string;
  readonly sums: readonly number[];
}

/** Bounds of a figure. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** Resamples, seed and level that `eval` uses. */
export const BOOTSTRAP = { resamples: 1000, seed: 0, level: 0.95 } as const;

interface Group {
  readonly name: string;
  readonly numUnits: number;
  readonly width: number;
  /** float64[numUnits, width] */
  readonly rows: Float64Array;
}

function groupsOf(units: readonly BootstrapUnit[]): Group[] {
  const byName = new Map<string, BootstrapUnit[]>();
  for (const unit of units) {
    const group = byName.get(unit.group);
    if (group === undefined) byName.set(unit.group, [unit]);
    else group.push(unit);
  }
  return [...byName].map(([name, members]) => {
    const width = members[0]?.sums.length ?? 0;
    const rows = new Float64Array(members.length * width);
    members.forEach(({ sums }, i) => {
      rows.set(sums, i * width);
    });
    return { name, numUnits: members.length, width, rows };
  });
}

function drawSums({ numUnits, width, rows }: Group, random: Random): Float64Array {
  const total = new Float64Array(width);
  for (let drawn = 0; drawn < numUnits; drawn++) {
    const start = random.int(numUnits) * width;
    for (let k = 0; k < width; k++) total[k] = (total[k] as number) + (rows[start + k] as number);
  }
  return total;
}

/** Value at a share of sorted values, between neighbours by distance. */
function quantile(sorted: Float64Array, at: number): number {
  const place = at * (sorted.length - 1);
  const below = Math.floor(place);
  const low = sorted[below] as number;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] as number;
  return low + (high - low) * (place - below);
}

/** Intervals of the figures that `figures` computes from sums by group. */
export function bootstrapIntervals(
  units: readonly BootstrapUnit[],
  figures: (sums: GroupSums) => Readonly<Record<string, number>>,
  options: { readonly resamples: number; readonly seed: number; readonly level: number } = BOOTSTRAP,
): ReadonlyMap<string, Interval> {
  const { resamples, seed, level } = options;
  const groups = groupsOf(units);
  const random = new Random(seed, 'bootstrap');
  const values = new Map<string, Float64Array>();
  for (let r = 0; r < resamples; r++) {
    const sums = new Map(groups.map((group) => [group.name, drawSums(group, random)]));
    for (const [name, value] of Object.entries(figures(sums))) {
      let drawn = values.get(name);
      if (drawn === undefined) {
        drawn = new Float64Array(resamples).fill(Number.NaN);
        values.set(name, drawn);
      }
      drawn[r] = value;
    }
  }
  const tail = (1 - level) / 2;
  const intervals = new Map<string, Interval>();
  for (const [name, drawn] of values) {
    // A figure that some draws do not have (accuracy of a kind that was not drawn) has no interval.
    if (drawn.some(Number.isNaN)) continue;
    drawn.sort();
    intervals.set(name, { low: quantile(drawn, tail), high: quantile(drawn, 1 - tail) });
  }
  return intervals;
}
