/**
 * The paraphrase table of METEOR (5.3 million phrase pairs) in typed arrays: every phrase has a number, a hash table finds
 * it by its words, and the phrases that may stand for it lie side by side in the order of the file.
 */
import type { ParaphraseEntry, ParaphraseTable } from './meteor-aligner.js';

/** Longest phrase of the table, in words; the format of the cache relies on it. */
export const MAX_PHRASE_WORDS = 7;

/** The arrays of a table; phrase p has the words `words[starts[p]..starts[p + 1]]` and the alternatives likewise. */
export interface ParaphraseArrays {
  /** All distinct words, each followed by a line feed, in UTF-8; a word's place is its number. */
  readonly vocabulary: Uint8Array;
  readonly words: Int32Array;
  readonly starts: Int32Array;
  readonly alternatives: Int32Array;
  readonly alternativeStarts: Int32Array;
  /** Open addressing by the hash of the words: phrase number + 1, 0 for free. */
  readonly slots: Int32Array;
}

const HASH_SEED = 0x811c9dc5 | 0;

function mixHash(hash: number, value: number): number {
  const mixed = Math.imul(hash ^ value, 0x01000193);
  return mixed ^ (mixed >>> 15);
}

/** A table over its arrays. */
export class Paraphrases implements ParaphraseTable {
  private readonly arrays: ParaphraseArrays;
  private readonly vocabulary: ReadonlyMap<string, number>;

  constructor(arrays: ParaphraseArrays) {
    this.arrays = arrays;
    const words = new TextDecoder().decode(arrays.vocabulary).split('\n').slice(0, -1);
    this.vocabulary = new Map(words.map((word, id) => [word, id]));
  }

  /** Number of pairs. */
  get numPairs(): number {
    return this.arrays.alternatives.length;
  }

  wordIds(words: readonly string[]): Int32Array {
    return Int32Array.from(words, (word) => this.vocabulary.get(word) ?? -1);
  }

  entriesAt(wordIds: Int32Array, start: number): readonly ParaphraseEntry[] {
    const { alternatives, alternativeStarts } = this.arrays;
    const entries: ParaphraseEntry[] = [];
    this.forEachPhrase(wordIds, start, (phrase, length) => {
      const from = alternativeStarts[phrase]!;
      const to = alternativeStarts[phrase + 1]!;
      if (to > from) entries.push({ length, phrases: alternatives.subarray(from, to) });
    });
    return entries;
  }

  phrasesOf(
    wordIds: Int32Array,
  ): ReadonlyMap<number, ReadonlyArray<{ readonly start: number; readonly length: number }>> {
    const found = new Map<number, Array<{ readonly start: number; readonly length: number }>>();
    for (let start = 0; start < wordIds.length; start++) {
      this.forEachPhrase(wordIds, start, (phrase, length) => {
        const places = found.get(phrase);
        if (places === undefined) found.set(phrase, [{ start, length }]);
        else places.push({ start, length });
      });
    }
    return found;
  }

  private forEachPhrase(wordIds: Int32Array, start: number, use: (phrase: number, length: number) => void): void {
    const end = Math.min(wordIds.length, start + MAX_PHRASE_WORDS);
    let hash = HASH_SEED;
    for (let i = start; i < end; i++) {
      const word = wordIds[i]!;
      if (word < 0) return;
      hash = mixHash(hash, word);
      const phrase = findPhrase(this.arrays, wordIds, start, i + 1, hash);
      if (phrase >= 0) use(phrase, i + 1 - start);
    }
  }
}

function findPhrase(
  { words, starts, slots }: Pick<ParaphraseArrays, 'words' | 'starts' | 'slots'>,
  text: ArrayLike<number>,
  from: number,
  to: number,
  hash: number,
): number {
  const mask = slots.length - 1;
  for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
    const phrase = slots[slot]! - 1;
    if (phrase < 0) return -1;
    const first = starts[phrase]!;
    if (starts[phrase + 1]! - first !== to - from) continue;
    let k = 0;
    while (k < to - from && words[first + k] === text[from + k]) k++;
    if (k === to - from) return phrase;
  }
}

/** An Int32Array that grows. */
class GrowingInts {
  array = new Int32Array(1 << 16);
  length = 0;

