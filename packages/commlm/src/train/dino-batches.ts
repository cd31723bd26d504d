/** Data thread of self-distillation: scenes on white squares, cut into large and small views, with patches to hide. */
import { loadSpriteBank, Random, type StyleChoice, worldItem } from '../data/world/index.js';
import type { CreateBatcher } from './batch-pool.js';
import { type CropOptions, randomCrop } from './crops.js';
import type { DinoBatch, WorldViews } from './dino-task.js';

/** What the data thread needs to know. */
export interface DinoBatchOptions {
  /** Side of the large views in pixels and the patches in them. */
  readonly side: number;
  readonly patches: number;
  readonly batchSize: number;
  readonly smallViews: number;
  readonly smallSide: number;
  readonly world: WorldViews;
}

/** Scenes are drawn a little larger than the views, so that cuts keep detail. */
const SCENE_SCALE = 1.25;
const LARGE_AREA: readonly [number, number] = [0.4, 1];
const SMALL_AREA: readonly [number, number] = [0.1, 0.4];
const COLOUR = 0.4;
/** Half of the large views hide this share of their patches, the others none (iBOT, 2111.07832). */
const HIDDEN_SHARE: readonly [number, number] = [0.15, 0.5];

export const createBatcher: CreateBatcher<DinoBatchOptions> = async (options) => {
  const bank = await loadSpriteBank();
  const { side, patches, batchSize, smallViews, smallSide, world } = options;
  const sceneSide = Math.round(side * SCENE_SCALE);
  return (index): DinoBatch => {
    const random = new Random(index, `dino ${world.seed}`);
    const next = (): number => random.next();
    const large = new Uint8Array(2 * batchSize * side * side * 3);
    const small = new Uint8Array(smallViews * batchSize * smallSide * smallSide * 3);
    const hidden: bigint[] = [];
    const cut = (crop: CropOptions, source: Uint8Array, out: Uint8Array, at: number): void =>
      randomCrop(source, sceneSide, crop, next, out, at * crop.side * crop.side * 3);
    for (let i = 0; i < batchSize; i++) {
      const { pixels: picture } = worldItem(index * batchSize + i, {
        bank,
        seed: world.seed,
        side: sceneSide,
        style: world.style as StyleChoice,
      });
      for (let v = 0; v < 2; v++) {
        cut({ side, scale: LARGE_AREA, colour: COLOUR }, picture, large, v * batchSize + i);
      }
      for (let v = 0; v < smallViews; v++) {
        cut({ side: smallSide, scale: SMALL_AREA, colour: COLOUR }, picture, small, v * batchSize + i);
      }
    }
    for (let view = 0; view < 2 * batchSize; view += 2) {
      const share = HIDDEN_SHARE[0] + random.next() * (HIDDEN_SHARE[1] - HIDDEN_SHARE[0]);
      const places = random.shuffle(Array.from({ length: patches }, (_, p) => p)).slice(0, Math.round(share * patches));
      for (const place of places) hidden.push(BigInt(view * patches + place));
    }
    return { large, small, hidden: BigInt64Array.from(hidden) };
  };
};
