/**
 * Mixtures as streams: which sample of which set stands at place k, as a pure function of configuration, sizes of the
 * sets, seed and k. Nothing is walked through, so a run goes on at any place at once.
 */
import { CommError } from '../config/errors.js';
import type { InterleaveNode, MixtureConfig } from '../config/mixture.js';
import { hashNumbers, Permutation } from './permutation.js';

/** A sample by its set and its index there. */
export interface Place {
  readonly set: string;
  readonly index: number;
}

/** A place in the stream with what seeds the choices that are made anew each time (the template). */
export interface Draw extends Place {
  readonly draw: number;
  /** Times that the stream has gone through the mixture before. */
  readonly epoch: number;
}

/** A node of the tree: a finite list of places. */
interface List {
  readonly length: number;
  at(place: number): Place;
}

/** A mixture that is gone through again and again. */
export class Mixture {
  /** Samples of one epoch. */
  readonly length: number;
  readonly #list: List;
  readonly #seed: number;
  readonly #shuffle: boolean;
  #order: { readonly epoch: number; readonly permutation: Permutation } | undefined;

  /**
   * @param sizes - number of samples of each set
   * @param shuffle - a new order each epoch; otherwise the order of the tree
   */
  constructor(
    config: MixtureConfig,
    sizes: ReadonlyMap<string, number>,
    { seed, shuffle }: { readonly seed: number; readonly shuffle: boolean },
  ) {
    this.#list = build(config, sizes, seed);
    this.length = this.#list.length;
    this.#seed = seed;
    this.#shuffle = shuffle;
  }

  /** What stands at place k >= 0 of the endless stream. */
  at(k: number): Draw {
    const epoch = Math.floor(k / this.length);
    const place = k % this.length;
    const { set, index } = this.#list.at(this.#shuffle ? this.#orderOf(epoch).at(place) : place);
    return { set, index, epoch, draw: hashNumbers(this.#seed, k) };
  }

  /** Samples of each set in one epoch, counted; in the order in which they first appear. */
  counts(): Map<string, number> {
    const counts = new Map<string, number>();
    for (let place = 0; place < this.length; place++) {
      const { set } = this.#list.at(place);
      counts.set(set, (counts.get(set) ?? 0) + 1);
    }
    return counts;
  }

  #orderOf(epoch: number): Permutation {
    if (this.#order?.epoch !== epoch) {
      const permutation = new Permutation(this.length, hashNumbers(this.#seed, ORDER, epoch));
      this.#order = { epoch, permutation };
    }
    return this.#order.permutation;
  }
}

// Tell the uses of one seed apart.
const ORDER = 1;
const CHOICE = 2;
const TURN = 3;
const SOURCE = 4;

/** `path` numbers the node, so that no two nodes of one tree shuffle alike. */
function build(config: MixtureConfig, sizes: ReadonlyMap<string, number>, path: number): List {
  const child = (of: MixtureConfig, index: number): List => build(of, sizes, hashNumbers(path, index));
  switch (config.kind) {
    case 'set':
      return wholeSet(config.set, sizes);
    case 'concat':
      return concatenated(config.parts.map(child));
    case 'portion':
      return portionOf(child(config.of, 0), config.portion, path);
    case 'epochs':
      return epochsOf(child(config.of, 0), config.epochs, path);
    case 'interleave':
      return new Interleaved(
        config.parts.map(({ of }, index) => child(of, index)),
        config,
        path,
      );
  }
}

const empty = (message: string): CommError =>
  new CommError(message, { code: 'data/empty-mixture', fix: 'Raise the portion, or leave the part out.' });

function wholeSet(set: string, sizes: ReadonlyMap<string, number>): List {
  const length = sizes.get(set);
  if (length === undefined) {
    throw new CommError(`The mixture names the data set "${set}", which the recipe does not have.`, {
      code: 'data/unknown-set',
      fix: `The sets are ${[...sizes.keys()].join(', ')}.`,
      exitCode: 2,
    });
  }
  if (length === 0) throw empty(`The data set "${set}" has no samples.`);
  return { length, at: (index) => ({ set, index }) };
}

function concatenated(parts: readonly List[]): List {
  const starts: number[] = [];
  let length = 0;
  for (const part of parts) {
    starts.push(length);
    length += part.length;
  }
  return {
    length,
    at: (place) => {
      const part = starts.findLastIndex((start) => start <= place);
      return parts[part]!.at(place - starts[part]!);
    },
  };
}

function portionOf(list: List, portion: number, path: number): List {
  const length = Math.floor(list.length * portion);
  if (length === 0) throw empty(`A portion of ${portion} of ${list.length} samples is none.`);
  const order = new Permutation(list.length * Math.ceil(portion), hashNumbers(path, CHOICE));
  return { length, at: (place) => list.at(order.at(place) % list.length) };
}

function epochsOf(list: List, epochs: number, path: number): List {
  const length = Math.floor(list.length * epochs);
  if (length === 0) throw empty(`${epochs} epochs of ${list.length} samples are none.`);
  const orders = Array.from(
    { length: Math.ceil(epochs) },
    (_, epoch) => new Permutation(list.length, hashNumbers(path, TURN, epoch)),
  );
  return {
    length,
    at: (place) => list.at(orders[Math.floor(place / list.length)]!.at(place % list.length)),
  };
}

/** Places between two stored counts of an interleaved list. */
const BLOCK = 256;

/** Most places of an interleaved list, against shares that never end. */
const MAX_PLACES = 2 ** 31;

/** Parts drawn by share; the counts at the start of each block say how far every part has been walked there. */
class Interleaved implements List {
  readonly length: number;
  readonly #parts: readonly List[];
  readonly #limits: readonly number[];
  readonly #path: number;
  /** How often each part came before block b: [b * parts + part]. */
  readonly #counts: readonly number[];

  constructor(parts: readonly List[], { parts: shares, stop }: InterleaveNode, path: number) {
    this.#parts = parts;
    this.#path = path;
    const sum = shares.reduce((total, { share }) => total + share, 0);
    let limit = 0;
    this.#limits = shares.map(({ share }) => {
      limit += share / sum;
      return limit * 2 ** 32;
    });
    const counts = parts.map(() => 0);
    const stored: number[] = [];
    let length = 0;
    let left = stop === 'first_exhausted' ? 1 : parts.length;
    while (left > 0) {
      if (length % BLOCK === 0) stored.push(...counts);
      if (length === MAX_PLACES) {
        throw new CommError(`An interleaved mixture has more than ${MAX_PLACES} places before its parts are used up.`, {
          code: 'data/mixture-too-long',
          fix: "Raise the smallest share, or stop with 'first_exhausted'.",
        });
      }
      const source = this.#source(length);
      counts[source]!++;
      length++;
      if (counts[source] === parts[source]!.length) left--;
    }
    this.#counts = stored;
    this.length = length;
  }

  at(place: number): Place {
    const source = this.#source(place);
    const block = Math.floor(place / BLOCK);
    let walked = this.#counts[block * this.#parts.length + source]!;
    for (let earlier = block * BLOCK; earlier < place; earlier++) if (this.#source(earlier) === source) walked++;
    const part = this.#parts[source]!;
    return part.at(walked % part.length);
  }

  /** The part that is drawn for a place. */
  #source(place: number): number {
    const drawn = hashNumbers(this.#path, SOURCE, place);
    const source = this.#limits.findIndex((limit) => drawn < limit);
    return source < 0 ? this.#limits.length - 1 : source;
  }
}
