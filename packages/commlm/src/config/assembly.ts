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
  /** What notes call it; the command line takes another one in place of `clip` and `dinov2`. */
  name: z.string().regex(/^[\w-]+$/, 'letters, digits, - and _'),
  /** Model folder or hub id. */
  from: path,
  /** Side of the square picture in pixels; null for the encoder's own. Position tables are resized to it. */
  imageSize: z.int().positive().nullable(),
  levels: Levels,
  merge: AssemblyMerge,
  align: AlignConfig,
});
export type AssemblyEncoder = z.infer<typeof AssemblyEncoder>;

/** A recipe that `commlm convert --recipe` follows. Merge, alignment and projector are fresh, everything else is as it was trained. */
export const AssemblyRecipe = z.strictObject({
  kind: z.literal('assembly'),
  about: z.string(),
  encoders: z.array(AssemblyEncoder).min(1),
  fuse: VisionConfig.shape.fuse,
  projector: ProjectorConfig,
  /** Model folder or hub id. */
  languageModel: path,
  /** Dtype of the written weights. */
  dtype: z.enum(FLOAT_FORMATS),
  /** Seed of the fresh weights. */
  seed: z.int().nonnegative(),
});
export type AssemblyRecipe = Readonly<z.infer<typeof AssemblyRecipe>>;
