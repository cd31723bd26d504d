/** A training of COMM as a value: the model, what of it learns, where it computes, the data and the losses. */
import { z } from 'zod';
import { PictureStoreConfig } from './data.js';
import { DataSetConfig } from './data-sets.js';
import { CommError } from './errors.js';
import { parseConfig } from './json.js';
import { LoraConfig } from './lora.js';
import { MixtureConfig, setsOf } from './mixture.js';
import { CommConfig } from './model.js';
import { TrainedPart, trainsEncoders } from './parts.js';
import { Device, Placement } from './placement.js';
import { ASSEMBLED } from './presets.js';
import { SkipConfig } from './skip.js';
import { TurnType, WorldLook } from './world.js';

const path = z.string().min(1);
const count = z.int().nonnegative();
const weight = z.number().nonnegative();

/** Data sets by name, the stores of their pictures by name, and how they are mixed. */
export const DataConfig = z.strictObject({
  stores: z.record(z.string(), PictureStoreConfig),
  sets: z.record(z.string(), DataSetConfig),
  mix: MixtureConfig,
  seed: count,
});
export type DataConfig = z.infer<typeof DataConfig>;

/** Samples of data sets, and how rows are made of them. */
export const MixtureData = z.strictObject({
  kind: z.literal('mixture'),
  ...DataConfig.shape,
  /** What the loss is measured on during training; null for nothing. */
  held: z.strictObject({ mix: MixtureConfig, samples: z.int().positive(), seed: count }).nullable(),
  /** Tokens of a row at most. */
  maxLength: z.int().positive(),
  /** `pad`: a sample a row. `pack`: as many samples behind each other in a row as have room; none sees another. */
  packing: z.enum(['pad', 'pack']),
  /** Batches that are made together from samples of like length; 1 leaves the order of the mixture. */
  groupBatches: z.int().positive(),
  skip: SkipConfig,
});
export type MixtureData = z.infer<typeof MixtureData>;

/** Words asked for alone, a picture. */
export const ProbeCounts = z.strictObject({
  /** Nouns, each of which is to say yes or no at its own place, and the nouns of existence questions likewise. */
  words: count,
  /** `left`, `top`, `right` or `bottom` and a noun, to answer with the first two digits of that edge. */
  edges: count,
});
export type ProbeCounts = z.infer<typeof ProbeCounts>;

/** Scenes of the synthetic world, and what is asked about them. */
export const WorldData = z.strictObject({
  kind: z.literal('world'),
  ...WorldLook.shape,
  /** Questions packed behind one picture; with 0 nothing is asked and the language model's blocks do not run. */
  questions: count,
  /** How often each kind of question is asked (relative). */
  types: z.partialRecord(TurnType, weight),
  /** Share of pictures that come with one long conversation in place of single questions. */
  conversationShare: z.number().min(0).max(1),
  /** How much the one word of a yes or no counts; the other words of its sentence are the same in every answer. */
  yesNoWeight: weight,
  probes: ProbeCounts,
  /** Rows a batch beside those of its pictures, each about two of them shown together. */
  pairRows: count,
});
export type WorldData = z.infer<typeof WorldData>;

/** A loss beside the cross-entropy of the next token. */
export const LossConfig = z.discriminatedUnion('kind', [
  /** How far each digit is expected to be off (`NumberLoss`): nats a step. The world tells which tokens are digits. */
  z.strictObject({ kind: z.literal('numbers'), weight }),
  /**
   * Naming what a patch of the world shows from its visual token alone. The visual tokens then lie in the space of the
   * (tied) word embeddings, so that a word of a question finds the patches it means by likeness.
   */
  z.strictObject({ kind: z.literal('patch-names'), weight }),
  /**
   * Telling from a visual token alone where its patch of the world lies and where the thing on it ends. The last levels of
   * the towers hardly know their place (a linear probe finds the column of one patch in four); the first ones do.
   */
  z.strictObject({ kind: z.literal('patch-places'), weight }),
]);
export type LossConfig = z.infer<typeof LossConfig>;

/** Where the features of frozen encoders are kept between epochs, and how much of the disk they may take (1e9 bytes). */
export const FeatureConfig = z.strictObject({ folder: path, maxGB: z.number().positive() });
export type FeatureConfig = z.infer<typeof FeatureConfig>;

/** A fresh model around finished encoders, in the order of the config: folders of pre-training runs or of other libraries. */
export const FreshModel = z.strictObject({
  config: CommConfig,
  encoders: z.array(path).readonly(),
  tokenizer: path,
});
export type FreshModel = z.infer<typeof FreshModel>;

/** How the branches of the encoders are watched; none of it changes a number of the training. */
export const HealthConfig = z.strictObject({
  /** Steps between two measurements. */
  every: z.int().positive(),
  /** Pictures that one is made on. */
  pictures: z.int().min(8).max(4096),
  /** Whether a branch that is constant or of no use ends the run. */
  stop: z.boolean(),
});
export type HealthConfig = z.infer<typeof HealthConfig>;

