/** What a tokenizer does to the text between added tokens: from tokenizer.json here, from tokenizer.model next door. */
import { withinTime } from './split/bounded.js';
import { type BpeJson, BpeModel } from './split/bpe.js';
import { readNormalizer } from './split/normalizers.js';
import { readPreTokenizer } from './split/pre-tokenizers.js';

/** Turns texts without added tokens into ids. */
export interface TokenizerEngine {
  /** The text as the vocabulary sees it. */
  normalize(text: string): string;
  /** Ids of a normalised text; `first` says that the whole text begins here. */
  encode(normalized: string, first: boolean): number[];
  /** Ids of all pieces. */
  readonly ids: ReadonlyMap<string, number>;
  /** Sees to it that no text becomes one of these pieces. */
  withhold(pieces: Iterable<string>): void;
}

/** The engine of a tokenizer.json. */
export function jsonEngine(json: {
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly model: BpeJson;
}): TokenizerEngine {
  const normalizer = readNormalizer(json.normalizer);
  const preTokenizer = readPreTokenizer(json.pre_tokenizer);
  const model = new BpeModel(json.model);
  return {
    normalize: (text) => withinTime(normalizer.patterns, text, () => normalizer.normalize(text)),
    encode(text, first) {
      const words = withinTime(preTokenizer.patterns, text, () => preTokenizer.split(text, first));
      const ids: number[] = [];
      for (const word of words) for (const id of model.encode(word)) ids.push(id);
      return ids;
    },
    ids: model.ids,
    withhold: (pieces) => model.withhold(pieces),
  };
}
