/** Intervals: seeded, of the width that theory gives, and over pictures rather than questions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../data/world/random.js';
import { BOOTSTRAP, type BootstrapUnit, bootstrapIntervals, type Interval } from './bootstrap.js';

const share = (sums: ReadonlyMap<string, ArrayLike<number>>): Record<string, number> => {
  const [count, hits] = [...(sums.get('') as ArrayLike<number> & Iterable<number>)] as [number, number];
  return { share: hits / count };
};

const intervalOf = (
  units: readonly BootstrapUnit[],
  options = BOOTSTRAP as { resamples: number; seed: number; level: number },
) => bootstrapIntervals(units, share, options).intervals.get('share') as Interval;

/** How far a percentile of this many draws lies from the truth, for a standard error: five of its own standard errors. */
function percentileError(standardError: number, resamples: number): number {
  const density = Math.exp(-(1.96 ** 2) / 2) / Math.sqrt(2 * Math.PI) / standardError;
  return (5 * Math.sqrt((0.025 * 0.975) / resamples)) / density;
}

test('the interval of a share is that of the normal approximation', () => {
  const units = Array.from({ length: 1000 }, (_, i): BootstrapUnit => {
    return { group: '', pictures: [], sums: [1, i < 300 ? 1 : 0] };
  });
  const { low, high } = intervalOf(units);
  const error = Math.sqrt((0.3 * 0.7) / 1000);
  const bound = percentileError(error, BOOTSTRAP.resamples) + 0.5 / 1000; // a share moves in steps
  assert.ok(Math.abs(low - (0.3 - 1.96 * error)) < bound && Math.abs(high - (0.3 + 1.96 * error)) < bound);
  assert.deepEqual(intervalOf(units), { low, high });
  assert.notDeepEqual(intervalOf(units, { ...BOOTSTRAP, seed: 1 }), { low, high });
});

test('ten copies of a question about one picture say no more than one', () => {
  const once = Array.from({ length: 200 }, (_, i): BootstrapUnit => {
    return { group: '', pictures: [`${i}`], sums: [1, i % 3 === 0 ? 1 : 0] };
  });
  const copied = once.flatMap((unit) => new Array<BootstrapUnit>(10).fill(unit));
  assert.deepEqual(intervalOf(copied), intervalOf(once));
  const { numClusters, fewest } = bootstrapIntervals(copied, share);
  assert.deepEqual([numClusters, fewest], [200, 200]);
});

test('groups of other pictures keep their number; groups of the same pictures are drawn together', () => {
  const one = (group: string, picture: string, value: number): BootstrapUnit => {
    return { group, pictures: [picture], sums: [1, value] };
  };
  const figures = (sums: ReadonlyMap<string, ArrayLike<number>>): Record<string, number> => {
    const [a, b] = ['a', 'b'].map((group) => sums.get(group)!) as [ArrayLike<number>, ArrayLike<number>];
    const [meanA, meanB] = [a[1]! / a[0]!, b[1]! / b[0]!];
    return { count: a[0]! * 100 + b[0]!, difference: meanA - meanB };
  };
  const numbers = Array.from({ length: 40 }, (_, i) => i);
  const apart = numbers.flatMap((i) => [one('a', `a${i}`, i % 2), ...(i < 30 ? [one('b', `b${i}`, i % 2)] : [])]);
  const separate = bootstrapIntervals(apart, figures);
  assert.deepEqual(separate.intervals.get('count'), { low: 4030, high: 4030 });
  assert.deepEqual([separate.numClusters, separate.fewest], [70, 30]);
  // The same answers to the same pictures in both groups: drawn together, their difference is none.
  const joint = bootstrapIntervals(
    numbers.flatMap((i) => [one('a', `${i}`, i % 2), one('b', `${i}`, i % 2)]),
    figures,
  );
  assert.deepEqual(joint.intervals.get('difference'), { low: 0, high: 0 });
  assert.equal(joint.numClusters, 40);
});

test('a pair of pictures is one cluster, and what some draws lack has no interval', () => {
  const units = [
    { group: '', pictures: ['1', '2'], sums: [1, 1] },
    { group: '', pictures: ['2', '3'], sums: [1, 1] },
    { group: '', pictures: [], sums: [1, 0] },
    { group: '', pictures: [], sums: [1, 0] },
  ];
  const { numClusters, intervals } = bootstrapIntervals(units, (sums) => {
    const hits = sums.get('')?.[1] as number;
    return { hits, ...(hits > 0 ? { some: 1 } : {}) };
  });
  assert.equal(numClusters, 3);
  assert.deepEqual(intervals.get('hits'), { low: 0, high: 6 });
  assert.equal(intervals.has('some'), false);
  assert.equal(bootstrapIntervals(units.slice(0, 2), share).intervals.size, 0, 'one cluster has no interval');
  assert.equal(bootstrapIntervals([], share).intervals.size, 0);
});

test('intervals hold the truth as often as they say where pictures have several questions', () => {
  const [numTrials, numPictures, perPicture] = [250, 80, 6];
  const random = new Random(7, 'coverage');
  const held = { pictures: 0, questions: 0 };
  for (let trial = 0; trial < numTrials; trial++) {
    // Each picture has its own chance to be understood, uniform between 0.4 and 1: 0.7 on average.
    const units = Array.from({ length: numPictures }, (_, i) => {
      const chance = random.range(0.4, 1);
      return Array.from({ length: perPicture }, (): BootstrapUnit => {
        return { group: '', pictures: [`${i}`], sums: [1, random.chance(chance) ? 1 : 0] };
      });
    }).flat();
    const options = { resamples: 200, seed: trial, level: 0.95 };
    const holds = ({ low, high }: Interval): number => (low <= 0.7 && 0.7 <= high ? 1 : 0);
    held.pictures += holds(intervalOf(units, options));
    held.questions += holds(
      intervalOf(
        units.map((unit) => ({ ...unit, pictures: [] })),
        options,
      ),
    );
  }
  // Five standard errors of a count of `numTrials`, below the 94 % that percentiles of 80 pictures hold.
  const slack = 5 * Math.sqrt(0.94 * 0.06 * numTrials);
  assert.ok(Math.abs(held.pictures - 0.94 * numTrials) < slack, `${held.pictures} of ${numTrials}`);
  // Variance 0.21 a question, of which 0.03 is the picture's: 1.71 times as much for six, so 87 % are held at best.
  assert.ok(held.questions < held.pictures - 0.02 * numTrials, `${held.questions} of ${numTrials}`);
});
