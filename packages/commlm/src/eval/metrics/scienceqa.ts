/** ScienceQA accuracy with the reader of LLaVA; an answer it cannot read and a missing one are wrong. */
import { trim } from './python-text.js';

/** `llava` as in LLaVA's tables; `lmms-eval` takes a letter in either case, or a capital before a full stop. */
export type ScienceQaReader = 'llava' | 'lmms-eval';

/** One problem; `answer` is the index of the right choice. */
export interface ScienceQaProblem {
  readonly id: string;
  readonly numChoices: number;
  readonly answer: number;
  readonly hasImage: boolean;
}

/** Accuracies in percent; `imageAccuracy` over problems with a picture, null when there are none. */
export interface ScienceQaScores {
  readonly accuracy: number;
  readonly imageAccuracy: number | null;
  /** Problems without a prediction, counted wrong. */
  readonly missing: number;
  readonly perItem: ReadonlyArray<{ readonly id: string; readonly parsed: string | null; readonly hit: boolean }>;
}

const LETTERS = 'ABCDE';
/** The last dot is any character, as in the original pattern: `The answer is Apple` gives A. */
const STATED_ANSWER = /The answer is ([A-Z])[^\n]/gu;

function readLlava(text: string): string | null {
  if (text.length === 1 && LETTERS.includes(text)) return text;
  if (text.length >= 3 && LETTERS.includes(text.charAt(0)) && text.slice(1, 3) === '. ') return text.charAt(0);
  const found = [...text.matchAll(STATED_ANSWER)];
  return found.length === 1 ? (found[0]?.[1] ?? null) : null;
}

function readLmmsEval(text: string): string | null {
  const answer = trim(text);
  if (answer.length === 1 && LETTERS.includes(answer.toUpperCase())) return answer.toUpperCase();
  return /^[A-E]\./.test(answer) ? answer.charAt(0) : null;
}

/** The letter that an answer names, null when the reader finds none. */
export function parseScienceQaAnswer(text: string, reader: ScienceQaReader = 'llava'): string | null {
  return reader === 'llava' ? readLlava(text) : readLmmsEval(text);
}

/** Scores predictions by problem id. */
export function scoreScienceQa(
  problems: readonly ScienceQaProblem[],
  predictions: ReadonlyMap<string, string>,
  options: { readonly reader?: ScienceQaReader } = {},
): ScienceQaScores {
  let missing = 0;
  const perItem = problems.map(({ id, numChoices, answer }) => {
    const text = predictions.get(id);
    if (text === undefined) missing++;
    const parsed = text === undefined ? null : parseScienceQaAnswer(text, options.reader);
    const choice = parsed === null ? -1 : LETTERS.slice(0, numChoices).indexOf(parsed);
    return { id, parsed, hit: choice >= 0 && choice === answer };
  });
  const percent = (items: readonly { readonly hit: boolean }[]): number | null =>
    items.length === 0 ? null : (items.filter(({ hit }) => hit).length / items.length) * 100;
  return {
    accuracy: percent(perItem) ?? 0,
    imageAccuracy: percent(perItem.filter((_, i) => problems[i]?.hasImage)),
    missing,
    perItem,
  };
}
