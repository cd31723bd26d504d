/** How fast a run goes: samples and tokens a second between two log lines, the share of waiting, the time that is left. */

export interface Speed {
  /** A second. */
  readonly samples: number;
  readonly tokens: number;
  /** Share of the time in which the trainer had no batch. */
  readonly waitShare: number;
  /** Seconds of a step. */
  readonly stepSeconds: number;
}

/** Speed between two log lines. */
export class SpeedClock {
  tokens = 0;
  readonly #batches: { readonly waitedMs: number };
  #since = performance.now();
  #step: number;
  #waited: number;

  /** Samples of a step. */
  readonly #samples: number;

  constructor(batches: { readonly waitedMs: number }, step: number, samples: number) {
    this.#samples = samples;
    this.#batches = batches;
    this.#step = step;
    this.#waited = batches.waitedMs;
  }

  /** The speed since the lap before. */
  lap(step: number): Speed {
    const seconds = (performance.now() - this.#since) / 1000;
    const steps = step - this.#step;
    const speed = {
      samples: (steps * this.#samples) / seconds,
      tokens: this.tokens / seconds,
      waitShare: (this.#batches.waitedMs - this.#waited) / 1000 / seconds,
      stepSeconds: seconds / steps,
    };
    this.restart(step);
    return speed;
  }

  /** Begins a lap, behind something that is not training. */
  restart(step: number): void {
    this.#since = performance.now();
    this.#step = step;
    this.#waited = this.#batches.waitedMs;
    this.tokens = 0;
  }
}

/** Figures for a log line. */
export const shownFigures = (figures: Readonly<Record<string, number>>): string =>
  Object.entries(figures)
    .map(
      ([name, value]) => `${name} ${Math.abs(value) < 0.01 && value !== 0 ? value.toExponential(2) : value.toFixed(3)}`,
    )
    .join('  ');

/** The end of a log line: rates, waiting, minutes left. */
export function speedLine({ samples, tokens, waitShare, stepSeconds }: Speed, stepsLeft: number): string {
  const rate = (value: number): string => (value < 10 ? value.toPrecision(2) : value.toFixed(0));
  return [
    `${rate(samples)} samples/s`,
    ...(tokens > 0 ? [`${rate(tokens)} tokens/s`] : []),
    `${(100 * waitShare).toFixed(0)} % waiting`,
    `${((stepsLeft * stepSeconds) / 60).toFixed(1)} min left`,
  ].join('  ');
}
