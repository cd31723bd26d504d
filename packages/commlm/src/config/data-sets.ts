/**
 * Data sets as values, one kind for each format in which data is published. Paths are relative to the working folder.
 * docs/data.md lists the kinds with the files that they read.
 */
import { z } from 'zod';

const path = z.string().min(1);

/** Sentences that ask for the task: the built-in list or a file, optionally only its first ones, or one sentence. */
export const TemplateConfig = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('built-in'), max: z.int().positive() }),
  z.strictObject({ kind: z.literal('file'), file: path, max: z.int().positive().optional() }),
  z.strictObject({ kind: z.literal('text'), text: z.string().min(1) }),
]);
export type TemplateConfig = z.infer<typeof TemplateConfig>;

/** What every kind says about its pictures. */
const pictures = {
  /** Name of the store of its pictures. */
  store: z.string().min(1),
  /** Form of the key in the store: `{name}` as the record has it, `{base}` without folders, `{id}`, `{id:12}` with zeros. */
  picture: z.string().min(1).optional(),
  /** A file with names or ids of pictures, one a line or a JSON array: samples that show one of them are left out. */
  excludeImages: path.optional(),
  /** Keys of the records that may be left aside; any other one that is not read and carries content is a fault. */
  ignoreKeys: z.array(z.string().min(1)).min(1).optional(),
};
/** Kinds that ask by templates. */
const asking = { ...pictures, templates: TemplateConfig.optional() };

const splits = z.array(z.string().min(1)).min(1).optional();

/** RefCOCO, RefCOCO+, RefCOCOg: `refs(...).p` or the same as JSON, and `instances.json`. */
const Refcoco = z.strictObject({
  kind: z.literal('refcoco'),
  ...asking,
  refs: path,
  instances: path,
  splits,
  task: z.enum(['rec', 'reg']),
});

/** Shikra's lines `{img_path, expression, bbox: [x1, y1, x2, y2]}`. */
const RegionLines = z.strictObject({
  kind: z.literal('region-lines'),
  ...asking,
  file: path,
  task: z.enum(['rec', 'reg', 'gc']),
});

/** Visual Genome's `region_descriptions.json`; `image_data.json` adds folders and sizes of the pictures. */
const VisualGenome = z.strictObject({
  kind: z.literal('visual-genome'),
  ...asking,
  regions: path,
  imageData: path.optional(),
  task: z.enum(['rec', 'gc']),
});

/** Things of a COCO `instances.json`: the boxes of a category (`rec`) or the category of a box (`reg`). */
const CocoInstances = z.strictObject({
  kind: z.literal('coco-instances'),
  ...asking,
  file: path,
  task: z.enum(['rec', 'reg']),
});

/** A COCO captions file. */
const CocoCaptions = z.strictObject({ kind: z.literal('coco-captions'), ...asking, file: path });

/** Karpathy's `dataset_coco.json` or `dataset_flickr30k.json`. */
const Karpathy = z.strictObject({ kind: z.literal('karpathy'), ...asking, file: path, splits });

/** Flickr30k's `results_20130124.token`: `name.jpg#0<TAB>caption`. */
const FlickrCaptions = z.strictObject({ kind: z.literal('flickr-captions'), ...asking, file: path });

/** Shikra's lines `{img_path, caption}`. */
const CaptionLines = z.strictObject({ kind: z.literal('caption-lines'), ...asking, file: path });

/** Flickr30k Entities: `Sentences/`, `Annotations/`, and a list of picture ids (`train.txt`). */
const FlickrEntities = z.strictObject({
  kind: z.literal('flickr-entities'),
  ...asking,
  folder: path,
  ids: path.optional(),
});

/** Shikra's lines `{image_id, sentence, boxes, boxes_seq}`. */
const SpotLines = z.strictObject({ kind: z.literal('spot-lines'), ...asking, file: path });

/** VQAv2 and OK-VQA: questions and annotations. */
const Vqa = z.strictObject({ kind: z.literal('vqa'), ...asking, questions: path, annotations: path });

