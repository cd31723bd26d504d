/** A training stage on real data as a value: the model, what of it learns, the mixture, how batches are made. */
import { z } from 'zod';
import { PictureStoreConfig } from './data.js';
import { DataSetConfig } from './data-sets.js';
import { CommError } from './errors.js';
import { parseConfig } from './json.js';
import { LoraConfig } from './lora.js';
import { MixtureConfig, setsOf } from './mixture.js';
import { Device, Placement } from './placement.js';
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

/** Where the features of frozen encoders are kept between epochs, and how much of the disk they may take (1e9 bytes). */
export const FeatureConfig = z.strictObject({ folder: z.string().min(1), maxGB: z.number().positive() });
export type FeatureConfig = z.infer<typeof FeatureConfig>;

/** A stage. */
export const StageConfig = z.strictObject({
  /** Model folder or hub id. */
  model: z.string().min(1),
  /** Number format of the weights while training; int8 for a frozen language model with an adapter. */
  dtype: z.enum([...Placement.shape.dtype.options, 'int8']),
  device: Device,
  /** What learns; everything else is frozen. */
  trains: z.array(z.enum(STAGE_PARTS)),
  /** An adapter that learns in place of the language model; null for none. */
  lora: LoraConfig.nullable(),
  /** Blocks of the language model between two kept states, the others are computed again for the backward pass; null keeps all. */
  recompute: z.int().positive().nullable(),
  /** A cache on disk for frozen encoders: each picture is encoded once. Null encodes it whenever it comes. */
  features: FeatureConfig.nullable(),
  data: DataConfig,
  /** What the loss is measured on during training; null for nothing. */
  held: z.strictObject({ mix: MixtureConfig, samples: z.int().positive(), seed: z.int().nonnegative() }).nullable(),
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
  const { data, held, lora, trains, dtype, features } = stage;
  const fail = (message: string, fix: string): CommError =>
    new CommError(message, { code: 'train/parts', fix, exitCode: 2 });
  if (trains.length === 0 && lora === null) throw fail('The stage trains nothing.', 'List parts in stage.trains.');
  if (lora !== null && trains.includes('languageModel')) {
    throw fail(
      'An adapter learns in place of the language model, which stage.trains lists too.',
      'Leave one of them out.',
    );
  }
  if (dtype === 'int8' && (lora === null || trains.includes('encoder'))) {
    throw fail('Weights of 8 bits do not learn.', 'Set stage.dtype=bf16, or train an adapter (stage.lora).');
  }
  if (features !== null && trains.includes('encoder')) {
    throw fail('Encoders that learn have no features to keep.', 'Set stage.features=null, or freeze the encoders.');
  }
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
