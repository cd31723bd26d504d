/** The MLPs of a decoder: gated (Llama), and plain (Phi). */
import { nn, type Tensor } from '@commlm/torch';
import type { LlamaConfig } from '../../config/model.js';
import { activate } from '../activation.js';

// Shapes: B rows, T tokens, E model width.

/** Gated MLP (SwiGLU, 2002.05202): down(act(gate(x)) * up(x)). */
export class LlamaMlp extends nn.Module {
  readonly gateProj: nn.Linear;
  readonly upProj: nn.Linear;
  readonly downProj: nn.Linear;
  readonly #act: NonNullable<LlamaConfig['act']>;

  constructor({ hiddenSize, intermediateSize, mlpBias: bias, act = 'silu' }: LlamaConfig) {
    super();
    this.#act = act;
    this.gateProj = new nn.Linear(hiddenSize, intermediateSize, { bias });
    this.upProj = new nn.Linear(hiddenSize, intermediateSize, { bias });
    this.downProj = new nn.Linear(intermediateSize, hiddenSize, { bias });
  }

  /** float[B, T, E] -> float[B, T, E]. */
  forward(x_BTE: Tensor): Tensor {
    return this.downProj.forward(activate(this.gateProj.forward(x_BTE), this.#act).mul(this.upProj.forward(x_BTE)));
  }
}

/** The MLP that a config asks for. */
export function buildMlp(config: LlamaConfig): nn.Module & nn.Layer {
  const { hiddenSize, intermediateSize, mlpBias: bias, mlp = 'gated', act = 'silu' } = config;
  if (mlp === 'gated') return new LlamaMlp(config);
  return new nn.Mlp(hiddenSize, intermediateSize, { bias, activation: (x) => activate(x, act) });
}
