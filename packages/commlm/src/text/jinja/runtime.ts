/** What filters and tests need of the interpreter that runs them. */
import type { Meter } from './meter.js';
import type { Arguments, Value } from './values.js';

export interface Runtime {
  readonly meter: Meter;
  filter(name: string, input: Value, args: Arguments): Value;
  test(name: string, input: Value, args: Arguments): boolean;
}

/** A filter or a test; `input` is what stands before it. */
export type Operation<T> = (input: Value, args: Arguments, runtime: Runtime) => T;
