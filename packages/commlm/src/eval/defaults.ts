/** What a run of `eval` has unless it is told otherwise. */

/** How answers are drawn. */
export interface EvalDecoding {
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
}

/** The likeliest token each time, answers up to that length, so many questions together or requests at a time. */
export const EVAL_DEFAULTS = {
  decoding: { temperature: 0, topP: 1, seed: 0 },
  maxNewTokens: 128,
  batchSize: 64,
  concurrency: 8,
} as const;

/** How two results are compared: draws of the paired bootstrap, their seed, and the share of them that an interval holds. */
export const COMPARE_DEFAULTS = { resamples: 2000, seed: 0, level: 0.95 } as const;
