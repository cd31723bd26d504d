/**
 * SentencePiece models (`tokenizer.model`): BPE and unigram pieces with the normaliser that the file describes.
 *
 * Read here and not converted, since a table of BPE merges cannot say that all ways to build a piece have its one score:
 * the ids are those of the reference library, ties included.
 */
import { CommError } from '../config/errors.js';
import { Charsmap } from './sentencepiece-charsmap.js';
import { ProtoReader } from './sentencepiece-proto.js';

/** What a piece is. */
export type PieceKind = 'normal' | 'unknown' | 'control' | 'user-defined' | 'unused' | 'byte';

/** One entry of the vocabulary; its id is its position. */
export interface Piece {
  readonly text: string;
  readonly score: number;
  readonly kind: PieceKind;
}

const SPACE = '\u2581';
const KINDS: readonly (PieceKind | undefined)[] = [
  undefined,
  'normal',
  'unknown',
  'control',
  'user-defined',
  'unused',
  'byte',
];
const MAX_PIECES = 2_000_000;
/** What the library takes off the lowest score for an unknown character. */
const UNKNOWN_PENALTY = 10;

/** A segment of a text: its id and what it covers. */
interface Segment {
  readonly id: number;
  readonly text: string;
}

/** A parsed model. */
export class SentencePieceModel {
  readonly pieces: readonly Piece[];
  readonly algorithm: 'bpe' | 'unigram';
  readonly byteFallback: boolean;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly unkId: number;
  readonly bosId: number;
  readonly eosId: number;
  readonly padId: number;
  readonly #charsmap: Charsmap | undefined;
  readonly #ids = new Map<string, number>();
  readonly #byteIds: (number | undefined)[] = [];
  readonly #symbols: readonly string[];
  readonly #maxChars: number;
  readonly #minScore: number;
  readonly #maxScore: number;

