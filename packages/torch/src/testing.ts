/** Helpers for tests of code that uses tensors: closeness, leaks, strict scopes. */
import { AssertionError } from 'node:assert';
import { noGrad } from './autograd.js';
import { liveTensors, memoryStats, scope, setStrictScopes, traceTensors } from './scope.js';
import type { Tensor } from './tensor.js';

/** What can be compared: a tensor, a number, or numbers in a row. */
export type Comparable = Tensor | number | readonly number[];

/**
 * The largest difference relative to the largest finite magnitude: `max |a - b| / max |b|`, with `b` the reference; 0
 * for equal or empty tensors, NaN or infinite where a value of one alone is. Any dtypes; computed in f64.
 * @throws AssertionError where the shapes differ.
 */
export function maxRelDiff(a: Tensor, b: Tensor): number {
  const { difference, magnitude } = differenceOf(a, b);
  return difference === 0 ? 0 : difference / magnitude;
}

/** The largest difference, and the largest finite magnitude of the reference. */
function differenceOf(a: Comparable, b: Comparable): { difference: number; magnitude: number } {
  const [actual, expected] = comparable(a, b);
  let difference = 0;
  let magnitude = 0;
  for (const [i, value] of actual.entries()) {
    const wanted = expected[i]!;
    // Math.max carries NaN on; equal infinities differ by 0, not by NaN.
    difference = Math.max(difference, Object.is(value, wanted) ? 0 : Math.abs(value - wanted));
    if (Number.isFinite(wanted)) magnitude = Math.max(magnitude, Math.abs(wanted));
  }
  return { difference, magnitude };
}

/** The largest relative error of one rounding: half the distance from 1 to the next number. */
const UNIT_ROUNDOFF = { f64: 2 ** -53, f32: 2 ** -24, f16: 2 ** -11, bf16: 2 ** -8 } as const;

/** What numbers went through, as far as their rounding is concerned. */
export interface Arithmetic {
  /** The narrowest dtype on the way; f32 by default. */
  dtype?: keyof typeof UNIT_ROUNDOFF;
  /** Length of the longest sum: of a product, a mean, a softmax; 1 by default. */
  terms?: number;
  /** How many steps of that kind follow one another; 1 by default. */
  steps?: number;
}

/**
 * How far two evaluations of one formula may lie apart, relative to the largest value on the way:
 * `4 u sqrt(terms * steps)`, with u the unit roundoff. It holds for whatever kernels, vector lengths, threads and order
 * of sums, which is what differs between processors.
 *
 * A rounding errs by u at most and a function such as `exp` by an ulp, 2 u, so that two evaluations of one step lie within
 * 4 u. The roundings of a sum of n terms err up as often as down, each by u / sqrt(3) of the sum so far: 0.41 u sqrt(n) in
 * all (standard deviation), 0.58 for the difference of two evaluations, and 2.9 for the largest of a million such values,
 * five deviations: again within 4. Steps that follow one another add up in the same way.
 */
export function roundingBound({ dtype = 'f32', terms = 1, steps = 1 }: Arithmetic = {}): number {
  return 4 * UNIT_ROUNDOFF[dtype] * Math.sqrt(terms * steps);
}

/**
 * Asserts that two results differ by the rounding of that arithmetic alone: by no more than {@link roundingBound} times
 * `scale`, the largest value that was rounded. That is the largest expected one, unless the result is what is left after
 * cancelling.
 * @throws AssertionError saying by how much they differ, or that the shapes do.
 */
export function expectRounded(
  actual: Comparable,
  expected: Comparable,
  { scale, ...arithmetic }: Arithmetic & { scale?: number } = {},
  name = 'the result',
): void {
  const { difference, magnitude } = differenceOf(actual, expected);
  const allowed = roundingBound(arithmetic) * (scale ?? magnitude);
  // Written so that a NaN is no agreement.
  if (difference <= allowed) return;
  throw new AssertionError({
    message: `${name} differs by ${difference}, of which rounding explains ${allowed}`,
    actual: difference,
    expected: allowed,
    operator: 'expectRounded',
    stackStartFn: expectRounded,
  });
}

/** Tolerances of {@link expectClose}. */
export interface Tolerance {
  /** Relative to the expected element; 1e-5 by default. */
  rtol?: number;
  /** Absolute; 1e-8 by default. */
  atol?: number;
}

