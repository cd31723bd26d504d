/** POPE: is the object there? Three splits that choose absent objects in different ways. */
import { readJsonLines, stringField } from '../formats/files.js';
import { type PopeQuestion, readPopeAnswers, readPopeQuestions } from '../formats/pope.js';
import { type PopeFigures, type PopeReader, scorePope } from '../metrics/pope.js';
import { addSums, averageOf, figuresOfGroups, type PublishedBenchmark, share } from './benchmark.js';
import type { DataFolder, PublishedSizes } from './data-folder.js';
import type { EvalItem, ItemScore, LoadedBenchmark, Scored } from './item.js';
import { type FileRequest, type FileSamples, type FileScores, factsOf, readFileAnswers } from './score-file.js';

const SPLITS = ['random', 'popular', 'adversarial'] as const;
const FIGURES = ['accuracy', 'precision', 'recall', 'f1', 'yesRatio'] as const;
/** The first release of the random split had fewer lines than the others; many figures in papers are of that one. */
const FIRST_RANDOM = 2910;
const SIZES: PublishedSizes = {
  'coco_pope_random.json': [3000, FIRST_RANDOM],
  'coco_pope_popular.json': 3000,
  'coco_pope_adversarial.json': 3000,
};

export type PopeItem = EvalItem & { readonly label: 'yes' | 'no' };

/** The plain average of the splits. */
const averageOfSplits = (splits: readonly PopeFigures[]): PopeFigures => averageOf(FIGURES, splits);

/** Each split's figures, and in front their plain average. */
function joinSplits(bySplit: ReadonlyArray<readonly [string, PopeFigures]>): Record<string, number> {
  const average = averageOfSplits(bySplit.map(([, figures]) => figures));
  return { ...average, ...figuresOfGroups(FIGURES, bySplit) };
}

function itemOf({ id, text, label }: PopeQuestion, group: string | undefined, picture: string | null): PopeItem {
  const name = group === undefined ? id : `${group}/${id}`;
  return { id: name, unit: name, group, picture, words: { question: text }, label: label === 'no' ? 'no' : 'yes' };
}

async function readPictureNames(path: string): Promise<readonly string[]> {
  return (await readJsonLines(path)).map(({ value, place }) => stringField(value, 'image', place));
}

/** Scores answers to items. */
export function scorePopeItems(items: readonly PopeItem[], answers: readonly string[], reader: PopeReader): Scored {
  const scores = new Array<ItemScore>(items.length);
  const splits = [...new Set(items.map(({ group }) => group ?? ''))];
  const bySplit = splits.map((split) => {
    const places = items.flatMap(({ group }, i) => ((group ?? '') === split ? [i] : []));
    const labels = places.map((i) => items[i]!.label);
    const { perItem, ...figures } = scorePope(
      labels,
      places.map((i) => answers[i]!),
      { reader },
    );
    places.forEach((i, k) => {
      const { parsed, hit } = perItem[k]!;
      const label = labels[k] as 'yes' | 'no';
      const isYes = reader === 'official' ? parsed === 'yes' : label === 'yes';
      scores[i] = {
        parsed: parsed === 'other' ? null : parsed,
        target: label,
        correct: hit,
        score: hit ? 1 : 0,
        figures: {
          hit: hit ? 1 : 0,
          truePositive: parsed === 'yes' && label === 'yes' ? 1 : 0,
          falsePositive: parsed === 'yes' && label === 'no' ? 1 : 0,
          falseNegative: parsed === 'no' && label === 'yes' ? 1 : 0,
          yes: isYes ? 1 : 0,
        },
      };
    });
    return [split, figures] as const;
  });
  return { figures: joinSplits(bySplit), items: scores };
}

async function load(folder: DataFolder): Promise<LoadedBenchmark> {
  const splits = folder.choices.splits === undefined ? SPLITS : folder.chooseSplits(SPLITS);
  const items: PopeItem[] = [];
  for (const split of splits) {
    const path = folder.need(split);
    const questions = await readPopeQuestions(path);
    folder.checkCount(path, questions.length, 'questions', SIZES);
    const images = await readPictureNames(path);
    const keys = folder.findPictures(questions.map(({ id }, i) => ({ id: `${split} ${id}`, names: [images[i]!] })));
    items.push(...questions.map((question, i) => itemOf(question, split, keys[i]!)));
  }
  return { items, score: (some, answers, reader) => scorePopeItems(some as PopeItem[], answers, reader as PopeReader) };
}

/** One file gives its figures; a file with categories gives those of each and their plain average. */
async function scoreFile(request: FileRequest): Promise<FileScores> {
  const all = await readPopeQuestions(request.annotations);
  const read = readFileAnswers(await readPopeAnswers(request.predictions, all, request.annotations), request);
  const questions = read.places.map((i) => all[i]!);
  const labels = questions.map(({ label }) => label);
  const reader = request.reader as PopeReader;
  const { perItem, ...pooled } = scorePope(labels, read.texts, { reader });
  const facts = factsOf(read, request);
  const scoresOf = (metrics: FileScores['metrics']): FileScores => ({
    count: questions.length,
    metrics,
    perItem: perItem.map((item, i) => ({ question_id: questions[i]!.id, ...item })),
    ...facts,
    samples: async (): Promise<FileSamples> => {
      const pictures = await readPictureNames(request.annotations);
      const items = read.places.map((i) => itemOf(all[i]!, all[i]!.category, pictures[i]!));
      return { items, answers: read.given, scored: scorePopeItems(items, read.texts, reader) };
    },
  });
  const categories = [...new Set(questions.map(({ category }) => category))];
  if (categories.length < 2) return scoresOf({ ...pooled });
  const byCategory = categories.map((category) => {
    const isIn = (_: unknown, i: number): boolean => questions[i]!.category === category;
    const { perItem: _items, ...figures } = scorePope(labels.filter(isIn), read.texts.filter(isIn), { reader });
    return [category ?? 'none', figures] as const;
  });
  const average = averageOfSplits(byCategory.map(([, figures]) => figures));
  return {
    ...scoresOf({ ...average, ...Object.fromEntries(byCategory) }),
    notes: [...facts.notes, `The first figures are the plain average over ${categories.length} categories.`],
  };
}

export const POPE: PublishedBenchmark = {
  name: 'pope',
  summary: 'is the object there? random, popular and adversarial',
  prompt: 'pope',
  scale: 'fraction',
  readers: ['official', 'lmms-eval'],
  roles: [
    ...SPLITS.map((split) => ({
      role: split,
      names: [`coco_pope_${split}.json`, `output/coco/coco_pope_${split}.json`, `pope_${split}.jsonl`],
    })),
    { role: 'images', names: ['val2014', 'coco/val2014', 'images'] },
  ],
  load,
  scoreFile,
  sums: (unit) =>
    addSums(
      unit.map(({ figures }) => [
        1,
        ...['hit', 'truePositive', 'falsePositive', 'falseNegative', 'yes'].map((name) => figures[name] as number),
      ]),
    ),
  figures: (sums) =>
    joinSplits(
      [...sums].map(([split, [count, hits, truePositive = 0, falsePositive = 0, falseNegative = 0, yes]]) => {
        const precision = share(truePositive, truePositive + falsePositive);
        const recall = share(truePositive, truePositive + falseNegative);
        const f1 = share(2 * precision * recall, precision + recall);
        return [split, { accuracy: share(hits, count), precision, recall, f1, yesRatio: share(yes, count) }];
      }),
    ),
};