  /**
   * @param bytes - the file
   * @param name - what errors call it
   * @param isMatched - which user-defined symbols are found in text; by default all
   * @throws CommError `text/sentencepiece` for damaged files and for models of other kinds
   */
  constructor(bytes: Uint8Array, name = 'tokenizer.model', isMatched: (symbol: string) => boolean = () => true) {
    const fail = (why: string): never => {
      throw new CommError(`${name} is not a SentencePiece model that can be read: ${why}.`, {
        code: 'text/sentencepiece',
        fix: 'Get the file again, or put a tokenizer.json beside it.',
      });
    };
    const pieces: Piece[] = [];
    let trainer = new ProtoReader(new Uint8Array(), fail);
    let normalizer = trainer;
    const file = new ProtoReader(bytes, fail);
    while (file.next()) {
      if (file.field === 1) {
        if (pieces.length >= MAX_PIECES) fail(`it has more than ${MAX_PIECES} pieces`);
        pieces.push(readPiece(file.message(), fail));
      } else if (file.field === 2) trainer = file.message();
      else if (file.field === 3) normalizer = file.message();
      else file.skip();
    }
    const settings = { model: 1, unk: 0, bos: 1, eos: 2, pad: -1, bytes: 0, suffix: 0 };
    const named: Record<number, keyof typeof settings> = {
      3: 'model',
      24: 'suffix',
      35: 'bytes',
      40: 'unk',
      41: 'bos',
      42: 'eos',
      43: 'pad',
    };
    while (trainer.next()) {
      const key = named[trainer.field];
      if (key === undefined) trainer.skip();
      else settings[key] = trainer.int();
    }
    const flags = { 3: 1, 4: 1, 5: 1 };
    let charsmap: Uint8Array = new Uint8Array();
    while (normalizer.next()) {
      if (normalizer.field === 2) charsmap = normalizer.bytes();
      else if (normalizer.field === 3 || normalizer.field === 4 || normalizer.field === 5)
        flags[normalizer.field] = normalizer.int();
      else normalizer.skip();
    }
    if (pieces.length === 0) fail('it has no pieces');
    if (settings.model !== 1 && settings.model !== 2) fail('its pieces are whole words or characters');
    if (settings.suffix !== 0 || flags[5] === 0) fail('it keeps spaces in a way that is not supported');
    this.pieces = pieces;
    this.algorithm = settings.model === 1 ? 'unigram' : 'bpe';
    this.byteFallback = settings.bytes !== 0;
    this.addDummyPrefix = flags[3] !== 0;
    this.removeExtraWhitespaces = flags[4] !== 0;
    this.#charsmap = charsmap.length === 0 ? undefined : new Charsmap(charsmap, fail);

    let unknown = -1;
    let [maxChars, low, high] = [1, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    const symbols: string[] = [];
    const seen = new Set<string>();
    for (const [id, { text, score, kind }] of pieces.entries()) {
      if (text === '' || seen.has(text)) fail(`it has the piece ${JSON.stringify(text)} twice or an empty one`);
      seen.add(text);
      if (kind === 'unknown') {
        if (unknown >= 0) fail('it has two unknown pieces');
        unknown = id;
      } else if (kind === 'byte') {
        const code = /^<0x([0-9A-F]{2})>$/.exec(text);
        if (code === null) fail(`it has the byte piece ${JSON.stringify(text)}`);
        this.#byteIds[Number.parseInt(code?.[1] ?? '', 16)] = id;
      } else if (kind !== 'control' && (kind !== 'user-defined' || isMatched(text))) {
        this.#ids.set(text, id);
        maxChars = Math.max(maxChars, [...text].length);
        if (kind === 'user-defined') symbols.push(text);
      }
      if (kind === 'normal') [low, high] = [Math.min(low, score), Math.max(high, score)];
    }
    if (unknown < 0) fail('it has no unknown piece');
    if (this.byteFallback && Array.from({ length: 256 }, (_, i) => this.#byteIds[i]).includes(undefined))
      fail('it lacks byte pieces');
    this.unkId = unknown;
    const within = (id: number): number => (id >= 0 && id < pieces.length ? id : -1);
    [this.bosId, this.eosId, this.padId] = [within(settings.bos), within(settings.eos), within(settings.pad)];
    this.#symbols = symbols.sort((a, b) => b.length - a.length);
    this.#maxChars = maxChars;
    this.#minScore = Number.isFinite(low) ? low : 0;
    this.#maxScore = Number.isFinite(high) ? high : 0;
  }

  /** Ids of a text, as the reference library gives them, without begin and end tokens. */
  encode(text: string): number[] {
    return this.segment(this.normalize(text));
  }

  /** The text as pieces see it: characters replaced, spaces as U+2581, a space in front where the model asks for one. */
  normalize(text: string, addPrefix = this.addDummyPrefix): string {
    if (text === '') return '';
    // What is no Unicode text (half a surrogate pair) becomes U+FFFD, as in the library.
    let out = this.#replaceChars(text.replace(/\p{Surrogate}/gu, '\ufffd'));
    if (this.removeExtraWhitespaces) out = out.replace(/^[ \u2581]+|[ \u2581]+$/g, '').replace(/[ \u2581]{2,}/g, ' ');
    if (out === '') return '';
    return (addPrefix ? SPACE : '') + out.replaceAll(' ', SPACE);
  }

  /** Ids of a text that is normalised already. */
  segment(normalized: string): number[] {
    if (normalized === '') return [];
    const segments = this.algorithm === 'bpe' ? this.#mergePairs(normalized) : this.#bestPath(normalized);
    const ids: number[] = [];
    let afterUnknown = false;
    for (const { id, text } of segments) {
      const unknown = id === this.unkId;
      if (!unknown) ids.push(id);
      else if (this.byteFallback)
        for (const byte of new TextEncoder().encode(text)) ids.push(this.#byteIds[byte] as number);
      else if (!afterUnknown) ids.push(id);
      afterUnknown = unknown;
    }
    return ids;
  }

  #symbolAt(text: string, at: number): string | undefined {
    return this.#symbols.find((symbol) => text.startsWith(symbol, at));
  }

  #replaceChars(text: string): string {
    const charsmap = this.#charsmap;
    if (charsmap === undefined) return text;
    let out = '';
    let plain = 0;
    for (let at = 0; at < text.length; ) {
      const symbol = this.#symbolAt(text, at);
      if (symbol === undefined) {
        at += (text.codePointAt(at) as number) > 0xffff ? 2 : 1;
        continue;
      }
      out += charsmap.apply(text.slice(plain, at)) + symbol;
      at += symbol.length;
      plain = at;
    }
    return out + charsmap.apply(text.slice(plain));
  }

  /** Characters, with user-defined symbols as one. */
  #characters(text: string): { text: string; frozen: boolean }[] {
    const characters: { text: string; frozen: boolean }[] = [];
    for (let at = 0; at < text.length; ) {
      const symbol = this.#symbolAt(text, at);
      const piece = symbol ?? String.fromCodePoint(text.codePointAt(at) as number);
      characters.push({ text: piece, frozen: symbol !== undefined });
      at += piece.length;
    }
    return characters;
  }

  /** BPE: the neighbours whose union has the best score are joined, the leftmost first among equals. */
  #mergePairs(text: string): Segment[] {
    const characters = this.#characters(text);
    const tokens: (string | undefined)[] = characters.map((character) => character.text);
    const previous = tokens.map((_, i) => i - 1);
    const following = tokens.map((_, i) => (i + 1 < tokens.length ? i + 1 : -1));
    const queue = new PairQueue();
    /** How a piece that may not stand in the result falls apart again. */
    const parts = new Map<string, readonly [string, string]>();
    const offer = (left: number, right: number): void => {
      if (left < 0 || right < 0 || characters[left]?.frozen === true || characters[right]?.frozen === true) return;
      const joined = `${tokens[left]}${tokens[right]}`;
      const id = this.#ids.get(joined);
      if (id === undefined) return;
      const piece = this.pieces[id] as Piece;
      queue.push({ left, right, joined, score: piece.score });
      if (piece.kind === 'unused') parts.set(joined, [tokens[left] as string, tokens[right] as string]);
    };
    for (let i = 0; i + 1 < tokens.length; i++) offer(i, i + 1);
    for (let pair = queue.pop(); pair !== undefined; pair = queue.pop()) {
      const { left, right, joined } = pair;
      if (tokens[left] === undefined || tokens[right] === undefined || `${tokens[left]}${tokens[right]}` !== joined)
        continue;
      if (following[left] !== right) continue;
      tokens[left] = joined;
      tokens[right] = undefined;
      const next = following[right] as number;
      following[left] = next;
      if (next >= 0) previous[next] = left;
      offer(previous[left] as number, left);
      offer(left, next);
    }
    const segments: Segment[] = [];
    const emit = (token: string): void => {
      const halves = parts.get(token);
      const id = this.#ids.get(token);
      if (id !== undefined && this.pieces[id]?.kind !== 'unused') segments.push({ id, text: token });
      else if (halves === undefined) segments.push({ id: id ?? this.unkId, text: token });
      else for (const half of halves) emit(half);
    };
    for (const token of tokens) if (token !== undefined) emit(token);
    return segments;
  }

