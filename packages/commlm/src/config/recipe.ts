/** A recipe: a whole run as one strict value, of one kind of training each. */
import { z } from 'zod';
import { CommTrainConfig } from './comm-train.js';
import { ClipPretrainConfig, DeitConfig, DinoConfig, LmConfig, MaeConfig } from './pretrain.js';
import { TokenizerRecipeConfig } from './tokenizer-train.js';
import { LoopConfig } from './train.js';

const about = z.string().describe('What the run does, in one line.');
const loop = LoopConfig.describe('How the run steps, saves and looks at itself.');

export const Recipe = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('tokenizer').describe('The making of a tokenizer from texts of the synthetic world.'),
    about,
    tokenizer: TokenizerRecipeConfig.describe('Settings of the tokenizer.'),
  }),
  z.strictObject({
    kind: z.literal('clip').describe('Contrastive pre-training of an encoder (CLIP).'),
    about,
    loop,
    clip: ClipPretrainConfig.describe('Settings of the pre-training.'),
  }),
  z.strictObject({
    kind: z.literal('dinov2').describe('Self-distillation of an encoder (DINOv2).'),
    about,
    loop,
    dinov2: DinoConfig.describe('Settings of the pre-training.'),
  }),
  z.strictObject({
    kind: z.literal('mae').describe('Masked autoencoding (MAE).'),
    about,
    loop,
    mae: MaeConfig.describe('Settings of the pre-training.'),
  }),
  z.strictObject({
    kind: z.literal('deit').describe('Supervised pre-training of an encoder (DeiT III).'),
    about,
    loop,
    deit: DeitConfig.describe('Settings of the pre-training.'),
  }),
  z.strictObject({
    kind: z.literal('lm').describe('Pre-training of a language model on texts.'),
    about,
    loop,
    lm: LmConfig.describe('Settings of the pre-training.'),
  }),
  z.strictObject({
    kind: z.literal('comm').describe('Training of a whole COMM.'),
    about,
    loop,
    comm: CommTrainConfig.describe('The model, what of it learns, the data and the losses.'),
  }),
]);
export type Recipe = Readonly<z.infer<typeof Recipe>>;

/** A recipe that the training loop runs, which is every kind but the making of a tokenizer. */
export type LoopRecipe = Exclude<Recipe, { kind: 'tokenizer' }>;
