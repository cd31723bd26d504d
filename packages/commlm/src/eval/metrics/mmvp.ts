/** MMVP: two pictures that look alike to CLIP, one question; a pair counts when both answers are right. */
import { CASELESS_I, CASELESS_S, SPACE, trim } from './python-text.js';

/** Fractions of one over pairs and over single questions, and the reading of each answer. */
export interface MmvpScores {
  readonly pairAccuracy: number;
  readonly accuracy: number;
  readonly perItem: ReadonlyArray<{ readonly parsed: 'A' | 'B' | null; readonly hit: boolean }>;
}

/** Tried in this order; the last takes any A or B at the end of a word. */
const LETTER_PATTERNS = [
  '^\\(?([AB])\\)?\\.?$',
  `^\\(?([AB])\\)?(?:\\.|${SPACE})`,
  `an${CASELESS_S}wer${SPACE}+${CASELESS_I}${CASELESS_S}${SPACE}+\\(?([AB])`,
  `opt${CASELESS_I}on${SPACE}+\\(?([AB])`,
  `([AB])\\)?(?:${SPACE}|$)`,
].map((pattern) => new RegExp(pattern, 'i'));

/** The option that an answer names by the rules of lmms-eval, null for none. */
export function parseMmvpAnswer(answer: string): 'A' | 'B' | null {
  const text = trim(answer);
  for (const pattern of LETTER_PATTERNS) {
    const letter = pattern.exec(text)?.[1];
    if (letter !== undefined) return letter.toUpperCase() as 'A' | 'B';
  }
  const first = text.charAt(0).toUpperCase();
  return first === 'A' || first === 'B' ? first : null;
}

/** Scores answers in the order of the questions; (1, 2), (3, 4), ... are the pairs. @throws RangeError for an odd number. */
export function scoreMmvp(labels: ReadonlyArray<'A' | 'B'>, answers: readonly string[]): MmvpScores {
  if (labels.length !== answers.length || labels.length % 2 !== 0) {
    throw new RangeError(`${answers.length} answers for ${labels.length} labels; labels come in pairs.`);
  }
  const perItem = answers.map((answer, i) => {
    const parsed = parseMmvpAnswer(answer);
    return { parsed, hit: parsed === labels[i] };
  });
  const numPairs = perItem.length / 2;
  const pairsRight = perItem.filter(({ hit }, i) => i % 2 === 0 && hit && perItem[i + 1]?.hit).length;
  return {
    pairAccuracy: pairsRight / Math.max(1, numPairs),
    accuracy: perItem.filter(({ hit }) => hit).length / Math.max(1, perItem.length),
    perItem,
  };
}
