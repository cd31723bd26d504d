/** Captions of whole pictures: COCO and Flickr30k, from Karpathy's splits or a COCO captions file. */
import { type CaptionReferences, readCaptionReferences } from '../formats/captions.js';
import { asObject, type Id, idField, listField, Place, readJson, stringField } from '../formats/files.js';
import { loadMeteor } from '../formats/meteor-data.js';
import { readPredictionList } from '../formats/predictions.js';
import { bleuOf } from '../metrics/bleu.js';
import { scoreCaptions, scoreTokenizedCaptions, tokenizeCaptions } from '../metrics/captions.js';
import { MeteorScorer } from '../metrics/meteor.js';
import { scoreSpice } from '../metrics/spice.js';
import { addSums, type Benchmark, type GroupSums, type PublishedBenchmark, share } from './benchmark.js';
import type { DataFolder } from './data-folder.js';
import type { EvalItem, ItemScore, LoadedBenchmark, Scored } from './item.js';
import { answeredEntries, type FileRequest, type FileScores, matchIds } from './score-file.js';

const KARPATHY_SPLIT = 'test';
/** Pictures in Karpathy's test splits. */
const SIZES = { 'dataset_coco.json': 5000, 'dataset_flickr30k.json': 1000 };
const MAX_ORDER = 4;

/** Scores captions of pictures or regions, each item against the references of its id. */
export function scoreCaptionItems(
  items: readonly EvalItem[],
  answers: readonly string[],
  references: ReadonlyMap<Id, readonly string[]>,
): Scored {
  const wanted = new Map(items.map(({ id }) => [id, references.get(id)!]));
  const { perItem, bleuCounts, ...figures } = scoreCaptions(
    wanted,
    new Map(items.map(({ id }, i) => [id, answers[i]!])),
  );
  const scores = perItem.map((item, i): ItemScore => {
    const counts = bleuCounts[i]!;
    return {
      parsed: answers[i]!,
      target: wanted.get(item.id)!,
      correct: null,
      score: item.CIDEr,
      figures: {
        CIDEr: item.CIDEr,
        'ROUGE-L': item['ROUGE-L'],
        bleu: [counts.length, counts.referenceLength, ...counts.correct, ...counts.guessed],
      },
    };
  });
  return { figures: figures as Readonly<Record<string, number>>, items: scores };
}

/** Statistics of one caption: 1, CIDEr, ROUGE-L, and those of BLEU. */
export const captionSums: Benchmark['sums'] = (unit) =>
  addSums(
    unit.map(({ figures }) => [
      1,
      figures['CIDEr'] as number,
      figures['ROUGE-L'] as number,
      ...(figures['bleu'] as readonly number[]),
    ]),
  );

/**
 * Figures from such sums. The document frequencies of CIDEr are those of the whole set: drawing pictures anew changes the
 * mean, not the weights of the n-grams.
 */
export function captionFigures(sums: ArrayLike<number>): Record<string, number> {
  const [count, cider, rouge, length, referenceLength, ...matches] = Array.from(sums);
  const bleus = bleuOf({
    length: length ?? 0,
    referenceLength: referenceLength ?? 0,
    correct: matches.slice(0, MAX_ORDER),
    guessed: matches.slice(MAX_ORDER),
  });
  return {
    CIDEr: share(cider, count),
    ...Object.fromEntries(bleus.map((bleu, i) => [`BLEU-${i + 1}`, bleu])),
    'ROUGE-L': share(rouge, count),
  };
}

interface CaptionFile {
  readonly references: CaptionReferences;
  /** Where each picture may lie below the folders of pictures. */
  readonly names: ReadonlyMap<Id, readonly string[]>;
}

/** A Karpathy file has its sentences in "images", a COCO file has "annotations". */
async function readCaptionFile(path: string, folder: DataFolder): Promise<CaptionFile> {
  const place = new Place(path);
  const root = asObject(await readJson(path), place);
  const images = listField(root, 'images', place).map((value, i) => asObject(value, place.at(`images[${i}]`)));
  if (!('annotations' in root)) {
    const found = [...new Set(images.map((image, i) => stringField(image, 'split', place.at(`images[${i}]`))))];
    const [split = KARPATHY_SPLIT] = folder.chooseSplits(found, [KARPATHY_SPLIT]);
    const names = new Map<Id, readonly string[]>();
    images.forEach((image, i) => {
      const at = place.at(`images[${i}]`);
      const name = stringField(image, 'filename', at);
      const id = idField(image, 'cocoid' in image ? 'cocoid' : 'imgid', at);
      names.set(id, 'filepath' in image ? [`${stringField(image, 'filepath', at)}/${name}`, name] : [name]);
    });
    return { references: await readCaptionReferences(path, { split }), names };
  }
  folder.refuseSplits();
  const names = new Map(
    images.map((image, i) => {
      const at = place.at(`images[${i}]`);
      return [idField(image, 'id', at), [stringField(image, 'file_name', at)]];
    }),
  );
  return { references: await readCaptionReferences(path), names };
}

