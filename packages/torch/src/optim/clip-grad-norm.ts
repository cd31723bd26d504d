/** Gradient clipping. */
import { noGrad } from '../autograd.js';
import { op } from '../ops.js';
import { scope } from '../scope.js';
import { stack, type Tensor, zeros } from '../tensor.js';
import { groupBy } from './group-by.js';

const normsOp = op('aten::_foreach_norm.Scalar');
const scaleAllOp = op('aten::_foreach_mul_.Tensor');
const vectorNormOp = op('aten::linalg_vector_norm');

/** Added to the norm before dividing by it, as in PyTorch. */
const EPS = 1e-6;

/**
 * Scales all gradients in place so that their joint Euclidean norm is at most `maxNorm`; parameters without a gradient
 * are passed over. Returns the norm before clipping as `f32[]`; it is NaN or infinite where a gradient is, and so are
 * then the scaled gradients: look at it before the optimiser's step.
 */
export function clipGradNorm(parameters: Iterable<Tensor>, maxNorm: number): Tensor {
  return scope(() =>
    noGrad(() => {
      const grads = [...parameters].map(({ grad }) => grad).filter((grad) => grad !== null);
      const [first] = grads;
      if (first === undefined) return zeros([]);
      const norms = normsOp(grads, 2, 'f32').map((norm) => norm.to(first.device));
      const total = vectorNormOp(stack(norms), 2);
      const factor = total.add(EPS).pow(-1).mul(maxNorm).clamp(null, 1);
      for (const [device, onDevice] of groupBy(grads, (grad) => grad.device)) {
        scaleAllOp(onDevice, factor.to(device));
      }
      return total;
    }),
  );
}
