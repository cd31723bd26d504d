// Intervals: seeded, within groups, and of the width that theory gives.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BootstrapUnit, bootstrapIntervals } from './bootstrap.js';

const share = (sums: ReadonlyMap<string, ArrayLike<number>>): Record<string, number> => {
  const [count, hits] = [...(sums.get('') as ArrayLike<number> & Iterable<number>)] as [number, number];
  return { share: hits / count };
};

test('the interval of a share is that of the normal approximation', () => {
  const units = Array.from({ length: 1000 }, (_, i): BootstrapUnit => ({ group: '', sums: [1, i < 300 ? 1 : 0] }));
  const { low, high } = bootstrapIntervals(units, share).get('share') ?? { low: 0, high: 0 };
  const half = 1.96 * Math.sqrt((0.3 * 0.7) / 1000);
  assert.ok(Math.abs(low - (0.3 - half)) < 0.004 && Math.abs(high - (0.3 + half)) < 0.004, `${low} - ${high}`);
  assert.deepEqual(bootstrapIntervals(units, share).get('share'), { low, high });
  const seeded = bootstrapIntervals(units, share, { resamples: 1000, seed: 1, level: 0.95 }).get('share');
  assert.notDeepEqual(seeded, { low, high });
});

test('groups keep their size, and a figure that some draws lack has no interval', () => {
  const units = [
    ...Array.from({ length: 3 }, (): BootstrapUnit => ({ group: 'a', sums: [1] })),
    ...Array.from({ length: 2 }, (_, i): BootstrapUnit => ({ group: 'b', sums: [i] })),
  ];
  const intervals = bootstrapIntervals(units, (sums) => ({
    a: sums.get('a')?.[0] as number,
    ...((sums.get('b')?.[0] as number) > 0 ? { b: 1 } : {}),
  }));
  assert.deepEqual(intervals.get('a'), { low: 3, high: 3 });
  assert.equal(intervals.get('b'), undefined);
});