async function load(folder: DataFolder): Promise<LoadedBenchmark> {
  const path = folder.need('captions');
  const { references, names } = await readCaptionFile(path, folder);
  folder.checkCount(path, references.size, 'pictures', folder.choices.splits === undefined ? SIZES : {});
  const ids = [...references.keys()];
  const keys = folder.findPictures(ids.map((id) => ({ id, names: names.get(id)! })));
  const items = ids.map((id, i): EvalItem => ({ id, unit: id, picture: keys[i]!, words: {} }));
  return { items, score: (some, answers) => scoreCaptionItems(some, answers, references) };
}

async function openMeteor(request: FileRequest): Promise<MeteorScorer | undefined> {
  if (request.meteorData !== undefined) return loadMeteor(request.meteorData, request.notify);
  return request.meteor ? new MeteorScorer() : undefined;
}

/** Scores captions of pictures or regions in files, with METEOR and SPICE where they were asked for. */
export async function scoreCaptionSet(
  references: ReadonlyMap<Id, readonly string[]>,
  predictions: ReadonlyMap<Id, string>,
  idName: 'image_id' | 'ref_id',
  request: FileRequest,
): Promise<FileScores> {
  const { entries, answers, texts, given, facts } = answeredEntries(
    [...references],
    ([id]) => id,
    predictions,
    request,
  );
  const tokenized = tokenizeCaptions(new Map(entries), answers);
  const meteor = await openMeteor(request);
  const { perItem, bleuCounts: _counts, ...metrics } = scoreTokenizedCaptions(tokenized, meteor);
  const spice =
    request.spiceCommand === undefined
      ? undefined
      : await scoreSpice(request.spiceCommand, tokenized.references, tokenized.candidates);
  return {
    count: perItem.length,
    metrics: {
      ...(metrics as Readonly<Record<string, number>>),
      ...(spice === undefined ? {} : { SPICE: spice.corpus }),
    },
    perItem: perItem.map(({ id, ...figures }, i) => ({
      [idName]: id,
      ...figures,
      ...(spice === undefined ? {} : { SPICE: spice.perCaption[i] }),
    })),
    ...facts,
    notes: [
      ...facts.notes,
      ...(meteor === undefined ? [] : [`METEOR modules: ${meteor.modules.join(', ')}.`]),
      ...(spice === undefined ? [] : [`SPICE by: ${request.spiceCommand}`]),
    ],
    samples: async () => {
      const items = entries.map(([id]): EvalItem => ({ id, unit: id, picture: String(id), words: {} }));
      return { items, answers: given, scored: scoreCaptionItems(items, texts, references) };
    },
  };
}

async function scoreFile(request: FileRequest): Promise<FileScores> {
  const predictions = await readPredictionList(request.predictions, 'image_id', 'caption', 'image');
  const all = await readCaptionReferences(request.annotations, {
    split: request.split,
    fileNameIds: [...predictions.values.keys()].every((id) => typeof id === 'string'),
  });
  const references = request.subset ? new Map([...all].filter(([id]) => predictions.values.has(id))) : all;
  matchIds(references.keys(), predictions, 'image', request);
  const scored = await scoreCaptionSet(references, predictions.values, 'image_id', request);
  if (references.size === all.size) return scored;
  const part = `Scored ${references.size} of ${all.size} images; not comparable with the full set.`;
  return { ...scored, notes: [part, ...scored.notes] };
}

const SHARED = {
  prompt: 'caption',
  scale: 'fraction',
  readers: ['official'],
  load,
  scoreFile,
  sums: captionSums,
  figures: (sums: GroupSums) => captionFigures(addSums(sums.values())),
} as const;

export const COCO_CAPTION: PublishedBenchmark = {
  ...SHARED,
  name: 'coco-caption',
  summary: 'captions, COCO Karpathy test (5,000 pictures)',
  roles: [
    {
      role: 'captions',
      names: [
        ...['dataset_coco.json', 'captions_val2014.json', 'annotations/captions_val2014.json'],
        ...['captions_val2017.json', 'annotations/captions_val2017.json', 'captions.json'],
      ],
    },
    { role: 'images', names: ['val2014', 'val2017', 'coco', 'coco/val2014', 'images'] },
  ],
};

export const FLICKR30K: PublishedBenchmark = {
  ...SHARED,
  name: 'flickr30k',
  summary: 'captions, Flickr30k Karpathy test (1,000 pictures)',
  roles: [
    { role: 'captions', names: ['dataset_flickr30k.json', 'flickr30k_captions.json'] },
    { role: 'images', names: ['flickr30k-images', 'flickr30k_images', 'flickr30k', 'images'] },
  ],
};
