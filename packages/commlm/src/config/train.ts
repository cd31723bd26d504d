/** How a training run steps, saves and looks at itself: the part of a recipe that every kind of training shares. */
import { z } from 'zod';
import type { CommTrainConfig, FeatureConfig } from './comm-train.js';
import type { SkipConfig } from './skip.js';

/** Hyperparameters of a stage; an optional field that is absent switches its feature off. */
export const LoopConfig = z.strictObject({
  steps: z.int().positive().describe('Updates of the weights.'),
  batchSize: z.int().positive().describe('Samples of one forward pass.'),
  accumulate: z.int().min(2).optional().describe('Forward passes whose gradients add up to one step; absent means 1.'),
  lr: z.number().positive().describe('Highest learning rate.'),
  lrFactors: z
    .record(z.string().min(1), z.number().positive())
    .optional()
    .describe(
      'Factors of the rate by parameter name or the beginning of one (`encoder.0`, `languageModel.model.embedTokens`); without the place of an encoder they hold for all (`align`, `merge.scale`). The longest wins.',
    ),
  betas: z
    .tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])
    .readonly()
    .describe('Both betas of AdamW.'),
  weightDecay: z.number().nonnegative().describe('Weight decay of matrices; vectors have none.'),
  warmupRatio: z.number().min(0).max(1).describe('Share of the steps over which the rate rises from zero.'),
  minLrRatio: z.number().min(0).max(1).describe('The cosine ends at this share of `lr`.'),
  clipNorm: z.number().positive().describe('Gradients are scaled so that their joint norm is at most this.'),
  skipNorm: z
    .strictObject({
      above: z.number().positive().describe('Largest norm that is taken.'),
      inARow: z.int().positive().describe('So many left out in a row end the run.'),
    })
    .optional()
    .describe('An update whose gradient norm is too large is left out; absent: none is.'),
  ema: z
    .strictObject({ decay: z.number().gt(0).lt(1).describe('Share of the average that stays at each step.') })
    .optional()
    .describe('A running average of the weights, which is then what is evaluated and exported.'),
  seed: z.int().nonnegative().describe('Seed of the fresh weights and of what is drawn in training.'),
  saveEvery: z.int().positive().describe('Steps between two checkpoints.'),
  logEvery: z.int().positive().describe('Steps between two log lines.'),
  evalEvery: z.int().positive().describe('Steps between two evaluations.'),
  keepLast: z.int().positive().describe('Newest checkpoints that are kept.'),
  keepBest: z
    .strictObject({
      figure: z.string().min(1).describe('Name of the figure.'),
      better: z.enum(['higher', 'lower']).describe('Whether a higher or a lower one is better.'),
    })
    .optional()
    .describe('The checkpoint with the best figure of an evaluation is kept as well, and its result in `best/`.'),
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
