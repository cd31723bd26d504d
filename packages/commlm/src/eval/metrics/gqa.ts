/** GQA accuracy: one right answer each, compared as text after what the chosen reader does to it. */
import { trim } from './python-text.js';

/**
 * `official` compares the raw texts, `llava` drops full stops at the end and lower-cases the prediction, `lmms-eval`
 * ignores case and ASCII punctuation on both sides, `shikra` takes what follows `The answer is`.
 */
export type GqaReader = 'official' | 'llava' | 'lmms-eval' | 'shikra';

/** One question; `isOpen` tells the structural type `query` from the binary ones. */
export interface GqaQuestion {
  readonly id: string;
  readonly answer: string;
  readonly isOpen: boolean;
}

/** Accuracies in percent; of a kind without questions it is null. */
export interface GqaScores {
  readonly accuracy: number;
  readonly binary: number | null;
  readonly open: number | null;
  readonly perItem: ReadonlyArray<{ readonly id: string; readonly parsed: string | null; readonly hit: boolean }>;
}

const ASCII_PUNCTUATION = /[!-/:-@[-`{-~]/g;
const STATED_ANSWER = /(?:(?:So t|T|t)he answer is|Answer:) ([^\n]+)/g;

function readShikra(text: string): string | null {
  const found = [...trim(text).matchAll(STATED_ANSWER)];
  const stated = found[0]?.[1];
  return found.length === 1 && stated !== undefined ? trim(trim(stated).replace(/\.+$/, '')) : null;
}

/** What a reader takes a predicted text for; null when it finds no answer in it. */
export function parseGqaAnswer(text: string, reader: GqaReader): string | null {
  switch (reader) {
    case 'official':
      return text;
    case 'llava':
      return text.replace(/\.+$/, '').toLowerCase();
    case 'lmms-eval':
      return text.toLowerCase().replace(ASCII_PUNCTUATION, '');
    case 'shikra':
      return readShikra(text);
  }
}

function percentRight(hits: readonly boolean[]): number | null {
  return hits.length === 0 ? null : (hits.filter(Boolean).length / hits.length) * 100;
}

/** Scores one prediction per question. */
export function scoreGqa(
  questions: readonly GqaQuestion[],
  predictions: ReadonlyMap<string, string>,
  options: { readonly reader?: GqaReader } = {},
): GqaScores {
  const reader = options.reader ?? 'official';
  const perItem = questions.map(({ id, answer }) => {
    const prediction = predictions.get(id);
    if (prediction === undefined) throw new RangeError(`Question ${id} has no prediction.`);
    const parsed = parseGqaAnswer(prediction, reader);
    const target = reader === 'lmms-eval' ? parseGqaAnswer(answer, reader) : answer;
    return { id, parsed, hit: parsed !== null && parsed === target };
  });
  const hitsWhere = (isWanted: (question: GqaQuestion) => boolean): boolean[] =>
    perItem.filter((_, i) => isWanted(questions[i]!)).map(({ hit }) => hit);
  return {
    accuracy: percentRight(hitsWhere(() => true)) ?? 0,
    binary: percentRight(hitsWhere(({ isOpen }) => !isOpen)),
    open: percentRight(hitsWhere(({ isOpen }) => isOpen)),
    perItem,
  };
}
