/**
 * Added tokens: spellings that are one token wherever they stand in a text, found before the text is split.
 *
 * Which of them there are follows from four files (tokenizer.json, tokenizer_config.json, special_tokens_map.json,
 * added_tokens.json) by the rule of the reference: tokenizer.json first, then what the others list in the order of ids,
 * which also has the last word about flags. The reference numbers new ones by itself; here an id that a file states and
 * that differs is refused, since one of the two would read another row of the embedding than the one that was trained.
 */
import { CommError } from '../config/errors.js';
import { isTokenId } from './split/bpe.js';

/** A spelling that is a token. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  /** Found only where neither side continues a word. */
  readonly singleWord: boolean;
  /** Takes the white space before it, behind it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Found in the normalised text, as its normalised spelling. */
  readonly normalized: boolean;
}

/** An added token as files have it. */
export interface AddedTokenJson {
  readonly id?: number;
  readonly content: string;
  readonly special?: boolean;
  readonly single_word?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly normalized?: boolean;
}

/** A token that a file names: its spelling alone, or with flags. */
export type NamedToken = string | { readonly content: string; readonly [key: string]: unknown } | null;

/** What tokenizer_config.json says about added tokens. */
export interface NamedTokens {
  readonly added_tokens_decoder?: Readonly<Record<string, AddedTokenJson>> | undefined;
  readonly additional_special_tokens?: readonly NamedToken[] | null;
  readonly extra_special_tokens?: readonly NamedToken[] | Readonly<Record<string, NamedToken>> | null;
  readonly [key: string]: unknown;
}

/** What is in the model itself. */
export interface BaseVocabulary {
  readonly size: number;
  idOf(token: string): number | undefined;
}

const FLAGS = ['special', 'single_word', 'lstrip', 'rstrip', 'normalized'] as const;

/** All added tokens. @throws CommError `text/token-id`, `text/token-without-id`, `text/tokenizer-invalid` */
export function addedTokensOf(
  listed: readonly AddedTokenJson[],
  config: NamedTokens,
  base: BaseVocabulary,
): AddedToken[] {
  const tokens = new Map<string, AddedToken>();
  let largest = -1;
  const add = (token: AddedTokenJson, file: string): void => {
    checkToken(token, file);
    if (token.content === '') return;
    const free = largest >= base.size ? largest + 1 : base.size;
    const id = tokens.get(token.content)?.id ?? base.idOf(token.content) ?? free;
    if (token.id !== id) refuseId(token, id, file);
    largest = Math.max(largest, id);
    tokens.set(token.content, { ...withFlags(token), id });
  };
  for (const token of listed) add(token, 'tokenizer.json');
  for (const token of decoderOf(config)) add(token, 'tokenizer_config.json');
  for (const [name, token] of spokenOf(config)) {
    const content = spellingOf(token);
    if (content === undefined || content === '') continue;
    const known = tokens.get(content);
    const id = known?.id ?? base.idOf(content);
    if (id === undefined) refuseNameless(name, content);
    if (known === undefined) add({ ...(typeof token === 'object' ? token : {}), content, id, special: true }, name);
    else if (isNameOfToken(name)) tokens.set(content, { ...known, special: true });
  }
  return [...tokens.values()];
}

/** Tokens with the ids that `added_tokens_decoder` states, in their order. */
function decoderOf({ added_tokens_decoder: decoder }: NamedTokens): AddedTokenJson[] {
  if (decoder === undefined || decoder === null) return [];
  if (typeof decoder !== 'object' || Array.isArray(decoder))
    refuse('has an added_tokens_decoder that is no table of ids');
  return Object.entries(decoder)
    .map(([key, token]) => {
      if (typeof token !== 'object' || token === null) refuse(`gives the id ${key} to ${JSON.stringify(token)}`);
      return { ...token, id: /^\d+$/.test(key) ? Number(key) : (key as unknown as number) };
    })
    .sort((a, b) => a.id - b.id);
}

/** Tokens that a configuration gives a name, such as `eos_token` or `image_token`. */
export function namedTokensOf(config: NamedTokens): [name: string, token: NamedToken][] {
  const { extra_special_tokens: extra } = config;
  const table = typeof extra === 'object' && extra !== null && !Array.isArray(extra) ? extra : {};
  return [...Object.entries(config), ...Object.entries(table)].filter(
    (entry): entry is [string, NamedToken] => isNameOfToken(entry[0]) && entry[1] !== null && entry[1] !== undefined,
  );
}

/** All tokens that a configuration speaks of, each with where it does. */
function spokenOf(config: NamedTokens): [string, NamedToken][] {
  const spoken = namedTokensOf(config);
  for (const list of ['additional_special_tokens', 'extra_special_tokens'] as const) {
    for (const token of Object.values(config[list] ?? [])) spoken.push([list, token as NamedToken]);
  }
  return spoken;
}

/** `bos_token`, `image_token`, but not settings such as `add_bos_token`. */
const isNameOfToken = (field: string): boolean => /_token$/.test(field) && !/^(?:add|use|split|legacy)_/.test(field);

/** The spelling of a named token; undefined for what is no text, such as a setting of a similar name. */
export function spellingOf(token: NamedToken | undefined): string | undefined {
  const spelling = typeof token === 'object' ? token?.content : token;
  return typeof spelling === 'string' ? spelling : undefined;
}

function withFlags(token: AddedTokenJson): Omit<AddedToken, 'id'> {
  const special = token.special ?? false;
  return {
    content: token.content,
    special,
    singleWord: token.single_word ?? false,
    lstrip: token.lstrip ?? false,
    rstrip: token.rstrip ?? false,
    normalized: token.normalized ?? !special,
  };
}

function checkToken(token: AddedTokenJson, file: string): void {
  if (typeof token !== 'object' || token === null || typeof token.content !== 'string')
    refuse(`has the added token ${JSON.stringify(token)}`, file);
  if (!isTokenId(token.id)) refuse(`gives the added token ${token.content} the id ${JSON.stringify(token.id)}`, file);
  for (const flag of FLAGS) {
    if (token[flag] !== undefined && token[flag] !== null && typeof token[flag] !== 'boolean')
      refuse(`has the added token ${token.content} whose ${flag} is neither true nor false`, file);
  }
}

function refuse(why: string, file = 'tokenizer_config.json'): never {
  throw new CommError(`${file} ${why}.`, {
    code: 'text/tokenizer-invalid',
    fix: `Get the ${file} of the model again.`,
  });
}

function refuseId({ content, id }: AddedTokenJson, right: number, file: string): never {
  throw new CommError(
    `${file} gives the added token ${content} the id ${id}, but by the vocabulary and the tokens before it its id is ${right}.`,
    { code: 'text/token-id', fix: 'Get all tokenizer files of the model from one place.' },
  );
}

function refuseNameless(name: string, content: string): never {
  throw new CommError(`The tokenizer files name ${content} as ${name}, but none of them gives it an id.`, {
    code: 'text/token-without-id',
    fix: `Add ${content} to added_tokens_decoder in tokenizer_config.json, or remove ${name}.`,
  });
}
