/**
 * Text <-> token ids, over the tokenizer.json of a model folder.
 *
 * The library's own `encode` turns every spelling of a special token into that token, so a user who types `</s>` or
 * `<im_patch>` would end the turn or forge picture tokens. Here the two are kept apart: `encode` treats all of its text
 * as plain text, and special tokens get into a sequence by id only (`encodeParts`).
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { CommError } from '../config/errors.js';
import { fromByteLetters } from './byte-letters.js';
import { SentencePieceModel } from './sentencepiece.js';
import { describeSentencePiece, sentencePieceEngine, type TokenizerEngine } from './sentencepiece-tokenizer.js';

/** A stretch of plain text, or the id of a special token that splits the text around it. */
export type TokenPart = string | number;

/** Ids of a sequence of parts, each tied to the part it came from. */
export interface EncodedParts {
  readonly ids: number[];
  /** For each token, the index of its part; a token across a border belongs to the part of its last byte. */
  readonly parts: number[];
}

/** Options of decoding. */
export interface DecodeOptions {
  /** Leave special tokens out; true by default. */
  readonly skipSpecial?: boolean;
  /** Drop white space at the very start, such as the space between `ASSISTANT:` and the answer; false by default. */
  readonly trimStart?: boolean;
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
}

interface Described {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** The fields of tokenizer.json that are read here; the rest is the library's. */
export interface TokenizerJson {
  readonly added_tokens?: readonly AddedToken[];
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly post_processor: unknown;
  readonly decoder: (Described & { readonly decoders?: readonly Described[] }) | null;
  readonly model: {
    readonly type?: string;
    readonly vocab: Readonly<Record<string, number>>;
    readonly byte_fallback?: boolean;
    readonly unk_token?: string | null;
    readonly merges?: readonly (string | readonly [string, string])[];
    readonly [key: string]: unknown;
  };
  readonly [key: string]: unknown;
}

type NamedToken = string | { readonly content: string } | null;

/** The fields of tokenizer_config.json that are read here. */
export interface TokenizerConfig {
  readonly bos_token?: NamedToken;
  readonly eos_token?: NamedToken;
  readonly pad_token?: NamedToken;
  readonly unk_token?: NamedToken;
  readonly chat_template?: string | readonly { readonly name: string; readonly template: string }[];
  readonly [key: string]: unknown;
}

/** What the decoder does with a token string: bytes as printable letters (GPT-2), or pieces with U+2581 (Llama). */
type Spelling = 'byte-level' | 'metaspace';

/** The bytes a token stands for. */
interface TokenBytes {
  readonly bytes: Uint8Array;
  readonly special: boolean;
}

const METASPACE = '\u2581';
const BYTE_TOKEN = /^<0x([0-9A-F]{2})>$/;
// Added tokens of this look (or marked special) are control tokens: a user may not produce them by spelling them.
const MARKUP = /^(?:<.*>|\[.*\]|\{.*\})$/s;

const utf8 = new TextEncoder();

/** Reads `tokenizer.json` and `tokenizer_config.json`; encodes text without ever trusting special spellings in it. */
export class Tokenizer {
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  /** The padding token; where none is named the unknown token (as Vicuna does), else the end token. */
  readonly padId: number;
  readonly unkId: number | undefined;
  /** Number of rows an embedding needs: the largest id plus one. */
  readonly vocabSize: number;
  /** All added tokens, special ones included, by their spelling. */
  readonly addedTokens: ReadonlyMap<string, number>;
  /** Whether a text on its own begins with the begin token, as the reference tokenizer has it. */
  readonly addsBos: boolean;
  /** The chat template of the folder, if it has one. */
  readonly chatTemplate: string | undefined;
  /** The parsed tokenizer_config.json. */
  readonly config: TokenizerConfig;

  readonly #library: TokenizerEngine;
  readonly #spelling: Spelling;
  readonly #byteFallback: boolean;
  readonly #dropsFirstSpace: boolean;
  readonly #addedById: ReadonlyMap<number, AddedToken>;
  readonly #control = new Map<string, number>();
  readonly #controlPattern: RegExp | undefined;
  readonly #plainAddedPattern: RegExp | undefined;
  readonly #bytes = new Map<number, TokenBytes>();

