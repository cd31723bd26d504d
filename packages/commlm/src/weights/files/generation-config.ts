/** `generation_config.json`: which ids end an answer. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readFolderJson, readForeign } from './hf-config.js';

const Id = z.int().nonnegative();
const Ends = z.looseObject({ eos_token_id: z.union([Id, z.array(Id)]).nullish() });
const Settings = Ends.extend({ max_new_tokens: z.int().positive().nullish() });

/** What a model folder says of generation. */
export interface GenerationSettings {
  /** Ids that end an answer; empty when the folder names none. */
  readonly eosIds: readonly number[];
  readonly maxNewTokens?: number;
}

/**
 * Reads `generation_config.json`, whose `eos_token_id` may be one id or several (Llama 3, Qwen); where that file is
 * missing or names none, config.json and its `text_config` are asked. Throws a CommError for values that are no ids.
 */
export function readGenerationConfig(folder: string): GenerationSettings {
  const name = 'generation_config.json';
  const settings = existsSync(join(folder, name))
    ? readForeign(Settings, readFolderJson(folder, name), join(folder, name))
    : {};
  const stated = settings.eos_token_id ?? modelEnds(folder);
  const { max_new_tokens: maxNewTokens } = settings;
  return {
    eosIds: [...new Set([stated ?? []].flat())],
    ...(maxNewTokens === undefined || maxNewTokens === null ? {} : { maxNewTokens }),
  };
}

function modelEnds(folder: string): number | readonly number[] | null | undefined {
  if (!existsSync(join(folder, 'config.json'))) return undefined;
  const json = readFolderJson(folder, 'config.json');
  const source = join(folder, 'config.json');
  const own = readForeign(Ends, json, source).eos_token_id;
  const text = json['text_config'];
  return own ?? (typeof text === 'object' && text !== null ? readForeign(Ends, text, source).eos_token_id : undefined);
}
