/** Exponential moving average of parameters. */
import { noGrad } from '../autograd.js';
import { op } from '../ops.js';
import type { Tensor } from '../tensor.js';

const lerpAllOp = op('aten::_foreach_lerp_.Scalar');

/**
 * Moves every average towards its source in place: `average = decay * average + (1 - decay) * source`. The two lists
 * have to agree in length, shapes and dtypes; keep the averages in f32, a bf16 average stands still at high decay.
 */
export function emaUpdate(averages: readonly Tensor[], sources: readonly Tensor[], decay: number): void {
  if (averages.length !== sources.length) {
    throw new TypeError(`emaUpdate: ${averages.length} averages for ${sources.length} sources`);
  }
  noGrad(() => lerpAllOp(averages, sources, 1 - decay));
}
