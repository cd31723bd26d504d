/** Self-attention of a decoder: rotary positions, shared key-value heads, a cache, all keys or a window of them. */
import { nn, type Tensor } from '@commlm/torch';
import type { LlamaConfig } from '../../config/model.js';
import { attend } from '../attention.js';
import type { KeyValueCache } from '../kv-cache.js';
import { buildNorm, type Norm } from '../rms-norm.js';
import { type Rotation, rotate } from '../rope.js';
import type { KeyView, Views } from './views.js';

// Shapes: B rows, T tokens, S keys, E model width, H heads, G key-value heads, K width of a head.

/** What every block of one forward pass shares. */
export interface LayerContext extends Views {
  readonly rotation: Rotation;
  readonly cache: KeyValueCache | null;
}

/** Causal self-attention with rotary positions and shared key-value heads (GQA, 2305.13245). */
export class LlamaAttention extends nn.Module {
  readonly qProj: nn.Linear;
  readonly kProj: nn.Linear;
  readonly vProj: nn.Linear;
  readonly oProj: nn.Linear;
  readonly qNorm: Norm | nn.Identity;
  readonly kNorm: Norm | nn.Identity;
  readonly #config: LlamaConfig;

  constructor(config: LlamaConfig) {
    super();
    const { hiddenSize, numHeads, numKvHeads, headDim, qkvBias, outBias, qkNorm = false } = config;
    this.#config = config;
    this.qProj = new nn.Linear(hiddenSize, numHeads * headDim, { bias: qkvBias });
    this.kProj = new nn.Linear(hiddenSize, numKvHeads * headDim, { bias: qkvBias });
    this.vProj = new nn.Linear(hiddenSize, numKvHeads * headDim, { bias: qkvBias });
    this.oProj = new nn.Linear(numHeads * headDim, hiddenSize, { bias: outBias });
    this.qNorm = qkNorm ? buildNorm(headDim, config) : new nn.Identity();
    this.kNorm = qkNorm ? buildNorm(headDim, config) : new nn.Identity();
  }

  /** float[B, T, E] -> float[B, T, E]; `layer` is the block's place in the cache. */
  forward(x_BTE: Tensor, context: LayerContext, layer: number): Tensor {
    const q_BHTK = rotate(this.#heads(this.qProj.forward(x_BTE), this.qNorm), context.rotation);
    const k_BGTK = rotate(this.#heads(this.kProj.forward(x_BTE), this.kNorm), context.rotation);
    const v_BGTK = this.#heads(this.vProj.forward(x_BTE));
    const [k_BGSK, v_BGSK] = context.cache === null ? [k_BGTK, v_BGTK] : context.cache.append(layer, k_BGTK, v_BGTK);
    const out_BHTK = this.#look(q_BHTK, k_BGSK, v_BGSK, this.#isWindowed(layer) ? context.window : context.whole);
    return this.oProj.forward(out_BHTK.transpose(1, 2).flatten(2));
  }

  /** float[B, T, H * K] -> float[B, H, T, K], each head normed (Qwen3). */
  #heads(x_BTE: Tensor, norm?: Norm | nn.Identity): Tensor {
    const x_BTHK = x_BTE.unflatten(-1, [-1, this.#config.headDim]);
    return (norm === undefined ? x_BTHK : norm.forward(x_BTHK)).transpose(1, 2);
  }

  /** Attention to what a view leaves of the keys, with Gemma's factor and cap of the scores. */
  #look(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, { start, mask }: KeyView): Tensor {
    const { queryScalar, scoreCap } = this.#config;
    return attend(q_BHTK, columnsFrom(start, k_BGSK), columnsFrom(start, v_BGSK), {
      mask,
      causal: mask === null && q_BHTK.shape[2]! > 1,
      scale: queryScalar === undefined ? undefined : queryScalar ** -0.5,
      cap: scoreCap,
    });
  }

  /** Whether a layer looks at the window only (Mistral, Gemma 2). */
  #isWindowed(layer: number): boolean {
    const { slidingWindow } = this.#config;
    return slidingWindow !== undefined && (slidingWindow.layers === 'all' || slidingWindow.layers.includes(layer));
  }
}

/** Keys or values from `start` on: float[B, G, S, K]. */
const columnsFrom = (start: number, x_BGSK: Tensor): Tensor =>
  start === 0 ? x_BGSK : x_BGSK.narrow(2, start, x_BGSK.shape[2]! - start);
