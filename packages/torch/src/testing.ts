/** Helpers for tests of code that uses tensors: closeness, leaks, strict scopes. */
import { AssertionError } from 'node:assert';
import { noGrad } from './autograd.js';
import { liveTensors, memoryStats, scope, setStrictScopes, traceTensors } from './scope.js';
import type { Tensor } from './tensor.js';

/**
 * The largest difference relative to the largest finite magnitude: `max |a - b| / max |b|`, with `b` the reference; 0
 * for equal or empty tensors, NaN or infinite where a value of one alone is. Any dtypes; computed in f64.
 * @throws AssertionError where the shapes differ.
 */
export function maxRelDiff(a: Tensor, b: Tensor): number {
  const [actual, expected] = comparable(a, b);
  let difference = 0;
  let magnitude = 0;
  for (const [i, value] of actual.entries()) {
    const wanted = expected[i] as number;
    // Math.max carries NaN on; equal infinities differ by 0, not by NaN.
    difference = Math.max(difference, Object.is(value, wanted) ? 0 : Math.abs(value - wanted));
    if (Number.isFinite(wanted)) magnitude = Math.max(magnitude, Math.abs(wanted));
  }
  return difference === 0 ? 0 : difference / magnitude;
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
    const reference = wanted[i] as number;
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

/** Both tensors' elements as f64, after checking that the shapes agree. */
function comparable(a: Tensor, b: Tensor): [Float64Array, Float64Array] {
  if (a.shape.join() !== b.shape.join()) {
    throw new AssertionError({
      message: `the shapes differ: [${a.shape.join(', ')}], expected [${b.shape.join(', ')}]`,
      actual: a.shape,
      expected: b.shape,
      operator: 'comparable',
    });
  }
  return scope(() => noGrad(() => [a.to('f64').toArray() as Float64Array, b.to('f64').toArray() as Float64Array]));
}

function unravel(flat: number, shape: readonly number[]): number[] {
  const index: number[] = [];
  for (let dim = shape.length - 1; dim >= 0; dim--) {
    const size = shape[dim] as number;
    index.unshift(flat % size);
    flat = Math.floor(flat / size);
  }
  return index;
}
