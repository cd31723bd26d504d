/** The synthetic world as data of a training: endless scenes, drawn and asked about by a data thread. */
import { type Device, type Tensor, tensor } from '@commlm/torch';
import type { CommTrainConfig, WorldData as WorldConfig } from '../../../config/comm-train.js';
import { CommError } from '../../../config/errors.js';
import { type CommConfig, tokensPerImage } from '../../../config/model.js';
import { BatchPool } from '../../loop/batch-pool.js';
import type { BatchFacts, BatchSource } from '../../loop/training-task.js';
import type { TokenLosses, TrainData } from './train-batch.js';
import { WATCHED } from './watched.js';
import type { WorldBatch, WorldBatchOptions } from './world-batches.js';

const WORKER = new URL('./world-batches.js', import.meta.url);

/** Scenes of a stream from here on, half of it, are never learned from. */
const HELD_SCENES = 2 ** 31;

/** What the data thread is told. */
export function worldBatchOptions(
  world: WorldConfig,
  batchSize: number,
  model: CommConfig,
  tokenizer: string,
): WorldBatchOptions {
  const [first, ...others] = model.vision.encoders.map(({ image }) => image.size);
  if (others.some((size) => size !== first)) {
    throw new CommError(`The encoders look at pictures of ${[first, ...others].join(' and ')} pixels.`, {
      code: 'train/world',
      fix: 'The world is drawn in one size: train such a model on data sets.',
    });
  }
  return { world, side: first!, tokensPerImage: tokensPerImage(model), batchSize, tokenizer };
}

export class WorldData implements TrainData {
  readonly encoders: TrainData['encoders'];
  readonly packed = true;
  readonly tokenizer: string;
  readonly openHeld = null;
  readonly #options: WorldBatchOptions;
  readonly #config: Pick<CommTrainConfig, 'workers' | 'ahead' | 'device'>;

  constructor(options: WorldBatchOptions, config: CommTrainConfig, model: CommConfig) {
    this.#options = options;
    this.#config = config;
    this.tokenizer = options.tokenizer;
    this.encoders = model.vision.encoders.map(({ image }) => ({ image, square: 0 }));
  }

  openBatches(start: number): BatchSource<WorldBatch> {
    const { workers, ahead } = this.#config;
    return new BatchPool<WorldBatch>(WORKER, this.#options, { start, workers, ahead });
  }

  /** Scenes of the same stream that no training gets to; no questions about two pictures. */
  openHealth(size: number): BatchSource<WorldBatch> {
    const { world } = this.#options;
    const options: WorldBatchOptions = { ...this.#options, batchSize: size, world: { ...world, pairRows: 0 } };
    return new BatchPool<WorldBatch>(WORKER, options, { start: Math.ceil(HELD_SCENES / size), workers: 1, ahead: 2 });
  }

  describe({ where, segments, patches }: WorldBatch): BatchFacts {
    const { questions } = this.#options.world;
    // Without questions the language model reads nothing: what is left are the visual tokens.
    const tokens = questions === 0 ? patches.nouns.length : segments.filter((segment) => segment >= 0).length;
    return { samples: where, tokens };
  }

  metrics(batch: WorldBatch, losses: TokenLosses | null): Record<string, Tensor> {
    if (losses === null) return {};
    const { tokenLosses } = losses;
    return { token_loss: tokenLosses.mean(), ...watchedLosses(batch, tokenLosses, this.#config.device) };
  }
}

/** Mean loss of the watched tokens of a batch; 0 nats where none is there. */
function watchedLosses(batch: WorldBatch, tokenLosses: Tensor, device: Device): Record<string, Tensor> {
  // The learned tokens in the order of `Comm.loss`: the first of a row is never predicted.
  const kinds = batch.watched.filter((_, at) => at % batch.numTokens > 0 && batch.labels[at] !== -100n);
  const perToken = tensor(Int32Array.from(kinds), { device });
  return Object.fromEntries(
    WATCHED.map((name, index) => {
      const mine = perToken.eq(index + 1).to('f32');
      return [name, tokenLosses.mul(mine).sum().div(mine.sum().clamp(1))];
    }),
  );
}
