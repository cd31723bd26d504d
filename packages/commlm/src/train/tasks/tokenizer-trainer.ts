/**
 * Trains a small byte-level BPE tokenizer and writes it as tokenizer.json, so that every tokenizer library reads it.
 *
 * Any text round-trips, as the alphabet is the 256 bytes. Digits always stand alone, and the openings of a coordinate
 * (`[0.`, `,0.` and their kin) are tokens of their own: the 25 letters of `[0.274,0.074,0.714,0.998]` cost 17 tokens,
 * and the model learns one digit a step.
 */
import { BYTE_LETTERS, toByteLetters } from '../../text/byte-letters.js';
import { VICUNA_SYSTEM } from '../../text/conversation.js';
import type { TokenizerConfig, TokenizerJson } from '../../text/tokenizer-files.js';

/** The special tokens of the embedded model, ids 0 to 5. */
export const DEFAULT_SPECIAL_TOKENS = ['<unk>', '<s>', '</s>', '<im_start>', '<im_end>', '<im_patch>'] as const;

/** How the tokenizer is trained. */
export interface TokenizerTrainerOptions {
  /** Number of tokens in all: special ones, 256 bytes, merges. Fewer come out if the lines run out of pairs. */
  readonly vocabSize: number;
  /** Spellings of the special tokens, from id 0; must hold `<unk>`, `<s>` and `</s>`. */
  readonly specialTokens?: readonly string[];
}

/** The two files of a trained tokenizer, ready for `JSON.stringify`. */
export interface TrainedTokenizer {
  readonly tokenizerJson: TokenizerJson;
  readonly tokenizerConfig: TokenizerConfig;
}

// Words of a text, tried in this order: the opening of a coordinate, one digit, a word with its space, one sign with
// its space, white space. No word crosses a digit, so numbers are spelled digit by digit.
const WORD_PATTERN = [
  String.raw` ?\[[01]\.(?=[0-9])`,
  String.raw`[,;][01]\.(?=[0-9])`,
  String.raw`\p{N}`,
  String.raw` ?[\p{L}\p{M}]+`,
  String.raw` ?[^\s\p{L}\p{M}\p{N}]`,
  String.raw`\s+(?!\S)`,
  String.raw`\s+`,
].join('|');

/** Openings of coordinates that are single tokens whatever the lines hold. */
const COORDINATE_OPENINGS = ['[0.', '[1.', ',0.', ',1.', ';0.', ';1.'];

/** Trains on the lines; the same lines and options always give the same tokenizer. */
export function trainTokenizer(lines: Iterable<string>, options: TokenizerTrainerOptions): TrainedTokenizer {
  const specialTokens = options.specialTokens ?? DEFAULT_SPECIAL_TOKENS;
  const tokens = [...specialTokens, ...BYTE_LETTERS.toSorted(byCodeUnit)];
  const merges = new MergeList(options.vocabSize - tokens.length);
  for (const opening of COORDINATE_OPENINGS) merges.addWord([...opening]);
  for (const opening of ['[0.', '[1.']) merges.add(toByteLetters(' '), opening);
  learnMerges(countWords(lines), merges);
  return {
    tokenizerJson: tokenizerJson([...tokens, ...merges.pieces], merges.pairs, specialTokens),
    tokenizerConfig: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      bos_token: '<s>',
      eos_token: '</s>',
      unk_token: '<unk>',
      pad_token: '<unk>',
      clean_up_tokenization_spaces: false,
      model_max_length: 2048,
    },
  };
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Counts the words of the lines, and as often those of the conversation template, which will stand around them. */
function countWords(lines: Iterable<string>): Map<string, number> {
  const pattern = new RegExp(WORD_PATTERN, 'gu');
  const counts = new Map<string, number>();
  const count = (text: string, times: number): void => {
    for (const word of text.match(pattern) ?? []) counts.set(word, (counts.get(word) ?? 0) + times);
  };
  let numLines = 0;
  for (const line of lines) {
    count(line, 1);
    numLines++;
  }
  count(`${VICUNA_SYSTEM} USER: ASSISTANT:`, numLines);
  return counts;
}

type Pair = readonly [left: string, right: string];

