/** The tests of a difference against values known from elsewhere, and cases where the answer is plain. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pairedBootstrap, signFlipTest } from './significance.js';

test('with one question a picture the sign-flip test is McNemar, the two-sided binomial test', () => {
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
  const gains = (lost: number, gained: number): number[] => [
    ...new Array<number>(lost).fill(-1),
    ...new Array<number>(gained).fill(1),
    0,
  ];
  for (const [lost, gained, p] of known) {
    const got = signFlipTest(gains(lost, gained));
    // Each of n steps halves and adds positive numbers, the sum of the tail adds n more: an ulp each.
    const bound = 2 * (lost + gained + 1) * Number.EPSILON * p;
    assert.ok(Math.abs(got - p) <= bound, `${lost} ${gained}: ${got} for ${p}`);
    assert.equal(got, signFlipTest(gains(gained, lost)));
  }
});

test('sign-flip test: pictures with several questions, against all ways to choose the signs', () => {
  for (const differences of [[3], [3, 1], [2, -1, 4, 1], [5, 5, -2, 1, 1, 3, -4], [-2, -2, -2, 1, 0, 6, 3, 1]]) {
    const observed = Math.abs(differences.reduce((sum, each) => sum + each, 0));
    let asFar = 0;
    for (let signs = 0; signs < 2 ** differences.length; signs++) {
      const sum = differences.reduce((total, each, i) => total + ((signs >> i) & 1 ? each : -each), 0);
      if (Math.abs(sum) >= observed) asFar++;
    }
    assert.equal(signFlipTest(differences), asFar / 2 ** differences.length, `${differences}`);
  }
});

const mean = (sums: ReadonlyMap<string, ArrayLike<number>>): Record<string, number> => {
  const [count = 0, sum = 0] = Array.from(sums.get('') ?? []);
  return { mean: sum / count };
};
const OPTIONS = { resamples: 4000, seed: 3, level: 0.95 };

test('paired bootstrap: equal systems differ by nothing, with p 1', () => {
  const units = Array.from({ length: 50 }, (_, i) => ({ group: '', pictures: [], a: [1, i % 2], b: [1, i % 2] }));
  assert.deepEqual(pairedBootstrap(units, mean, OPTIONS).get('mean'), { low: 0, high: 0, p: 1 });
});

test('paired bootstrap: the pairing takes away what questions have in common', () => {
  // Questions differ by hundreds, the systems by one with a spread of one: an unpaired test would see nothing.
  const units = Array.from({ length: 200 }, (_, i) => ({
    group: '',
    pictures: [],
    a: [1, 100 * i],
    b: [1, 100 * i + (i % 2 === 0 ? 2 : 0)],
  }));
  const { low, high, p } = pairedBootstrap(units, mean, OPTIONS).get('mean') as {
    low: number;
    high: number;
    p: number;
  };
  // Mean 1, standard error 1 / sqrt(200), and that of a percentile of 4,000 draws: sqrt(p (1 - p) / draws) / density.
  const error = 1 / Math.sqrt(200);
  const density = Math.exp(-(1.96 ** 2) / 2) / Math.sqrt(2 * Math.PI) / error;
  const bound = (5 * Math.sqrt((0.025 * 0.975) / 4000)) / density;
  assert.ok(
    Math.abs(low - (1 - 1.96 * error)) < bound && Math.abs(high - (1 + 1.96 * error)) < bound,
    `${low} ${high}`,
  );
  assert.equal(p, 2 / 4001);
});

test('paired bootstrap: pictures keep their questions, groups their pictures; what a draw lacks is left out', () => {
  const units = [
    ...[1, 2].map((i) => ({ group: 'x', pictures: [`x${i}`], a: [1], b: [2] })),
    ...[1, 2].map((i) => ({ group: 'y', pictures: [`y${i}`], a: [3], b: [3 + i] })),
  ];
  const figures = (sums: ReadonlyMap<string, ArrayLike<number>>): Record<string, number> => {
    const [x, y] = [sums.get('x')?.[0] ?? 0, sums.get('y')?.[0] ?? 0];
    return { x, y, ...(y > 8 ? { rare: y } : {}) };
  };
  const first = pairedBootstrap(units, figures, OPTIONS);
  assert.deepEqual([...first.keys()], ['x', 'y']);
  assert.deepEqual(first.get('x'), { low: 2, high: 2, p: 2 / 4001 });
  assert.deepEqual(first, pairedBootstrap(units, figures, OPTIONS));
  // All about one picture: nothing is known about others.
  const shared = units.map((unit) => ({ ...unit, pictures: ['one'] }));
  assert.equal(pairedBootstrap(shared, figures, OPTIONS).size, 0);
});
