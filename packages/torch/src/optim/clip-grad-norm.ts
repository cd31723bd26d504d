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
      // The device is asked of the parameters, which remember it; each gradient is a new handle.
      const graded = [...parameters].flatMap(({ device, grad }) => (grad === null ? [] : [{ device, grad }]));
      const byDevice = [...groupBy(graded, ({ device }) => device)].map(
        ([device, items]) => [device, items.map(({ grad }) => grad)] as const,
      );
      const [first] = byDevice;
      if (first === undefined) return zeros([]);
      const norms = byDevice.map(([, grads]) => vectorNormOp(stack(normsOp(grads, 2, 'f32')), 2).to(first[0]));
      const total = vectorNormOp(stack(norms), 2);
      const factor = total.add(EPS).reciprocal().mul(maxNorm).clamp(null, 1);
      for (const [device, grads] of byDevice) scaleAllOp(grads, factor.to(device));
      return total;
    }),
  );
}
