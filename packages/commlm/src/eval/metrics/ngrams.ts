/** Captions as counts of their n-grams, n = 1..4, over one shared numbering; what BLEU and CIDEr-D work on. */

import { splitWords } from './python-text.js';

/** Longest n-gram counted. */
export const MAX_ORDER = 4;

/** N-grams of one caption: distinct ids by order of length and first appearance, and how often each occurs. */
export interface NgramCounts {
  /** Number of words. */
  readonly length: number;
  readonly ids: readonly number[];
  readonly counts: readonly number[];
  /** `ids` of order n (1-based) lie in `starts[n - 1]..starts[n]`. */
  readonly starts: readonly number[];
}

/** Hands out one number per distinct n-gram. */
export class NgramIndex {
  private readonly words = new Map<string, number>();
  private readonly longer: ReadonlyArray<Map<number, number>> = Array.from({ length: MAX_ORDER - 1 }, () => new Map());
  private size = 0;
  private numCaptions = 0;
  /** By n-gram: the last caption it was seen in, and its place in the lists of that caption. */
  private readonly seenIn: number[] = [];
  private readonly position: number[] = [];

  /** Number of distinct n-grams seen. */
  get numNgrams(): number {
    return this.size;
  }

  private addNgram(): number {
    this.seenIn.push(0);
    this.position.push(0);
    return this.size++;
  }

  private wordId(word: string): number {
    let id = this.words.get(word);
    if (id === undefined) {
      id = this.addNgram();
      this.words.set(word, id);
    }
    return id;
  }

  /** Number of the n-gram made of the (n-1)-gram `prefix` and `word`. */
  private extend(order: number, prefix: number, word: number): number {
    const table = this.longer[order - 2] as Map<number, number>;
    const key = prefix * 0x4000000 + word; // exact below 2^53 as long as there are fewer than 2^26 n-grams
    let id = table.get(key);
    if (id === undefined) {
      id = this.addNgram();
      table.set(key, id);
    }
    return id;
  }

  /** Counts the n-grams of a tokenised caption. */
  count(caption: string): NgramCounts {
    const words = splitWords(caption).map((word) => this.wordId(word));
    const ids: number[] = [];
    const counts: number[] = [];
    const starts = [0];
    const current = words.slice();
    this.numCaptions++;
    for (let order = 1; order <= MAX_ORDER; order++) {
      const last = words.length - order + 1;
      for (let i = 0; i < last; i++) {
        if (order > 1) current[i] = this.extend(order, current[i] as number, words[i + order - 1] as number);
        const id = current[i] as number;
        if (this.seenIn[id] === this.numCaptions) {
          const at = this.position[id] as number;
          counts[at] = (counts[at] as number) + 1;
        } else {
          this.seenIn[id] = this.numCaptions;
          this.position[id] = ids.length;
          ids.push(id);
          counts.push(1);
        }
      }
      starts.push(ids.length);
    }
    return { length: words.length, ids, counts, starts };
  }
}
