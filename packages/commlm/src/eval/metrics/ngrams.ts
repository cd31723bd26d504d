/** Captions as counts of their n-grams, n = 1..4, over one shared numbering; what BLEU and CIDEr-D work on. */

import { splitWords } from './python-text.js';

/** Longest n-gram counted. */
export const MAX_ORDER = 4;

/** One counted caption; its distinct n-grams lie in the shared lists of the {@link NgramIndex}. */
export interface NgramCounts {
  /** Number of words. */
  readonly length: number;
  /** The n-grams of order n (1-based) lie in `starts[n - 1]..starts[n]`, in the order of their first appearance. */
  readonly starts: readonly number[];
}

/** A list of whole numbers that grows. */
class GrowingList {
  values = new Int32Array(1 << 12);
  length = 0;

  push(value: number): void {
    if (this.length === this.values.length) {
      const larger = new Int32Array(this.values.length * 2);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.length++] = value;
  }
}

/** Pairs of whole numbers to whole numbers, by open addressing; far quicker than a Map with joined keys. */
class PairTable {
  private first = new Int32Array(1 << 12);
  private second = new Int32Array(1 << 12);
  /** Value + 1, 0 for a free slot. */
  private values = new Int32Array(1 << 12);
  private size = 0;

  private slotOf(first: number, second: number): number {
    const mask = this.values.length - 1;
    const mixed = Math.imul(first, 0x9e3779b1) ^ Math.imul(second, 0x85ebca6b);
    let slot = (mixed ^ (mixed >>> 15)) & mask;
    while (this.values[slot] !== 0 && (this.first[slot] !== first || this.second[slot] !== second)) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  /** The value of a pair, which is `fresh` when the pair is new. */
  getOrAdd(first: number, second: number, fresh: number): number {
    let slot = this.slotOf(first, second);
    const known = this.values[slot]!;
    if (known !== 0) return known - 1;
    if (this.size * 2 >= this.values.length) {
      this.grow();
      slot = this.slotOf(first, second);
    }
    this.size++;
    this.first[slot] = first;
    this.second[slot] = second;
    this.values[slot] = fresh + 1;
    return fresh;
  }

  private grow(): void {
    const { first, second, values } = this;
    this.first = new Int32Array(values.length * 4);
    this.second = new Int32Array(values.length * 4);
    this.values = new Int32Array(values.length * 4);
    for (let i = 0; i < values.length; i++) {
      if (values[i] === 0) continue;
      const slot = this.slotOf(first[i]!, second[i]!);
      this.first[slot] = first[i]!;
      this.second[slot] = second[i]!;
      this.values[slot] = values[i]!;
    }
  }
}

/** Hands out one number per distinct n-gram. */
export class NgramIndex {
  private readonly words = new Map<string, number>();
  /** The n-gram made of an (n-1)-gram and a word; numbers of different n never meet, so one table serves all. */
  private readonly longer = new PairTable();
  private size = 0;
  private numCaptions = 0;
  /** By n-gram: the last caption it was seen in, and its place in the lists. */
  private readonly seenIn = new GrowingList();
  private readonly position = new GrowingList();
  private readonly idList = new GrowingList();
  private readonly countList = new GrowingList();

  /** Numbers of the n-grams of all counted captions; valid until the next caption is counted. */
  get ids(): Int32Array {
    return this.idList.values;
  }

  /** How often each of `ids` occurs in its caption. */
  get counts(): Int32Array {
    return this.countList.values;
  }

  /** Number of distinct n-grams seen. */
  get numNgrams(): number {
    return this.size;
  }

  private addNgram(): void {
    this.seenIn.push(0);
    this.position.push(0);
    this.size++;
  }

  private wordId(word: string): number {
    let id = this.words.get(word);
    if (id === undefined) {
      id = this.size;
      this.addNgram();
      this.words.set(word, id);
    }
    return id;
  }

  private extend(prefix: number, word: number): number {
    const id = this.longer.getOrAdd(prefix, word, this.size);
    if (id === this.size) this.addNgram();
    return id;
  }

  /** Counts the n-grams of a tokenised caption. */
  count(caption: string): NgramCounts {
    const words = splitWords(caption).map((word) => this.wordId(word));
    const starts = [this.idList.length];
    const current = words.slice();
    this.numCaptions++;
    for (let order = 1; order <= MAX_ORDER; order++) {
      const last = words.length - order + 1;
      for (let i = 0; i < last; i++) {
        if (order > 1) current[i] = this.extend(current[i]!, words[i + order - 1]!);
        this.tally(current[i]!);
      }
      starts.push(this.idList.length);
    }
    return { length: words.length, starts };
  }

  private tally(id: number): void {
    const counts = this.countList.values;
    if (this.seenIn.values[id] === this.numCaptions) {
      const at = this.position.values[id]!;
      counts[at] = counts[at]! + 1;
      return;
    }
    this.seenIn.values[id] = this.numCaptions;
    this.position.values[id] = this.idList.length;
    this.idList.push(id);
    this.countList.push(1);
  }
}
