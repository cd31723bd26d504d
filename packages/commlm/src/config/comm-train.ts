/** A training of COMM as a value: the model, what of it learns, where it computes, the data and the losses. */
import { z } from 'zod';
import { PictureStoreConfig } from './data.js';
import { DataSetConfig } from './data-sets.js';
import { CommError } from './errors.js';
import { ENCODED_FORMATS, TRAINING_FORMATS } from './formats.js';
import { nearestName, parseConfig } from './json.js';
import { LoraConfig } from './lora.js';
import { MixtureConfig, setsOf } from './mixture.js';
import { CommConfig } from './model.js';
import { TrainedPart, trainsEncoders } from './parts.js';
import { Device } from './placement.js';
import { ASSEMBLED } from './presets.js';
import { SkipConfig } from './skip.js';
import { TurnType, WorldLook } from './world.js';

const path = z.string().min(1);
const count = z.int().nonnegative();
const weight = z.number().nonnegative();
const lossWeight = weight.describe('How much the loss counts beside the cross-entropy of the next token.');

/** Data sets by name, the stores of their pictures by name, and how they are mixed. */
export const DataConfig = z.strictObject({
  stores: z.record(z.string(), PictureStoreConfig).describe('Where pictures lie: stores by name.'),
  sets: z.record(z.string(), DataSetConfig).describe('Data sets by name.'),
  mix: MixtureConfig.describe('How the sets are mixed.'),
  seed: count.describe('Seed of the order and of what is chosen.'),
});
export type DataConfig = z.infer<typeof DataConfig>;

/** Samples of data sets, and how rows are made of them. */
export const MixtureData = z.strictObject({
  kind: z.literal('mixture').describe('Samples of data sets.'),
  ...DataConfig.shape,
  held: z
    .strictObject({
      mix: MixtureConfig.describe('How the sets are mixed.'),
      samples: z.int().positive().describe('Samples that are measured.'),
      seed: count.describe('Seed of their choice.'),
    })
    .nullable()
    .describe('What the loss is measured on during training; null for nothing.'),
  maxLength: z.int().positive().describe('Tokens of a row at most.'),
  packing: z
    .enum(['pad', 'pack'])
    .describe(
      '`pad`: a sample a row. `pack`: as many samples behind each other in a row as have room; none sees another.',
    ),
  groupBatches: z
    .int()
    .positive()
    .describe('Batches that are made together from samples of like length; 1 leaves the order of the mixture.'),
  skip: SkipConfig.describe('What is done with samples that are not as they should be.'),
});
export type MixtureData = z.infer<typeof MixtureData>;

/** Words asked for alone, a picture. */
export const ProbeCounts = z.strictObject({
  words: count.describe(
    'Nouns, each of which is to say yes or no at its own place, and the nouns of existence questions likewise.',
  ),
  edges: count.describe(
    '`left`, `top`, `right` or `bottom` and a noun, to answer with the first two digits of that edge.',
  ),
});
export type ProbeCounts = z.infer<typeof ProbeCounts>;

/** Scenes of the synthetic world, and what is asked about them. */
export const WorldData = z.strictObject({
  kind: z.literal('world').describe('Scenes of the synthetic world, drawn on the fly.'),
  ...WorldLook.shape,
  questions: count.describe(
    "Questions packed behind one picture; with 0 nothing is asked and the language model's blocks do not run.",
  ),
  types: z.partialRecord(TurnType, weight).describe('How often each kind of question is asked (relative).'),
  conversationShare: z
    .number()
    .min(0)
    .max(1)
    .describe('Share of pictures that come with one long conversation in place of single questions.'),
  yesNoWeight: weight.describe(
    'How much the one word of a yes or no counts; the other words of its sentence are the same in every answer.',
  ),
  probes: ProbeCounts.describe('Words asked for alone, a picture.'),
  pairRows: count.describe('Rows a batch beside those of its pictures, each about two of them shown together.'),
});
export type WorldData = z.infer<typeof WorldData>;

/** A loss beside the cross-entropy of the next token. */
export const LossConfig = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z
      .literal('numbers')
      .describe('How far each digit is expected to be off, in nats a step; the world tells which tokens are digits.'),
    weight: lossWeight,
  }),
  z.strictObject({
    kind: z
      .literal('patch-names')
      .describe(
        'Naming what a patch of the world shows from its visual token alone. The visual tokens then lie in the space of the (tied) word embeddings, so that a word of a question finds the patches it means by likeness.',
      ),
    weight: lossWeight,
  }),
  z.strictObject({
    kind: z
      .literal('patch-places')
      .describe(
        'Telling from a visual token alone where its patch of the world lies and where the thing on it ends. The last levels of the towers hardly know their place (a linear probe finds the column of one patch in four); the first ones do.',
      ),
    weight: lossWeight,
  }),
]);
export type LossConfig = z.infer<typeof LossConfig>;

