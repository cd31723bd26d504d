/**
 * Rows that hold several conversations. In the world they share the picture's tokens: every question sees the prefix (system
 * text and picture) and itself, so one pass gives what a pass a question would give.
 *
 *              prefix  q1 a1  q2 a2
 *     prefix     \
 *     q1 a1      #       \            \ causal, # seen, . hidden
 *     q2 a2      #       .      \
 */

import { scope, type Tensor, where, zeros } from '@commlm/torch';
import type { TrainingFormat } from '../../../config/formats.js';

/** Additive mask of packed rows: i32[B, T] segments (0 the prefix, -1 padding) -> float[B, 1, T, T]. */
export function packedMask(segments_BT: Tensor, dtype: TrainingFormat): Tensor {
  return scope(() => {
    const [rows, length] = segments_BT.shape as [number, number];
    const asker = segments_BT.unsqueeze(2);
    const seen = segments_BT.unsqueeze(1);
    const open = asker.eq(seen).logicalOr(seen.eq(0)).tril();
    const bias = zeros([rows, length, length], { dtype, device: segments_BT.device });
    return where(open, bias, bias.add(Number.NEGATIVE_INFINITY)).unsqueeze(1);
  });
}
