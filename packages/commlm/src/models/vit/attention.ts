/** Self-attention of an encoder: every token looks at every other. */
import { nn, type Tensor } from '@commlm/torch';
import type { ViTConfig } from '../../config/model.js';
import { attend } from '../attention.js';
import type { PatchRope } from '../patch-rope.js';

// Shapes: B images, S tokens, D width, H heads, K width of a head.

/** Multi-head self-attention with one fused projection for queries, keys and values. */
export class ViTAttention extends nn.Module {
  readonly qkv: nn.Linear;
  readonly norm: nn.LayerNorm | nn.Identity;
  readonly proj: nn.Linear;
  readonly #numHeads: number;

  constructor({ hiddenSize, numHeads, qkvBias, subNorm, layerNormEps: eps }: ViTConfig) {
    super();
    this.#numHeads = numHeads;
    this.qkv = new nn.Linear(hiddenSize, 3 * hiddenSize, { bias: qkvBias });
    this.norm = subNorm === 'attention-and-mlp' ? new nn.LayerNorm(hiddenSize, { eps }) : new nn.Identity();
    this.proj = new nn.Linear(hiddenSize, hiddenSize);
  }

  /** float[B, S, D] -> float[B, S, D]; queries and keys turn with their place where there is a `rope`. */
  forward(x_BSD: Tensor, rope: PatchRope | null = null): Tensor {
    const heads = [3, this.#numHeads, x_BSD.shape[2]! / this.#numHeads];
    const qkv_3BHSK = this.qkv.forward(x_BSD).unflatten(-1, heads).permute(2, 0, 3, 1, 4);
    const [q, k, v] = qkv_3BHSK.unbind(0) as [Tensor, Tensor, Tensor];
    const y_BHSK = rope === null ? attend(q, k, v) : attend(rope.rotate(q), rope.rotate(k), v);
    return y_BHSK.transpose(1, 2).flatten(2).pipe(this.norm, this.proj);
  }
}
