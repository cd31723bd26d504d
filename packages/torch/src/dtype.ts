/** Element types, devices and the plain values that operators take. */

/** Element type of a tensor. */
export type DType = 'f64' | 'f32' | 'f16' | 'bf16' | 'i64' | 'i32' | 'i16' | 'i8' | 'u8' | 'bool';
/** Where a tensor lives; `meta` has shapes and no data. */
export type Device = 'cpu' | 'cuda' | `cuda:${number}` | 'mps' | 'meta';
/** Sizes, outermost first. */
export type Shape = readonly number[];
/** An integer argument; beyond 2^53 a bigint. */
export type Int = number | bigint;
/** A number argument of an operator; whole numbers count as integers, as in Python. */
export type Scalar = number | bigint | boolean;
/** Storage layout; only dense tensors here. */
export type Layout = 'strided';
/** Order of dimensions in memory. */
export type MemoryFormat = 'contiguous' | 'preserve' | 'channels_last';

/** Bytes of one element. */
export const BYTES_PER_ELEMENT: Readonly<Record<DType, number>> = {
  f64: 8,
  f32: 4,
  f16: 2,
  bf16: 2,
  i64: 8,
  i32: 4,
  i16: 2,
  i8: 1,
  u8: 1,
  bool: 1,
};

/** Whether the type holds fractions. */
export function isFloating(dtype: DType): boolean {
  return dtype === 'f32' || dtype === 'bf16' || dtype === 'f16' || dtype === 'f64';
}
