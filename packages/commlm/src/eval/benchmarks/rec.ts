/** REC: a box for each expression, on RefCOCO, RefCOCO+ and RefCOCOg; from Shikra's lines or the files of the refer tool. */

import { normalizedToPixel, paddedFrame } from '../../images/frames.js';
import { coordinatesOf, frameNotes, rewriteBox } from '../coordinates.js';
import { readJsonLines, stringField } from '../formats/files.js';
import { readRecAnswers, readRecTargets } from '../formats/refcoco.js';
import { type CornerBox, type RecReader, type RecTarget, scoreRec, targetInSquare } from '../metrics/rec.js';
import { addSums, averageOf, type Benchmark, figuresOfGroups, type PublishedBenchmark, share } from './benchmark.js';
import type { DataFolder } from './data-folder.js';
import type { EvalItem, ItemScore, LoadedBenchmark, Scored } from './item.js';
import { loadRegions, REGION_PICTURES, refRoles } from './regions.js';
import { type FileRequest, type FileScores, factsOf, readFileAnswers } from './score-file.js';

export type RecItem = EvalItem & { readonly target: RecTarget };

/** Sentences in each split (one item a sentence). */
const SIZES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  refcoco: { val: 10_834, testA: 5657, testB: 5095 },
  'refcoco+': { val: 10_758, testA: 5726, testB: 4889 },
  refcocog: { val: 4896, test: 9602 },
};

/** Lines that Shikra published, one file a split, else the lines of the synthetic world, else the refer tool's files. */
function load(dataSet: string, by: 'unc' | 'umd'): Benchmark['load'] {
  const sizes = SIZES[dataSet]!;
  return async (folder): Promise<LoadedBenchmark> => {
    const published = Object.keys(sizes).filter((split) => folder.find(split) !== undefined);
    const items =
      published.length > 0
        ? await loadPublishedLines(dataSet, by, sizes, published, folder)
        : folder.find('lines') !== undefined || folder.find('refs') === undefined
          ? await loadOwnLines(Object.keys(sizes), folder)
          : await loadSentences(sizes, folder);
    return { items, score: (some, answers, reader) => scoreRecItems(some as RecItem[], answers, reader as RecReader) };
  };
}

async function loadPublishedLines(
  dataSet: string,
  by: string,
  sizes: Readonly<Record<string, number>>,
  found: readonly string[],
  folder: DataFolder,
): Promise<RecItem[]> {
  // Without a choice all splits of the data set are wanted: a missing one is an error and no silent part.
  const splits = folder.choices.splits === undefined ? Object.keys(sizes) : folder.chooseSplits(found);
  const items: RecItem[] = [];
  for (const split of splits) {
    const path = folder.need(split);
    const lines = await loadLines(path, split, folder);
    folder.checkCount(path, lines.length, 'expressions', {
      [`REC_${dataSet}_${by}_${split}.jsonl`]: sizes[split]!,
    });
    items.push(...lines);
  }
  return items;
}

async function loadOwnLines(splits: readonly string[], folder: DataFolder): Promise<RecItem[]> {
  folder.refuseSplits();
  const { path } = folder.needOneOf(['lines', ...splits, 'refs']);
  folder.published = false;
  return loadLines(path, undefined, folder);
}

async function loadLines(path: string, split: string | undefined, folder: DataFolder): Promise<RecItem[]> {
  const targets = await readRecTargets(path);
  const lines = (await readJsonLines(path)).map(({ value, place }) => ({
    name: stringField(value, 'img_path', place),
    expression: stringField(value, 'expression', place),
  }));
  const keys = folder.findPictures(lines.map(({ name }, i) => ({ id: `line ${i + 1}`, names: [name] })));
  return targets.map((target, i) => {
    const id = split === undefined ? i + 1 : `${split}/${i + 1}`;
    return itemOf(id, split, keys[i]!, lines[i]?.expression as string, target);
  });
}

function itemOf(
  id: number | string,
  split: string | undefined,
  picture: string,
  expression: string,
  target: RecTarget,
): RecItem {
  return {
    id,
    unit: id,
    group: split,
    picture,
    words: { expr: expression },
    size: { width: target.width, height: target.height },
    target,
  };
}

async function loadSentences(sizes: Readonly<Record<string, number>>, folder: DataFolder): Promise<RecItem[]> {
  const regions = await loadRegions(folder);
  const items = regions.flatMap(({ ref, box, size, picture }) =>
    ref.sentences.map((sentence, k) =>
      itemOf(`${ref.split}/${ref.id}/${k + 1}`, ref.split, picture, sentence, { box, ...size }),
    ),
  );
  for (const split of new Set(items.map(({ group }) => group as string))) {
    const count = items.filter(({ group }) => group === split).length;
    folder.checkCount(split, count, 'expressions', sizes);
  }
  return items;
}

/** Fractions of the padded square as pixels of the picture. */
function toPixels(box: CornerBox, { width, height }: RecTarget): CornerBox {
  return normalizedToPixel(box, paddedFrame(width, height));
}

