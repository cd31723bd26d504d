/** What a benchmark suite is: its settings, and the rows that it measures. */
import type { WeightFormat } from '../config/formats.js';

/** One measured line. */
export interface BenchRow {
  readonly suite: string;
  readonly what: string;
  readonly unit: string;
  readonly ours: number;
  /** The peer's figure from the same run, or why there is none. */
  readonly peer?:
    | { readonly name: string; readonly value?: number | undefined; readonly note?: string | undefined }
    | undefined;
  /** ours / peer. */
  readonly ratio?: number | undefined;
}

/** Size of the model of the suite `train`; the rest follows from it as in Vicuna 7B. */
export interface StackShape {
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly batchSize: number;
  readonly numTokens: number;
}

/** Settings of a run. */
export interface BenchOptions {
  /** Python that has the peers (torch, transformers). */
  readonly python: string;
  /** Measurements of each side in the suites with a peer. */
  readonly rounds: number;
  /** Generations of the suite `memory`. */
  readonly generations: number;
  /** Model folder of the suites `tiny`, `memory` and `load`; the embedded one by default. */
  readonly model?: string | undefined;
  /** The one number format of the suite `load`; int8 and bf16 by default. */
  readonly dtype?: WeightFormat | undefined;
  /** Size of the model of the suite `train`. */
  readonly stack?: StackShape | undefined;
  /** Called with lines to show while a suite runs. */
  readonly onNote?: ((line: string) => void) | undefined;
  /** Called once for a row that takes long, with about how long it will take yet, in milliseconds. */
  readonly onWait?: ((ms: number) => void) | undefined;
  /** Ends the run between two steps of a row, and peers at once. */
  readonly signal?: AbortSignal | undefined;
}

/** A row is announced from this time on, in milliseconds. */
const LONG_MS = 10_000;

/** Says how long a row takes yet, from what one of its rounds took. */
export function announce(roundMs: number, roundsLeft: number, onWait: BenchOptions['onWait']): void {
  if (roundMs * roundsLeft >= LONG_MS) onWait?.(roundMs * roundsLeft);
}

/** Lets signals be heard between two steps that each compute without a pause; throws the reason of the abort. */
export async function betweenSteps(signal: AbortSignal | undefined): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  signal?.throwIfAborted();
}

/** A suite; gives each row when it is measured. */
export type Suite = (options: BenchOptions) => AsyncGenerator<BenchRow, void, void>;
