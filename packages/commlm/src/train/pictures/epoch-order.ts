/** Orders without end: every epoch another permutation, any place of it at once. */
import { Random } from '../../data/world/index.js';

/** Which of `length` things comes at a place of an endless order that is another permutation in each epoch. */
export class EpochOrder {
  readonly #length: number;
  readonly #seed: number;
  /** The newest permutations: around the end of an epoch two are in use. */
  readonly #epochs = new Map<number, Uint32Array>();

  constructor(length: number, seed: number) {
    this.#length = length;
    this.#seed = seed;
  }

  place(index: number): number {
    const epoch = Math.floor(index / this.#length);
    return this.#permutation(epoch)[index % this.#length] as number;
  }

  #permutation(epoch: number): Uint32Array {
    const known = this.#epochs.get(epoch);
    if (known !== undefined) return known;
    const order = Uint32Array.from({ length: this.#length }, (_, i) => i);
    const random = new Random(epoch, `order ${this.#seed}`);
    for (let i = order.length - 1; i > 0; i--) {
      const j = random.int(i + 1);
      const kept = order[i]!;
      order[i] = order[j]!;
      order[j] = kept;
    }
    for (const old of this.#epochs.keys()) if (this.#epochs.size > 1) this.#epochs.delete(old);
    this.#epochs.set(epoch, order);
    return order;
  }
}