  /**
   * @param json - parsed tokenizer.json of a BPE tokenizer, byte-level or Llama-like
   * @param config - parsed tokenizer_config.json; `{}` where a folder has none
   * @param chatTemplate - text of chat_template.jinja, which goes before the template in `config`
   * @param engine - what splits text in place of the library; for models that tokenizer.json cannot say exactly
   */
  constructor(json: TokenizerJson, config: TokenizerConfig = {}, chatTemplate?: string, engine?: TokenizerEngine) {
    if (json.model?.type !== undefined && json.model.type !== 'BPE') {
      throw new CommError(`Tokenizers of type ${json.model.type} are not supported, only BPE.`, {
        code: 'text/tokenizer-type',
      });
    }
    this.config = config;
    this.#spelling = spellingOf(json);
    this.#byteFallback = json.model.byte_fallback === true;
    this.#dropsFirstSpace = dropsFirstSpace(json);

    const added = json.added_tokens ?? [];
    for (const token of added) {
      if (token.special === true || MARKUP.test(token.content)) this.#control.set(token.content, token.id);
    }
    this.#addedById = new Map(added.map((token) => [token.id, token]));
    this.addedTokens = new Map(added.map((token) => [token.content, token.id]));
    this.#controlPattern = alternation([...this.#control.keys()]);
    this.#plainAddedPattern = alternation(
      [...this.addedTokens.keys()].filter((content) => !this.#control.has(content)),
    );
    this.#library = engine ?? new LibraryTokenizer(withoutMergesInto(json, this.#control), config);

    this.bosId = this.#named(config.bos_token);
    this.eosId = this.#named(config.eos_token);
    this.addsBos = this.bosId !== undefined && (beginsWithSpecial(json, config) ?? engine !== undefined);
    this.unkId = this.#named(config.unk_token ?? json.model.unk_token);
    this.padId = this.#named(config.pad_token) ?? this.unkId ?? this.eosId ?? 0;
    let largest = -1;
    for (const id of Object.values(json.model.vocab)) largest = Math.max(largest, id);
    for (const id of this.#addedById.keys()) largest = Math.max(largest, id);
    this.vocabSize = largest + 1;
    this.chatTemplate = chatTemplate ?? defaultTemplate(config);
  }

  /** Loads the tokenizer of a model folder; throws `text/tokenizer-missing` or `text/tokenizer-invalid`. */
  static async load(folder: string): Promise<Tokenizer> {
    const json = await readText(join(folder, 'tokenizer.json'));
    const model = json === undefined ? await readBytes(join(folder, 'tokenizer.model')) : undefined;
    if (json === undefined && model === undefined) {
      throw new CommError(`There is no tokenizer.json or tokenizer.model in ${folder}.`, {
        code: 'text/tokenizer-missing',
        fix: 'Put the tokenizer.json of the language model into the folder.',
      });
    }
    const config = (await readText(join(folder, 'tokenizer_config.json'))) ?? '{}';
    const template = await readChatTemplate(folder);
    const added = model === undefined ? undefined : await readText(join(folder, 'added_tokens.json'));
    try {
      const settings = JSON.parse(config) as TokenizerConfig;
      if (model === undefined) return new Tokenizer(JSON.parse(json as string) as TokenizerJson, settings, template);
      const more = JSON.parse(added ?? '{}') as Record<string, number>;
      return Tokenizer.fromSentencePiece(model, settings, template, more);
    } catch (error) {
      if (error instanceof CommError) throw error;
      throw new CommError(`The tokenizer in ${folder} cannot be read: ${oneLine(error)}`, {
        code: 'text/tokenizer-invalid',
        cause: error,
      });
    }
  }

  /** The tokenizer of a SentencePiece model (the bytes of tokenizer.model), with tokens that were added to it. */
  static fromSentencePiece(
    bytes: Uint8Array,
    config: TokenizerConfig = {},
    chatTemplate?: string,
    moreTokens: Readonly<Record<string, number>> = {},
  ): Tokenizer {
    // Symbols that look like markup come in by id only, as all control tokens do.
    const model = new SentencePieceModel(bytes, 'tokenizer.model', (symbol) => !MARKUP.test(symbol));
    const described = describeSentencePiece(model, config, moreTokens);
    const engine = sentencePieceEngine(model, config);
    return new Tokenizer(described.json, described.config, chatTemplate, engine);
  }

  /** Ids of plain text: whatever it spells, no special token comes out. `addSpecial` puts the begin token in front where the tokenizer does. */
  encode(text: string, { addSpecial = false }: { addSpecial?: boolean } = {}): number[] {
    const ids = this.#encodeSection(text, 0);
    return addSpecial && this.addsBos ? [this.bosId as number, ...ids] : ids;
  }

  /**
   * Ids of plain texts and special tokens in a row, as the reference tokenizer encodes the same sequence spelled out:
   * neighbouring texts are one text, special tokens split it, and those declared `lstrip` or `rstrip` take the white
   * space beside them. Behind `restartAfter` a text counts as the start of one. Throws `text/offsets` when a text of
   * several parts cannot be tied to its tokens.
   */
  encodeParts(parts: readonly TokenPart[], restartAfter?: number): EncodedParts {
    const encoded: EncodedParts = { ids: [], parts: [] };
    let previous: AddedToken | undefined;
    let section = 0;
    for (let index = 0; index < parts.length; ) {
      const part = parts[index];
      if (typeof part === 'number') {
        encoded.ids.push(part);
        encoded.parts.push(index);
        previous = this.#addedById.get(part);
        section = part === restartAfter ? 0 : section + 1;
        index++;
        continue;
      }
      let end = index;
      while (typeof parts[end] === 'string') end++;
      const next = parts[end];
      const pieces = parts.slice(index, end) as string[];
      if (previous?.rstrip === true) trimPieces(pieces, 'start');
      if (typeof next === 'number' && this.#addedById.get(next)?.lstrip === true) trimPieces(pieces, 'end');
      this.#encodePieces(pieces, index, section, encoded);
      section++;
      index = end;
    }
    return encoded;
  }

  /** Parts of a text whose spellings of special tokens are meant: for templates and files, never for a user's text. */
  splitSpecial(text: string): TokenPart[] {
    const pieces = this.#controlPattern === undefined ? [text] : text.split(this.#controlPattern);
    return pieces.filter((piece) => piece !== '').map((piece) => this.#control.get(piece) ?? piece);
  }

  /** Text of the ids. Bytes that are no UTF-8 become U+FFFD. */
  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    const stream = this.stream(options);
    let text = '';
    for (const id of ids) text += stream.push(id);
    return text + stream.end();
  }

  /** A decoder that takes one id at a time and gives text as soon as whole characters are there. */
  stream(options: DecodeOptions = {}): StreamDecoder {
    return new StreamDecoder((id) => this.#bytesOf(id), this.#dropsFirstSpace, options);
  }

  /** The id of a token by its exact spelling in the vocabulary, special tokens included. */
  tokenToId(token: string): number | undefined {
    return this.addedTokens.get(token) ?? this.#library.token_to_id(token);
  }

  /** The spelling of a token in the vocabulary. */
  idToToken(id: number): string | undefined {
    return this.#addedById.get(id)?.content ?? this.#library.id_to_token(id);
  }

  /** Whether an id is a special or control token, which plain text never becomes. */
  isSpecial(id: number): boolean {
    const token = this.#addedById.get(id);
    return token !== undefined && this.#control.has(token.content);
  }

  /** Whether an added token is declared special; others only look like markup, such as `<think>`. */
  isDeclaredSpecial(id: number): boolean {
    return this.#addedById.get(id)?.special === true;
  }

  #named(token: NamedToken | undefined): number | undefined {
    if (token === undefined || token === null) return undefined;
    return this.tokenToId(typeof token === 'string' ? token : token.content);
  }

  /** Encodes neighbouring pieces as one text and finds the piece of every token by counting bytes. */
  #encodePieces(pieces: readonly string[], firstPart: number, section: number, into: EncodedParts): void {
    const ids = this.#encodeSection(pieces.join(''), section);
    const ends = pieces.length > 1 ? this.#pieceEnds(pieces, ids) : [];
    let byte = 0;
    let piece = 0;
    for (const id of ids) {
      byte += this.#bytesOf(id).bytes.length;
      while (piece < pieces.length - 1 && byte > (ends[piece] ?? 0)) piece++;
      into.ids.push(id);
      into.parts.push(firstPart + piece);
    }
  }

  /** The byte, counted over the tokens, at which every piece ends. */
  #pieceEnds(pieces: readonly string[], ids: readonly number[]): number[] {
    const total = ids.reduce((sum, id) => sum + this.#bytesOf(id).bytes.length, 0);
    const prefix = this.#normalizedLength('');
    let end = 0;
    const ends = pieces.map((piece, index) => {
      if (index === 0) end += this.#normalizedLength(piece);
      else if (piece !== '') end += this.#normalizedLength(piece) - prefix;
      return end;
    });
    // A Metaspace pre-tokenizer may put one space in front that the normaliser does not show.
    const shift = total - end;
    if (shift !== 0 && shift !== 1) {
      throw new CommError(`The tokenizer changes the text, so its tokens cannot be tied to it: "${pieces.join('')}".`, {
        code: 'text/offsets',
      });
    }
    return ends.map((value) => value + shift);
  }

  #normalizedLength(piece: string): number {
    const normalized = this.#normalize(piece);
    return utf8.encode(this.#spelling === 'metaspace' ? normalized.replaceAll(METASPACE, ' ') : normalized).length;
  }

  #normalize(text: string): string {
    const { normalizer } = this.#library;
    return normalizer === null ? text : normalizer._call(text);
  }