  push(value: number): void {
    if (this.length === this.array.length) {
      const larger = new Int32Array(this.array.length * 2);
      larger.set(this.array);
      this.array = larger;
    }
    this.array[this.length++] = value;
  }

  finished(): Int32Array {
    return this.array.slice(0, this.length);
  }
}

/** Numbers words given as bytes, without making a string of each occurrence. */
class ByteVocabulary {
  private bytes = new Uint8Array(1 << 20);
  private numBytes = 0;
  private readonly starts = new GrowingInts();
  private slots = new Int32Array(1 << 18);

  idOf(chunk: Uint8Array, from: number, to: number, hash: number): number {
    const mask = this.slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const id = this.slots[slot]! - 1;
      if (id < 0) return this.add(chunk, from, to, slot);
      const first = this.starts.array[id]!;
      if (this.bytes[first + to - from]! !== 10) continue;
      let k = 0;
      while (k < to - from && this.bytes[first + k] === chunk[from + k]) k++;
      if (k === to - from) return id;
    }
  }

  private add(chunk: Uint8Array, from: number, to: number, slot: number): number {
    while (this.numBytes + to - from + 1 > this.bytes.length) {
      const larger = new Uint8Array(this.bytes.length * 2);
      larger.set(this.bytes);
      this.bytes = larger;
    }
    this.starts.push(this.numBytes);
    this.bytes.set(chunk.subarray(from, to), this.numBytes);
    this.numBytes += to - from;
    this.bytes[this.numBytes++] = 10;
    this.slots[slot] = this.starts.length;
    const id = this.starts.length - 1;
    if (this.starts.length * 2 > this.slots.length) this.grow();
    return id;
  }

  private grow(): void {
    this.slots = new Int32Array(this.slots.length * 4);
    const mask = this.slots.length - 1;
    for (let id = 0; id < this.starts.length; id++) {
      let hash = HASH_SEED;
      for (let at = this.starts.array[id]!; this.bytes[at] !== 10; at++) hash = mixHash(hash, this.bytes[at]!);
      let slot = hash & mask;
      while (this.slots[slot] !== 0) slot = (slot + 1) & mask;
      this.slots[slot] = id + 1;
    }
  }

  finished(): Uint8Array {
    return this.bytes.slice(0, this.numBytes);
  }
}

/** Numbers phrases given as word numbers. */
class PhraseIndex {
  readonly words = new GrowingInts();
  readonly starts = new GrowingInts();
  slots = new Int32Array(1 << 20);

  constructor() {
    this.starts.push(0);
  }

  get numPhrases(): number {
    return this.starts.length - 1;
  }

  idOf(text: readonly number[]): number {
    let hash = HASH_SEED;
    for (const word of text) hash = mixHash(hash, word);
    const view = { words: this.words.array, starts: this.starts.array, slots: this.slots };
    const known = findPhrase(view, text, 0, text.length, hash);
    if (known >= 0) return known;
    for (const word of text) this.words.push(word);
    this.starts.push(this.words.length);
    this.insert(this.numPhrases - 1, hash);
    if (this.numPhrases * 3 > this.slots.length * 2) this.grow();
    return this.numPhrases - 1;
  }

  private insert(phrase: number, hash: number): void {
    const mask = this.slots.length - 1;
    let slot = hash & mask;
    while (this.slots[slot] !== 0) slot = (slot + 1) & mask;
    this.slots[slot] = phrase + 1;
  }

  private grow(): void {
    this.slots = new Int32Array(this.slots.length * 2);
    for (let phrase = 0; phrase < this.numPhrases; phrase++) {
      let hash = HASH_SEED;
      for (let k = this.starts.array[phrase]!; k < this.starts.array[phrase + 1]!; k++) {
        hash = mixHash(hash, this.words.array[k]!);
      }
      this.insert(phrase, hash);
    }
  }
}

/** Builds the arrays from the text of the table: three lines a pair, a probability, a phrase and its paraphrase. */
export class ParaphraseBuilder {
  private readonly vocabulary = new ByteVocabulary();
  private readonly phrases = new PhraseIndex();
  private readonly from = new GrowingInts();
  private readonly to = new GrowingInts();
  private rest: Uint8Array = new Uint8Array(0);
  private lineNumber = 0;