/** Number formats that features can be kept in. */
export const FeatureDtype = z.enum(['bf16', 'f16', 'f32']);
export type FeatureDtype = z.infer<typeof FeatureDtype>;

/** Where the features of frozen encoders are kept between epochs and runs, and how much of the disk they may take (1e9 bytes). */
export const FeatureConfig = z.strictObject({
  folder: path.describe('Folder of the cache.'),
  maxGB: z.number().positive().describe('Most that it may take of the disk, in 1e9 bytes.'),
  /** Number format on disk; absent: that of the computation, so that no number differs from a run without the cache. */
  dtype: FeatureDtype.optional().describe(
    'Number format on disk; absent: that of the computation, so that no loss changes.',
  ),
});
export type FeatureConfig = z.infer<typeof FeatureConfig>;

/** A fresh model around finished encoders, in the order of the config: folders of pre-training runs or of other libraries. */
export const FreshModel = z.strictObject({
  config: CommConfig.describe('Shape of the model, as in a config.json in camelCase.'),
  encoders: z.array(path).readonly().describe('Folders of the encoders, in the order of the config.'),
  tokenizer: path.describe('Folder of the tokenizer.'),
});
export type FreshModel = z.infer<typeof FreshModel>;

/** How the branches of the encoders are watched; none of it changes a number of the training. */
export const HealthConfig = z.strictObject({
  every: z.int().positive().describe('Steps between two measurements.'),
  pictures: z.int().min(8).max(4096).describe('Pictures that one is made on.'),
  stop: z.boolean().describe('Whether a branch that is constant or of no use ends the run.'),
});
export type HealthConfig = z.infer<typeof HealthConfig>;

/** How branches are watched where the recipe does not say. */
export const DEFAULT_HEALTH: HealthConfig = { every: 250, pictures: 32, stop: true };

/** A training of COMM. */
export const CommTrainConfig = z.strictObject({
  model: z.union([path, FreshModel]).describe('Model folder or hub id, or a fresh model.'),
  assembled: z
    .enum(Object.keys(ASSEMBLED) as (keyof typeof ASSEMBLED)[])
    .optional()
    .describe('What the model folder is put together as: its shape, for a plan made before the folder is there.'),
  dtype: z
    .enum([...TRAINING_FORMATS, ...ENCODED_FORMATS])
    .describe('Number format of the weights while training; int8 for a frozen language model with an adapter.'),
  device: Device.describe('Where it computes: `cpu`, `mps`, `cuda`, or one of several as `cuda:1`.'),
  trains: z.array(TrainedPart).readonly().describe('What learns; everything else is frozen and runs without a graph.'),
  lora: LoraConfig.nullable().describe('An adapter that learns in place of the language model; null for none.'),
  recompute: z
    .int()
    .positive()
    .nullable()
    .describe(
      'Blocks of the language model between two kept states, the others are computed again for the backward pass; null keeps all.',
    ),
  features: FeatureConfig.nullable().describe(
    'A cache on disk for frozen encoders: each picture is encoded once. Null encodes it whenever it comes.',
  ),
  data: z.discriminatedUnion('kind', [WorldData, MixtureData]).describe('What is learned from.'),
  losses: z
    .array(LossConfig)
    .readonly()
    .describe('Beside the cross-entropy of the next token; each kind at most once.'),
  branchDropout: z
    .array(z.number().min(0).lt(1))
    .min(2)
    .readonly()
    .optional()
    .describe(
      'For each encoder, in how many of the pictures its branch is zero while training, never those of all; absent: in none.',
    ),
  health: HealthConfig.partial()
    .optional()
    .describe('How the branches are watched; absent: every 250 steps, on 32 pictures.'),
  workers: z.int().positive().max(256).describe('Threads that read, decode and render.'),
  ahead: z.int().positive().max(1024).describe('Batches that the threads are ahead.'),
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

/** What the mixture, and the sets, name has to be there. */
function checkSets({ mix, held, sets, stores }: MixtureData): void {
  for (const name of [mix, ...(held === null ? [] : [held.mix])].flatMap(setsOf)) {
    if (Object.hasOwn(sets, name)) continue;
    throw new CommError(`The mixture names the data set "${name}", which the recipe does not have.`, {
      code: 'data/unknown-set',
      fix: `The sets are ${Object.keys(sets).join(', ')}.`,
      exitCode: 2,
    });
  }
  for (const [name, set] of Object.entries(sets)) {
    if (!('store' in set) || Object.hasOwn(stores, set.store)) continue;
    const near = nearestName(set.store, Object.keys(stores));
    throw new CommError(`The data set "${name}" names the store "${set.store}", which the recipe does not have.`, {
      code: 'data/unknown-store',
      fix:
        near === undefined ? `The stores are ${Object.keys(stores).join(', ') || 'none'}.` : `Did you mean "${near}"?`,
      exitCode: 2,
    });
  }
}