  /** Ids of one text between special tokens; some tokenizers put a space before the first section only. */
  #encodeSection(text: string, section: number): number[] {
    if (text === '') return [];
    const normalized = this.#normalize(text);
    const pieces = this.#plainAddedPattern === undefined ? [normalized] : normalized.split(this.#plainAddedPattern);
    return pieces
      .filter((piece) => piece !== '')
      .flatMap((piece) => {
        const added = this.addedTokens.get(piece);
        return added !== undefined && !this.#control.has(piece) ? [added] : this.#encodeWords(piece, section);
      });
  }

  #encodeWords(text: string, section: number): number[] {
    const { pre_tokenizer: preTokenizer, model } = this.#library;
    if (model === null) return [];
    const words: string[] = preTokenizer === null ? [text] : preTokenizer._call(text, { section_index: section });
    const tokens: string[] = words.flatMap((word) => model._call(this.#control.has(word) ? [...word] : [word]));
    return tokens.map((token) => model.tokens_to_ids.get(token) ?? this.unkId ?? 0);
  }

  #bytesOf(id: number): TokenBytes {
    const known = this.#bytes.get(id);
    if (known !== undefined) return known;
    const bytes = this.#spellBytes(id);
    this.#bytes.set(id, bytes);
    return bytes;
  }

