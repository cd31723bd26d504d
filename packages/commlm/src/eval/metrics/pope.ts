/** POPE: is the object in the picture? Yes is the positive class. */
import { trim } from './python-text.js';

/** What the reader took an answer for; only `lmms-eval` leaves some unread. */
export type PopeReading = 'yes' | 'no' | 'other';

/**
 * `official` takes everything that is not no for yes; `lmms-eval` takes `yes` and `no` alone, in any case, counts the rest
 * wrong in no cell, and calls the share of the labels the yes ratio.
 */
export type PopeReader = 'official' | 'lmms-eval';

/** Fractions of one; `yesRatio` is the share of answers read as yes. */
export interface PopeFigures {
  readonly accuracy: number;
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  readonly yesRatio: number;
}

/** Figures and the reading of each answer. */
export type PopeScores = PopeFigures & {
  readonly perItem: ReadonlyArray<{ readonly parsed: PopeReading; readonly hit: boolean }>;
};

/**
 * Reads an answer. Officially, one of the words `No`, `no`, `not` in the text before the first full stop, without commas,
 * means no; everything else means yes, even `NO` or `no` with a line feed.
 */
export function parsePopeAnswer(answer: string, reader: PopeReader = 'official'): PopeReading {
  if (reader === 'lmms-eval') {
    const text = trim(answer.toLowerCase());
    return text === 'yes' || text === 'no' ? text : 'other';
  }
  const sentence = answer.split('.', 1)[0] ?? '';
  const words = sentence.replaceAll(',', '').split(' ');
  return words.includes('No') || words.includes('not') || words.includes('no') ? 'no' : 'yes';
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/** Scores answers against labels of the same order; a label other than `no` counts as yes. Empty cells give 0. */
export function scorePope(
  labels: readonly string[],
  answers: readonly string[],
  options: { readonly reader?: PopeReader } = {},
): PopeScores {
  if (labels.length !== answers.length) throw new RangeError(`${answers.length} answers for ${labels.length} labels.`);
  const { reader = 'official' } = options;
  const truths = labels.map((label) => (label === 'no' ? 'no' : 'yes'));
  const perItem = answers.map((answer, i) => {
    const parsed = parsePopeAnswer(answer, reader);
    return { parsed, hit: parsed === truths[i] };
  });
  const cell = (parsed: PopeReading, truth: string): number =>
    perItem.filter((item, i) => item.parsed === parsed && truths[i] === truth).length;
  const truePositive = cell('yes', 'yes');
  const falsePositive = cell('yes', 'no');
  const precision = ratio(truePositive, truePositive + falsePositive);
  const recall = ratio(truePositive, truePositive + cell('no', 'yes'));
  const numYes =
    reader === 'official' ? truePositive + falsePositive : truths.filter((truth) => truth === 'yes').length;
  return {
    accuracy: ratio(perItem.filter(({ hit }) => hit).length, answers.length),
    precision,
    recall,
    f1: ratio(2 * precision * recall, precision + recall),
    yesRatio: ratio(numYes, answers.length),
    perItem,
  };
}
