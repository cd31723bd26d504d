/** POPE: is the object there? Three splits that choose absent objects in different ways. */
import { readJsonLines, stringField } from '../formats/files.js';
import { readPopeQuestions } from '../formats/pope.js';
import { type PopeFigures, type PopeReader, scorePope } from '../metrics/pope.js';
import {
  addSums,
  type Benchmark,
  type EvalItem,
  type ItemScore,
  type LoadedBenchmark,
  type Scored,
  share,
} from './benchmark.js';
import type { DataFolder, PublishedSizes } from './data-folder.js';

const SPLITS = ['random', 'popular', 'adversarial'] as const;
const FIGURES = ['accuracy', 'precision', 'recall', 'f1', 'yesRatio'] as const;
/** The first release of the random split had fewer lines than the others; many figures in papers are of that one. */
const FIRST_RANDOM = 2910;
const SIZES: PublishedSizes = {
  'coco_pope_random.json': [3000, FIRST_RANDOM],
  'coco_pope_popular.json': 3000,
  'coco_pope_adversarial.json': 3000,
};

type PopeItem = EvalItem & { readonly label: 'yes' | 'no' };

/** Each split's figures, and in front their plain average. */
function joinSplits(bySplit: ReadonlyArray<readonly [string, PopeFigures]>): Record<string, number> {
  const average = FIGURES.map((name) => {
    const sum = bySplit.reduce((total, [, figures]) => total + figures[name], 0);
    return [name, share(sum, bySplit.length)] as const;
  });
  const each = bySplit.flatMap(([split, figures]) => FIGURES.map((name) => [`${split}.${name}`, figures[name]]));
  return Object.fromEntries([...average, ...each]);
}

function score(items: readonly PopeItem[], answers: readonly string[], reader: PopeReader): Scored {
  const scores = new Array<ItemScore>(items.length);
  const splits = [...new Set(items.map(({ group }) => group as string))];
  const bySplit = splits.map((split) => {
    const places = items.flatMap(({ group }, i) => (group === split ? [i] : []));
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
    const images = (await readJsonLines(path)).map(({ value, place }) => stringField(value, 'image', place));
    const keys = folder.findPictures(questions.map(({ id }, i) => ({ id: `${split} ${id}`, names: [images[i]!] })));
    questions.forEach(({ id, text, label }, i) => {
      const name = `${split}/${id}`;
      items.push({
        id: name,
        unit: name,
        group: split,
        picture: keys[i]!,
        words: { question: text },
        label: label === 'no' ? 'no' : 'yes',
      });
    });
  }
  return { items, score: (some, answers, reader) => score(some as PopeItem[], answers, reader as PopeReader) };
}

export const POPE: Benchmark = {
  name: 'pope',
  summary: 'is the object there? random, popular and adversarial',
  prompt: 'pope',
  readers: ['official', 'lmms-eval'],
  roles: [
    ...SPLITS.map((split) => ({
      role: split,
      names: [`coco_pope_${split}.json`, `output/coco/coco_pope_${split}.json`, `pope_${split}.jsonl`],
    })),
    { role: 'images', names: ['val2014', 'coco/val2014', 'images'] },
  ],
  load,
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