  #spellBytes(id: number): TokenBytes {
    const token = this.idToToken(id) ?? '';
    if (this.#addedById.has(id)) return { bytes: utf8.encode(token), special: this.isSpecial(id) };
    if (this.#spelling === 'byte-level') return { bytes: fromByteLetters(token), special: false };
    const byte = this.#byteFallback ? BYTE_TOKEN.exec(token) : null;
    const bytes =
      byte === null ? utf8.encode(token.replaceAll(METASPACE, ' ')) : Uint8Array.of(Number.parseInt(byte[1] ?? '', 16));
    return { bytes, special: false };
  }
}

/** Turns ids into text one by one: never half a character, spaces as in one go. Made by `Tokenizer.stream`. */
export class StreamDecoder {
  readonly #bytesOf: (id: number) => TokenBytes;
  readonly #skipSpecial: boolean;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #dropSpace: boolean;
  #trimming: boolean;

  constructor(bytesOf: (id: number) => TokenBytes, dropFirstSpace: boolean, options: DecodeOptions) {
    this.#bytesOf = bytesOf;
    this.#skipSpecial = options.skipSpecial ?? true;
    this.#dropSpace = dropFirstSpace;
    this.#trimming = options.trimStart ?? false;
  }

  /** Adds a token and returns the text that is complete now, perhaps none. */
  push(id: number): string {
    const { bytes, special } = this.#bytesOf(id);
    return special && this.#skipSpecial ? '' : this.#emit(this.#decoder.decode(bytes, { stream: true }));
  }

  /** Ends the text; an unfinished character becomes U+FFFD. */
  end(): string {
    return this.#emit(this.#decoder.decode());
  }

  #emit(text: string): string {
    let out = text;
    if (this.#dropSpace && out !== '') {
      // Llama-like tokenizers put one space in front of every text; decoding takes it off again.
      this.#dropSpace = false;
      if (out.startsWith(' ')) out = out.slice(1);
    }
    if (this.#trimming) {
      out = out.trimStart();
      this.#trimming = out === '';
    }
    return out;
  }
}

