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
const seed = z.int().nonnegative();
const weight = z.number().nonnegative();
/** Smallest and largest share of a picture's area that a cut takes. */
const area = z.tuple([share, share]).readonly();

/** Threads that read, decode and change pictures. */
const workers = count.max(256);
/** Pictures that may be broken before the run stops; each is replaced by the next one. */
const maxBroken = z.int().nonnegative();

/** Scenes of the synthetic world, drawn on the fly, without end. */
export const WorldData = z.strictObject({ kind: z.literal('world'), ...WorldLook.shape });
export type WorldData = z.infer<typeof WorldData>;

/** Every picture below a folder, without labels. */
const PictureFolder = z.strictObject({ kind: z.literal('pictures'), folder: path, seed, workers, maxBroken });
/** A folder for each class, as ImageNet is laid out; classes count in the order of their names. */
const ClassFolder = z.strictObject({ kind: z.literal('classes'), folder: path, seed, workers, maxBroken });
/** Pictures with captions: a JSON array or JSON lines of `{image, caption}` or of LLaVA conversations. */
const CaptionFile = z.strictObject({
  kind: z.literal('captions'),
  file: path,
  pictures: PictureStoreConfig,
  /** Folder of the text tower's tokenizer, and the most tokens of a caption, its end included. */
  tokenizer: path,
  maxTokens: count.min(2),
  /** Share of the picture's area that a random square cut takes. */
  cutArea: area,
  seed,
  workers,
  maxBroken,
});
/** Text files (a document each) and JSON lines (`text` a line), read whole into memory as tokens. */
const TextFiles = z.strictObject({ kind: z.literal('texts'), files: z.array(path).min(1), seed });

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
  encoder: EncoderConfig,
  text: LlamaConfig,
  sharedWidth: count,
  /** Weight of the region-phrase loss beside the picture-caption loss (RegionCLIP, 2112.09106); the world alone has regions. */
  regionWeight: weight,
  data: CaptionData,
});
export type ClipPretrainConfig = z.infer<typeof ClipPretrainConfig>;

const dinoHead = { headHidden: count, bottleneck: count, numPrototypes: count };

/** Self-distillation (DINOv2, 2304.07193). */
export const DinoConfig = z
  .strictObject({
    ...Placement.shape,
    encoder: EncoderConfig,
    ...dinoHead,
    /** A head of its own for hidden patches; null shares that of CLS. */
    patchHead: z.strictObject(dinoHead).nullable(),
    studentTemperature: z.number().positive(),
    /** Linear from `first` to `last` over the first `steps`. */
    teacherTemperature: z.strictObject({
      first: z.number().positive(),
      last: z.number().positive(),
      steps: z.int().nonnegative(),
    }),
    /** Share of the teacher kept at each step, from the first to the last one of the run along a cosine. */
    teacherMomentum: z.tuple([share, share]).readonly(),
    /** How the teacher is kept from saying the same of everything. */
    balance: z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('sinkhorn'), iterations: count }),
      /** A running mean of its scores is taken off; `momentum` is the share of the mean that stays at each batch. */
      z.strictObject({ kind: z.literal('centre'), momentum: share }),
    ]),
    /** Steps in which the prototypes stay as they are drawn. */
    freezePrototypes: z.int().nonnegative(),
    dropPath: z.number().min(0).lt(1),
    /** Weight of the hidden-patch loss and of the KoLeo spread. */
    patchWeight: weight,
    koleoWeight: weight,
    /** Share of the large views with hidden patches, the share of patches hidden in them, and whether they hang together. */
    hidden: z.strictObject({ views: share, patches: area, shape: z.enum(['blocks', 'places']) }),
    largeArea: area,
    /** Side of the two large views in pixels, at most the encoder's own. */
    largeSide: count,
    /**
     * Where the patches of a view stand in the table of positions. `resized`: the whole table is resized to the view's grid.
     * `piece`: large views take a piece of it at a random place each, so that a place in the table says nothing of the scene.
     */
    positions: z.enum(['resized', 'piece']),
    /**
     * The second large view is cut from the same scene drawn again (`redrawScene`): things moved by up to `shift` of their size,
     * augmented at a strength of its own. null: both are of the same picture.
     */
    redraw: z.strictObject({ shift: share, augment: AugmentLevel }).nullable(),
    /** Weight of the loss between patches of the two large views that lie at the same place of the scene. */
    placeWeight: weight,
    /** Small views per picture, their side in pixels. */
    smallViews: z.int().nonnegative(),
    smallSide: count,
    smallArea: area,
    /** `paper`: DINOv2's changes of colour. `light`: cut bilinearly, with brightness, contrast and channels up to `strength` off. */
    colours: z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('paper') }),
      z.strictObject({ kind: z.literal('light'), strength: z.number().min(0).max(1) }),
    ]),
    data: PictureData,
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
  encoder: EncoderConfig,
  /** The light decoder, dropped after pre-training. */
  decoder: z.strictObject({
    hiddenSize: count.multipleOf(4),
    numLayers: count,
    numHeads: count,
    intermediateSize: count,
  }),
  maskShare: z.number().gt(0).lt(1),
  /** Whether the pixels of each patch are centred and scaled by themselves before they are predicted. */
  normPixels: z.boolean(),
  cutArea: area,
  data: PictureData,
});
export type MaeConfig = z.infer<typeof MaeConfig>;

/** Supervised pre-training (DeiT III, 2204.07118). */
export const DeitConfig = z.strictObject({
  ...Placement.shape,
  encoder: EncoderConfig,
  /** Outputs of the classifier: folders of the data, or nouns and colours of the world. */
  numClasses: count,
  dropPath: z.number().min(0).lt(1),
  /** `area`: a random cut of that share of the area. `simple`: the short side fitted, then moved by up to 4 pixels. */
  cut: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('area'), area }),
    z.strictObject({ kind: z.literal('simple') }),
  ]),
  /** Strength of brightness, contrast and saturation changes behind the three augmentations. */
  jitter: share,
  /** Parameters of the beta distributions of mixup (1710.09412) and CutMix (1905.04899); 0 for none. */
  mixup: weight,
  cutmix: weight,
  /** Views of each picture in a batch (repeated augmentation, 1902.05509). */
  repeats: count,
  data: ClassData,
  /** Unseen pictures that are classified at each evaluation; null for none. */
  held: z.strictObject({ data: ClassData, batches: count }).nullable(),
});
export type DeitConfig = z.infer<typeof DeitConfig>;

/** Next-token pre-training of a language model on texts alone. */
export const LmConfig = z.strictObject({
  ...Placement.shape,
  model: LlamaConfig,
  /** Folder of the tokenizer, which the model's folder gets a copy of. */
  tokenizer: path,
  /** Tokens of a row; documents stand behind each other in it, each with its end. */
  rowLength: count.min(2),
  data: TextData,
  /** Unseen rows whose loss is measured at each evaluation; null for none. */
  held: z.strictObject({ data: TextData, batches: count }).nullable(),
});
export type LmConfig = z.infer<typeof LmConfig>;
