/** Optimiser, gradient clipping, learning-rate schedules and moving averages. */
export { AdamW, type AdamWGroup, type AdamWHyperparameters, type AdamWOptions, type ResolvedGroup } from './adamw.js';
export { clipGradNorm } from './clip-grad-norm.js';
export { emaUpdate } from './ema.js';
export {
  constantWithWarmup,
  cosineWithWarmup,
  linearWithWarmup,
  type Schedule,
  type WarmupOptions,
} from './schedules.js';
