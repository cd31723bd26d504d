/** Ids of added tokens, read from the tokenizer's files of a folder without building the tokenizer. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CommError } from '../config/errors.js';
import { readFolderJson } from './hf-config.js';

/** The ids of the spellings, in their order; throws a CommError for one that no file names. */
export function addedTokenIds(folder: string, spellings: readonly string[]): number[] {
  const ids = new Map<string, number>();
  const has = (name: string): boolean => existsSync(join(folder, name));
  if (has('added_tokens.json')) {
    for (const [spelling, id] of Object.entries(readFolderJson(folder, 'added_tokens.json')))
      ids.set(spelling, Number(id));
  }
  if (has('tokenizer.json')) {
    const { added_tokens: added } = readFolderJson(folder, 'tokenizer.json');
    for (const { content, id } of (added ?? []) as { content?: string; id?: number }[]) {
      if (typeof content === 'string' && typeof id === 'number') ids.set(content, id);
    }
  }
  return spellings.map((spelling) => {
    const id = ids.get(spelling);
    if (Number.isInteger(id)) return id as number;
    throw new CommError(`The tokenizer in ${folder} has no token ${spelling}.`, {
      code: 'weights/tokens',
      fix: 'Get added_tokens.json, or tokenizer.json, of the same model.',
    });
  });
}
