/** Adds the tokens that carry a picture (Shikra's three) to the tokenizer files of a language model. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CommError } from '../../config/errors.js';
import type { ImageTokensConfig } from '../../config/model.js';
import { writeJson } from '../../files/durable.js';
import { Tokenizer } from '../../text/tokenizer.js';
import { copyTokenizer } from '../comm-folder.js';
import { readFolderJson } from './hf-config.js';

/** Spellings in the order of their ids. */
const SPELLINGS = ['<im_patch>', '<im_start>', '<im_end>'] as const;

/** A tokenizer that knows the picture tokens. */
export interface ExtendedTokenizer {
  readonly imageTokens: ImageTokensConfig;
  /** Tokens before; ids from here on are new. */
  readonly numKnown: number;
  /** Rows that an embedding needs. */
  readonly vocabSize: number;
}

/**
 * Copies the tokenizer files of `from` to `to` and adds what is missing of the picture tokens behind the largest id. Throws
 * a CommError for a tokenizer with more tokens than the language model's embedding has rows.
 */
export async function addImageTokens(from: string, to: string, numRows: number): Promise<ExtendedTokenizer> {
  const before = await Tokenizer.load(from);
  if (before.vocabSize > numRows) {
    throw new CommError(
      `The tokenizer in ${from} has ${before.vocabSize} tokens, the language model only ${numRows}.`,
      {
        code: 'weights/tokenizer',
        fix: 'Check that the tokenizer and the weights belong to the same model.',
      },
    );
  }
  const ids = new Map<string, number>();
  let next = before.vocabSize;
  for (const spelling of SPELLINGS) ids.set(spelling, before.addedTokens.get(spelling) ?? next++);
  mkdirSync(to, { recursive: true });
  copyTokenizer(from, to);
  const fresh = [...ids].filter(([, id]) => id >= before.vocabSize);
  if (fresh.length > 0) writeTokens(to, fresh);
  const after = await Tokenizer.load(to);
  for (const [spelling, id] of ids) {
    if (after.addedTokens.get(spelling) === id) continue;
    throw new CommError(`The tokenizer in ${from} cannot be given the token ${spelling}.`, {
      code: 'weights/tokenizer',
      fix: 'Use a language model whose tokenizer is a tokenizer.json or a tokenizer.model.',
    });
  }
  const [patchId, startId, endId] = SPELLINGS.map((spelling) => ids.get(spelling)!) as [number, number, number];
  return {
    imageTokens: { kind: 'wrapped', patchId, startId, endId },
    numKnown: before.vocabSize,
    vocabSize: after.vocabSize,
  };
}

const describe = (content: string): object => ({
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

/** The files were read as a tokenizer before, so they are JSON objects. */
function writeTokens(folder: string, tokens: readonly (readonly [string, number])[]): void {
  const edit = (name: string, change: (json: Record<string, unknown>) => void, create = false): void => {
    const path = join(folder, name);
    if (!existsSync(path) && !create) return;
    const json = existsSync(path) ? readFolderJson(folder, name) : {};
    change(json);
    writeJson(path, json);
  };
  edit('tokenizer.json', (json) => {
    const added = (json['added_tokens'] ?? []) as object[];
    json['added_tokens'] = [...added, ...tokens.map(([content, id]) => ({ id, ...describe(content) }))];
  });
  // Beside tokenizer.model this is where tokens are added.
  edit(
    'added_tokens.json',
    (json) => Object.assign(json, Object.fromEntries(tokens)),
    !existsSync(join(folder, 'tokenizer.json')),
  );
  edit('tokenizer_config.json', (json) => {
    const decoder = json['added_tokens_decoder'];
    if (typeof decoder !== 'object' || decoder === null) return;
    for (const [content, id] of tokens) (decoder as Record<string, unknown>)[String(id)] = describe(content);
  });
}
