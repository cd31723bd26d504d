/** Batches of pictures that may be broken: counts them, says so, and stops at the recipe's limit. */
import { CommError } from '../../config/errors.js';
import { BatchPool, type RawBatch } from './batch-pool.js';
import type { BatchSource } from './training-task.js';

/** A batch that tells which pictures it did without. */
export interface CheckedBatch extends RawBatch {
  /** What is wrong with each picture that others stand in for, a sentence each. */
  readonly broken: readonly string[];
  /** The pictures by name, for an error that tells of them. */
  readonly samples: readonly string[];
}

/** What the trainer knows of the data threads. */
export interface CheckedOptions {
  readonly start: number;
  readonly workers: number;
  /** Broken pictures before the run stops. */
  readonly limit: number;
  readonly log: (line: string) => void;
}

/** Threads and the limit of a recipe's data; scenes of the world are never broken and need one thread. */
export const threadsOf = (
  data: { readonly kind: string } & Partial<{ readonly workers: number; readonly maxBroken: number }>,
): Pick<CheckedOptions, 'workers' | 'limit'> => ({ workers: data.workers ?? 1, limit: data.maxBroken ?? 0 });

/** Batches of data threads. */
export class CheckedBatches<Batch extends CheckedBatch> implements BatchSource<Batch> {
  readonly #pool: BatchPool<Batch>;
  readonly #options: CheckedOptions;
  readonly #broken = new Set<string>();

  constructor(module: URL, options: unknown, checked: CheckedOptions) {
    const { start, workers } = checked;
    this.#options = checked;
    this.#pool = new BatchPool<Batch>(module, options, { start, workers, ahead: Math.max(4, 2 * workers) });
  }

  get waitedMs(): number {
    return this.#pool.waitedMs;
  }

  /** The next batch. @throws CommError `data/too-many-broken` past the limit. */
  async next(): Promise<Batch> {
    const batch = await this.#pool.next();
    const { limit, log } = this.#options;
    for (const message of batch.broken) {
      if (this.#broken.has(message)) continue;
      this.#broken.add(message);
      if (this.#broken.size > limit) {
        throw new CommError(
          `Broken pictures: ${this.#broken.size}, more than the ${limit} that the recipe allows; the last: ${message}`,
          { code: 'data/too-many-broken', fix: 'Replace or remove them, or raise maxBroken of the data.' },
        );
      }
      log(`broken picture ${this.#broken.size}: ${message}`);
    }
    return batch;
  }

  close(): Promise<void> {
    return this.#pool.close();
  }
}
