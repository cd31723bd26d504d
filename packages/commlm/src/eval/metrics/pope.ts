/** POPE: is the object in the picture? Yes is the positive class. */

/** What the reader took an answer for. */
export type YesNo = 'yes' | 'no';

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
  readonly perItem: ReadonlyArray<{ readonly parsed: YesNo; readonly hit: boolean }>;
};

/**
 * The official reader: in the text before the first full stop, without commas, one of the words `No`, `no`, `not` means
 * no; everything else means yes, even `NO` or `no` with a line feed.
 */
export function parsePopeAnswer(answer: string): YesNo {
  const sentence = answer.split('.', 1)[0] ?? '';
  const words = sentence.replaceAll(',', '').split(' ');
  return words.includes('No') || words.includes('not') || words.includes('no') ? 'no' : 'yes';
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/** Scores answers against labels of the same order; a label other than `no` counts as yes. Empty cells give 0. */
export function scorePope(labels: readonly string[], answers: readonly string[]): PopeScores {
  if (labels.length !== answers.length) throw new RangeError(`${answers.length} answers for ${labels.length} labels.`);
  const counts = { truePositive: 0, falsePositive: 0, trueNegative: 0, falseNegative: 0 };
  const perItem = answers.map((answer, i) => {
    const parsed = parsePopeAnswer(answer);
    const label: YesNo = labels[i] === 'no' ? 'no' : 'yes';
    if (parsed === 'yes') counts[label === 'yes' ? 'truePositive' : 'falsePositive']++;
    else counts[label === 'no' ? 'trueNegative' : 'falseNegative']++;
    return { parsed, hit: parsed === label };
  });
  const { truePositive, falsePositive, trueNegative, falseNegative } = counts;
  const precision = ratio(truePositive, truePositive + falsePositive);
  const recall = ratio(truePositive, truePositive + falseNegative);
  return {
    accuracy: ratio(truePositive + trueNegative, answers.length),
    precision,
    recall,
    f1: ratio(2 * precision * recall, precision + recall),
    yesRatio: ratio(truePositive + falsePositive, answers.length),
    perItem,
  };
}
