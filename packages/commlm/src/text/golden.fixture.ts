/** The golden files of `tests/golden/text`; for tests only. */
import { readFileSync } from 'node:fs';
import { Tokenizer } from './tokenizer.js';
import type { TokenizerConfig, TokenizerJson } from './tokenizer-files.js';

/** A conversation with its ids and labels, as the Python `tokenizers` library encodes it. */
export interface GoldenConversation {
  /** Questions may hold `<image>`. */
  readonly turns: readonly { readonly question: string; readonly answer: string }[];
  readonly imageTokens: number;
  readonly imageStyle: 'shikra' | 'llava-1.5';
  readonly ids: readonly number[];
  readonly labels: readonly number[];
}

/** One tokenizer with what the Python library makes of it; written by tools/golden/conversation.py. */
export interface GoldenTokenizer {
  readonly name: string;
  readonly tokenizerJson: TokenizerJson;
  readonly tokenizerConfig: TokenizerConfig;
  /** Special spellings are special tokens in `ids`, plain text in `plain`; `decoded` belongs to `plain`. */
  readonly texts: readonly { text: string; ids: number[]; plain: number[]; decoded: string }[];
  readonly conversations: readonly GoldenConversation[];
  readonly chat: { readonly template: string; readonly cases: readonly { messages: unknown[]; text: string }[] };
}

/** Reads one of the JSON files. */
export function readTextGolden<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../../../tests/golden/text/${name}.json`, import.meta.url), 'utf8')) as T;
}

/** The tokenizer of a golden entry. */
export function goldenTokenizer(golden: GoldenTokenizer): Tokenizer {
  return new Tokenizer(golden.tokenizerJson, golden.tokenizerConfig);
}

/** Fixed lines in the manner of the synthetic world. */
export function goldenCorpus(): string[] {
  const nouns = [
    'dog',
    'cat',
    'horse',
    'elephant',
    'rabbit',
    'cow',
    'pig',
    'duck',
    'fish',
    'bus',
    'car',
    'bicycle',
    'apple',
  ];
  const colors = ['red', 'green', 'blue', 'yellow'];
  let state = 1;
  const random = (n: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const pick = (list: readonly string[]): string => list[random(list.length)]!;
  const box = (): string => `[${Array.from({ length: 4 }, () => `0.${100 + random(900)}`).join(',')}]`;
  return Array.from({ length: 200 }, () => [
    `Is there a ${pick(nouns)} in the image? please answer yes or no.`,
    `The answer is ${random(2) === 0 ? 'yes' : 'no'}.`,
    `A ${pick(colors)} ${pick(nouns)} ${box()} and a ${pick(nouns)} ${box()}.`,
    `How many ${pick(nouns)}s are there? The answer is ${random(10)}.`,
    `Can you point out the ${pick(colors)} ${pick(nouns)} in the image? Answer: ${box()}.`,
  ]).flat();
}