function pixelsOfAnswer(box: CornerBox, target: RecTarget, reader: RecReader): CornerBox {
  if (reader === 'shikra') return toPixels(box, target);
  const { width, height } = target;
  return [box[0] * width, box[1] * height, box[2] * width, box[3] * height];
}

function scoreSplit(items: readonly RecItem[], answers: readonly string[], reader: RecReader): ItemScore[] {
  const targets = items.map(({ target }) => target);
  return scoreRec(targets, answers, { reader }).perItem.map(({ box, iou, hit }, i): ItemScore => {
    const target = targets[i]!;
    return {
      parsed: box,
      target: targetInSquare(target),
      correct: hit,
      score: iou,
      figures: { hit: hit ? 1 : 0, iou, failed: box === null ? 1 : 0 },
      boxes: { target: target.box, answer: box === null ? null : pixelsOfAnswer(box, target, reader) },
    };
  });
}

const FIGURES = ['accuracy', 'meanIoU', 'failed'] as const;

/** Each split's figures, and in front the plain average of the splits (of failures the sum). */
function joinSplits(
  bySplit: ReadonlyArray<readonly [string, Readonly<Record<(typeof FIGURES)[number], number>>]>,
): Record<string, number> {
  return {
    ...averageOf(
      ['accuracy', 'meanIoU'],
      bySplit.map(([, figures]) => figures),
    ),
    failed: bySplit.reduce((total, [, { failed }]) => total + failed, 0),
    ...figuresOfGroups(FIGURES, bySplit),
  };
}

/** Scores answers to items. */
export function scoreRecItems(items: readonly RecItem[], answers: readonly string[], reader: RecReader): Scored {
  const scores = scoreSplit(items, answers, reader);
  const bySplit = [...new Set(items.map(({ group }) => group ?? ''))].map((split) => {
    const places = items.flatMap(({ group }, i) => ((group ?? '') === split ? [i] : []));
    const { accuracy, meanIoU, failed } = scoreRec(
      places.map((i) => items[i]!.target),
      places.map((i) => answers[i]!),
      { reader },
    );
    return [split, { accuracy, meanIoU, failed }] as const;
  });
  return { figures: joinSplits(bySplit), items: scores };
}

async function scoreFile(request: FileRequest): Promise<FileScores> {
  const all = await readRecTargets(request.annotations);
  const read = readFileAnswers(await readRecAnswers(request.predictions, all.length, request.annotations), request);
  const targets = read.places.map((i) => all[i]!);
  const reader = request.reader as RecReader;
  const { coordinates: frame = 'unit' } = request;
  const coordinates = coordinatesOf(frame, reader);
  const answers =
    frame === 'unit' ? read.texts : read.texts.map((text, i) => rewriteBox(text, targets[i]!, coordinates, reader));
  const { perItem, ...metrics } = scoreRec(targets, answers, { reader });
  const facts = factsOf(read, request);
  return {
    count: targets.length,
    metrics,
    perItem: perItem.map((item) => ({ ...item })),
    ...facts,
    notes: [...facts.notes, ...frameNotes(read.texts, targets, coordinates)],
    samples: async () => {
      const lines = await readJsonLines(request.annotations);
      const text = (i: number, name: string): string => {
        const value = lines[i]!.value[name];
        return typeof value === 'string' ? value : '';
      };
      const items = read.places.map((i) =>
        itemOf(i + 1, undefined, text(i, 'img_path'), text(i, 'expression'), all[i]!),
      );
      return { items, answers: read.given, scored: scoreRecItems(items, answers, reader) };
    },
  };
}

function recBenchmark(dataSet: string, by: 'unc' | 'umd', ownLines: readonly string[]): PublishedBenchmark {
  const splits = Object.keys(SIZES[dataSet]!);
  return {
    name: dataSet,
    summary: `a box for each expression, ${splits.join(', ')}`,
    prompt: 'rec',
    scale: 'fraction',
    readers: ['shikra', 'lmms-eval'],
    roles: [
      ...splits.map((split) => ({ role: split, names: [`REC_${dataSet}_${by}_${split}.jsonl`] })),
      ...refRoles(dataSet, by),
      { role: 'lines', names: ownLines },
      REGION_PICTURES,
    ],
    load: load(dataSet, by),
    scoreFile,
    sums: (unit) =>
      addSums(unit.map(({ figures }) => [1, ...['hit', 'iou', 'failed'].map((name) => figures[name] as number)])),
    figures: (sums) =>
      joinSplits(
        [...sums].map(([split, [count, hits, iou, failed]]) => [
          split,
          { accuracy: share(hits, count), meanIoU: share(iou, count), failed: failed ?? 0 },
        ]),
      ),
  };
}

export const REFCOCO = recBenchmark('refcoco', 'unc', ['refcoco.jsonl']);
export const REFCOCO_PLUS = recBenchmark('refcoco+', 'unc', ['refcoco+.jsonl']);
export const REFCOCOG = recBenchmark('refcocog', 'umd', ['refcocog.jsonl']);
