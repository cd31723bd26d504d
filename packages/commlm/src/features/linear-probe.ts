/** Linear probes: how much a linear map reads from frozen features. Ridge regression in closed form, so that a probe has no training of its own to go wrong. */
import { cat, F, keep, noGrad, ones, op, scope, type Tensor, zeros } from '@commlm/torch';

// Shapes: R rows, D width, C outputs.

const solve = op('aten::linalg_solve');
const eye = op('aten::eye');

/** Rows without their mean and scale (LayerNorm without weights, as COMM's merge begins) and with a one behind: float[R, D] -> f64[R, D + 1]. */
const prepared = (features_RD: Tensor): Tensor => {
  const normed = F.layerNorm(features_RD.to('f32'), [features_RD.shape[1]!]);
  return cat([normed, ones([normed.shape[0]!, 1]).to(normed.device)], 1).to('f64');
};

/** Collects features and what is to be read from them, then finds the linear map with the least squared error. */
export class LinearProbe {
  readonly #gram: Tensor;
  readonly #target: Tensor;
  readonly #decay: number;
  #rows = 0;

  /** @param decay weight of the map's own squares beside the mean squared error. */
  constructor(width: number, outputs: number, decay = 1e-3) {
    this.#decay = decay;
    [this.#gram, this.#target] = scope(() =>
      keep([zeros([width + 1, width + 1], { dtype: 'f64' }), zeros([width + 1, outputs], { dtype: 'f64' })] as const),
    );
  }

  /** Features float[R, D] and targets float[R, C]; any number of calls. */
  add(features_RD: Tensor, targets_RC: Tensor): void {
    scope(() =>
      noGrad(() => {
        const x = prepared(features_RD);
        this.#gram.add_(x.t().mm(x));
        this.#target.add_(x.t().mm(targets_RC.to('f64')));
        this.#rows += x.shape[0]!;
      }),
    );
  }

  /** The map for all that was added: features float[R, D] -> f64[R, C]. @throws RangeError when nothing was added. */
  fit(): (features_RD: Tensor) => Tensor {
    if (this.#rows === 0) throw new RangeError('LinearProbe: there is nothing to fit');
    const map = scope(() => {
      const ridge = eye(this.#gram.shape[0]!, 'f64').mul(this.#decay * this.#rows);
      return keep(solve(this.#gram.add(ridge), this.#target));
    });
    return (features_RD) => scope(() => noGrad(() => prepared(features_RD).mm(map)));
  }

  dispose(): void {
    this.#gram.dispose();
    this.#target.dispose();
  }
}
