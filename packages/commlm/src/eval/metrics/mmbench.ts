/**
 * MMBench: multiple choice under rotation of the options (CircularEval) and without (vanilla), with the two rule-based
 * readers that figures in papers come from. No judge model: an answer that no rule reads is wrong.
 */
import { CASELESS_I, CASELESS_S, SPACE, splitWords } from './python-text.js';

/** `exact` is the exact-matching reader of today's toolkit, `2023` the one of COMM's time. */
export type MmbenchReader = 'exact' | '2023';

/** Index distance between the rotations of one question. */
export const ROTATION_STEP = 1_000_000;

/** One row: a question with its options in one rotation; absent options are left out. */
export interface MmbenchRow {
  readonly index: number;
  readonly options: Readonly<Record<string, string>>;
  readonly answer: string;
  readonly category?: string | undefined;
  readonly l2Category?: string | undefined;
}

/** Fractions of one over the questions, and the reading of each row (null when no rule read it). */
export interface MmbenchScores {
  readonly circular: number;
  readonly vanilla: number;
  readonly circularByCategory: Readonly<Record<string, number>>;
  readonly circularByL2Category: Readonly<Record<string, number>>;
  readonly numQuestions: number;
  readonly perItem: ReadonlyArray<{ readonly index: number; readonly parsed: string | null; readonly hit: boolean }>;
}

const FAILED_REQUEST = 'Failed to obtain answer via API';
const REFUSALS = [
  "Sorry, I can't help with images of people yet.",
  "I can't process this file.",
  "I'm sorry, but without the image provided",
  'Cannot determine the answer',
];
const MARKS_TO_BLANK = /[.()[\],:;!*#{}]/g;
const STATED_ANSWER = new RegExp(`an${CASELESS_S}wer${SPACE}+${CASELESS_I}${CASELESS_S}${SPACE}+\\**([ABCD])`, 'i');
const NUM_LAST_WORDS = 4;

function readLetterExact(answer: string, letters: readonly string[]): string | null {
  if (answer.includes(FAILED_REQUEST)) return null;
  if (REFUSALS.some((refusal) => answer.includes(refusal))) return 'Z';
  const words = splitWords(answer.replace(MARKS_TO_BLANK, ' '));
  const named = letters.filter((letter) => words.includes(letter));
  const only = named[0];
  if (named.length === 1 && only !== undefined) {
    if (words.indexOf(only) >= words.length - NUM_LAST_WORDS) return only;
  } else if (named.length === 0 && words.includes('Z')) return 'Z';
  const stated = STATED_ANSWER.exec(answer)?.[1]?.toUpperCase();
  return stated !== undefined && letters.includes(stated) ? stated : null;
}

const LETTERS_2023 = ['A', 'B', 'C', 'D', 'E'];
const FRAMES_2023: ReadonlyArray<readonly [before: string, after: string]> = [
  ['', '.'],
  ['', ','],
  ['', ':'],
  ['', ')'],
  ['', ').'],
  ['(', ')'],
  ['(', ').'],
  [':', ''],
  [':', ','],
  [':', '.'],
  [':', ')'],
  [':', ').'],
];

function readLetter2023(answer: string): string | null {
  if (answer.includes(FAILED_REQUEST)) return null;
  const words = splitWords(answer);
  const onlyFramed = (before: string, after: string): string | undefined => {
    const named = LETTERS_2023.filter((letter) => words.includes(`${before}${letter}${after}`));
    return named.length === 1 ? named[0] : undefined;
  };
  const bare = onlyFramed('', '');
  const isArticle = words.includes('A') && words.length > 3;
  if (bare !== undefined && !isArticle) return bare;
  for (const [before, after] of FRAMES_2023) {
    const framed = onlyFramed(before, after);
    if (framed !== undefined) return framed;
  }
  return null;
}

function readOptionText(answer: string, options: Readonly<Record<string, string>>): string | null {
  const lower = answer.toLowerCase();
  const contained = Object.keys(options).filter((letter) => lower.includes(options[letter]!.toLowerCase()));
  return contained.length === 1 ? contained[0]! : null;
}

const numCharacters = (text: string): number => [...text].length;

/** The option letter that an answer names, `Z` for a refusal, null when no rule reads it. */
export function parseMmbenchAnswer(
  answer: string,
  options: Readonly<Record<string, string>>,
  reader: MmbenchReader = 'exact',
): string | null {
  if (reader === '2023') return readLetter2023(answer) ?? readOptionText(answer, options);
  const letter = readLetterExact(answer, Object.keys(options));
  if (letter !== null) return letter;
  const optionLength = Object.values(options).reduce((sum, option) => sum + numCharacters(option), 0);
  return numCharacters(answer.toLowerCase()) > 2 * optionLength ? null : readOptionText(answer, options);
}

function meanByGroup(groups: ReadonlyArray<string | undefined>, hits: readonly boolean[]): Record<string, number> {
  const counts = new Map<string, { hits: number; count: number }>();
  groups.forEach((group, i) => {
    if (group === undefined) return;
    const entry = counts.get(group) ?? { hits: 0, count: 0 };
    entry.count++;
    if (hits[i]) entry.hits++;
    counts.set(group, entry);
  });
  return Object.fromEntries([...counts].map(([group, entry]) => [group, entry.hits / entry.count]));
}

/** Scores one answer per row; a question counts for `circular` when all its rotations are right. */
export function scoreMmbench(
  rows: readonly MmbenchRow[],
  answers: ReadonlyMap<number, string>,
  options: { readonly reader?: MmbenchReader } = {},
): MmbenchScores {
  const wrongQuestions = new Set<number>();
  const perItem = rows.map((row) => {
    const answer = answers.get(row.index);
    if (answer === undefined) throw new RangeError(`Row ${row.index} has no prediction.`);
    const parsed = parseMmbenchAnswer(answer, row.options, options.reader);
    const hit = parsed === row.answer;
    if (!hit) wrongQuestions.add(row.index % ROTATION_STEP);
    return { index: row.index, parsed, hit };
  });
  const isFirst = rows.map(({ index }) => index < ROTATION_STEP);
  const questions = rows.filter((_, i) => isFirst[i]);
  const circularHits = questions.map(({ index }) => !wrongQuestions.has(index));
  const vanillaHits = perItem.filter((_, i) => isFirst[i]).map(({ hit }) => hit);
  const share = (hits: readonly boolean[]): number => hits.filter(Boolean).length / Math.max(1, hits.length);
  return {
    circular: share(circularHits),
    vanilla: share(vanillaHits),
    circularByCategory: meanByGroup(
      questions.map(({ category }) => category),
      circularHits,
    ),
    circularByL2Category: meanByGroup(
      questions.map(({ l2Category }) => l2Category),
      circularHits,
    ),
    numQuestions: questions.length,
    perItem,
  };
}
