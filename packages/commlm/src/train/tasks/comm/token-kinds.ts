/** What each token of an answer about the world decides, and how much it counts for it. */
import { NOUNS, type TurnType } from '../../../data/world/index.js';
import type { Tokenizer } from '../../../text/tokenizer.js';
import type { Watched } from './watched.js';

/** How much the first, second and third digit behind the point of a coordinate count: the third is all but noise. */
const DIGIT_WEIGHTS = { digit1: 1, digit2: 0.6, digit3: 0.1 } as const;
const DIGITS = ['digit1', 'digit2', 'digit3'] as const;

/** What a token decides. */
export type TokenKind = 'yes-no' | 'digit1' | 'digit2' | 'digit3' | 'noun' | 'other';

/** What the tokens of a row decide, and what they weigh. */
export type WeighTokens = (ids: readonly number[]) => { readonly weights: number[]; readonly kinds: TokenKind[] };

/** Tells what each token decides and weighs it: 1, `yesNoWeight` for a yes or no, less for the later digits of a coordinate (those behind a piece such as `[0.` or `,0.`). */
export function tokenWeigher(tokenizer: Tokenizer, yesNoWeight: number): WeighTokens {
  const pieces = Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.decode([id]));
  const opens = pieces.map((piece) => /[01]\.$/.test(piece));
  const isDigit = pieces.map((piece) => /^\d$/.test(piece));
  const nouns = new Set(NOUNS.map(({ name }) => ` ${name}`));
  const words = pieces.map((piece): TokenKind => {
    if (/^ (yes|no)$/.test(piece)) return 'yes-no';
    return nouns.has(piece) ? 'noun' : 'other';
  });
  const weightOf = (kind: TokenKind): number =>
    kind === 'yes-no' ? yesNoWeight : kind === 'noun' || kind === 'other' ? 1 : DIGIT_WEIGHTS[kind];
  return (ids) => {
    let place = -1;
    const kinds = ids.map((id): TokenKind => {
      if (place >= 0 && isDigit[id]) return DIGITS[place++] ?? 'other';
      place = opens[id] ? 0 : -1;
      return words[id] ?? 'other';
    });
    return { weights: kinds.map(weightOf), kinds };
  };
}

/** What a token of an answer counts for in the log. */
export function watchedKind(type: TurnType | undefined, kind: TokenKind): Watched | undefined {
  if (type === 'existence' && kind === 'yes-no') return 'existence';
  if (type === 'rec' && kind === 'digit1') return 'rec_digit1';
  if (type === 'rec' && kind === 'digit2') return 'rec_digit2';
  return type === 'name-at' && kind === 'noun' ? 'name_at' : undefined;
}