/**
 * Asserts `|actual - expected| <= atol + rtol * |expected|` for every element; NaN equals NaN only.
 * @throws AssertionError saying how many elements differ and which one most.
 */
export function expectClose(actual: Tensor, expected: Tensor, { rtol = 1e-5, atol = 1e-8 }: Tolerance = {}): void {
  const [got, wanted] = comparable(actual, expected);
  let numWrong = 0;
  let worst = -1;
  let worstExcess = 0;
  for (const [i, value] of got.entries()) {
    const reference = wanted[i]!;
    if (Object.is(value, reference)) continue;
    const difference = Math.abs(value - reference);
    const allowed = atol + rtol * Math.abs(reference);
    if (difference <= allowed && Number.isFinite(difference)) continue;
    const excess = difference / allowed;
    numWrong++;
    if (worst < 0 || !(excess <= worstExcess)) [worst, worstExcess] = [i, excess];
  }
  if (numWrong === 0) return;
  throw new AssertionError({
    message:
      `${numWrong} of ${got.length} elements differ by more than ${atol} + ${rtol} |expected|; ` +
      `worst at [${unravel(worst, expected.shape).join(', ')}]: ${got[worst]}, expected ${wanted[worst]}`,
    actual: got[worst],
    expected: wanted[worst],
    operator: 'expectClose',
    stackStartFn: expectClose,
  });
}

/**
 * Asserts that repeating `step` keeps no tensor alive: runs it `warmup` times (3 by default), then `steps` times (20 by
 * default), and compares the number of live tensors.
 * @throws AssertionError naming the lines that made what is left.
 */
export function expectNoLeak(
  step: () => void,
  { warmup = 3, steps = 20 }: { warmup?: number; steps?: number } = {},
): void {
  for (let i = 0; i < warmup; i++) step();
  const before = memoryStats();
  traceTensors(true);
  try {
    for (let i = 0; i < steps; i++) step();
    const after = memoryStats();
    const numLeaked = after.liveTensors - before.liveTensors;
    if (numLeaked <= 0) return;
    const sites = new Map<string, number>();
    for (const { site } of liveTensors()) sites.set(site, (sites.get(site) ?? 0) + 1);
    const places = [...sites].sort(([, a], [, b]) => b - a).slice(0, 5);
    throw new AssertionError({
      message:
        `${numLeaked} tensors (${after.hostBytes - before.hostBytes} bytes) are left after ${steps} steps, made ` +
        places.map(([site, count]) => `${count} times ${site}`).join(', '),
      actual: after.liveTensors,
      expected: before.liveTensors,
      operator: 'expectNoLeak',
      stackStartFn: expectNoLeak,
    });
  } finally {
    traceTensors(false);
  }
}

/** Runs `fn` with strict scopes: a tensor made outside of any scope is an error. */
export function withStrictScopes<R>(fn: () => R): R {
  const before = setStrictScopes(true);
  try {
    return fn();
  } finally {
    setStrictScopes(before);
  }
}

/** The elements of both as f64, after checking that the shapes agree. */
function comparable(a: Comparable, b: Comparable): [Float64Array, Float64Array] {
  const [got, wanted] = [shapeOf(a), shapeOf(b)];
  if (got.join() !== wanted.join()) {
    throw new AssertionError({
      message: `the shapes differ: [${got.join(', ')}], expected [${wanted.join(', ')}]`,
      actual: got,
      expected: wanted,
      operator: 'comparable',
    });
  }
  return [numbersOf(a), numbersOf(b)];
}

const isTensor = (value: Comparable): value is Tensor => typeof value === 'object' && !Array.isArray(value);

function shapeOf(value: Comparable): readonly number[] {
  if (typeof value === 'number') return [];
  return isTensor(value) ? value.shape : [value.length];
}

function numbersOf(value: Comparable): Float64Array {
  if (!isTensor(value)) return Float64Array.from([value].flat());
  return scope(() => noGrad(() => value.to('f64').toArray() as Float64Array));
}

function unravel(flat: number, shape: readonly number[]): number[] {
  const index: number[] = [];
  for (let dim = shape.length - 1; dim >= 0; dim--) {
    const size = shape[dim]!;
    index.unshift(flat % size);
    flat = Math.floor(flat / size);
  }
  return index;
}
