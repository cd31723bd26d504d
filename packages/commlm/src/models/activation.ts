/** Activation functions by their configured names. */
import { F, type Tensor } from '@commlm/torch';
import type { Activation } from '../config/model.js';

/** Applies `act` to `float[*]`; `quick_gelu` is CLIP's x * sigmoid(1.702 x). */
export function activate(x: Tensor, act: Activation): Tensor {
  switch (act) {
    case 'gelu':
      return F.gelu(x);
    case 'gelu_tanh':
      return F.gelu(x, 'tanh');
    case 'quick_gelu':
      return x.mul(1.702).sigmoid().mul(x);
    case 'silu':
      return F.silu(x);
    case 'relu':
      return x.relu();
  }
}
