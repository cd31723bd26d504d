/** Scaled dot-product attention for every model here, and the one place that picks its kernel. */
import { F, full, type Tensor } from '@commlm/torch';

// Shapes: B batch, H heads, G key-value heads (H = G in encoders), T queries, S keys, K width of a head.

/** What `attend` may look at. */
export interface AttendOptions {
  /** Additive `float` or boolean (true = look) mask, broadcastable to [B, 1, T, S]. */
  readonly mask?: Tensor | null | undefined;
  /** Query t sees keys 0..t; only for T = S and without `mask`. */
  readonly causal?: boolean | undefined;
  /** Factor of the scores; 1 / sqrt(K) by default. */
  readonly scale?: number | undefined;
  /** Scores go through cap * tanh(score / cap) before the mask (Gemma 2); absent: they do not. */
  readonly cap?: number | undefined;
}

/** Longest row of keys for which the written-out softmax trains faster than the fused kernel on a CPU. */
const EXPLICIT_MAX_KEYS = 512;

/**
 * Whether attention is written out as softmax(q k^T) v. The fused kernel is the right one for inference, for long
 * rows and on a GPU; its backward on a CPU in bf16 takes twice as long as three matrix products up to 512 keys.
 */
export function usesExplicitAttention(q_BHTK: Tensor, k_BGSK: Tensor): boolean {
  return q_BHTK.requiresGrad && q_BHTK.device === 'cpu' && k_BGSK.shape[2]! <= EXPLICIT_MAX_KEYS;
}

/** softmax(q k^T / sqrt(K) + mask) v: `float[B, H, T, K]`, keys and values `float[B, G, S, K]`, to `float[B, H, T, K]`. */
export function attend(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, options: AttendOptions = {}): Tensor {
  const { mask = null, causal = false, scale, cap } = options;
  const [heads, kvHeads] = [q_BHTK.shape[1]!, k_BGSK.shape[1]!];
  if (cap !== undefined || usesExplicitAttention(q_BHTK, k_BGSK)) {
    return explicitAttention(q_BHTK, repeatHeads(k_BGSK, heads), repeatHeads(v_BGSK, heads), options);
  }
  if (heads !== kvHeads && q_BHTK.shape[2] === 1 && (mask === null || mask.shape[2] === 1)) {
    // One new token: the queries of a group stand in a row and read their shared keys once.
    const q_BGqK = q_BHTK.reshape(q_BHTK.shape[0]!, kvHeads, heads / kvHeads, q_BHTK.shape[3]!);
    return F.scaledDotProductAttention(q_BGqK, k_BGSK, v_BGSK, { mask, scale }).reshape(...q_BHTK.shape);
  }
  return F.scaledDotProductAttention(q_BHTK, repeatHeads(k_BGSK, heads), repeatHeads(v_BGSK, heads), {
    mask,
    isCausal: causal,
    scale,
  });
}

function explicitAttention(q: Tensor, k: Tensor, v: Tensor, options: AttendOptions): Tensor {
  const { mask = null, causal = false, scale = q.shape[3]! ** -0.5, cap } = options;
  const plain_BHTS = q.mul(scale).matmul(k.transpose(-2, -1));
  const scores_BHTS = cap === undefined ? plain_BHTS : plain_BHTS.div(cap).tanh().mul(cap);
  const bias = causal ? causalBias(scores_BHTS) : mask?.dtype === 'bool' ? additive(mask, scores_BHTS) : mask;
  return (bias === null ? scores_BHTS : scores_BHTS.add_(bias)).softmax(-1).matmul(v);
}

/** Zero where t >= s, -inf above the diagonal: float[T, S]. */
function causalBias(scores: Tensor): Tensor {
  const { dtype, device, shape } = scores;
  return full([shape[2]!, shape[3]!], Number.NEGATIVE_INFINITY, { dtype, device }).triu(1);
}

/** A boolean mask as a bias: zero where true, -inf elsewhere. */
function additive(mask: Tensor, { dtype, device }: Tensor): Tensor {
  return full(mask.shape, 0, { dtype, device }).maskedFill(mask.logicalNot(), Number.NEGATIVE_INFINITY);
}

/** Every key-value head repeated for its group of query heads: float[B, G, S, K] -> float[B, H, S, K]. */
function repeatHeads(x_BGSK: Tensor, numHeads: number): Tensor {
  const [b, g, s, k] = x_BGSK.shape as [number, number, number, number];
  if (g === numHeads) return x_BGSK;
  return x_BGSK
    .unsqueeze(2)
    .expand(b, g, numHeads / g, s, k)
    .reshape(b, numHeads, s, k);
}