/** How branches are watched where the recipe does not say. */
export const DEFAULT_HEALTH: HealthConfig = { every: 250, pictures: 32, stop: true };

/** A training of COMM. */
export const CommTrainConfig = z.strictObject({
  /** Model folder or hub id, or a fresh model. */
  model: z.union([path, FreshModel]),
  /** What the model folder is put together as: its shape, for a plan made before the folder is there. */
  assembled: z.enum(Object.keys(ASSEMBLED) as (keyof typeof ASSEMBLED)[]).optional(),
  /** Number format of the weights while training; int8 for a frozen language model with an adapter. */
  dtype: z.enum([...Placement.shape.dtype.options, 'int8']),
  device: Device,
  /** What learns; everything else is frozen and runs without a graph. */
  trains: z.array(TrainedPart).readonly(),
  /** An adapter that learns in place of the language model; null for none. */
  lora: LoraConfig.nullable(),
  /** Blocks of the language model between two kept states, the others are computed again for the backward pass; null keeps all. */
  recompute: z.int().positive().nullable(),
  /** A cache on disk for frozen encoders: each picture is encoded once. Null encodes it whenever it comes. */
  features: FeatureConfig.nullable(),
  data: z.discriminatedUnion('kind', [WorldData, MixtureData]),
  /** Beside the cross-entropy of the next token; each kind at most once. */
  losses: z.array(LossConfig).readonly(),
  /** For each encoder, in how many of the pictures its branch is zero while training, never those of all; absent: in none. */
  branchDropout: z.array(z.number().min(0).lt(1)).min(2).readonly().optional(),
  /** How the branches are watched; absent: as `DEFAULT_HEALTH`. */
  health: HealthConfig.partial().optional(),
  /** Threads that read, decode and render, and batches that they are ahead. */
  workers: z.int().positive().max(256),
  ahead: z.int().positive().max(1024),
});
export type CommTrainConfig = z.infer<typeof CommTrainConfig>;

/** A training on data sets. */
export type MixtureTrainConfig = CommTrainConfig & { readonly data: MixtureData };

/** A checked training: types and ranges, and settings that go together. */
export function parseCommTraining(value: unknown): CommTrainConfig {
  const config = parseConfig(CommTrainConfig, value, 'The recipe');
  checkParts(config);
  checkLosses(config);
  if (config.data.kind === 'mixture') checkSets(config.data);
  return config;
}

function checkParts({ lora, trains, dtype, features, model }: CommTrainConfig): void {
  const fail = (message: string, fix: string): CommError =>
    new CommError(message, { code: 'train/parts', fix, exitCode: 2 });
  if (trains.length === 0 && lora === null) throw fail('The recipe trains nothing.', 'List parts in comm.trains.');
  if (lora !== null && trains.includes('languageModel')) {
    throw fail(
      'An adapter learns in place of the language model, which comm.trains lists too.',
      'Leave one of them out.',
    );
  }
  if (dtype === 'int8' && (lora === null || trainsEncoders(trains) || typeof model !== 'string')) {
    throw fail('Weights of 8 bits do not learn.', 'Set comm.dtype=bf16, or train an adapter (comm.lora).');
  }
  if (features !== null && trainsEncoders(trains)) {
    throw fail('Encoders that learn have no features to keep.', 'Set comm.features=null, or freeze the encoders.');
  }
}

function checkLosses({ losses, data }: CommTrainConfig): void {
  const fail = (message: string, fix: string): CommError =>
    new CommError(message, { code: 'train/losses', fix, exitCode: 2 });
  const kinds = losses.map(({ kind }) => kind);
  const twice = kinds.find((kind, i) => kinds.indexOf(kind) !== i);
  if (twice !== undefined) throw fail(`comm.losses lists ${twice} twice.`, 'Leave one of them out.');
  if (data.kind === 'mixture' && kinds.length > 0) {
    throw fail(`The loss ${kinds[0]} needs what only the world tells of its pictures.`, 'Set comm.losses=[].');
  }
  if (data.kind === 'world' && data.questions === 0 && !kinds.some((kind) => kind.startsWith('patch-'))) {
    throw fail('Nothing is asked, and no loss looks at the patches.', 'Set comm.data.questions=6.');
  }
}

function checkSets({ mix, held, sets }: MixtureData): void {
  for (const name of [mix, ...(held === null ? [] : [held.mix])].flatMap(setsOf)) {
    if (Object.hasOwn(sets, name)) continue;
    throw new CommError(`The mixture names the data set "${name}", which the recipe does not have.`, {
      code: 'data/unknown-set',
      fix: `The sets are ${Object.keys(sets).join(', ')}.`,
      exitCode: 2,
    });
  }
}
