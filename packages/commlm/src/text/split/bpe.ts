/** Byte-pair encoding: the neighbours of the best rank are joined until none are left, the leftmost first among equals. */
import { field, refuseKind, refuseTokenizer, type Step } from './json-step.js';

/** A vocabulary with merges, as tokenizer.json holds it. */
export interface BpeJson {
  readonly type?: string;
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges?: readonly (string | readonly [string, string])[];
  readonly [key: string]: unknown;
}

/** Words that are remembered with their ids, and the longest of them. */
const CACHE_WORDS = 20_000;
const CACHE_LENGTH = 256;
/** The largest id a pair's key has room for. */
const MAX_ID = 2 ** 26;

const utf8 = new TextEncoder();

/** Splits words into ids. */
export class BpeModel {
  readonly ids: ReadonlyMap<string, number>;
  /** Ranks of pairs, and by rank what a pair becomes. */
  readonly #ranks = new Map<number, number>();
  readonly #results: Int32Array;
  readonly #unkId: number | undefined;
  readonly #fuseUnk: boolean;
  readonly #byteIds: readonly (number | undefined)[] | undefined;
  readonly #ignoreMerges: boolean;
  readonly #suffix: string;
  readonly #withheld = new Set<number>();
  readonly #cache = new Map<string, readonly number[]>();

