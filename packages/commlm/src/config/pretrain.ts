/** Pre-training of the towers and of the language model as values: what each kind learns from, and how. */
import { z } from 'zod';
import { PictureStoreConfig } from './data.js';
import { LlamaConfig } from './language.js';
import { Placement } from './placement.js';
import { EncoderConfig } from './vision.js';
import { AugmentLevel, WorldLook } from './world.js';

const path = z.string().min(1);
const count = z.int().positive();
const share = z.number().min(0).max(1);
const encoder = EncoderConfig.describe('The encoder that learns.');
const seed = z.int().nonnegative().describe('Seed of the order, and of how pictures are cut and changed.');
const weight = z.number().nonnegative();
/** Smallest and largest share of a picture's area that a cut takes. */
const area = z.tuple([share, share]).readonly();

const workers = count.max(256).describe('Threads that read, decode and change pictures.');
const maxBroken = z
  .int()
  .nonnegative()
  .describe('Pictures that may be broken before the run stops; each is replaced by the next one.');

/** Scenes of the synthetic world, drawn on the fly, without end. */
export const WorldData = z.strictObject({
  kind: z.literal('world').describe('Scenes of the synthetic world, drawn on the fly, without end.'),
  ...WorldLook.shape,
});
export type WorldData = z.infer<typeof WorldData>;

/** Every picture below a folder, without labels. */
const PictureFolder = z.strictObject({
  kind: z.literal('pictures').describe('Every picture below a folder, without labels.'),
  folder: path.describe('The folder.'),
  seed,
  workers,
  maxBroken,
});
/** A folder for each class, as ImageNet is laid out; classes count in the order of their names. */
const ClassFolder = z.strictObject({
  kind: z
    .literal('classes')
    .describe('A folder for each class, as ImageNet is laid out; classes count in the order of their names.'),
  folder: path.describe('The folder of the classes.'),
  seed,
  workers,
  maxBroken,
});
/** Pictures with captions: a JSON array or JSON lines of `{image, caption}` or of LLaVA conversations. */
const CaptionFile = z.strictObject({
  kind: z.literal('captions').describe('Pictures with captions.'),
  file: path.describe('JSON array or JSON lines of `{image, caption}` or of LLaVA conversations.'),
  pictures: PictureStoreConfig.describe('Where the pictures lie.'),
  tokenizer: path.describe("Folder of the text tower's tokenizer."),
  maxTokens: count.min(2).describe('Most tokens of a caption, its end included.'),
  cutArea: area.describe("Share of the picture's area that a random square cut takes."),
  seed,
  workers,
  maxBroken,
});
/** Text files (a document each) and JSON lines (`text` a line), read whole into memory as tokens. */
const TextFiles = z.strictObject({
  kind: z.literal('texts').describe('Text files, read whole into memory as tokens.'),
  files: z.array(path).min(1).describe('Text files (a document each) and JSON lines (`text` a line).'),
  seed,
});

export const PictureData = z.discriminatedUnion('kind', [WorldData, PictureFolder]);
export type PictureData = z.infer<typeof PictureData>;
export const ClassData = z.discriminatedUnion('kind', [WorldData, ClassFolder]);
export type ClassData = z.infer<typeof ClassData>;
export const CaptionData = z.discriminatedUnion('kind', [WorldData, CaptionFile]);
export type CaptionData = z.infer<typeof CaptionData>;
export const TextData = z.discriminatedUnion('kind', [WorldData.pick({ kind: true, seed: true }), TextFiles]);
export type TextData = z.infer<typeof TextData>;

/** Contrastive pre-training (CLIP, 2103.00020). */
export const ClipPretrainConfig = z.strictObject({
  ...Placement.shape,
  encoder,
  text: LlamaConfig.describe('The text tower.'),
  sharedWidth: count.describe('Width of the space in which pictures and captions meet.'),
  regionWeight: weight.describe(
    'Weight of the region-phrase loss beside the picture-caption loss (RegionCLIP, 2112.09106); the world alone has regions.',
  ),
  data: CaptionData.describe('What is learned from.'),
});
export type ClipPretrainConfig = z.infer<typeof ClipPretrainConfig>;

