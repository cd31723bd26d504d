/**
 * How far two implementations of one model may lie apart by rounding alone, from the model's own sizes: the bounds of the
 * f32 rows of the parity table (see `roundingBound`). In bf16 the reference's own error against its f32 is the measure.
 */
import { type Arithmetic, roundingBound } from '@commlm/torch/testing';

/** What the arithmetic of a transformer depends on. */
export interface Sizes {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numLayers: number;
}

/** Norm, projection, scores, softmax, values and projection, and the two steps of the MLP with its norm. */
const STEPS_PER_LAYER = 8;
/** Embedding and last projection. */
const STEPS_AROUND = 2;

/** The arithmetic of models that follow one another: an encoder, or an encoder and the decoder behind it. */
function arithmeticOf(models: readonly Sizes[]): Required<Pick<Arithmetic, 'terms' | 'steps'>> {
  return {
    terms: Math.max(...models.map(({ hiddenSize, intermediateSize }) => Math.max(hiddenSize, intermediateSize))),
    steps: models.reduce((sum, { numLayers }) => sum + STEPS_PER_LAYER * numLayers + STEPS_AROUND, 0),
  };
}

/** Bound of states and logits, relative to the largest. */
export function forwardBound(...models: readonly Sizes[]): number {
  return roundingBound(arithmeticOf(models));
}

/** Bound of a weight and what an adapter adds to it: a sum over the rank, which is at most 4 here, a factor and a sum. */
export const LORA_BOUND = roundingBound({ terms: 4, steps: 2 });

/** Bound of gradients: the way back is twice as long as the way there, since inputs and weights have gradients. */
export function gradientBound(...models: readonly Sizes[]): number {
  const { terms, steps } = arithmeticOf(models);
  return roundingBound({ terms, steps: 3 * steps });
}
