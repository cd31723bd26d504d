/**
 * Shuffling without a list: a keyed permutation of 0..n-1 that gives any place at once, so that a stream over millions of
 * samples goes on at any place without going through what came before.
 */

/** Whole numbers to 32 well mixed bits; the same numbers give the same bits everywhere. */
export function hashNumbers(...numbers: readonly number[]): number {
  let hash = 0x9e3779b9;
  for (const number of numbers) {
    hash = mix(hash ^ (number >>> 0));
    hash = mix((hash + 0x7f4a7c15) ^ (Math.floor(number / 2 ** 32) >>> 0));
  }
  return hash;
}

function mix(value: number): number {
  let hash = value >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad);
  hash = Math.imul(hash ^ (hash >>> 15), 0x735a2d97);
  return (hash ^ (hash >>> 15)) >>> 0;
}

const ROUNDS = 6;

/** A shuffled order of 0..length-1. */
export class Permutation {
  readonly length: number;
  readonly #halfBits: number;
  readonly #keys: readonly number[];

  /** @param key - another key gives another order. */
  constructor(length: number, key: number) {
    this.length = length;
    this.#halfBits = Math.max(1, Math.ceil(Math.log2(Math.max(2, length)) / 2));
    this.#keys = Array.from({ length: ROUNDS }, (_, round) => hashNumbers(key, length, round));
  }

  /** What stands at `place`. */
  at(place: number): number {
    // Feistel rounds permute the next power of four; what falls outside is sent round again (cycle walking), 4 times at most on average.
    let value = this.#rounds(place);
    while (value >= this.length) value = this.#rounds(value);
    return value;
  }

  #rounds(value: number): number {
    const half = 2 ** this.#halfBits;
    let left = Math.floor(value / half);
    let right = value % half;
    for (const key of this.#keys) [left, right] = [right, (left ^ (mix(right ^ key) & (half - 1))) >>> 0];
    return left * half + right;
  }
}
