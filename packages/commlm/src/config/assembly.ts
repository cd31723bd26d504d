/** A COMM made of published parts: which encoders and language model, and the fusion that is put between them. */
import { z } from 'zod';
import { FLOAT_FORMATS } from './formats.js';
import { ProjectorConfig } from './model.js';
import { AlignConfig, Levels, MergeConfig, VisionConfig } from './vision.js';

const path = z.string().min(1);

const [single, mean, layerscale, lln, conv, concat] = MergeConfig.options;

/** How the levels of an encoder become one map, as in `MergeConfig`; what has a width there takes the encoder's own. */
const AssemblyMerge = z.discriminatedUnion('kind', [
  single,
  mean,
  layerscale,
  concat,
  lln.omit({ width: true }),
  conv.omit({ width: true }),
]);

/** One encoder of an assembly. */
export const AssemblyEncoder = z.strictObject({
  name: z
    .string()
    .regex(/^[\w-]+$/, 'letters, digits, - and _')
    .describe('What notes call it; the command line takes another one in place of `clip` and `dinov2`.'),
  from: path.describe('Model folder or hub id.'),
  imageSize: z
    .int()
    .positive()
    .nullable()
    .describe("Side of the square picture in pixels; null for the encoder's own. Position tables are resized to it."),
  levels: Levels.describe(
    'Hidden states that are read: 0 the embeddings, i the output of block i, -1 the last one; a list or a range.',
  ),
  merge: AssemblyMerge.describe("How the levels become one map; where a kind has a width it is the encoder's own."),
  align: AlignConfig.describe('What follows the merge.'),
});
export type AssemblyEncoder = z.infer<typeof AssemblyEncoder>;

/** A recipe that `commlm convert --recipe` follows. Merge, alignment and projector are fresh, everything else is as it was trained. */
export const AssemblyRecipe = z.strictObject({
  kind: z.literal('assembly').describe('A model put together from published parts.'),
  about: z.string().describe('What comes of it, in one line.'),
  encoders: z.array(AssemblyEncoder).min(1).describe('The encoders, in order.'),
  fuse: VisionConfig.shape.fuse.describe(
    'Axis on which the tokens of the encoders meet: `channels` keeps their number, `tokens` puts them in a row.',
  ),
  projector: ProjectorConfig.describe('From visual tokens to the width of the language model.'),
  languageModel: path.describe('Model folder or hub id.'),
  dtype: z.enum(FLOAT_FORMATS).describe('Dtype of the written weights.'),
  seed: z.int().nonnegative().describe('Seed of the fresh weights.'),
});
export type AssemblyRecipe = Readonly<z.infer<typeof AssemblyRecipe>>;