/** Shikra's lines `{image_path, question, annotation: {multiple_choice_answer}}`. */
const VqaLines = z.strictObject({ kind: z.literal('vqa-lines'), ...asking, file: path });

/** VQA-E and VQA-X: a JSON array or lines. */
const VqaExplained = z.strictObject({
  kind: z.enum(['vqa-e', 'vqa-x']),
  ...asking,
  file: path,
});

/** POPE's lines `{image, text, label}`. */
const Pope = z.strictObject({ kind: z.literal('pope'), ...asking, file: path });

/** GQA: questions as published or as Shikra's lines, scene graphs where a version needs boxes. */
const Gqa = z.strictObject({
  kind: z.literal('gqa'),
  ...asking,
  questions: path,
  sceneGraphs: path.optional(),
  question: z.enum(['q', 'qb', 'qbp']),
  answer: z.enum(['a', 'c', 'bc', 's', 'bs', 'l', 'bl']),
});

/** CLEVR: questions and scenes. */
const Clevr = z.strictObject({
  kind: z.literal('clevr'),
  ...asking,
  questions: path,
  scenes: path.optional(),
  answer: z.enum(['a', 's', 'bs']),
});

/** VCR's `train.jsonl`; boxes stand in the line or in the file that `metadata_fn` names below `metadata`. */
const Vcr = z.strictObject({
  kind: z.literal('vcr'),
  ...asking,
  file: path,
  metadata: path.optional(),
  version: z.enum(['q-a', 'q-ra', 'qc-a', 'qc-ra', 'qc-rac', 'qa-r', 'q-a-q-r', 'qac-r', 'qc-a-qc-r']),
});

/** PointQA about one object. */
const PointQaLocal = z.strictObject({
  kind: z.literal('pointqa-local'),
  ...asking,
  file: path,
  place: z.enum(['b', 'p', 'bp']),
});

/** PointQA about all objects of a kind: `oq`, `sq`, `gq` ask for the object, its group, anything. */
const PointQaTwice = z.strictObject({
  kind: z.literal('pointqa-twice'),
  ...asking,
  file: path,
  question: z.enum(['oq', 'sq', 'gq']),
  place: z.enum(['b', 'p', 'bp']),
});

/** Visual7W pointing as published, or as Shikra's lines. */
const Visual7w = z.strictObject({
  kind: z.literal('visual7w'),
  ...asking,
  file: path,
  splits,
  place: z.enum(['b', 'p']),
});

/** LLaVA: an array of `{id, image, conversations: [{from, value}]}`, or one a line. */
const Llava = z.strictObject({ kind: z.literal('llava'), ...pictures, file: path });

/** Shikra's GPT4Gen and Shikra-RD: the answer, the chain of thought, or the chain with boxes. */
const Gpt4Gen = z.strictObject({
  kind: z.literal('gpt4gen'),
  ...asking,
  file: path,
  version: z.enum(['a', 'c', 'bc']),
});

/** Chat messages a line: content as text or OpenAI parts, ms-swift's `images` and `objects`. */
const Chat = z.strictObject({ kind: z.literal('chat'), ...pictures, file: path });

/** A data set: the kind names its format. */
export const DataSetConfig = z.discriminatedUnion('kind', [
  Refcoco,
  RegionLines,
  VisualGenome,
  CocoInstances,
  CocoCaptions,
  Karpathy,
  FlickrCaptions,
  CaptionLines,
  FlickrEntities,
  SpotLines,
  Vqa,
  VqaLines,
  VqaExplained,
  Pope,
  Gqa,
  Clevr,
  Vcr,
  PointQaLocal,
  PointQaTwice,
  Visual7w,
  Llava,
  Gpt4Gen,
  Chat,
]);
export type DataSetConfig = z.infer<typeof DataSetConfig>;

/** The config of one kind. */
export type DataSetOf<Kind extends DataSetConfig['kind']> = Extract<DataSetConfig, { kind: Kind }>;