  /** Unigram: the path of the highest sum of scores, summed in float32 as the library does. */
  #bestPath(text: string): Segment[] {
    const chars = [...text];
    const best: { score: number; from: number; id: number }[] = Array.from({ length: chars.length + 1 }, () => ({
      score: 0,
      from: -1,
      id: -1,
    }));
    const unknownScore = Math.fround(this.#minScore - UNKNOWN_PENALTY);
    const bytesOf = (piece: string): number => new TextEncoder().encode(piece).length;
    for (let start = 0; start < chars.length; start++) {
      const before = best[start]?.score as number;
      const offer = (end: number, score: number, id: number): void => {
        const here = best[end] as { score: number; from: number; id: number };
        const total = Math.fround(score + before);
        if (here.from < 0 || total > here.score) best[end] = { score: total, from: start, id };
      };
      let single = false;
      let piece = '';
      for (let end = start + 1; end <= chars.length && end - start <= this.#maxChars; end++) {
        piece += chars[end - 1];
        const id = this.#ids.get(piece);
        if (id === undefined || this.pieces[id]?.kind === 'unused') continue;
        const { kind, score } = this.pieces[id] as Piece;
        offer(end, kind === 'user-defined' ? Math.fround(bytesOf(piece) * this.#maxScore - 0.1) : score, id);
        if (end === start + 1) single = true;
      }
      if (!single) offer(start + 1, unknownScore, this.unkId);
    }
    const segments: Segment[] = [];
    for (let end = chars.length; end > 0; ) {
      const { from, id } = best[end] as { from: number; id: number };
      segments.push({ id, text: chars.slice(from, end).join('') });
      end = from;
    }
    return segments.reverse();
  }
}

function readPiece(message: ProtoReader, fail: (why: string) => never): Piece {
  let [text, score, kind] = ['', 0, 1];
  while (message.next()) {
    if (message.field === 1) text = message.text();
    else if (message.field === 2) score = message.float();
    else if (message.field === 3) kind = message.int();
    else message.skip();
  }
  const known = KINDS[kind] ?? fail(`it has a piece of the kind ${kind}`);
  if (Number.isNaN(score)) fail('it has a piece without a score');
  return { text, score, kind: known };
}

interface Pair {
  readonly left: number;
  readonly right: number;
  readonly joined: string;
  readonly score: number;
}

/** A heap: highest score first, then leftmost. */
class PairQueue {
  readonly #heap: Pair[] = [];

  push(pair: Pair): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(pair);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(pair, heap[parent] as Pair)) break;
      heap[at] = heap[parent] as Pair;
      at = parent;
    }
    heap[at] = pair;
  }

  pop(): Pair | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return top;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      const other = child + 1;
      if (other < heap.length && before(heap[other] as Pair, heap[child] as Pair)) child = other;
      if (!before(heap[child] as Pair, last)) break;
      heap[at] = heap[child] as Pair;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

const before = (a: Pair, b: Pair): boolean => a.score > b.score || (a.score === b.score && a.left < b.left);
