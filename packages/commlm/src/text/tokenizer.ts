/**
 * Text <-> token ids, as the tokenizer.json (or tokenizer.model) of a model folder has it.
 *
 * The reference turns every spelling of a special token into that token, so a user who types `</s>` or `<im_patch>`
 * would end the turn or forge picture tokens. Here the two are kept apart: `encode` treats all of its text as plain
 * text, and special tokens get into a sequence by id only (`encodeParts`).
 */
import { CommError } from '../config/errors.js';
import { type AddedToken, addedTokensOf, type NamedToken } from './added-tokens.js';
import { fromByteLetters } from './byte-letters.js';
import { type Decoding, readDecoding, type SpaceDrop } from './decoding.js';
import { SentencePieceModel } from './sentencepiece.js';
import { describeSentencePiece, sentencePieceEngine } from './sentencepiece-tokenizer.js';
import { readSteps, refuseTokenizer } from './split/json-step.js';
import { leadingSpace, trailingSpace } from './split/normalizers.js';
import { TokenFinder, type TokenSpan } from './token-finder.js';
import { jsonEngine, type TokenizerEngine } from './tokenizer-engine.js';
import { readTokenizerFiles, type TokenizerConfig, type TokenizerJson } from './tokenizer-files.js';

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

  readonly #engine: TokenizerEngine;
  readonly #decoding: Decoding;
  readonly #addedById: ReadonlyMap<number, AddedToken>;
  readonly #tokens: string[] = [];
  readonly #control: ReadonlySet<string>;
  readonly #finders: Finders;
  readonly #bytes = new Map<number, TokenBytes>();

  /**
   * @param json - parsed tokenizer.json of a BPE tokenizer, byte-level or Llama-like
   * @param config - parsed tokenizer_config.json; `{}` where a folder has none
   * @param chatTemplate - text of chat_template.jinja, which goes before the template in `config`
   * @param engine - what splits text in place of tokenizer.json; for models that it cannot say exactly
   */
  constructor(json: TokenizerJson, config: TokenizerConfig = {}, chatTemplate?: string, engine?: TokenizerEngine) {
    checkShape(json);
    this.config = config;
    this.#decoding = readDecoding(json.decoder);
    this.#engine = engine ?? jsonEngine(json);
    const { ids } = this.#engine;
    const base = { size: ids.size, idOf: (token: string) => ids.get(token) };
    const added = addedTokensOf(json.added_tokens ?? [], config, base);
    // Special tokens, and those that look like markup, are control tokens: a user may not produce them by spelling them.
    this.#control = new Set(
      added.filter(({ special, content }) => special || MARKUP.test(content)).map(({ content }) => content),
    );
    this.#engine.withhold(this.#control);
    this.#addedById = new Map(added.map((token) => [token.id, token]));
    this.addedTokens = new Map(added.map((token) => [token.content, token.id]));
    for (const [token, id] of ids) this.#tokens[id] = token;
    this.#finders = makeFinders(added, this.#control, this.#engine);

    this.bosId = this.#named(config.bos_token);
    this.eosId = this.#named(config.eos_token);
    this.addsBos = this.bosId !== undefined && (beginsWithSpecial(json, config) ?? engine !== undefined);
    this.unkId = this.#named(config.unk_token ?? (json.model['unk_token'] as NamedToken | undefined));
    this.padId = this.#named(config.pad_token) ?? this.unkId ?? this.eosId ?? 0;
    this.vocabSize = [...this.#addedById.keys()].reduce((size, id) => Math.max(size, id + 1), this.#tokens.length);
    this.chatTemplate = chatTemplate ?? defaultTemplate(config);
  }

  /** Loads the tokenizer of a model folder; throws `text/tokenizer-missing` or `text/tokenizer-invalid`. */
  static async load(folder: string): Promise<Tokenizer> {
    const { json, model, config, chatTemplate } = await readTokenizerFiles(folder);
    return model === undefined
      ? new Tokenizer(json as TokenizerJson, config, chatTemplate)
      : Tokenizer.fromSentencePiece(model, config, chatTemplate);
  }

  /** The tokenizer of a SentencePiece model: the bytes of tokenizer.model. */
  static fromSentencePiece(bytes: Uint8Array, config: TokenizerConfig = {}, chatTemplate?: string): Tokenizer {
    // Symbols that look like markup come in by id only, as all control tokens do.
    const model = new SentencePieceModel(bytes, 'tokenizer.model', (symbol) => !MARKUP.test(symbol));
    const described = describeSentencePiece(model, config, (symbol) => MARKUP.test(symbol));
    const engine = sentencePieceEngine(model, config);
    return new Tokenizer(described.json, described.config, chatTemplate, engine);
  }

  /** Ids of plain text: whatever it spells, no special token comes out. `addSpecial` puts the begin token in front where the tokenizer does. */
  encode(text: string, { addSpecial = false }: { addSpecial?: boolean } = {}): number[] {
    const { ids } = this.encodeParts([text]);
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
      const pieces = (parts.slice(index, end) as string[]).map(wellFormed);
      if (previous?.rstrip === true) trimPieces(pieces, 'start');
      if (typeof next === 'number' && this.#addedById.get(next)?.lstrip === true) trimPieces(pieces, 'end');
      this.#encodePieces(pieces, index, section === 0, encoded);
      section++;
      index = end;
    }
    return encoded;
  }

  /**
   * Parts of a text whose spellings of special tokens are meant: for templates and files, never for a user's text.
   * Throws `text/normalized-special` where the reference finds such a token in the normalised text only.
   */
  splitSpecial(text: string): TokenPart[] {
    const parts: TokenPart[] = [];
    const pushText = (piece: string): void => {
      const last = parts.at(-1);
      if (typeof last === 'string') parts[parts.length - 1] = last + piece;
      else if (piece !== '') parts.push(piece);
    };
    const whole = wellFormed(text);
    for (const { token, start, end } of this.#finders.raw.split(whole)) {
      if (token === undefined) {
        for (const part of this.#splitNormalized(whole.slice(start, end))) {
          if (typeof part === 'number') parts.push(part);
          else pushText(part);
        }
      } else if (this.#control.has(token.content)) parts.push(token.id);
      else pushText(whole.slice(start, end));
    }
    return parts;
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
    return new StreamDecoder((id) => this.#bytesOf(id), this.#decoding.drops, options);
  }

  /** The id of a token by its exact spelling in the vocabulary, special tokens included. */
  tokenToId(token: string): number | undefined {
    return this.addedTokens.get(token) ?? this.#engine.ids.get(token);
  }

  /** The spelling of a token in the vocabulary. */
  idToToken(id: number): string | undefined {
    return this.#addedById.get(id)?.content ?? this.#tokens[id];
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

  /** Control tokens that are looked for in the normalised text, in a text without tokens of the other kind. */
  #splitNormalized(text: string): TokenPart[] {
    const { normalizedControl } = this.#finders;
    if (normalizedControl === undefined) return [text];
    const normalized = this.#engine.normalize(text);
    const parts = partsOf(normalizedControl.normalized.split(normalized), normalized);
    if (parts.every((part) => typeof part === 'string')) return [text];
    const raw = partsOf(normalizedControl.raw.split(text), text);
    const same =
      raw.length === parts.length &&
      raw.every((part, i) => (typeof part === 'string' ? this.#engine.normalize(part) : part) === parts[i]);
    if (same) return raw;
    throw new CommError(`The tokenizer looks for special tokens in changed text, which is not supported: "${text}".`, {
      code: 'text/normalized-special',
      fix: 'Set "normalized" to false for the special tokens in tokenizer.json.',
    });
  }

  /** Encodes neighbouring pieces as one text; every token gets the part of its last byte. */
  #encodePieces(pieces: readonly string[], firstPart: number, first: boolean, into: EncodedParts): void {
    const text = pieces.join('');
    const cuts: Cut[] = [];
    pieces.forEach((piece, i) => {
      cuts.push({ end: (cuts.at(-1)?.end ?? 0) + piece.length, part: firstPart + i });
    });
    for (const { token, start, end } of this.#finders.plainRaw.split(text)) {
      if (token === undefined) {
        const inside = cuts.map((cut) => ({ ...cut, end: Math.min(cut.end, end) - start }));
        this.#encodeStretch(text.slice(start, end), inside, first && start === 0, into);
      } else {
        into.ids.push(token.id);
        into.parts.push(partAt(cuts, end));
      }
    }
  }

  /** Encodes a text without raw added tokens; `cuts` are its parts. */
  #encodeStretch(text: string, cuts: readonly Cut[], first: boolean, into: EncodedParts): void {
    const normalized = this.#engine.normalize(text);
    const bytes = cuts.length > 1 ? this.#normalizedCuts(text, normalized, cuts) : cuts;
    const push = (id: number, end: number): void => {
      into.ids.push(id);
      into.parts.push(partAt(bytes, end));
    };
    let done = 0;
    for (const { token, start, end } of this.#finders.plainNormalized.split(normalized)) {
      const length = this.#visibleLength(normalized.slice(start, end));
      if (token === undefined) {
        const ids = this.#engine.encode(normalized.slice(start, end), first && start === 0);
        if (cuts.length === 1) for (const id of ids) push(id, 0);
        else this.#pushCounted(ids, done, length, text, push);
      } else push(token.id, done + length);
      done += length;
    }
  }

  /** Pushes ids with the byte at which each ends. A pre-tokenizer may put one space in front that is not in the text. */
  #pushCounted(
    ids: readonly number[],
    start: number,
    length: number,
    text: string,
    push: (id: number, end: number) => void,
  ): void {
    const total = ids.reduce((sum, id) => sum + this.#bytesOf(id).bytes.length, 0);
    if (total !== length && total !== length + 1) {
      throw new CommError(`The tokenizer changes the text, so its tokens cannot be tied to it: "${text}".`, {
        code: 'text/offsets',
      });
    }
    let byte = start + length - total;
    for (const id of ids) {
      byte += this.#bytesOf(id).bytes.length;
      push(id, byte);
    }
  }

  /** Where the parts end in the normalised text, in bytes. */
  #normalizedCuts(text: string, normalized: string, cuts: readonly Cut[]): Cut[] {
    return cuts.map(({ end, part }) => ({
      end: this.#visibleLength(
        end >= text.length ? normalized : this.#engine.normalize(text.slice(0, Math.max(end, 0))),
      ),
      part,
    }));
  }

  /** Bytes of a normalised text as decoding shows it. */
  #visibleLength(normalized: string): number {
    const shown = this.#decoding.spelling === 'metaspace' ? normalized.replaceAll(METASPACE, ' ') : normalized;
    return utf8.encode(shown).length;
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
    if (this.#addedById.has(id)) return { bytes: utf8.encode(token), special: this.isDeclaredSpecial(id) };
    if (this.#decoding.spelling === 'byte-level') return { bytes: fromByteLetters(token), special: false };
    const byte = this.#decoding.byteFallback ? BYTE_TOKEN.exec(token) : null;
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
  #drop: SpaceDrop;
  #trimming: boolean;

  constructor(bytesOf: (id: number) => TokenBytes, drop: SpaceDrop, options: DecodeOptions) {
    this.#bytesOf = bytesOf;
    this.#skipSpecial = options.skipSpecial ?? true;
    this.#drop = drop;
    this.#trimming = options.trimStart ?? false;
  }

  /** Adds a token and returns the text that is complete now, perhaps none. */
  push(id: number): string {
    const { bytes, special } = this.#bytesOf(id);
    if (special && this.#skipSpecial) return '';
    let kept = bytes;
    if (this.#drop === 'first token') {
      kept = bytes.filter((byte) => byte !== 0x20);
      this.#drop = 'none';
    }
    return this.#emit(this.#decoder.decode(kept, { stream: true }));
  }

  /** Ends the text; an unfinished character becomes U+FFFD. */
  end(): string {
    return this.#emit(this.#decoder.decode());
  }

  #emit(text: string): string {
    let out = text;
    if (this.#drop === 'one' && out !== '') {
      // Llama-like tokenizers put one space in front of every text; decoding takes it off again.
      this.#drop = 'none';
      if (out.startsWith(' ')) out = out.slice(1);
    }
    if (this.#trimming) {
      out = out.trimStart();
      this.#trimming = out === '';
    }
    return out;
  }
}

/** Whether the tokenizer puts a special token before a text: `add_bos_token` of the config, else its post-processor; undefined when neither says so. */
function beginsWithSpecial({ post_processor: post }: TokenizerJson, config: TokenizerConfig): boolean | undefined {
  const stated = config['add_bos_token'];
  if (typeof stated === 'boolean') return stated;
  const template = readSteps(post, 'post_processor', 'processors').find(({ type }) => type === 'TemplateProcessing');
  const single = template?.['single'];
  if (!Array.isArray(single)) return undefined;
  return typeof single[0] === 'object' && single[0] !== null && 'SpecialToken' in single[0];
}

function checkShape(json: TokenizerJson): void {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) refuseTokenizer('holds no tokenizer');
  if (typeof json.model !== 'object' || json.model === null) refuseTokenizer('has no model');
  if (json.added_tokens !== undefined && !Array.isArray(json.added_tokens))
    refuseTokenizer('has added_tokens that are no list');
  const type = json.model.type ?? 'BPE';
  if (type !== 'BPE') {
    throw new CommError(`Tokenizers of type ${type} are not supported, only BPE.`, {
      code: 'text/tokenizer-type',
      fix: 'Use a model with a BPE tokenizer.',
    });
  }
}

