/** Endless scenes with pixels, restartable at any index without replaying what came before. */

import type { AugmentLevel } from './augment.js';
import { renderPadded } from './render.js';
import { makeScene, type Scene, type SceneOptions } from './scene.js';

export interface WorldStreamOptions extends Omit<SceneOptions, 'size'> {
  /** Picks one of many disjoint streams, an integer from 0 to 2^20. */
  readonly seed: number;
  /** Side of the padded square, pixels. */
  readonly side: number;
  readonly augment?: AugmentLevel;
  /** Index of the first item, default 0. */
  readonly start?: number;
}

/** One item: the scene (in pixels of the padded square's side) and uint8[side, side, 3]. */
export interface WorldItem {
  readonly index: number;
  readonly scene: Scene;
  readonly pixels: Uint8Array;
}

const STREAM_LENGTH = 2 ** 32;

/** Seed of item `index` of stream `seed`; distinct for distinct pairs. Throws RangeError outside the ranges. */
export function sceneSeed(seed: number, index: number): number {
  if (!Number.isInteger(seed) || seed < 0 || seed > 2 ** 20)
    throw new RangeError(`stream seed must lie in 0..2^20, got ${seed}`);
  if (!Number.isInteger(index) || index < 0 || index >= STREAM_LENGTH)
    throw new RangeError(`index must lie in 0..2^32, got ${index}`);
  return seed * STREAM_LENGTH + index;
}

/** Item `index` of a stream. */
export function worldItem(index: number, options: WorldStreamOptions): WorldItem {
  const scene = makeScene(sceneSeed(options.seed, index), { ...options, size: options.side });
  const pixels = renderPadded(scene, options.bank, options.side, { augment: options.augment ?? 'none' });
  return { index, scene, pixels };
}

/** Items from `start` on, without end; item `i` does not depend on the ones before it. */
export function* worldStream(options: WorldStreamOptions): Generator<WorldItem, never, void> {
  for (let index = options.start ?? 0; ; index++) yield worldItem(index, options);
}
