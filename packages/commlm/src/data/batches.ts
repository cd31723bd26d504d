/**
 * Batches of a mixture by their index: batch k is a pure function of settings and k, whoever makes it and whatever was made
 * before. A sample that is skipped is replaced by the next one of its set, so that the shares of the mixture stay.
 */
import { CommError } from '../config/errors.js';
import type { SkipConfig } from '../config/skip.js';
import { collate, type Packing, type Rows } from './collate.js';
import { estimateLength, type ProblemKind, SampleError } from './example.js';
import type { Draw, Mixture } from './mixture.js';
import { hashNumbers, Permutation } from './permutation.js';
import type { PreparedSample, SampleReader } from './reader.js';

/** How batches are made. */
export interface BatchSettings {
  /** Samples of a batch. */
  readonly batchSize: number;
  readonly packing: Packing;
  /** Tokens of a row at most. */
  readonly maxLength: number;
  readonly padId: number;
  /** Batches that are made together of samples of like length; 1 leaves the order of the mixture. */
  readonly groupBatches: number;
  readonly tokensPerImage: number;
  readonly skip: SkipConfig;
  readonly seed: number;
}

/** A sample that was left out. */
export interface Skipped {
  readonly kind: ProblemKind;
  readonly set: string;
  /** Names the set and the place, so that the same sample is counted once. */
  readonly sample: string;
  readonly message: string;
}

/** A batch before its pictures are put together. */
export interface MixtureBatch {
  readonly rows: Rows;
  /** In the order of the rows. */
  readonly samples: readonly PreparedSample[];
  /** The set of each sample that was drawn. */
  readonly sets: readonly string[];
  readonly skipped: readonly Skipped[];
}

/** Samples of one set that may be skipped in a row before something must be wrong with all of it. */
const MAX_SKIPPED_IN_A_ROW = 100;

/** Makes the batches of a mixture. */
export class MixtureBatches {
  readonly #mixture: Mixture;
  readonly #sizes: ReadonlyMap<string, number>;
  readonly #reader: SampleReader;
  readonly #settings: BatchSettings;
  #group: { readonly index: number; readonly batches: readonly (readonly Draw[])[] } | undefined;

  constructor(mixture: Mixture, sizes: ReadonlyMap<string, number>, reader: SampleReader, settings: BatchSettings) {
    this.#mixture = mixture;
    this.#sizes = sizes;
    this.#reader = reader;
    this.#settings = settings;
  }

  /** Batch `index` from 0; throws SampleError for a fault that is not skipped. */
  async batch(index: number): Promise<MixtureBatch> {
    const skipped: Skipped[] = [];
    const draws = this.draws(index);
    const prepared = await Promise.all(draws.map((draw) => this.#prepare(draw, skipped)));
    const { packing, maxLength, padId } = this.#settings;
    const rows = collate(
      prepared.map(({ example }) => example),
      { packing, maxLength, padId },
    );
    const sets = draws.map(({ set }) => set);
    return { rows, samples: rows.order.map((place) => prepared[place]!), sets, skipped };
  }

  /** Which samples are in a batch, before any is skipped. */
  draws(index: number): readonly Draw[] {
    const { batchSize, groupBatches } = this.#settings;
    if (groupBatches > 1) return this.#grouped(Math.floor(index / groupBatches))[index % groupBatches]!;
    return Array.from({ length: batchSize }, (_, i) => this.#mixture.at(index * batchSize + i));
  }

  /** The batches of a group: its samples sorted by length and cut, the batches in random order. */
  #grouped(index: number): readonly (readonly Draw[])[] {
    if (this.#group?.index !== index) {
      const { batchSize, groupBatches, seed, tokensPerImage } = this.#settings;
      const size = batchSize * groupBatches;
      const draws = Array.from({ length: size }, (_, i) => {
        const draw = this.#mixture.at(index * size + i);
        return { draw, length: this.#estimate(draw, tokensPerImage), i };
      }).sort((a, b) => b.length - a.length || a.i - b.i);
      const order = new Permutation(groupBatches, hashNumbers(seed, index));
      const batches = Array.from({ length: groupBatches }, (_, b) => {
        const start = order.at(b) * batchSize;
        return draws.slice(start, start + batchSize).map(({ draw }) => draw);
      });
      this.#group = { index, batches };
    }
    return this.#group.batches;
  }

  #estimate(draw: Draw, tokensPerImage: number): number {
    try {
      return estimateLength(this.#reader.sample(draw, draw.draw), tokensPerImage);
    } catch (error) {
      // It is skipped, or reported, when it is its turn.
      if (error instanceof SampleError) return 0;
      throw error;
    }
  }

  async #prepare({ set, index, draw }: Draw, skipped: Skipped[]): Promise<PreparedSample> {
    const size = this.#sizes.get(set)!;
    for (let tries = 0; tries < Math.min(size, MAX_SKIPPED_IN_A_ROW); tries++) {
      const place = { set, index: (index + tries) % size };
      try {
        return await this.#reader.prepare(this.#reader.sample(place, draw));
      } catch (error) {
        // What is too long even when it is truncated is skipped as well.
        if (!(error instanceof SampleError) || this.#settings.skip[error.kind] === 'error') throw error;
        skipped.push({ kind: error.kind, set, sample: `${set}/${place.index}`, message: error.message });
      }
    }
    throw new CommError(
      `${Math.min(size, MAX_SKIPPED_IN_A_ROW)} samples in a row of the data set "${set}" cannot be used: ${skipped.at(-1)?.message}`,
      {
        code: 'data/all-skipped',
        fix: 'Check its files with: commlm data validate <recipe>',
      },
    );
  }
}
