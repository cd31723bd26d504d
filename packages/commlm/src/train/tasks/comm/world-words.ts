/** Words of the world as the language model reads them: the token ids of nouns, colours, digits, edges, yes and no. */
import { COLOR_NAMES, NOUNS } from '../../../data/world/index.js';
import type { Tokenizer } from '../../../text/tokenizer.js';

/** The words that patches are named by: token ids, in the order of the classes. */
export interface PatchWords {
  /** A noun in the singular and in the plural, then `NOUNS.length` stands for the background. */
  readonly nouns: BigInt64Array;
  readonly plurals: BigInt64Array;
  readonly colors: BigInt64Array;
}

/** Token ids of the words that are asked for alone. */
export interface ProbeWords {
  /** Singular and plural by the noun. */
  readonly nouns: ReadonlyMap<string, { readonly singular: number; readonly plural: number }>;
  /** The noun of a token, in either number. */
  readonly nounOf: ReadonlyMap<number, string>;
  readonly yes: number;
  readonly no: number;
  /** Left, top, right and bottom: in the order of a box. */
  readonly edges: readonly number[];
  /** 0 to 9. */
  readonly digits: readonly number[];
}

/** All of them. */
export interface WorldWords {
  readonly patches: PatchWords;
  readonly probes: ProbeWords;
  /** The digits 0 to 9 behind a point. */
  readonly digits: BigInt64Array;
}

/** First token of each word within a sentence. */
const firstTokens = (tokenizer: Tokenizer, words: readonly string[]): number[] =>
  words.map((word) => tokenizer.encode(` ${word}`)[0]!);

/** Looks the words up. */
export function worldWords(tokenizer: Tokenizer): WorldWords {
  const nouns = NOUNS.map(({ name }) => name);
  const singular = firstTokens(tokenizer, nouns);
  const plural = firstTokens(
    tokenizer,
    NOUNS.map(({ plural }) => plural),
  );
  const digits = Array.from({ length: 10 }, (_, digit) => tokenizer.encode(` [0.${digit}`).at(-1)!);
  const [no, yes, ...edges] = firstTokens(tokenizer, ['no', 'yes', 'left', 'top', 'right', 'bottom']);
  const ids = (tokens: readonly number[]): BigInt64Array => BigInt64Array.from(tokens, BigInt);
  return {
    patches: {
      nouns: ids(singular),
      plurals: ids(plural),
      colors: ids(firstTokens(tokenizer, COLOR_NAMES)),
    },
    digits: ids(digits),
    probes: {
      nouns: new Map(nouns.map((noun, i) => [noun, { singular: singular[i]!, plural: plural[i]! }])),
      nounOf: new Map([singular, plural].flatMap((tokens) => tokens.map((id, i) => [id, nouns[i]!] as const))),
      yes: yes!,
      no: no!,
      edges,
      digits,
    },
  };
}
