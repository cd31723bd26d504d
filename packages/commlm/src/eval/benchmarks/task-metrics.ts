/** How the answers to a task of the user's are scored: the metrics of the published benchmarks, one question an entry. */
import type { PictureSize } from '../../images/decode.js';
import type { Id, Place } from '../formats/files.js';
import { type MmbenchReader, parseMmbenchAnswer } from '../metrics/mmbench.js';
import type { CornerBox } from '../metrics/rec.js';
import type { VqaAnnotation, VqaReader } from '../metrics/vqa.js';
import { addSums, type Benchmark, share } from './benchmark.js';
import { COCO_CAPTION, scoreCaptionItems } from './captions.js';
import { lettersOf, optionLines } from './choices.js';
import type { EvalItem, LoadedBenchmark } from './item.js';
import { POPE, type PopeItem, scorePopeItems } from './pope.js';
import { REFCOCO, type RecItem, scoreRecItems } from './rec.js';
import { scoreVqaItems, VQAV2 } from './vqa.js';

export const TASK_METRIC_NAMES = [
  'exact-match',
  'vqa-accuracy',
  'box-iou',
  'captions',
  'yes-no',
  'multiple-choice',
] as const;
export type TaskMetricName = (typeof TASK_METRIC_NAMES)[number];

/** What an entry of the data holds for its metric. */
export interface TaskEntry {
  readonly answer: unknown;
  readonly options: unknown;
  readonly width: unknown;
  readonly height: unknown;
  readonly boxes: 'xyxy' | 'xywh';
  readonly at: Place;
  /** Name of the field of the answer, for errors. */
  readonly field: string;
}

/** What results of a task need besides their samples. */
export type MetricBase = Pick<Benchmark, 'prompt' | 'readers' | 'scale' | 'sums' | 'figures'>;

/** A metric. */
export interface TaskMetric {
  readonly base: MetricBase;
  readonly hasBoxes: boolean;
  /** The question with what would be right; `sizeOf` gives the size of its picture. @throws CommError for a wrong form */
  readonly itemOf: (
    item: EvalItem,
    entry: TaskEntry,
    sizeOf: () => Promise<PictureSize>,
  ) => EvalItem | Promise<EvalItem>;
  readonly score: LoadedBenchmark['score'];
}

const baseOf = ({ prompt, readers, scale, sums, figures }: Benchmark): MetricBase => ({
  prompt,
  readers,
  scale,
  sums,
  figures,
});

function wrongForm({ at, field }: TaskEntry, wanted: string): Error {
  return at.error(
    `"${field}" must be ${wanted}.`,
    'Name the right field under "fields" of the task.',
    'eval/task-data',
  );
}

/** A text, or several of which each is right; numbers are written out. */
function textsOf(entry: TaskEntry): readonly string[] {
  const values = Array.isArray(entry.answer) ? (entry.answer as readonly unknown[]) : [entry.answer];
  const texts = values.map((value) => {
    const text = typeof value === 'object' && value !== null ? (value as { answer?: unknown }).answer : value;
    if (typeof text === 'number') return String(text);
    if (typeof text !== 'string') throw wrongForm(entry, 'a text, or a list of texts');
    return text;
  });
  if (texts.length === 0) throw wrongForm(entry, 'a text, or a list of at least one');
  return texts;
}

type TextItem = EvalItem & { readonly texts: readonly string[] };

const withTexts = (item: EvalItem, entry: TaskEntry): TextItem => ({ ...item, texts: textsOf(entry) });

/** Right or wrong, question by question. */
const HITS: Pick<Benchmark, 'scale' | 'sums' | 'figures'> = {
  scale: 'fraction',
  sums: (unit) => addSums(unit.map(({ score }) => [1, score])),
  figures: (sums) => {
    const [count, hits] = addSums(sums.values());
    return { accuracy: share(hits, count) };
  },
};

const hitScore = (parsed: string | null, target: string | readonly string[], hit: boolean) => ({
  parsed,
  target,
  correct: hit,
  score: hit ? 1 : 0,
  figures: { hit: hit ? 1 : 0 },
});

const accuracyOf = (items: readonly { readonly correct: boolean }[]): Record<string, number> => ({
  accuracy: share(items.filter(({ correct }) => correct).length, items.length),
});

/** `caseless` looks past case, white space at the ends and between words, and a full stop at the end. */
const bare = (text: string, reader: string): string =>
  reader === 'exact' ? text : text.toLowerCase().replace(/\s+/g, ' ').trim().replace(/\.$/, '');

const EXACT_MATCH: TaskMetric = {
  base: { ...HITS, prompt: 'gqa', readers: ['caseless', 'exact'] },
  hasBoxes: false,
  itemOf: withTexts,
  score: (items, answers, reader) => {
    const scores = (items as readonly TextItem[]).map(({ texts }, i) => {
      const parsed = bare(answers[i]!, reader);
      return hitScore(
        parsed,
        texts,
        texts.some((text) => bare(text, reader) === parsed),
      );
    });
    return { figures: accuracyOf(scores), items: scores };
  },
};

const NUM_HUMANS = 10;

const VQA_ACCURACY: TaskMetric = {
  base: baseOf(VQAV2),
  hasBoxes: false,
  itemOf: (item, entry) => {
    const texts = textsOf(entry);
    if (texts.length !== NUM_HUMANS) throw wrongForm(entry, 'a list of the ten answers of humans');
    return { ...item, texts } as TextItem;
  },
  score: (items, answers, reader) => {
    const humans = new Map<Id, VqaAnnotation<Id>>(
      (items as readonly TextItem[]).map(({ id, texts, kind }) => [id, { id, answers: texts, answerType: kind }]),
    );
    return scoreVqaItems(humans, items, answers, reader as VqaReader);
  },
};

