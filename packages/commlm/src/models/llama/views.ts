/** Which keys the tokens of one pass look at: all before them, or a window; rows in step, or each at a position of its own. */
import { arange, type Device, full, ones, type Tensor, zeros } from '@commlm/torch';

// Shapes: B rows, T tokens, S keys.

/** Keys from `start` on, and which of them a token sees; without a mask those up to itself. */
export interface KeyView {
  readonly start: number;
  readonly mask: Tensor | null;
}

/** What layers look at. */
export interface Views {
  /** All positions before. */
  readonly whole: KeyView;
  /** The last positions, for layers with a sliding window; the same while the window holds everything. */
  readonly window: KeyView;
}

/** A pass over `numTokens` tokens behind `past` stored ones. */
export interface Pass {
  readonly past: number;
  readonly numTokens: number;
  /** Positions that a window holds; undefined without one. */
  readonly reach: number | undefined;
  /** The caller's own mask, over all keys. */
  readonly mask: Tensor | undefined;
  readonly device: Device;
}

/** The views where all rows stand at the same position. */
export function evenViews({ past, numTokens, reach, mask, device }: Pass): Views {
  const own = mask ?? (past > 0 && numTokens > 1 ? pastMask(past, numTokens, device) : null);
  const whole = { start: 0, mask: own };
  const fits = reach === undefined || past + numTokens <= reach;
  return { whole, window: fits ? whole : windowView(reach, past, numTokens, mask ?? null, device) };
}

/** The views where tokens stand in columns i64[B, T] of the cache, each row at its own; `lengths` are the rows' stored tokens. */
export function unevenViews(
  columns_BT: Tensor,
  lengths: readonly number[],
  { past, numTokens, reach, mask }: Pass,
): Views {
  const end = past + numTokens;
  const view = (start: number, size: number): KeyView => {
    const seen = columnsSeen(columns_BT, start, end, size);
    return { start, mask: mask === undefined ? seen : narrowed(mask, start, end - start, seen) };
  };
  const whole = view(0, end);
  if (reach === undefined || end <= reach) return { whole, window: whole };
  return { whole, window: view(Math.max(0, Math.min(...lengths) + 1 - reach), reach) };
}

/** Which columns `start` to `end` the tokens at i64[B, T] see, themselves and `reach` - 1 before them: bool[B, 1, T, S]. */
function columnsSeen(columns_BT: Tensor, start: number, end: number, reach: number): Tensor {
  const key_S = arange(start, end, 1, { dtype: 'i64', device: columns_BT.device });
  const query_B1T1 = columns_BT.unsqueeze(1).unsqueeze(3);
  const behind = key_S.le(query_B1T1);
  return reach >= end ? behind : behind.logicalAnd(key_S.gt(query_B1T1.sub(reach)));
}

/** True where new tokens behind `past` stored ones may look, all that is not ahead of them: bool[1, 1, T, S]. */
const pastMask = (past: number, numTokens: number, device: Device): Tensor =>
  ones([1, 1, numTokens, past + numTokens], { dtype: 'bool', device }).tril(past);

/**
 * What a window of `size` leaves of `past` stored and `numTokens` new positions; `mask` is the caller's own. With size 3:
 *
 *     past 0, 5 new    x . . . .        past 4, 1 new    ( . . ) x x x        keys before `start` are cut off,
 *                      x x . . .                                              a single token needs no mask
 *                      x x x . .
 *                      . x x x .
 *                      . . x x x
 */
function windowView(size: number, past: number, numTokens: number, mask: Tensor | null, device: Device): KeyView {
  const start = Math.max(0, past + 1 - size);
  const numKeys = past + numTokens - start;
  if (numTokens === 1) return { start, mask: mask === null ? null : columnsOf(mask, start, numKeys) };
  const band = ones([1, 1, numTokens, numKeys], { dtype: 'bool', device })
    .tril(past - start)
    .logicalAnd(ones([numTokens, numKeys], { dtype: 'bool', device }).triu(past - start + 1 - size));
  return { start, mask: mask === null ? band : narrowed(mask, start, numKeys, band) };
}

/** The columns of a mask from `start` on, all of them where it has one for all. */
const columnsOf = (mask: Tensor, start: number, numKeys: number): Tensor =>
  mask.shape.at(-1) === 1 ? mask : mask.narrow(-1, start, numKeys);

/** A caller's mask on the columns from `start` on, without what `seen` hides. */
function narrowed(mask: Tensor, start: number, numKeys: number, seen: Tensor): Tensor {
  const asked = columnsOf(mask, start, numKeys);
  if (asked.dtype === 'bool') return asked.logicalAnd(seen);
  const { dtype, device } = asked;
  const hidden = full(seen.shape, Number.NEGATIVE_INFINITY, { dtype, device });
  return asked.add(zeros(seen.shape, { dtype, device }).where(seen, hidden));
}
