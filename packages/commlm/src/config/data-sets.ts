/**
 * Data sets as values, one kind for each format in which data is published. Paths are relative to the working folder.
 * docs/data.md lists the kinds with the files that they read.
 */
import { z } from 'zod';

const path = z.string().min(1);
const file = path.describe('File of the records.');
const questions = path.describe('File of the questions.');

/** How a place is told: by its box, a point in it, or either. */
const place = <T extends readonly ('b' | 'p' | 'bp')[]>(kinds: T) =>
  z.enum(kinds).describe('How the place is told: by box (`b`), by point (`p`), or by either (`bp`).');

/** Sentences that ask for the task: the built-in list or a file, optionally only its first ones, or one sentence. */
export const TemplateConfig = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('built-in').describe('The built-in sentences of the task.'),
    max: z.int().positive().describe('Only so many, the first ones.'),
  }),
  z.strictObject({
    kind: z.literal('file').describe('Sentences of a file, a JSON array of texts.'),
    file: path.describe('The file.'),
    max: z.int().positive().optional().describe('Only so many, the first ones.'),
  }),
  z.strictObject({
    kind: z.literal('text').describe('One sentence.'),
    text: z.string().min(1).describe('The sentence.'),
  }),
]);
export type TemplateConfig = z.infer<typeof TemplateConfig>;

/** What every kind says about its pictures. */
const pictures = {
  store: z.string().min(1).describe('Name of the store of its pictures.'),
  picture: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Form of the key in the store: `{name}` as the record has it, `{base}` without folders, `{id}`, `{id:12}` with zeros.',
    ),
  excludeImages: path
    .optional()
    .describe(
      'A file with names or ids of pictures, one a line or a JSON array: samples that show one of them are left out.',
    ),
  ignoreKeys: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe(
      'Keys of the records that may be left aside; any other one that is not read and carries content is a fault.',
    ),
};
/** Kinds that ask by templates. */
const asking = {
  ...pictures,
  templates: TemplateConfig.optional().describe('Sentences that ask; the built-in ones of the task when absent.'),
};

const splits = z.array(z.string().min(1)).min(1).optional().describe('Splits that are read; all when absent.');

const Refcoco = z.strictObject({
  kind: z
    .literal('refcoco')
    .describe('RefCOCO, RefCOCO+, RefCOCOg: `refs(...).p` or the same as JSON, and `instances.json`.'),
  ...asking,
  refs: path.describe('`refs(...).p`, or the same as JSON.'),
  instances: path.describe('`instances.json`.'),
  splits,
  task: z
    .enum(['rec', 'reg'])
    .describe('What is asked: to find (`rec`), to describe a place (`reg`), or to describe it with its place (`gc`).'),
});

const RegionLines = z.strictObject({
  kind: z.literal('region-lines').describe("Shikra's lines `{img_path, expression, bbox: [x1, y1, x2, y2]}`."),
  ...asking,
  file,
  task: z
    .enum(['rec', 'reg', 'gc'])
    .describe('What is asked: to find (`rec`), to describe a place (`reg`), or to describe it with its place (`gc`).'),
});

const VisualGenome = z.strictObject({
  kind: z
    .literal('visual-genome')
    .describe("Visual Genome's `region_descriptions.json`; `image_data.json` adds folders and sizes of the pictures."),
  ...asking,
  regions: path.describe('`region_descriptions.json`.'),
  imageData: path.optional().describe('`image_data.json`, which adds folders and sizes of the pictures.'),
  task: z
    .enum(['rec', 'gc'])
    .describe('What is asked: to find (`rec`), to describe a place (`reg`), or to describe it with its place (`gc`).'),
});

const CocoInstances = z.strictObject({
  kind: z
    .literal('coco-instances')
    .describe('Things of a COCO `instances.json`: the boxes of a category (`rec`) or the category of a box (`reg`).'),
  ...asking,
  file,
  task: z.enum(['rec', 'reg']).describe('Boxes of a category (`rec`), or the category of a box (`reg`).'),
});

const CocoCaptions = z.strictObject({
  kind: z.literal('coco-captions').describe('A COCO captions file.'),
  ...asking,
  file,
});

const Karpathy = z.strictObject({
  kind: z.literal('karpathy').describe("Karpathy's `dataset_coco.json` or `dataset_flickr30k.json`."),
  ...asking,
  file,
  splits,
});

const FlickrCaptions = z.strictObject({
  kind: z.literal('flickr-captions').describe("Flickr30k's `results_20130124.token`: `name.jpg#0<TAB>caption`."),
  ...asking,
  file,
});

const CaptionLines = z.strictObject({
  kind: z.literal('caption-lines').describe("Shikra's lines `{img_path, caption}`."),
  ...asking,
  file,
});