const CAPTIONS: TaskMetric = {
  base: baseOf(COCO_CAPTION),
  hasBoxes: false,
  itemOf: withTexts,
  score: (items, answers) =>
    scoreCaptionItems(items, answers, new Map((items as readonly TextItem[]).map(({ id, texts }) => [id, texts]))),
};

const isSide = (value: unknown): value is number => typeof value === 'number' && Number.isInteger(value) && value > 0;

const BOX_IOU: TaskMetric = {
  base: baseOf(REFCOCO),
  hasBoxes: true,
  itemOf: async (item, entry, sizeOf) => {
    const numbers = entry.answer;
    if (!Array.isArray(numbers) || numbers.length !== 4 || !numbers.every((n) => Number.isFinite(n))) {
      throw wrongForm(entry, `four numbers ${entry.boxes === 'xyxy' ? 'x1, y1, x2, y2' : 'x, y, width, height'}`);
    }
    const [x, y, c, d] = numbers as [number, number, number, number];
    const box: CornerBox = entry.boxes === 'xyxy' ? [x, y, c, d] : [x, y, x + c, y + d];
    if (box[2] <= box[0] || box[3] <= box[1]) {
      throw entry.at.error(
        `"${entry.field}" is a box without area: ${numbers.join(', ')}.`,
        'Corners are x1, y1, x2, y2; say "boxes": "xywh" where they are x, y, width, height.',
        'eval/task-data',
      );
    }
    const given = { width: entry.width, height: entry.height };
    const { width, height } = isSide(given.width) && isSide(given.height) ? (given as PictureSize) : await sizeOf();
    if (box[0] < 0 || box[1] < 0 || box[2] > width + 1 || box[3] > height + 1) {
      throw entry.at.error(
        `"${entry.field}" leaves its picture of ${width} x ${height} pixels: ${numbers.join(', ')}.`,
        'Boxes are in pixels; say "boxes": "xywh" where they are x, y, width, height.',
        'eval/task-data',
      );
    }
    if (box.every((value) => value <= 1)) {
      throw entry.at.error(
        `"${entry.field}" holds fractions: ${numbers.join(', ')}.`,
        'Write boxes in pixels.',
        'eval/task-data',
      );
    }
    return { ...item, size: { width, height }, target: { box, width, height } } as RecItem;
  },
  score: (items, answers, reader) => scoreRecItems(items as readonly RecItem[], answers, reader as 'shikra'),
};

const YES_NO: TaskMetric = {
  base: baseOf(POPE),
  hasBoxes: false,
  itemOf: (item, entry) => {
    const label =
      typeof entry.answer === 'boolean' ? (entry.answer ? 'yes' : 'no') : String(entry.answer).trim().toLowerCase();
    if (label !== 'yes' && label !== 'no') throw wrongForm(entry, 'yes or no, or true or false');
    return { ...item, label } as PopeItem;
  },
  score: (items, answers, reader) => scorePopeItems(items as readonly PopeItem[], answers, reader as 'official'),
};

type ChoiceItem = EvalItem & { readonly options: Readonly<Record<string, string>>; readonly letter: string };

/** Options by letter, from a list or an object. */
function optionsOf(entry: TaskEntry): Readonly<Record<string, string>> {
  const fail = (): Error =>
    entry.at.error(
      'the options must be a list of two or more texts, or letters with texts.',
      'Name their field under "fields.options" of the task.',
      'eval/task-data',
    );
  const { options } = entry;
  if (typeof options !== 'object' || options === null) throw fail();
  const given = Array.isArray(options) ? lettersOf(options) : Object.entries(options);
  if (given.length < 2 || !given.every(([letter, text]) => /^[A-Z]$/.test(letter) && typeof text === 'string'))
    throw fail();
  return Object.fromEntries(given) as Readonly<Record<string, string>>;
}

const MULTIPLE_CHOICE: TaskMetric = {
  base: { ...HITS, prompt: 'mmbench', readers: ['exact', '2023'] },
  hasBoxes: false,
  itemOf: (item, entry) => {
    const options = optionsOf(entry);
    const letters = Object.keys(options);
    const { answer } = entry;
    // The letter, the place of the option from 0, or its text.
    const letter =
      typeof answer === 'number'
        ? letters[answer]
        : (letters.find((each) => each === answer) ?? letters.find((each) => options[each] === answer));
    if (letter === undefined)
      throw wrongForm(entry, `one of the letters ${letters.join(', ')}, a place from 0, or the text of an option`);
    const words = { ...item.words, options: optionLines(Object.entries(options)) };
    return { ...item, words, options, letter } as ChoiceItem;
  },
  score: (items, answers, reader) => {
    const scores = (items as readonly ChoiceItem[]).map(({ options, letter }, i) => {
      const parsed = parseMmbenchAnswer(answers[i]!, options, reader as MmbenchReader);
      return hitScore(parsed, letter, parsed === letter);
    });
    return { figures: accuracyOf(scores), items: scores };
  },
};

export const TASK_METRICS: Readonly<Record<TaskMetricName, TaskMetric>> = {
  'exact-match': EXACT_MATCH,
  'vqa-accuracy': VQA_ACCURACY,
  'box-iou': BOX_IOU,
  captions: CAPTIONS,
  'yes-no': YES_NO,
  'multiple-choice': MULTIPLE_CHOICE,
};