  /**
   * @param json - the model of tokenizer.json
   * @throws CommError `text/tokenizer-invalid`, or `text/tokenizer-type` for what is not known here
   */
  constructor(json: BpeJson) {
    const step = { ...json, type: 'BPE' } as Step;
    this.ids = readVocabulary(json.vocab);
    if (field(step, 'dropout', 'number', 0) !== 0) refuseKind('dropout of merges');
    if (field(step, 'continuing_subword_prefix', 'string', '') !== '') refuseKind('a prefix of inner pieces');
    this.#suffix = field(step, 'end_of_word_suffix', 'string', '');
    this.#fuseUnk = field(step, 'fuse_unk', 'boolean', false);
    this.#ignoreMerges = field(step, 'ignore_merges', 'boolean', false);
    const unk = field(step, 'unk_token', 'string', '');
    this.#unkId = unk === '' ? undefined : this.ids.get(unk);
    if (field(step, 'byte_fallback', 'boolean', false)) {
      this.#byteIds = Array.from({ length: 256 }, (_, byte) =>
        this.ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
      );
    }
    const merges = json.merges ?? [];
    if (!Array.isArray(merges)) refuseTokenizer('has merges that are no list');
    this.#results = new Int32Array(merges.length);
    this.#readMerges(merges);
  }

  /** Pieces that no word becomes from now on. */
  withhold(pieces: Iterable<string>): void {
    for (const piece of pieces) {
      const id = this.ids.get(piece);
      if (id !== undefined) this.#withheld.add(id);
    }
    this.#cache.clear();
  }

  /** Ids of a word. */
  encode(word: string): readonly number[] {
    if (this.#ignoreMerges) {
      const id = this.ids.get(word);
      if (id !== undefined && !this.#withheld.has(id)) return [id];
    }
    const known = this.#cache.get(word);
    if (known !== undefined) return known;
    const ids = this.#joined(this.#characters(word));
    if (word.length <= CACHE_LENGTH) {
      if (this.#cache.size >= CACHE_WORDS) this.#cache.clear();
      this.#cache.set(word, ids);
    }
    return ids;
  }

  #readMerges(merges: readonly (string | readonly [string, string])[]): void {
    for (const [rank, merge] of merges.entries()) {
      const pair = typeof merge === 'string' ? merge.split(' ') : merge;
      const [left, right] = pair;
      if (!Array.isArray(pair) || pair.length !== 2 || typeof left !== 'string' || typeof right !== 'string')
        refuseTokenizer(`has the merge ${JSON.stringify(merge)}, which is no pair`);
      const [a, b, id] = [this.ids.get(left), this.ids.get(right), this.ids.get(left + right)];
      if (a === undefined || b === undefined || id === undefined)
        refuseTokenizer(`has the merge ${JSON.stringify(merge)} of what is not in its vocabulary`);
      this.#ranks.set(keyOf(a, b), rank);
      this.#results[rank] = id;
    }
  }

  /** Ids of the single characters; bytes, or the unknown token, where the vocabulary has none. */
  #characters(word: string): number[] {
    const ids: number[] = [];
    const chars = Array.from(word);
    let unknown = false;
    chars.forEach((char, i) => {
      const spelled = i === chars.length - 1 ? char + this.#suffix : char;
      const id = this.ids.get(spelled);
      if (id !== undefined) ids.push(id);
      else if (this.#pushBytes(spelled, ids)) return;
      else if (this.#unkId !== undefined) {
        if (!(unknown && this.#fuseUnk)) ids.push(this.#unkId);
        unknown = true;
        return;
      }
      unknown = false;
    });
    return ids;
  }

  #pushBytes(spelled: string, ids: number[]): boolean {
    if (this.#byteIds === undefined) return false;
    const bytes: number[] = [];
    for (const byte of utf8.encode(spelled)) {
      const id = this.#byteIds[byte];
      if (id === undefined) return false;
      bytes.push(id);
    }
    ids.push(...bytes);
    return true;
  }

  /** Joins neighbours; an id of -1 is one that its left neighbour took in. */
  #joined(ids: number[]): number[] {
    if (ids.length < 2) return ids;
    const following = ids.map((_, i) => (i + 1 < ids.length ? i + 1 : -1));
    const previous = ids.map((_, i) => i - 1);
    const queue = new MergeQueue();
    const offer = (left: number, right: number): void => {
      if (left < 0 || right < 0) return;
      const rank = this.#ranks.get(keyOf(ids[left]!, ids[right]!));
      if (rank === undefined) return;
      const id = this.#results[rank]!;
      if (!this.#withheld.has(id)) queue.push({ at: left, rank, id });
    };
    for (let i = 0; i + 1 < ids.length; i++) offer(i, i + 1);
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      const left = next.at;
      const right = following[left]!;
      if (ids[left] === -1 || right < 0) continue;
      // The pair may have changed since it was offered.
      const rank = this.#ranks.get(keyOf(ids[left]!, ids[right]!));
      if (rank === undefined || this.#results[rank] !== next.id) continue;
      ids[left] = next.id;
      ids[right] = -1;
      const after = following[right]!;
      following[left] = after;
      if (after >= 0) previous[after] = left;
      offer(previous[left]!, left);
      offer(left, after);
    }
    return ids.filter((id) => id >= 0);
  }
}

const keyOf = (left: number, right: number): number => left * MAX_ID + right;

function readVocabulary(vocab: Readonly<Record<string, number>>): Map<string, number> {
  if (typeof vocab !== 'object' || vocab === null || Array.isArray(vocab))
    refuseTokenizer('has a model without a vocabulary of spellings and ids');
  const ids = new Map<string, number>();
  for (const token in vocab) {
    const id = vocab[token];
    if (!isTokenId(id)) return refuseTokenizer(`gives ${JSON.stringify(token)} the id ${JSON.stringify(id)}`);
    ids.set(token, id);
  }
  return ids;
}

/** Whether a value can be the id of a token. */
export const isTokenId = (id: unknown): id is number =>
  typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < MAX_ID;

interface Offer {
  readonly at: number;
  readonly rank: number;
  readonly id: number;
}

/** A heap: lowest rank first, then leftmost. */
class MergeQueue {
  readonly #heap: Offer[] = [];

  push(offer: Offer): void {
    const heap = this.#heap;
    let at = heap.length;
    for (let parent = (at - 1) >> 1; at > 0 && goesBefore(offer, heap[parent]!); parent = (at - 1) >> 1) {
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = offer;
  }

  pop(): Offer | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return top;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      const other = child + 1;
      if (other < heap.length && goesBefore(heap[other]!, heap[child]!)) child = other;
      if (!goesBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

const goesBefore = (a: Offer, b: Offer): boolean => a.rank < b.rank || (a.rank === b.rank && a.at < b.at);
