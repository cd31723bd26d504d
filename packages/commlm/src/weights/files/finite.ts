/** Refusing weights that hold NaN or infinity. */
import { isFloating, noGrad, op, scope, type Tensor } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import type { TensorSource } from '../key-rules.js';

const aminmax = op('aten::aminmax');

/** Throws a CommError naming the first tensor that holds a NaN or an infinity; one pass a tensor, nothing is allocated. */
export function checkFinite(source: Pick<TensorSource, 'name'>, weights: ReadonlyMap<string, Tensor>): void {
  for (const [key, weight] of weights) {
    if (!isFiniteTensor(weight)) {
      throw new CommError(`The tensor '${key}' in ${source.name} holds NaN or infinite values.`, {
        code: 'weights/not-finite',
        fix: 'What is named there is damaged, or its training diverged: use another checkpoint.',
      });
    }
  }
}

/** Whether smallest and largest value are finite; NaN carries through both. */
const isFiniteTensor = (weight: Tensor): boolean =>
  noGrad(() =>
    scope(() => {
      if (weight.numel === 0 || !isFloating(weight.dtype)) return true;
      const [low, high] = aminmax(weight.flatten()) as readonly Tensor[];
      return Number.isFinite(low!.to('f32').item()) && Number.isFinite(high!.to('f32').item());
    }),
  );
