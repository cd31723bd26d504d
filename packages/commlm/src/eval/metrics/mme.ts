/** MME: yes-or-no questions, two about each picture; accuracy plus the share of pictures with both right. */
import { trim } from './python-text.js';

/** Subtasks of the perception part, in the order of the official tool. */
export const PERCEPTION = [
  'existence',
  'count',
  'position',
  'color',
  'posters',
  'celebrity',
  'scene',
  'landmark',
  'artwork',
  'OCR',
] as const;

/** Subtasks of the cognition part. */
export const COGNITION = [
  'commonsense_reasoning',
  'numerical_calculation',
  'text_translation',
  'code_reasoning',
] as const;

/** Name of a subtask, which is also the name of its file. */
export type MmeSubtask = (typeof PERCEPTION)[number] | (typeof COGNITION)[number];

/** One question with the answer given; two consecutive ones belong to one picture. */
export interface MmeQuestion {
  readonly label: 'yes' | 'no';
  readonly answer: string;
}

/** Percentages, and their sum (at most 200). */
export interface MmeFigures {
  readonly acc: number;
  readonly accPlus: number;
  readonly score: number;
}

/** Figures of one subtask and the reading of each answer. */
export interface MmeScores extends MmeFigures {
  readonly perItem: ReadonlyArray<{ readonly parsed: 'yes' | 'no' | 'other'; readonly hit: boolean }>;
}

/** `lmms-eval` first strips the answer, deletes full stops and takes a lone `y` or `n`. */
export type MmeReader = 'official' | 'lmms-eval';

/** Reads an answer: `yes`, else `no`, anywhere in the first four characters of the lower-cased text. */
export function parseMmeAnswer(answer: string, reader: MmeReader = 'official'): 'yes' | 'no' | 'other' {
  let text = answer.toLowerCase();
  if (reader === 'lmms-eval') {
    text = trim(text).replaceAll('.', '');
    if (text === 'y') return 'yes';
    if (text === 'n') return 'no';
  }
  const start = [...text].slice(0, 4).join('');
  if (start.includes('yes')) return 'yes';
  return start.includes('no') ? 'no' : 'other';
}

/** Scores one subtask. @throws RangeError for an odd number of questions. */
export function scoreMmeSubtask(
  questions: readonly MmeQuestion[],
  options: { readonly reader?: MmeReader } = {},
): MmeScores {
  if (questions.length % 2 !== 0)
    throw new RangeError(`${questions.length} questions, two for each picture are needed.`);
  const perItem = questions.map(({ label, answer }) => {
    const parsed = parseMmeAnswer(answer, options.reader);
    return { parsed, hit: parsed === label };
  });
  const numRight = perItem.filter(({ hit }) => hit).length;
  const numBoth = perItem.filter(({ hit }, i) => i % 2 === 0 && hit && perItem[i + 1]?.hit).length;
  const numImages = questions.length / 2;
  const acc = numImages === 0 ? 0 : (numRight / questions.length) * 100;
  const accPlus = numImages === 0 ? 0 : (numBoth / numImages) * 100;
  return { acc, accPlus, score: acc + accPlus, perItem };
}
