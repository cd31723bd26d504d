/** Data sets as data of a training: samples of a mixture, read and rendered by data threads. */
import { type Tensor, tensor } from '@commlm/torch';
import type { CommTrainConfig, MixtureTrainConfig } from '../../../config/comm-train.js';
import { CommError } from '../../../config/errors.js';
import { type CommConfig, tokensPerImage } from '../../../config/model.js';
import { planSquares } from '../../../images/squares.js';
import { BatchPool } from '../../loop/batch-pool.js';
import type { BatchFacts, BatchSource } from '../../loop/training-task.js';
import type { MixtureBatch, MixtureBatchOptions } from './mixture-batches.js';
import { describeStart } from './start.js';
import type { TrainData } from './train-batch.js';

const WORKER = new URL('./mixture-batches.js', import.meta.url);

/** What the data threads are told; `model` and `tokenizer` are those of its folder, `batchSize` that of its loop. */
export function mixtureBatchOptions(
  { data }: Pick<MixtureTrainConfig, 'data'>,
  batchSize: number,
  model: CommConfig,
  tokenizer: string,
): MixtureBatchOptions {
  const { stores, sets, mix, seed, maxLength, packing, groupBatches, skip } = data;
  if (maxLength > model.textConfig.maxPositions) {
    throw new CommError(
      `maxLength is ${maxLength}, but the model reads at most ${model.textConfig.maxPositions} tokens.`,
      {
        code: 'train/max-length',
        fix: `Set comm.data.maxLength=${model.textConfig.maxPositions}.`,
        exitCode: 2,
      },
    );
  }
  return {
    data: { stores, sets, mix, seed },
    mix,
    seed,
    shuffle: true,
    tokenizer,
    model: { imageTokens: model.imageTokens, conversation: model.conversation },
    tokensPerImage: tokensPerImage(model),
    images: model.vision.encoders.map(({ image }) => image),
    batchSize,
    maxLength,
    packing,
    groupBatches,
    skip,
  };
}

/** Options for the data threads of a training, without reading a weight. */
export function describeMixture(config: MixtureTrainConfig, batchSize: number): MixtureBatchOptions {
  const { model, tokenizer } = describeStart(config);
  return mixtureBatchOptions(config, batchSize, model, tokenizer);
}

export class MixtureData implements TrainData {
  readonly encoders: TrainData['encoders'];
  readonly packed: boolean;
  readonly tokenizer: string;
  readonly openHeld: TrainData['openHeld'];
  readonly #options: MixtureBatchOptions;
  readonly #config: Pick<CommTrainConfig, 'workers' | 'ahead'>;
  readonly #held: MixtureTrainConfig['data']['held'];
  readonly #log: (line: string) => void;

  constructor(options: MixtureBatchOptions, config: MixtureTrainConfig, log: (line: string) => void) {
    this.#options = options;
    this.#config = config;
    this.#log = log;
    this.tokenizer = options.tokenizer;
    this.packed = options.packing === 'pack';
    const plan = planSquares(options.images);
    this.encoders = options.images.map((image, i) => ({ image, square: plan.encoders[i]! }));
    const { held } = config.data;
    this.#held = held;
    this.openHeld =
      held === null
        ? null
        : () => ({
            batches: new BatchPool<MixtureBatch>(
              WORKER,
              { ...options, mix: held.mix, seed: held.seed },
              { workers: 1, ahead: 2 },
            ),
            count: Math.ceil(held.samples / options.batchSize),
          });
  }