function spellingOf(json: TokenizerJson): Spelling {
  const { decoder } = json;
  const types = decoder === null ? [] : [decoder.type, ...(decoder.decoders ?? []).map((inner) => inner.type)];
  if (types.includes('ByteLevel')) return 'byte-level';
  if (types.some((type) => type === 'Metaspace' || type === 'ByteFallback')) return 'metaspace';
  throw new CommError(`Tokenizers that decode by ${types.join(' + ') || 'nothing'} are not supported.`, {
    code: 'text/tokenizer-type',
  });
}

/** Whether decoding takes one space off the start: by a Strip step, or by a Metaspace one that put it there. */
function dropsFirstSpace({ decoder }: TokenizerJson): boolean {
  const steps = decoder === null ? [] : [decoder, ...(decoder.decoders ?? [])];
  return steps.some((step) => {
    if (step.type === 'Strip') return step['start'] !== 0;
    if (step.type !== 'Metaspace') return false;
    const scheme = step['prepend_scheme'] ?? (step['add_prefix_space'] === false ? 'never' : 'always');
    return scheme !== 'never';
  });
}

/** Whether the tokenizer puts a special token before a text: `add_bos_token` of the config, else its post-processor; undefined when neither says so. */
function beginsWithSpecial({ post_processor: post }: TokenizerJson, config: TokenizerConfig): boolean | undefined {
  const stated = config['add_bos_token'];
  if (typeof stated === 'boolean') return stated;
  const outer = post as (Described & { readonly processors?: readonly Described[] }) | null | undefined;
  const template = [outer, ...(outer?.processors ?? [])].find((step) => step?.type === 'TemplateProcessing');
  const single = template?.['single'];
  if (!Array.isArray(single)) return undefined;
  return typeof single[0] === 'object' && single[0] !== null && 'SpecialToken' in single[0];
}

/** The same tokenizer without merges that would build the spelling of a control token out of plain text. */
function withoutMergesInto(json: TokenizerJson, control: ReadonlyMap<string, number>): TokenizerJson {
  const merges = json.model.merges?.filter((merge) => {
    const [left = '', right = ''] = typeof merge === 'string' ? merge.split(' ', 2) : merge;
    return !control.has(left + right);
  });
  return merges === undefined ? json : { ...json, model: { ...json.model, merges } };
}

/** A pattern with one group that finds the longest of the spellings; none for an empty list. */
function alternation(spellings: readonly string[]): RegExp | undefined {
  if (spellings.length === 0) return undefined;
  const longestFirst = spellings.toSorted((a, b) => b.length - a.length);
  return new RegExp(`(${longestFirst.map((s) => s.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')})`, 'u');
}

function trimPieces(pieces: string[], side: 'start' | 'end'): void {
  const order = side === 'start' ? pieces.keys() : [...pieces.keys()].reverse();
  for (const index of order) {
    const piece = pieces[index] ?? '';
    const trimmed = side === 'start' ? piece.trimStart() : piece.trimEnd();
    pieces[index] = trimmed;
    if (trimmed !== '') return;
  }
}

/** `chat_template.jinja`, or `chat_template.json` as older processors of pictures and text wrote it. */
async function readChatTemplate(folder: string): Promise<string | undefined> {
  const text = await readText(join(folder, 'chat_template.jinja'));
  if (text !== undefined) return text;
  const json = await readText(join(folder, 'chat_template.json'));
  if (json === undefined) return undefined;
  try {
    const { chat_template: template } = JSON.parse(json) as { chat_template?: unknown };
    return typeof template === 'string' ? template : undefined;
  } catch (error) {
    throw new CommError(`${join(folder, 'chat_template.json')} is not valid JSON.`, {
      code: 'text/tokenizer-invalid',
      fix: 'Get the file again.',
      cause: error,
    });
  }
}

function defaultTemplate({ chat_template: template }: TokenizerConfig): string | undefined {
  if (template === undefined || typeof template === 'string') return template;
  return template.find((entry) => entry.name === 'default')?.template;
}

/** The first line of an error's message. */
const oneLine = (error: unknown): string => String((error as Error).message).split('\n', 1)[0] ?? '';

async function readBytes(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
