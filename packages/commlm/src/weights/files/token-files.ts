/** Ids of added tokens, read from the tokenizer's files of a folder without building the tokenizer. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CommError } from '../../config/errors.js';
import { isTokenId } from '../../text/split/bpe.js';
import { readFolderJson } from './hf-config.js';

/** The ids of the spellings, in their order; throws a CommError for one that no file names. */
export function addedTokenIds(folder: string, spellings: readonly string[]): number[] {
  const ids = new Map<unknown, unknown>();
  const table = (name: string): Record<string, unknown> =>
    existsSync(join(folder, name)) ? readFolderJson(folder, name) : {};
  for (const [spelling, id] of Object.entries(table('added_tokens.json'))) ids.set(spelling, id);
  const listed = table('tokenizer_config.json')['added_tokens_decoder'] ?? {};
  for (const [id, token] of Object.entries(listed)) ids.set(token?.content, Number(id));
  const { added_tokens: added = [] } = table('tokenizer.json');
  if (Array.isArray(added)) for (const token of added) ids.set(token?.content, token?.id);
  return spellings.map((spelling) => {
    const id = ids.get(spelling);
    if (isTokenId(id)) return id;
    throw new CommError(
      id === undefined
        ? `The tokenizer in ${folder} has no token ${spelling}.`
        : `The tokenizer in ${folder} gives ${spelling} the id ${JSON.stringify(id)}.`,
      { code: 'weights/tokens', fix: 'Get added_tokens.json, or tokenizer.json, of the same model.' },
    );
  });
}