  openBatches(start: number): BatchSource<MixtureBatch> {
    const { workers, ahead } = this.#config;
    return new CountedBatches(this.#options, { start, workers, ahead }, this.#log);
  }

  /** Of what is held out; where nothing is, samples of the mixture in another order. */
  openHealth(size: number): BatchSource<MixtureBatch> {
    const { mix, seed } = this.#held ?? { mix: this.#options.mix, seed: this.#options.seed + 1 };
    const options: MixtureBatchOptions = { ...this.#options, mix, seed, batchSize: size, groupBatches: 1 };
    return new BatchPool<MixtureBatch>(WORKER, options, { workers: 1, ahead: 2 });
  }

  /** What the loop weighs, counts and names a batch by. */
  describe({ numLearned, numFilled, where }: MixtureBatch): BatchFacts {
    return { weight: numLearned, tokens: numFilled, samples: where };
  }

  metrics({ numLearned, numSamples, ms, numCut }: MixtureBatch): Record<string, Tensor> {
    const scalar = (value: number): Tensor => tensor([value]).squeeze(0);
    return {
      learned_tokens: scalar(numLearned),
      loader_samples_per_second: scalar((this.#config.workers * numSamples * 1000) / ms),
      cut_samples: scalar(numCut),
    };
  }
}

/** Batches of the data threads; counts what was skipped, says so, and stops at the recipe's limit. */
class CountedBatches implements BatchSource<MixtureBatch> {
  readonly #pool: BatchPool<MixtureBatch>;
  readonly #limit: number;
  readonly #log: (line: string) => void;
  readonly #skipped = new Set<string>();
  readonly #kinds = new Map<string, number>();
  readonly #units = new UnitWatch();

  constructor(
    options: MixtureBatchOptions,
    threads: { readonly start: number; readonly workers: number; readonly ahead: number },
    log: (line: string) => void,
  ) {
    this.#pool = new BatchPool(WORKER, options, threads);
    this.#limit = options.skip.limit;
    this.#log = log;
  }

  get waitedMs(): number {
    return this.#pool.waitedMs;
  }

  async next(): Promise<MixtureBatch> {
    const batch = await this.#pool.next();
    this.#units.see(batch);
    for (const { kind, sample, message } of batch.skipped) {
      if (this.#skipped.has(sample)) continue;
      this.#skipped.add(sample);
      this.#kinds.set(kind, (this.#kinds.get(kind) ?? 0) + 1);
      if (this.#skipped.size > this.#limit) {
        throw new CommError(
          `${this.#told()} could not be used, more than the ${this.#limit} of the recipe; the last: ${message}`,
          {
            code: 'data/too-many-skipped',
            fix: 'Look at the data with "commlm data validate <recipe>", or allow more: --resume --change comm.data.skip.limit=N, with --set for a run that begins.',
          },
        );
      }
      if (isRound(this.#skipped.size)) this.#log(`skipped ${this.#skipped.size}: ${message}`);
    }
    return batch;
  }

  close(): Promise<void> {
    if (this.#skipped.size > 0) {
      this.#log(`left out in all: ${this.#told()}`);
    }
    return this.#pool.close();
  }

  /** `3 samples (2 picture, 1 empty-box)`. */
  #told(): string {
    const kinds = [...this.#kinds].map(([kind, count]) => `${count} ${kind}`).join(', ');
    return `${this.#skipped.size} ${this.#skipped.size === 1 ? 'sample' : 'samples'} (${kinds})`;
  }
}

/** Stops a run in which so many boxes of a set show nothing of their pictures that their numbers mean something else. */
class UnitWatch {
  readonly #sets = new Map<string, { drawn: number; empty: number }>();

  see({ sets, skipped }: MixtureBatch): void {
    for (const set of sets) this.#of(set).drawn++;
    for (const { kind, set, message } of skipped) {
      if (kind !== 'empty-box') continue;
      const counts = this.#of(set);
      counts.drawn++;
      counts.empty++;
      if (counts.empty < LEAST_EMPTY || counts.empty < SUSPICIOUS * counts.drawn) continue;
      throw new CommError(
        `${counts.empty} of ${counts.drawn} samples of the set "${set}" have boxes that show nothing of their pictures; the last: ${message}`,
        {
          code: 'data/other-unit',
          fix: 'Look at them with "commlm data preview": boxes and points are in pixels of the picture.',
        },
      );
    }
  }

  #of(set: string): { drawn: number; empty: number } {
    const found = this.#sets.get(set) ?? { drawn: 0, empty: 0 };
    this.#sets.set(set, found);
    return found;
  }
}

/** Published sets have one such box in thousands. */
const SUSPICIOUS = 0.1;
const LEAST_EMPTY = 20;

/** The first ten, then 20, 30, ..., 100, 200, ...: enough to see what is wrong, too few to drown a log. */
const isRound = (count: number): boolean => count % 10 ** Math.floor(Math.log10(count)) === 0;
