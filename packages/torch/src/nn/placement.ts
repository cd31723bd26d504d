/** Where new parameters are made: dtype and device options, and construction without memory. */
import type { Device, DType } from '../dtype.js';
import type { Tensor, TensorOptions } from '../tensor.js';

/** Options of every module's constructor. */
export interface Placement {
  /** 'f32' by default. */
  dtype?: DType | undefined;
  /** 'cpu' by default, 'meta' inside `onMeta`. */
  device?: Device | undefined;
}

let metaDepth = 0;

/**
 * Runs `build` so that every module, `Parameter` and persistent `Buffer` made in it is on the 'meta' device: shapes
 * without memory, to be filled by `loadStateDict(weights, {assign: true})`.
 */
export function onMeta<T>(build: () => T): T {
  metaDepth++;
  try {
    return build();
  } finally {
    metaDepth--;
  }
}

/** Options for the factory of a parameter or buffer, with the device of `onMeta` where one is open. */
export function factoryOptions({ dtype, device }: Placement): TensorOptions {
  const target = metaDepth > 0 ? 'meta' : device;
  return { dtype, device: target };
}

/** The tensor itself, or inside `onMeta` its shape and dtype without memory. */
export function placed(data: Tensor): Tensor {
  return metaDepth > 0 && data.device !== 'meta' ? data.to('meta') : data;
}