/** The searches that a text goes through. */
interface Finders {
  /** Tokens that are found in the text as it is; of a trusted text, and of a user's. */
  readonly raw: TokenFinder;
  readonly plainRaw: TokenFinder;
  /** Tokens that are found in the normalised text of a user. */
  readonly plainNormalized: TokenFinder;
  /** The same for control tokens, with the search for their plain spelling; none where there are no such tokens. */
  readonly normalizedControl: { readonly normalized: TokenFinder; readonly raw: TokenFinder } | undefined;
}

function makeFinders(added: readonly AddedToken[], control: ReadonlySet<string>, engine: TokenizerEngine): Finders {
  const normalize = (token: AddedToken): string => engine.normalize(token.content);
  const [raw, normalized] = [added.filter((t) => !t.normalized), added.filter((t) => t.normalized)];
  const plain = (token: AddedToken): boolean => !control.has(token.content);
  return {
    raw: new TokenFinder(raw),
    plainRaw: new TokenFinder(raw.filter(plain)),
    plainNormalized: new TokenFinder(normalized.filter(plain), normalize),
    normalizedControl: normalized.every(plain)
      ? undefined
      : { normalized: new TokenFinder(normalized, normalize), raw: new TokenFinder(normalized) },
  };
}

const partsOf = (spans: readonly TokenSpan[], text: string): TokenPart[] =>
  spans.map(({ token, start, end }) => token?.id ?? text.slice(start, end));

/** Where a part ends in a text. */
interface Cut {
  readonly end: number;
  readonly part: number;
}

/** The part that holds the unit before `end`. */
const partAt = (cuts: readonly Cut[], end: number): number =>
  (cuts.find((cut) => cut.end >= end) ?? (cuts.at(-1) as Cut)).part;

/** What is no Unicode text (half a surrogate pair) becomes U+FFFD, as its bytes would. */
const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd');

function trimPieces(pieces: string[], side: 'start' | 'end'): void {
  const order = side === 'start' ? pieces.keys() : [...pieces.keys()].reverse();
  for (const index of order) {
    const piece = pieces[index] ?? '';
    const trimmed = side === 'start' ? piece.slice(leadingSpace(piece)) : piece.slice(0, trailingSpace(piece));
    pieces[index] = trimmed;
    if (trimmed !== '') return;
  }
}

function defaultTemplate({ chat_template: template }: TokenizerConfig): string | undefined {
  if (template === undefined || typeof template === 'string') return template;
  return template.find((entry) => entry.name === 'default')?.template;
}
