/** Learning-rate schedules: pure functions from the number of finished steps to a factor of the learning rate. */

/** The factor of the learning rate for the step after `step` finished ones. */
export type Schedule = (step: number) => number;

/** Length of a run and of its warm-up; the warm-up is a number of steps or a share of all steps, rounded up. */
export interface WarmupOptions {
  steps: number;
  warmupSteps?: number;
  warmupRatio?: number;
}

/**
 * Rises linearly from 0 to 1 over the warm-up, then falls along half a cosine to `minRatio` (0 by default) at `steps`
 * and stays there. With `minRatio` 0 these are the values of `get_cosine_schedule_with_warmup` in transformers.
 */
export function cosineWithWarmup({ minRatio = 0, ...options }: WarmupOptions & { minRatio?: number }): Schedule {
  return withWarmup(options, (progress) => minRatio + (1 - minRatio) * 0.5 * (1 + Math.cos(Math.PI * progress)));
}

/** Rises linearly from 0 to 1 over the warm-up, then falls linearly to `minRatio` (0 by default) at `steps`. */
export function linearWithWarmup({ minRatio = 0, ...options }: WarmupOptions & { minRatio?: number }): Schedule {
  return withWarmup(options, (progress) => 1 - (1 - minRatio) * progress);
}

/** Rises linearly from 0 to 1 over the warm-up and stays at 1. */
export function constantWithWarmup(options: WarmupOptions): Schedule {
  return withWarmup(options, () => 1);
}

function withWarmup(options: WarmupOptions, after: (progress: number) => number): Schedule {
  const { steps } = options;
  const warmup = numWarmupSteps(options);
  return (step) => {
    if (step < warmup) return step / warmup;
    return after(steps === warmup ? 1 : Math.min(1, (step - warmup) / (steps - warmup)));
  };
}

function numWarmupSteps({ steps, warmupSteps, warmupRatio }: WarmupOptions): number {
  if (!Number.isInteger(steps) || steps < 1) throw new RangeError(`a schedule needs at least one step, got ${steps}`);
  if (warmupSteps !== undefined && warmupRatio !== undefined) {
    throw new TypeError('a schedule takes warmupSteps or warmupRatio, not both');
  }
  const warmup = warmupSteps ?? Math.ceil(steps * (warmupRatio ?? 0));
  if (!(warmup >= 0 && warmup <= steps))
    throw new RangeError(`a warm-up of ${warmup} steps does not fit into ${steps}`);
  return warmup;
}
