/** A training stage on real data as a value: the model, what of it learns, the mixture, how batches are made. */
import { z } from 'zod';
import { DataSetConfig, PictureStoreConfig } from './data.js';
import { CommError } from './errors.js';
import { parseConfig } from './json.js';
import { MixtureConfig, setsOf } from './mixture.js';
import { SkipConfig } from './skip.js';

/** Parts of a model that a stage can train; `merge`, `align` and `encoder` mean those of all encoders. */
export const STAGE_PARTS = ['languageModel', 'projector', 'merge', 'align', 'encoder'] as const;
export type StagePart = (typeof STAGE_PARTS)[number];

/** Data sets by name, the stores of their pictures by name, and how they are mixed. */
export const DataConfig = z.strictObject({
  stores: z.record(z.string(), PictureStoreConfig),
  sets: z.record(z.string(), DataSetConfig),
  mix: MixtureConfig,
  seed: z.int().nonnegative(),
});
export type DataConfig = z.infer<typeof DataConfig>;

/** A stage. */
export const StageConfig = z.strictObject({
  /** Model folder or hub id. */
  model: z.string().min(1),
  dtype: z.enum(['f32', 'bf16']),
  device: z.union([z.enum(['cpu', 'mps', 'cuda']), z.templateLiteral(['cuda:', z.int().nonnegative()])]),
  /** What learns; everything else is frozen. */
  trains: z.array(z.enum(STAGE_PARTS)).min(1),
  data: DataConfig,
  /** What the loss is measured on during training; null for nothing. */
  held: z.strictObject({ mix: MixtureConfig, samples: z.int().positive(), seed: z.int().nonnegative() }).nullable(),
  /** Samples of a batch. */
  batchSize: z.int().positive(),
  /** Tokens of a row at most. */
  maxLength: z.int().positive(),
  /** `pad`: a sample a row. `pack`: as many samples behind each other in a row as have room; none sees another. */
  packing: z.enum(['pad', 'pack']),
  /** Batches that are made together from samples of like length; 1 leaves the order of the mixture. */
  groupBatches: z.int().positive(),
  skip: SkipConfig,
  /** Threads that read, decode and render, and batches that they are ahead. */
  workers: z.int().positive().max(256),
  ahead: z.int().positive().max(1024),
});
export type StageConfig = z.infer<typeof StageConfig>;

/** A checked stage: types and ranges, and every set that a mixture names is there. */
export function parseStage(value: unknown): StageConfig {
  const stage = parseConfig(StageConfig, value, 'The recipe');
  const { data, held } = stage;
  for (const name of [data.mix, ...(held === null ? [] : [held.mix])].flatMap(setsOf)) {
    if (Object.hasOwn(data.sets, name)) continue;
    throw new CommError(`The mixture names the data set "${name}", which the recipe does not have.`, {
      code: 'data/unknown-set',
      fix: `The sets are ${Object.keys(data.sets).join(', ')}.`,
      exitCode: 2,
    });
  }
  return stage;
}