/** Merges in the order of their ranks, without repeats and up to a limit. */
class MergeList {
  readonly pairs: Pair[] = [];
  readonly pieces: string[] = [];
  readonly #known = new Set<string>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = Math.max(0, limit);
  }

  get full(): boolean {
    return this.pairs.length >= this.#limit;
  }

  add(left: string, right: string): void {
    if (this.full || this.#known.has(left + right)) return;
    this.#known.add(left + right);
    this.pairs.push([left, right]);
    this.pieces.push(left + right);
  }

  /** Makes a whole word one piece, joining from the left. */
  addWord(letters: readonly string[]): void {
    letters.reduce((left, right) => {
      this.add(left, right);
      return left + right;
    });
  }
}

interface Word {
  pieces: string[];
  readonly count: number;
}

/** Joins the most frequent pair of neighbours again and again; of equal counts the first in code-unit order. */
function learnMerges(counts: ReadonlyMap<string, number>, merges: MergeList): void {
  const words: Word[] = Array.from(counts, ([word, count]) => ({ pieces: [...toByteLetters(word)], count }));
  const pairs = new PairCounts();
  for (const word of words) pairs.addWord(word, 1);
  // The reserved openings come first, so the words are spelled with them before anything is counted.
  for (const [left, right] of merges.pairs) joinEverywhere(left, right, pairs);
  while (!merges.full) {
    const best = pairs.best();
    if (best === undefined) return;
    merges.add(best[0], best[1]);
    joinEverywhere(best[0], best[1], pairs);
  }
}

function joinEverywhere(left: string, right: string, pairs: PairCounts): void {
  for (const word of pairs.wordsWith(left, right)) {
    pairs.addWord(word, -1);
    word.pieces = joinPair(word.pieces, left, right);
    pairs.addWord(word, 1);
  }
}

function joinPair(pieces: readonly string[], left: string, right: string): string[] {
  const joined: string[] = [];
  for (let i = 0; i < pieces.length; i++) {
    const piece = pieces[i] ?? '';
    if (piece === left && pieces[i + 1] === right) {
      joined.push(left + right);
      i++;
    } else {
      joined.push(piece);
    }
  }
  return joined;
}

// A pair is keyed by its two pieces with a space between; a space is never a byte letter.
class PairCounts {
  readonly #counts = new Map<string, number>();
  readonly #words = new Map<string, Set<Word>>();

  addWord(word: Word, sign: 1 | -1): void {
    for (let i = 0; i + 1 < word.pieces.length; i++) {
      const key = `${word.pieces[i]} ${word.pieces[i + 1]}`;
      const count = (this.#counts.get(key) ?? 0) + sign * word.count;
      if (count === 0) {
        this.#counts.delete(key);
        this.#words.delete(key);
        continue;
      }
      this.#counts.set(key, count);
      const holders = this.#words.get(key);
      if (holders === undefined) this.#words.set(key, new Set([word]));
      else holders.add(word);
    }
  }

  wordsWith(left: string, right: string): Word[] {
    return [...(this.#words.get(`${left} ${right}`) ?? [])];
  }

  best(): Pair | undefined {
    let bestKey: string | undefined;
    let bestCount = 1;
    for (const [key, count] of this.#counts) {
      if (count > bestCount || (count === bestCount && bestKey !== undefined && key < bestKey)) {
        bestKey = key;
        bestCount = count;
      }
    }
    if (bestKey === undefined) return undefined;
    const space = bestKey.indexOf(' ');
    return [bestKey.slice(0, space), bestKey.slice(space + 1)];
  }
}

function tokenizerJson(
  tokens: readonly string[],
  merges: readonly Pair[],
  specialTokens: readonly string[],
): TokenizerJson {
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: WORD_PATTERN }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [
        { SpecialToken: { id: '<s>', type_id: 0 } },
        { Sequence: { id: 'A', type_id: 0 } },
        { Sequence: { id: 'B', type_id: 0 } },
      ],
      special_tokens: { '<s>': { id: '<s>', ids: [specialTokens.indexOf('<s>')], tokens: ['<s>'] } },
    },
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges.map(([left, right]) => [left, right] as const),
    },
  };
}
