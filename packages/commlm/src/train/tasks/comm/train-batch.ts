/** What the trainer of COMM asks of its data: batches of rows with pictures, from the world or from data sets. */
import type { Tensor } from '@commlm/torch';
import type { ImageConfig } from '../../../config/model.js';
import type { RawBatch } from '../../loop/batch-pool.js';
import type { BatchFacts, BatchSource } from '../../loop/training-task.js';

// Shapes: R rows, T tokens, P pictures of the batch, N visual tokens of one.

/** A batch of a data thread. */
export interface TrainBatch extends RawBatch {
  readonly numRows: number;
  readonly numTokens: number;
  /** [R, T] each. */
  readonly ids: BigInt64Array;
  readonly labels: BigInt64Array;
  readonly positions: BigInt64Array;
  /** What a token belongs to within its row, see `packedMask`; -1 for padding. */
  readonly segments: Int32Array;
  /** Flat places in [R * T] of the visual tokens of all pictures, row by row. */
  readonly places: BigInt64Array;
  /** Pictures P, each in all squares. */
  readonly numPictures: number;
  /** For each square u8[P, size, size, 3] or, without rounding, f32[P, 3, size, size]. */
  readonly squares: readonly (Uint8Array | Float32Array)[];
  /** Where each sample comes from, for errors. */
  readonly where: readonly string[];
  /** The pictures that the rows show, as places among the P; absent where each is shown once, in order. */
  readonly shown?: BigInt64Array;
  /** [R, T], how much each label counts; absent where all count the same. */
  readonly weights?: Float32Array;
  /** The tokens of the digits 0 to 9, where they are known. */
  readonly digits?: BigInt64Array;
}

/** What comes of the tokens of a batch. */
export interface TokenLosses {
  /** f32[M], in nats, of each learned token, row by row. */
  readonly tokenLosses: Tensor;
}

/** Data of a training. */
export interface TrainData {
  /** How each encoder's picture is normalised, and which square of a batch it reads. */
  readonly encoders: readonly { readonly image: ImageConfig; readonly square: number }[];
  /** Whether rows hold what must not see each other. */
  readonly packed: boolean;
  /** Folder of the tokenizer. */
  readonly tokenizer: string;
  openBatches(start: number): BatchSource<TrainBatch>;
  /** Batches that nothing is learned from, as many as `loop.batchSize` cuts them into; null where nothing is held out. */
  readonly openHeld: (() => { readonly batches: BatchSource<TrainBatch>; readonly count: number }) | null;
  /** Batches of few pictures to watch the branches on, which nothing is learned from before it is measured. */
  openHealth(size: number): BatchSource<TrainBatch>;
  describe(batch: TrainBatch): BatchFacts;
  /** Figures to log, scalars. */
  metrics(batch: TrainBatch, losses: TokenLosses | null): Record<string, Tensor>;
}
