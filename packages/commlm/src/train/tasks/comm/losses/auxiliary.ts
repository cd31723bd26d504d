/** A loss beside the cross-entropy of the next token, read from the visual tokens. */
import type { nn, Tensor } from '@commlm/torch';
import type { Losses } from '../../../loop/training-task.js';
import type { TrainBatch } from '../train-batch.js';

// Shapes: M visual tokens of a batch (pictures times tokens of one), E width of the language model.

/** Reads visual tokens. */
export interface AuxiliaryLoss {
  /** How much it counts. */
  readonly weight: number;
  /** What it reads with, by the name that checkpoints know it under; dropped after training. */
  readonly head?: readonly [string, nn.Module];
  /** Of visual tokens behind the last norm of the language model, float[M, E]. */
  loss(tokens_ME: Tensor, batch: TrainBatch): Losses;
}