const dinoHead = {
  headHidden: count.describe('Width inside of the head.'),
  bottleneck: count.describe('Width in front of the prototypes.'),
  numPrototypes: count.describe('Number of prototypes.'),
};

/** Self-distillation (DINOv2, 2304.07193). */
export const DinoConfig = z
  .strictObject({
    ...Placement.shape,
    encoder,
    ...dinoHead,
    patchHead: z
      .strictObject(dinoHead)
      .nullable()
      .describe('A head of its own for hidden patches; null shares that of CLS.'),
    studentTemperature: z.number().positive().describe("Temperature of the student's scores."),
    teacherTemperature: z
      .strictObject({
        first: z.number().positive().describe('At the first step.'),
        last: z.number().positive().describe('From step `steps` on.'),
        steps: z.int().nonnegative().describe('Steps of the way.'),
      })
      .describe("Temperature of the teacher's scores, linear from `first` to `last` over the first `steps`."),
    teacherMomentum: z
      .tuple([share, share])
      .readonly()
      .describe('Share of the teacher kept at each step, from the first to the last one of the run along a cosine.'),
    balance: z
      .discriminatedUnion('kind', [
        z.strictObject({
          kind: z.literal('sinkhorn').describe('Sinkhorn-Knopp over the batch.'),
          iterations: count.describe('Rounds of it.'),
        }),
        /** A running mean of its scores is taken off; `momentum` is the share of the mean that stays at each batch. */
        z.strictObject({
          kind: z.literal('centre').describe("A running mean of the teacher's scores is taken off."),
          momentum: share.describe('Share of the mean that stays at each batch.'),
        }),
      ])
      .describe('How the teacher is kept from saying the same of everything.'),
    freezePrototypes: z.int().nonnegative().describe('Steps in which the prototypes stay as they are drawn.'),
    dropPath: z.number().min(0).lt(1).describe('Share of samples that a branch of a block is left out for.'),
    patchWeight: weight.describe('Weight of the hidden-patch loss.'),
    koleoWeight: weight.describe('Weight of the KoLeo spread.'),
    hidden: z
      .strictObject({
        views: share.describe('Share of the large views with hidden patches.'),
        patches: area.describe('Smallest and largest share of patches hidden in them.'),
        shape: z
          .enum(['blocks', 'places'])
          .describe('`blocks`: hidden patches hang together; `places`: each lies by itself.'),
      })
      .describe('Which patches are hidden from the student.'),
    largeArea: area.describe("Smallest and largest share of the picture's area that a large view takes."),
    largeSide: count.describe("Side of the two large views in pixels, at most the encoder's own."),
    positions: z
      .enum(['resized', 'piece'])
      .describe(
        "Where the patches of a view stand in the table of positions. `resized`: the whole table is resized to the view's grid. `piece`: large views take a piece of it at a random place each, so that a place in the table says nothing of the scene.",
      ),
    redraw: z
      .strictObject({
        shift: share.describe('By how much of their size things are moved at most.'),
        augment: AugmentLevel.describe('How strongly the second drawing is augmented.'),
      })
      .nullable()
      .describe(
        'The second large view is cut from the same scene drawn again on another background, in other styles. null: both are of the same picture.',
      ),
    placeWeight: weight.describe(
      'Weight of the loss between patches of the two large views that lie at the same place of the scene.',
    ),
    smallViews: z.int().nonnegative().describe('Small views of a picture.'),
    smallSide: count.describe('Side of a small view in pixels.'),
    smallArea: area.describe("Smallest and largest share of the picture's area that a small view takes."),
    colours: z
      .discriminatedUnion('kind', [
        z.strictObject({ kind: z.literal('paper').describe('The changes of DINOv2.') }),
        z.strictObject({
          kind: z.literal('light').describe('Cut bilinearly, with brightness, contrast and channels off by a little.'),
          strength: z.number().min(0).max(1).describe('By how much at most.'),
        }),
      ])
      .describe('How colours are changed.'),
    data: PictureData.describe('What is learned from.'),
  })
  .superRefine(({ encoder: { vit }, largeSide, positions, redraw, data }, context) => {
    const refuse = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
    if (largeSide > vit.imageSize || largeSide % vit.patchSize !== 0) {
      refuse('largeSide', `whole patches of ${vit.patchSize} pixels, up to the encoder's ${vit.imageSize}`);
    }
    if (positions === 'piece' && vit.posEmbed.kind !== 'learned') refuse('positions', 'pieces are of a learned table');
    if (redraw !== null && data.kind !== 'world') refuse('redraw', 'only scenes of the world can be drawn again');
  });
