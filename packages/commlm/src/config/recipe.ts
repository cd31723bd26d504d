/** A recipe: a whole run as one strict value, of one kind of training each. */
import { z } from 'zod';
import { CommTrainConfig } from './comm-train.js';
import { ASSEMBLED } from './presets.js';
import { ClipPretrainConfig, DeitConfig, DinoConfig, LmConfig, MaeConfig } from './pretrain.js';
import { StageConfig } from './stage.js';
import { TokenizerRecipeConfig } from './tokenizer-train.js';
import { LoopConfig } from './train.js';

/** What the run does, in one line. */
const about = z.string();

export const Recipe = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('tokenizer'), about, tokenizer: TokenizerRecipeConfig }),
  z.strictObject({ kind: z.literal('clip'), about, loop: LoopConfig, clip: ClipPretrainConfig }),
  z.strictObject({ kind: z.literal('dinov2'), about, loop: LoopConfig, dinov2: DinoConfig }),
  z.strictObject({ kind: z.literal('mae'), about, loop: LoopConfig, mae: MaeConfig }),
  z.strictObject({ kind: z.literal('deit'), about, loop: LoopConfig, deit: DeitConfig }),
  z.strictObject({ kind: z.literal('lm'), about, loop: LoopConfig, lm: LmConfig }),
  z.strictObject({ kind: z.literal('comm'), about, loop: LoopConfig, comm: CommTrainConfig }),
  z.strictObject({
    kind: z.literal('stage'),
    about,
    loop: LoopConfig,
    stage: StageConfig,
    /** What the model of the recipe is put together as: its shape, for a plan made before the model. */
    assembled: z.enum(Object.keys(ASSEMBLED) as (keyof typeof ASSEMBLED)[]).optional(),
  }),
]);
export type Recipe = Readonly<z.infer<typeof Recipe>>;

/** A recipe that the training loop runs, which is every kind but the making of a tokenizer. */
export type LoopRecipe = Exclude<Recipe, { kind: 'tokenizer' }>;
