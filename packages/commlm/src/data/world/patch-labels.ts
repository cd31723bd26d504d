/** What each patch of a scene shows: the classes of its noun and colour, and the box of the thing. */
import type { SceneObject } from './placement.js';
import { boxInSquare, objectAt, type Scene, squareOf } from './scene.js';
import type { SpriteBank } from './sprites.js';
import { COLOR_NAMES, NOUNS } from './vocabulary.js';

/** Points a side of a patch that are looked at to say what it shows, and how many of them a thing has to hold. */
const PROBES = 3;
const MOST_PROBES = 5;

/**
 * What each patch of the padded square shows, row by row: a thing that fills most of it, null for the background,
 * undefined where neither does.
 */
export function patchObjects(scene: Scene, bank: SpriteBank, grid: number): (SceneObject | null | undefined)[] {
  const { side, dx, dy } = squareOf(scene);
  const step = side / grid / PROBES;
  return Array.from({ length: grid * grid }, (_, patch) => {
    const [column, row] = [patch % grid, Math.floor(patch / grid)];
    const counts = new Map<SceneObject | null, number>();
    for (let probe = 0; probe < PROBES * PROBES; probe++) {
      const x = (column * PROBES + (probe % PROBES) + 0.5) * step - dx;
      const y = (row * PROBES + Math.floor(probe / PROBES) + 0.5) * step - dy;
      const seen = objectAt(scene, bank, x, y) ?? null;
      counts.set(seen, (counts.get(seen) ?? 0) + 1);
    }
    return [...counts].find(([, count]) => count >= MOST_PROBES)?.[0];
  });
}

/** What the patches of a batch show; B pictures of N patches. */
export interface PatchLabels {
  /** [B * N] class of the noun, one past the last for the background, -100 unclear. */
  readonly nouns: BigInt64Array;
  /** [B * N] class of the colour for patches of coloured shapes, else -100. */
  readonly colors: BigInt64Array;
  /** [B * N, 4] box of the thing that each patch shows, shares of the padded square; 0 without one. */
  readonly boxes: Float32Array;
}

const nounClasses = new Map(NOUNS.map(({ name }, index) => [name, BigInt(index)]));
const UNCLEAR = -100n;

/** Labels the patches of scenes, `patches` of each. */
export function labelPatches(scenes: readonly Scene[], bank: SpriteBank, patches: number): PatchLabels {
  const size = scenes.length * patches;
  const nouns = new BigInt64Array(size).fill(UNCLEAR);
  const colors = new BigInt64Array(size).fill(UNCLEAR);
  const boxes = new Float32Array(size * 4);
  for (const [i, scene] of scenes.entries()) {
    for (const [patch, object] of patchObjects(scene, bank, Math.sqrt(patches)).entries()) {
      if (object === undefined) continue;
      const at = i * patches + patch;
      nouns[at] = object === null ? BigInt(NOUNS.length) : nounClasses.get(object.noun)!;
      if (object === null) continue;
      boxes.set(boxInSquare(object.box, scene), at * 4);
      if (object.color !== undefined) colors[at] = BigInt(COLOR_NAMES.indexOf(object.color));
    }
  }
  return { nouns, colors, boxes };
}