export type DinoConfig = z.infer<typeof DinoConfig>;

/** Masked autoencoding (MAE, 2111.06377). */
export const MaeConfig = z.strictObject({
  ...Placement.shape,
  encoder,
  decoder: z
    .strictObject({
      hiddenSize: count.multipleOf(4).describe('Width of the tokens, a multiple of 4.'),
      numLayers: count.describe('Number of blocks.'),
      numHeads: count.describe('Heads of the attention.'),
      intermediateSize: count.describe('Width inside of the MLP.'),
    })
    .describe('The light decoder, dropped after pre-training.'),
  maskShare: z.number().gt(0).lt(1).describe('Share of the patches that are hidden.'),
  normPixels: z
    .boolean()
    .describe('Whether the pixels of each patch are centred and scaled by themselves before they are predicted.'),
  cutArea: area.describe("Smallest and largest share of the picture's area that a cut takes."),
  data: PictureData.describe('What is learned from.'),
});
export type MaeConfig = z.infer<typeof MaeConfig>;

/** Supervised pre-training (DeiT III, 2204.07118). */
export const DeitConfig = z.strictObject({
  ...Placement.shape,
  encoder,
  numClasses: count.describe('Outputs of the classifier: folders of the data, or nouns and colours of the world.'),
  dropPath: z.number().min(0).lt(1).describe('Share of samples that a branch of a block is left out for.'),
  cut: z
    .discriminatedUnion('kind', [
      z.strictObject({
        kind: z.literal('area').describe('A random cut.'),
        area: area.describe("Smallest and largest share of the picture's area that it takes."),
      }),
      z.strictObject({ kind: z.literal('simple').describe('The short side fitted, then moved by up to 4 pixels.') }),
    ])
    .describe('How pictures are cut.'),
  jitter: share.describe('Strength of brightness, contrast and saturation changes behind the three augmentations.'),
  mixup: weight.describe('Parameter of the beta distribution of mixup (1710.09412); 0 for none.'),
  cutmix: weight.describe('Parameter of the beta distribution of CutMix (1905.04899); 0 for none.'),
  repeats: count.describe('Views of each picture in a batch (repeated augmentation, 1902.05509).'),
  data: ClassData.describe('What is learned from.'),
  held: z
    .strictObject({ data: ClassData.describe('What is classified.'), batches: count.describe('Batches of it.') })
    .nullable()
    .describe('Unseen pictures that are classified at each evaluation; null for none.'),
});
export type DeitConfig = z.infer<typeof DeitConfig>;

/** Next-token pre-training of a language model on texts alone. */
export const LmConfig = z.strictObject({
  ...Placement.shape,
  model: LlamaConfig.describe('The language model.'),
  tokenizer: path.describe("Folder of the tokenizer, which the model's folder gets a copy of."),
  rowLength: count.min(2).describe('Tokens of a row; documents stand behind each other in it, each with its end.'),
  data: TextData.describe('What is learned from.'),
  held: z
    .strictObject({ data: TextData.describe('What is measured.'), batches: count.describe('Batches of it.') })
    .nullable()
    .describe('Unseen rows whose loss is measured at each evaluation; null for none.'),
});
export type LmConfig = z.infer<typeof LmConfig>;
