/**
 * The token files of a model folder: tokenizer.json or tokenizer.model, tokenizer_config.json, special_tokens_map.json,
 * added_tokens.json and the chat template. The two older files count only where tokenizer_config.json lists no tokens
 * with ids itself, as in the reference.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CommError } from '../config/errors.js';
import { readBytesAsync, readJsonAsync, readTextAsync } from '../files/read.js';
import { type AddedTokenJson, type NamedToken, type NamedTokens, spellingOf } from './added-tokens.js';
import type { BpeJson } from './split/bpe.js';

/** The fields of tokenizer.json. */
export interface TokenizerJson {
  readonly added_tokens?: readonly (AddedTokenJson & { readonly id: number })[];
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly post_processor: unknown;
  readonly decoder: unknown;
  readonly model: BpeJson;
  readonly [key: string]: unknown;
}

/** The fields of tokenizer_config.json that are read here. */
export interface TokenizerConfig extends NamedTokens {
  bos_token?: NamedToken;
  eos_token?: NamedToken;
  pad_token?: NamedToken;
  unk_token?: NamedToken;
  readonly chat_template?: string | readonly { readonly name: string; readonly template: string }[];
}

/** What the files of a folder say. */
export interface TokenizerFiles {
  /** Parsed tokenizer.json, as it is. */
  readonly json: unknown;
  /** Bytes of tokenizer.model, where there is no tokenizer.json. */
  readonly model: Uint8Array | undefined;
  /** tokenizer_config.json with what the older files add to it. */
  readonly config: TokenizerConfig;
  readonly chatTemplate: string | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

/** Reads a folder. @throws CommError `text/tokenizer-missing`, `text/tokenizer-invalid`, or one of a file */
export async function readTokenizerFiles(folder: string): Promise<TokenizerFiles> {
  const has = (name: string): boolean => existsSync(join(folder, name));
  if (!has('tokenizer.json') && !has('tokenizer.model')) {
    throw new CommError(`There is no tokenizer.json or tokenizer.model in ${folder}.`, {
      code: 'text/tokenizer-missing',
      fix: 'Put the tokenizer.json of the language model into the folder.',
    });
  }
  const json = has('tokenizer.json')
    ? await readJsonAsync(join(folder, 'tokenizer.json'), { what: 'the tokenizer' })
    : undefined;
  const model =
    json === undefined ? await readBytesAsync(join(folder, 'tokenizer.model'), { what: 'the tokenizer' }) : undefined;
  const config = (await readTable(folder, 'tokenizer_config.json')) ?? {};
  return {
    json,
    model,
    config: await withOlderFiles(folder, config, json),
    chatTemplate: await readChatTemplate(folder),
  };
}

/** A file with an object in it; undefined where there is none. */
async function readTable(folder: string, name: string): Promise<Fields | undefined> {
  const path = join(folder, name);
  if (!existsSync(path)) return undefined;
  const value = await readJsonAsync(path, { what: 'settings of the tokenizer' });
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw new CommError(`${path} holds no table of settings.`, {
    code: 'text/tokenizer-invalid',
    fix: `Get the ${name} of the model again.`,
  });
}

/**
 * The names of special_tokens_map.json go first; the tokens of added_tokens.json become a list with ids, but for those
 * that tokenizer.json has with their flags.
 */
async function withOlderFiles(folder: string, config: TokenizerConfig, json: unknown): Promise<TokenizerConfig> {
  if (config.added_tokens_decoder !== undefined) return config;
  const map = (await readTable(folder, 'special_tokens_map.json')) ?? {};
  const names = Object.fromEntries(Object.entries(map).filter(([, token]) => token !== '' && token !== null));
  const extras = [...extrasOf(config), ...extrasOf(map)];
  const named: TokenizerConfig = { ...config, ...names, additional_special_tokens: null, extra_special_tokens: extras };
  const added = Object.entries((await readTable(folder, 'added_tokens.json')) ?? {});
  const { added_tokens: inJson } = (json ?? {}) as { added_tokens?: readonly { content?: unknown }[] };
  const known = new Set(Array.isArray(inJson) ? inJson.map((token) => token?.content) : []);
  const special = new Set([...Object.values(named), ...extras].map((token) => spellingOf(token as NamedToken)));
  const listed = added
    .filter(([content]) => !known.has(content))
    .map(([content, id]): [string, AddedTokenJson] => [
      String(id),
      { content, special: special.has(content), normalized: !special.has(content) },
    ]);
  return listed.length === 0 ? named : { ...named, added_tokens_decoder: Object.fromEntries(listed) };
}

function extrasOf(fields: Fields): NamedToken[] {
  return ['additional_special_tokens', 'extra_special_tokens'].flatMap(
    (name) => Object.values(fields[name] ?? []) as NamedToken[],
  );
}

/** `chat_template.jinja`, or `chat_template.json` as older processors of pictures and text wrote it. */
async function readChatTemplate(folder: string): Promise<string | undefined> {
  const path = join(folder, 'chat_template.jinja');
  if (existsSync(path)) return readTextAsync(path, { what: 'the chat template' });
  const template = (await readTable(folder, 'chat_template.json'))?.['chat_template'];
  return typeof template === 'string' ? template : undefined;
}
