/** Data thread of self-distillation: pictures cut into large and small views, with patches to hide. */
import type { DinoConfig } from '../../config/pretrain.js';
import { Random } from '../../data/world/index.js';
import type { RgbImage } from '../../images/decode.js';
import type { CreateBatcher } from '../loop/batch-pool.js';
import { type DinoView, dinoColours } from '../pictures/colours.js';
import { cutWindow, drawWindow, randomCrop } from '../pictures/crops.js';
import { openPictures } from '../pictures/picture-source.js';
import type { DinoBatch } from './dino-task.js';
import { drawHidden } from './hidden-patches.js';

/** What the data thread needs to know. */
export type DinoBatchOptions = Pick<
  DinoConfig,
  'smallViews' | 'smallSide' | 'largeArea' | 'smallArea' | 'colours' | 'hidden' | 'data'
> & {
  readonly batchSize: number;
  /** Side of the large views in pixels, and of their grid in patches. */
  readonly side: number;
  readonly grid: number;
};

/** Scenes are drawn a little larger than the views, so that cuts keep detail. */
const SCENE_SCALE = 1.25;

/** One view of a picture, written at `offset`. */
type Cut = (picture: RgbImage, view: DinoView, random: Random, out: Uint8Array, offset: number) => void;

/** How views are cut out of pictures. */
function cutter({ side, smallSide, largeArea, smallArea, colours }: DinoBatchOptions): Cut {
  const sideOf = (view: DinoView): number => (view === 'small' ? smallSide : side);
  const areaOf = (view: DinoView): readonly [number, number] => (view === 'small' ? smallArea : largeArea);
  if (colours.kind === 'light') {
    return (picture, view, random, out, offset) => {
      const crop = { side: sideOf(view), scale: areaOf(view), colour: colours.strength };
      randomCrop(picture, crop, () => random.next(), out, offset);
    };
  }
  return (picture, view, random, out, offset) => {
    const next = (): number => random.next();
    const pixels = cutWindow(picture, drawWindow(picture, areaOf(view), next), sideOf(view), random.chance(0.5));
    dinoColours(pixels, sideOf(view), view, next);
    out.set(pixels, offset);
  };
}

export const createBatcher: CreateBatcher<DinoBatchOptions> = async (options) => {
  const { side, grid, batchSize, smallViews, smallSide, hidden, data } = options;
  const source = await openPictures(data, Math.round(side * SCENE_SCALE));
  const cut = cutter(options);
  return async (index): Promise<DinoBatch> => {
    const random = new Random(index, `dino ${data.seed}`);
    const large = new Uint8Array(2 * batchSize * side * side * 3);
    const small = new Uint8Array(smallViews * batchSize * smallSide * smallSide * 3);
    const broken: string[] = [];
    const samples: string[] = [];
    for (let i = 0; i < batchSize; i++) {
      const picture = await source.picture(index * batchSize + i);
      broken.push(...picture.broken);
      samples.push(picture.name);
      cut(picture.image, 'first', random, large, i * side * side * 3);
      cut(picture.image, 'second', random, large, (batchSize + i) * side * side * 3);
      for (let v = 0; v < smallViews; v++) {
        cut(picture.image, 'small', random, small, (v * batchSize + i) * smallSide * smallSide * 3);
      }
    }
    const places: number[] = [];
    const weights: number[] = [];
    for (const [view, patches] of drawHidden(2 * batchSize, grid, hidden, random).entries()) {
      for (const patch of patches) {
        places.push(view * grid * grid + patch);
        weights.push(1 / (patches.length * 2 * batchSize));
      }
    }
    return {
      large,
      small,
      hidden: BigInt64Array.from(places, BigInt),
      hiddenWeights: Float32Array.from(weights),
      broken,
      samples,
    };
  };
};