const FlickrEntities = z.strictObject({
  kind: z
    .literal('flickr-entities')
    .describe('Flickr30k Entities: `Sentences/`, `Annotations/`, and a list of picture ids (`train.txt`).'),
  ...asking,
  folder: path.describe('Folder with `Sentences/` and `Annotations/`.'),
  ids: path.optional().describe('List of picture ids (`train.txt`); all when absent.'),
});

const SpotLines = z.strictObject({
  kind: z.literal('spot-lines').describe("Shikra's lines `{image_id, sentence, boxes, boxes_seq}`."),
  ...asking,
  file,
});

const Vqa = z.strictObject({
  kind: z.literal('vqa').describe('VQAv2 and OK-VQA: questions and annotations.'),
  ...asking,
  questions,
  annotations: path.describe('File of the annotations.'),
});

const VqaLines = z.strictObject({
  kind: z
    .literal('vqa-lines')
    .describe("Shikra's lines `{image_path, question, annotation: {multiple_choice_answer}}`."),
  ...asking,
  file,
});

const VqaExplained = z.strictObject({
  kind: z.enum(['vqa-e', 'vqa-x']).describe('VQA-E and VQA-X: a JSON array or lines.'),
  ...asking,
  file,
});

const Pope = z.strictObject({
  kind: z.literal('pope').describe("POPE's lines `{image, text, label}`."),
  ...asking,
  file,
});

const Gqa = z.strictObject({
  kind: z
    .literal('gqa')
    .describe("GQA: questions as published or as Shikra's lines, scene graphs where a version needs boxes."),
  ...asking,
  questions,
  sceneGraphs: path.optional().describe('Scene graphs, where question or answer has boxes.'),
  question: z
    .enum(['q', 'qb', 'qbp'])
    .describe('`q`: as it is; `qb`: with boxes in it; `qbp`: with boxes in half of them.'),
  answer: z
    .enum(['a', 'c', 'bc', 's', 'bs', 'l', 'bl'])
    .describe(
      '`a`: the answer; `l`: a sentence; `s`: semantic steps; `c`: a chain of thought; `bl`, `bs`, `bc`: these with boxes.',
    ),
});

const Clevr = z.strictObject({
  kind: z.literal('clevr').describe('CLEVR: questions and scenes.'),
  ...asking,
  questions,
  scenes: path.optional().describe('Scenes, where an answer needs the centres of things.'),
  answer: z
    .enum(['a', 's', 'bs'])
    .describe('`a`: the answer; `s`: the program first; `bs`: the program with the centres of what each step finds.'),
});

const Vcr = z.strictObject({
  kind: z
    .literal('vcr')
    .describe("VCR's `train.jsonl`; boxes stand in the line or in the file that `metadata_fn` names below `metadata`."),
  ...asking,
  file,
  metadata: path.optional().describe('Folder of the files with boxes.'),
  version: z
    .enum(['q-a', 'q-ra', 'qc-a', 'qc-ra', 'qc-rac', 'qa-r', 'q-a-q-r', 'qac-r', 'qc-a-qc-r'])
    .describe('What is given and what is asked: question, answer, reason, chain.'),
});

const PointQaLocal = z.strictObject({
  kind: z.literal('pointqa-local').describe('PointQA about one object.'),
  ...asking,
  file,
  place: place(['b', 'p', 'bp']),
});

const PointQaTwice = z.strictObject({
  kind: z
    .literal('pointqa-twice')
    .describe('PointQA about all objects of a kind: `oq`, `sq`, `gq` ask for the object, its group, anything.'),
  ...asking,
  file,
  question: z
    .enum(['oq', 'sq', 'gq'])
    .describe('Whether the object (`oq`), its group (`sq`) or anything (`gq`) is asked for.'),
  place: place(['b', 'p', 'bp']),
});

const Visual7w = z.strictObject({
  kind: z.literal('visual7w').describe("Visual7W pointing as published, or as Shikra's lines."),
  ...asking,
  file,
  splits,
  place: place(['b', 'p']),
});

const Llava = z.strictObject({
  kind: z.literal('llava').describe('LLaVA: an array of `{id, image, conversations: [{from, value}]}`, or one a line.'),
  ...pictures,
  file,
});

const Gpt4Gen = z.strictObject({
  kind: z
    .literal('gpt4gen')
    .describe("Shikra's GPT4Gen and Shikra-RD: the answer, the chain of thought, or the chain with boxes."),
  ...asking,
  file,
  version: z
    .enum(['a', 'c', 'bc'])
    .describe('The answer (`a`), the chain of thought (`c`), or the chain with boxes (`bc`).'),
});

const Chat = z.strictObject({
  kind: z
    .literal('chat')
    .describe("Chat messages a line: content as text or OpenAI parts, ms-swift's `images` and `objects`."),
  ...pictures,
  file,
});

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
