/**
 * The keys and values of a growing text, found again by what they were computed from: a prompt that begins as the one before
 * pays for its new part alone.
 */
import type { KvCache } from '../models/kv-cache.js';

/**
 * One number a position says what it was computed from: a token's id, or a negative number for a picture. Equal numbers mean
 * equal inputs. The engine fills the cache (`GenerateRequest.prefix`); it stays its maker's, who disposes of it.
 */
export class PrefixCache {
  #cache: KvCache | undefined;
  #keys: number[] = [];
  #isRunning = false;

  /** Positions whose keys and values are held. */
  get length(): number {
    return this.#cache?.length ?? 0;
  }

  /**
   * The cache cut back to what `keys` share with it, for one run over the rest; at least one position is left to run.
   * @param create makes the empty cache for the first run
   */
  begin(keys: readonly number[], create: () => KvCache): KvCache {
    if (this.#isRunning) throw new TypeError('a prefix cache serves one run at a time');
    this.#cache ??= create();
    this.#cache.truncate(Math.min(sharedPrefix(this.#keys, keys), keys.length - 1, this.#cache.length));
    this.#keys = [...keys];
    this.#isRunning = true;
    return this.#cache;
  }

  /** Takes the token that the run goes on with. */
  push(token: number): void {
    this.#keys.push(token);
  }

  /** Ends the run; what has not been through the model, such as the last token, is none of the cache. */
  end(): void {
    this.#keys.length = Math.min(this.#keys.length, this.length);
    this.#isRunning = false;
  }

  /** Gives the memory back; the cache is empty then, and may be filled again. */
  dispose(): void {
    this.#cache?.dispose();
    this.#cache = undefined;
    this.#keys = [];
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** How many keys two sequences share from the start. */
function sharedPrefix(a: readonly number[], b: readonly number[]): number {
  const end = Math.min(a.length, b.length);
  let length = 0;
  while (length < end && a[length] === b[length]) length++;
  return length;
}
