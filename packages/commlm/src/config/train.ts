/** How a training run steps, saves and looks at itself: the part of a recipe that every kind of training shares. */
import { z } from 'zod';
import type { CommTrainConfig, FeatureConfig } from './comm-train.js';
import type { SkipConfig } from './skip.js';

/** Hyperparameters of a stage; an optional field that is absent switches its feature off. */
export const LoopConfig = z.strictObject({
  steps: z.int().positive(),
  /** Samples of one forward pass. */
  batchSize: z.int().positive(),
  /** Forward passes whose gradients add up to one step; absent means 1. */
  accumulate: z.int().min(2).optional(),
  lr: z.number().positive(),
  /** Factors of the rate by parameter name or the beginning of one (`encoder.0`, `languageModel.model.embedTokens`); without the place of an encoder they hold for all (`align`, `merge.scale`). The longest wins. */
  lrFactors: z.record(z.string().min(1), z.number().positive()).optional(),
  betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]).readonly(),
  weightDecay: z.number().nonnegative(),
  /** Share of the steps over which the rate rises from zero. */
  warmupRatio: z.number().min(0).max(1),
  /** The cosine ends at this share of `lr`. */
  minLrRatio: z.number().min(0).max(1),
  /** Gradients are scaled so that their joint norm is at most this. */
  clipNorm: z.number().positive(),
  /** An update whose gradient norm is above this is left out; so many in a row end the run. */
  skipNorm: z.strictObject({ above: z.number().positive(), inARow: z.int().positive() }).optional(),
  /** A running average of the weights, which is then what is evaluated and exported. */
  ema: z.strictObject({ decay: z.number().gt(0).lt(1) }).optional(),
  seed: z.int().nonnegative(),
  /** Steps between two checkpoints, log lines and evaluations. */
  saveEvery: z.int().positive(),
  logEvery: z.int().positive(),
  evalEvery: z.int().positive(),
  /** Newest checkpoints that are kept. */
  keepLast: z.int().positive(),
  /** The checkpoint with the best figure of an evaluation is kept as well, and its result in `best/`. */
  keepBest: z.strictObject({ figure: z.string().min(1), better: z.enum(['higher', 'lower']) }).optional(),
});
export type LoopConfig = Readonly<z.infer<typeof LoopConfig>>;

/** Fields that a run may go on with other values of, when it is told so: what a run that went astray may need. */
export const CHANGEABLE: readonly Changeable[] = ['loop.lr', 'loop.clipNorm', 'loop.skipNorm', 'comm.data.skip.limit'];

type Changeable = `loop.${keyof LoopConfig}` | `comm.data.skip.${keyof SkipConfig}`;
type Bookkeeping =
  | `loop.${keyof LoopConfig}`
  | `comm.${keyof CommTrainConfig}`
  | `comm.features.${keyof FeatureConfig}`;

/** Fields that change what is written, where, or how fast, and never a number: a run may go on with other ones. */
export const BOOKKEEPING: readonly Bookkeeping[] = [
  'loop.saveEvery',
  'loop.logEvery',
  'loop.evalEvery',
  'loop.keepLast',
  'loop.keepBest',
  'comm.workers',
  'comm.ahead',
  'comm.health',
  'comm.features.folder',
  'comm.features.maxGB',
];