  /** Takes the next piece of the unpacked text. */
  add(piece: Uint8Array): void {
    const chunk = this.rest.length === 0 ? piece : Buffer.concat([this.rest, piece]);
    let start = 0;
    for (let end = chunk.indexOf(10, start); end >= 0; end = chunk.indexOf(10, start)) {
      this.addLine(chunk, start, end);
      start = end + 1;
    }
    this.rest = chunk.slice(start);
  }

  private addLine(chunk: Uint8Array, start: number, end: number): void {
    const part = this.lineNumber++ % 3;
    if (part === 0) return; // the probability plays no role
    const words: number[] = [];
    let at = start;
    while (at < end) {
      let hash = HASH_SEED;
      const from = at;
      for (; at < end && chunk[at]! > 32; at++) hash = mixHash(hash, chunk[at]!);
      if (at > from) words.push(this.vocabulary.idOf(chunk, from, at, hash));
      at++;
    }
    if (words.length === 0 || words.length > MAX_PHRASE_WORDS) {
      throw new RangeError(`line ${this.lineNumber} has ${words.length} words, 1 to ${MAX_PHRASE_WORDS} are possible`);
    }
    (part === 1 ? this.from : this.to).push(this.phrases.idOf(words));
  }

  /** The finished arrays. @throws RangeError when the text ends inside a pair */
  finish(): ParaphraseArrays {
    if (this.rest.length > 0) this.add(new Uint8Array([10]));
    if (this.lineNumber % 3 !== 0 || this.lineNumber === 0)
      throw new RangeError(`${this.lineNumber} lines are no whole pairs`);
    const numPhrases = this.phrases.numPhrases;
    const alternativeStarts = new Int32Array(numPhrases + 1);
    for (let i = 0; i < this.from.length; i++) {
      const next = this.from.array[i]! + 1;
      alternativeStarts[next] = alternativeStarts[next]! + 1;
    }
    for (let p = 0; p < numPhrases; p++) {
      alternativeStarts[p + 1] = alternativeStarts[p + 1]! + alternativeStarts[p]!;
    }
    const alternatives = new Int32Array(this.from.length);
    const cursor = alternativeStarts.slice();
    for (let i = 0; i < this.from.length; i++) {
      const phrase = this.from.array[i]!;
      const at = cursor[phrase]!;
      cursor[phrase] = at + 1;
      alternatives[at] = this.to.array[i]!;
    }
    return {
      vocabulary: this.vocabulary.finished(),
      words: this.phrases.words.finished(),
      starts: this.phrases.starts.finished(),
      alternatives,
      alternativeStarts,
      slots: this.phrases.slots,
    };
  }
}

const CACHE_MAGIC = 0x4d505431; // "MPT1": raise the figure when the format changes
const FIELDS = ['words', 'starts', 'alternatives', 'alternativeStarts', 'slots'] as const;

/** The arrays as the pieces of one cache file, in the byte order of this machine. */
export function serializeParaphrases(arrays: ParaphraseArrays): Uint8Array[] {
  const header = new Uint32Array([
    CACHE_MAGIC,
    arrays.vocabulary.length,
    ...FIELDS.map((field) => arrays[field].length),
  ]);
  const bytes = (array: Int32Array | Uint32Array): Uint8Array =>
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  return [bytes(header), ...FIELDS.map((field) => bytes(arrays[field])), arrays.vocabulary];
}

/** The arrays of a cache file, without copying; null when it is of another version or not whole. */
export function deserializeParaphrases(file: Buffer): ParaphraseArrays | null {
  const headerSize = 4 * (2 + FIELDS.length);
  if (file.length < headerSize || file.byteOffset % 4 !== 0) return null;
  const header = new Uint32Array(file.buffer, file.byteOffset, 2 + FIELDS.length);
  const [magic, vocabularySize, ...lengths] = header;
  const total = headerSize + (vocabularySize ?? 0) + 4 * lengths.reduce((sum, length) => sum + length, 0);
  if (magic !== CACHE_MAGIC || file.length !== total) return null;
  let at = file.byteOffset + headerSize;
  const take = (length: number): Int32Array => {
    const array = new Int32Array(file.buffer, at, length);
    at += 4 * length;
    return array;
  };
  const [words, starts, alternatives, alternativeStarts, slots] = lengths.map(take) as [
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  const vocabulary = new Uint8Array(file.buffer, at, vocabularySize);
  return { vocabulary, words, starts, alternatives, alternativeStarts, slots };
}
