/** Data thread of masked autoencoding: random cuts of pictures, and which patches are seen. */
import type { MaeConfig } from '../../config/pretrain.js';
import { Random } from '../../data/world/index.js';
import type { CreateBatcher } from '../loop/batch-pool.js';
import { cutWindow, drawWindow } from '../pictures/crops.js';
import { openPictures } from '../pictures/picture-source.js';
import type { MaeBatch } from './mae-task.js';

/** What the data thread needs to know. */
export type MaeBatchOptions = Pick<MaeConfig, 'cutArea' | 'data'> & {
  readonly batchSize: number;
  /** Side of the pictures in pixels, patches in them, and how many of these are seen. */
  readonly side: number;
  readonly patches: number;
  readonly numVisible: number;
};

/** Scenes are drawn a little larger than the cuts, so that these keep detail. */
const SCENE_SCALE = 1.25;

export const createBatcher: CreateBatcher<MaeBatchOptions> = async (options) => {
  const { batchSize, cutArea, data, side, patches, numVisible } = options;
  const source = await openPictures(data, Math.round(side * SCENE_SCALE));
  return async (index): Promise<MaeBatch> => {
    const random = new Random(index, `mae ${data.seed}`);
    const pictures = new Uint8Array(batchSize * side * side * 3);
    const visible: number[] = [];
    const hidden: number[] = [];
    const broken: string[] = [];
    const samples: string[] = [];
    for (let i = 0; i < batchSize; i++) {
      const picture = await source.picture(index * batchSize + i);
      broken.push(...picture.broken);
      samples.push(picture.name);
      const window = drawWindow(picture.image, cutArea, () => random.next());
      pictures.set(cutWindow(picture.image, window, side, random.chance(0.5)), i * side * side * 3);
      const order = random.shuffle(Array.from({ length: patches }, (_, p) => p));
      visible.push(...order.slice(0, numVisible));
      hidden.push(...order.slice(numVisible));
    }
    return {
      pictures,
      visible: BigInt64Array.from(visible, BigInt),
      hidden: BigInt64Array.from(hidden, BigInt),
      broken,
      samples,
    };
  };
};
