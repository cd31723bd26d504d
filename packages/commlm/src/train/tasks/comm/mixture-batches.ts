/** Data thread of data sets: samples of a mixture with their pictures, as rows of tokens and squares of bytes. */

import type { DataConfig } from '../../../config/comm-train.js';
import { type MixtureConfig, setsOf } from '../../../config/mixture.js';
import type { CommConfig, ImageConfig } from '../../../config/model.js';
import type { SkipConfig } from '../../../config/skip.js';
import { type BatchSettings, MixtureBatches, type Skipped } from '../../../data/batches.js';
import type { Packing } from '../../../data/collate.js';
import { Mixture } from '../../../data/mixture.js';
import { openData, sizesOf } from '../../../data/open-data.js';
import { SampleReader } from '../../../data/reader.js';
import { planSquares, type SquarePlan } from '../../../images/squares.js';
import { Tokenizer } from '../../../text/tokenizer.js';
import type { CreateBatcher } from '../../loop/batch-pool.js';
import type { TrainBatch } from './train-batch.js';

/** What the data thread needs to know; plain data. */
export interface MixtureBatchOptions {
  readonly data: DataConfig;
  readonly mix: MixtureConfig;
  readonly seed: number;
  /** A new order each epoch. */
  readonly shuffle: boolean;
  /** Folder of the tokenizer. */
  readonly tokenizer: string;
  readonly model: Pick<CommConfig, 'conversation' | 'imageTokens'>;
  readonly tokensPerImage: number;
  /** How each encoder's picture is prepared. */
  readonly images: readonly ImageConfig[];
  readonly batchSize: number;
  readonly maxLength: number;
  readonly packing: Packing;
  readonly groupBatches: number;
  readonly skip: SkipConfig;
}

/** A batch of the data thread. */
export interface MixtureBatch extends TrainBatch {
  readonly numSamples: number;
  /** `store/key` of each picture. */
  readonly pictures: readonly string[];
  /** Tokens that are learned, and tokens that are no padding. */
  readonly numLearned: number;
  readonly numFilled: number;
  readonly skipped: readonly Skipped[];
  /** The set of each sample. */
  readonly sets: readonly string[];
  /** Samples that were cut to fit. */
  readonly numCut: number;
  /** Bytes of picture files that were read. */
  readonly numBytes: number;
  /** Milliseconds that the batch took. */
  readonly ms: number;
}

/** Everything that makes batches, open. */
export interface OpenMixture {
  readonly reader: SampleReader;
  readonly mixture: Mixture;
  readonly batches: MixtureBatches;
  readonly plan: SquarePlan;
}

/** Opens data sets, stores and tokenizer. */
export async function openMixture(options: MixtureBatchOptions): Promise<OpenMixture> {
  const { mix, seed, shuffle, model, tokensPerImage, maxLength, skip } = options;
  const tokenizer = await Tokenizer.load(options.tokenizer);
  const data = await openData(options.data, setsOf(mix));
  const sizes = sizesOf(data.sets);
  const plan = planSquares(options.images);
  const reader = new SampleReader(data, {
    text: { tokenizer, model, tokensPerImage, maxLength },
    squares: plan,
    overLong: skip['too-long'] === 'truncate' ? 'truncate' : 'error',
  });
  const mixture = new Mixture(mix, sizes, { seed, shuffle });
  const settings: BatchSettings = { ...options, padId: tokenizer.padId };
  return { reader, mixture, plan, batches: new MixtureBatches(mixture, sizes, reader, settings) };
}

/** Typed arrays of one kind behind each other. */
function join(parts: readonly (Uint8Array | Float32Array)[], isBytes: boolean): Uint8Array | Float32Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const joined = isBytes ? new Uint8Array(length) : new Float32Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

export const createBatcher: CreateBatcher<MixtureBatchOptions> = async (options) => {
  const { batches, plan } = await openMixture(options);
  return async (index): Promise<MixtureBatch> => {
    const started = performance.now();
    const { rows, samples, sets, skipped } = await batches.batch(index);
    const pictures = samples.flatMap((sample) => sample.pictures);
    const { order, ...tokens } = rows;
    return {
      ...tokens,
      numSamples: order.length,
      squares: plan.squares.map(({ rounding }, s) =>
        join(
          pictures.map(({ pixels }) => pixels[s]!),
          rounding !== 'none',
        ),
      ),
      numPictures: pictures.length,
      pictures: pictures.map(({ ref }) => `${ref.store}/${ref.key}`),
      where: samples.map(({ sample }) => sample.where),
      numLearned: rows.labels.filter((label) => label >= 0n).length,
      numFilled: rows.segments.filter((segment) => segment > 0).length,
      skipped,
      sets,
      numCut: samples.filter(({ example }) => example.cut !== undefined).length,
      numBytes: samples.reduce((sum, { numBytes }) => sum + numBytes, 0),
      ms: performance.now() - started,
    };
  };
};
