// The tests of a difference against values known from elsewhere, and cases where the answer is plain.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mcnemarExact, pairedBootstrap } from './significance.js';

test('McNemar equals the two-sided binomial test', () => {
  // Exact fractions of Python: min(1, 2 * sum(comb(n, k) for k in range(min(b, c) + 1)) / 2 ** n).
  const known: ReadonlyArray<readonly [number, number, number]> = [
    [0, 0, 1],
    [0, 1, 1],
    [5, 5, 1],
    [1, 9, 0.021484375],
    [10, 2, 0.03857421875],
    [0, 20, 1.9073486328125e-6],
    [37, 61, 0.019690184799846844],
    [480, 520, 0.21744829320414094],
    [2000, 2300, 5.079935568924032e-6],
  ];
  for (const [lost, gained, p] of known) {
    const got = mcnemarExact(lost, gained);
    assert.ok(Math.abs(got - p) <= 1e-11 * p, `${lost} ${gained}: ${got} for ${p}`);
    assert.equal(got, mcnemarExact(gained, lost));
  }
});

const mean = (sums: ReadonlyMap<string, ArrayLike<number>>): Record<string, number> => {
  const [count = 0, sum = 0] = Array.from(sums.get('') ?? []);
  return { mean: sum / count };
};
const OPTIONS = { resamples: 4000, seed: 3, level: 0.95 };

test('paired bootstrap: equal systems differ by nothing, with p 1', () => {
  const units = Array.from({ length: 50 }, (_, i) => ({ group: '', a: [1, i % 2], b: [1, i % 2] }));
  assert.deepEqual(pairedBootstrap(units, mean, OPTIONS).get('mean'), { low: 0, high: 0, p: 1 });
});

test('paired bootstrap: the pairing takes away what questions have in common', () => {
  // Questions differ by hundreds, the systems by one with a spread of one: an unpaired test would see nothing.
  const units = Array.from({ length: 200 }, (_, i) => ({
    group: '',
    a: [1, 100 * i],
    b: [1, 100 * i + (i % 2 === 0 ? 2 : 0)],
  }));
  const { low, high, p } = pairedBootstrap(units, mean, OPTIONS).get('mean') as {
    low: number;
    high: number;
    p: number;
  };
  // Mean 1, standard error 1 / sqrt(200): 1 +- 0.139.
  assert.ok(Math.abs(low - 0.861) < 0.02 && Math.abs(high - 1.139) < 0.02, `${low} ${high}`);
  assert.equal(p, 2 / 4001);
});

test('paired bootstrap: groups keep their sizes, seeds decide, and what a draw lacks is left out', () => {
  const units = [
    { group: 'x', a: [1], b: [2] },
    { group: 'y', a: [3], b: [3] },
    { group: 'y', a: [4], b: [6] },
  ];
  const figures = (sums: ReadonlyMap<string, ArrayLike<number>>): Record<string, number> => {
    const [x, y] = [sums.get('x')?.[0] ?? 0, sums.get('y')?.[0] ?? 0];
    return { x, y, ...(y > 6 ? { rare: y } : {}) };
  };
  const first = pairedBootstrap(units, figures, OPTIONS);
  assert.deepEqual([...first.keys()], ['x', 'y']);
  assert.deepEqual(first.get('x'), { low: 1, high: 1, p: 2 / 4001 });
  assert.deepEqual(first, pairedBootstrap(units, figures, OPTIONS));
});
