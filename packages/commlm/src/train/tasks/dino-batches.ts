/** Data thread of self-distillation: pictures cut into large and small views, with patches to hide. */
import type { DinoConfig } from '../../config/pretrain.js';
import { Random } from '../../data/world/index.js';
import type { RgbImage } from '../../images/decode.js';
import type { CreateBatcher } from '../loop/batch-pool.js';
import type { CheckedBatch } from '../loop/checked-batches.js';
import { type DinoView, dinoColours } from '../pictures/colours.js';
import { type CutWindow, cutWindow, drawWindow, randomCrop, samePlaces } from '../pictures/crops.js';
import { openPictures } from '../pictures/picture-source.js';
import { drawHidden } from './hidden-patches.js';

/** One batch of views: large ones u8[2 * B, S, S, 3], small ones u8[L * B, s, s, 3], view by view. */
export interface DinoBatch extends CheckedBatch {
  readonly large: Uint8Array;
  readonly small: Uint8Array;
  /** Flat places [2 * B * N] of the hidden patches of the large views. */
  readonly hidden: BigInt64Array;
  /** Weight of each in the loss, such that it is a mean over views of means over a view's hidden patches. */
  readonly hiddenWeights: Float32Array;
  /** Where each patch of each large view [2 * B * N] stands in the table of positions; null where the table is resized. */
  readonly positions: BigInt64Array | null;
  /** Pairs of patches that show the same place of a scene, one in each large view: flat places [P] of the student's and the teacher's. */
  readonly matched: { readonly student: BigInt64Array; readonly teacher: BigInt64Array };
}

/** What the data thread needs to know. */
export type DinoBatchOptions = Pick<
  DinoConfig,
  | 'smallViews'
  | 'smallSide'
  | 'largeArea'
  | 'smallArea'
  | 'colours'
  | 'hidden'
  | 'data'
  | 'positions'
  | 'redraw'
  | 'placeWeight'
> & {
  readonly batchSize: number;
  /** Side of the large views in pixels, and of their grid in patches. */
  readonly side: number;
  readonly grid: number;
  /** Side of the pictures that the encoder is for, and of its table of positions in patches. */
  readonly imageSide: number;
  readonly tableGrid: number;
};

/** Scenes are drawn a little larger than the views, so that cuts keep detail. */
const SCENE_SCALE = 1.25;

/** One view of a picture, written at `offset`; says what it shows. */
type Cut = (picture: RgbImage, view: DinoView, random: Random, out: Uint8Array, offset: number) => CutWindow;

/** How views are cut out of pictures. */
function cutter({ side, smallSide, largeArea, smallArea, colours }: DinoBatchOptions): Cut {
  const sideOf = (view: DinoView): number => (view === 'small' ? smallSide : side);
  const areaOf = (view: DinoView): readonly [number, number] => (view === 'small' ? smallArea : largeArea);
  if (colours.kind === 'light') {
    return (picture, view, random, out, offset) => {
      const crop = { side: sideOf(view), scale: areaOf(view), colour: colours.strength };
      return randomCrop(picture, crop, () => random.next(), out, offset);
    };
  }
  return (picture, view, random, out, offset) => {
    const next = (): number => random.next();
    const window = drawWindow(picture, areaOf(view), next);
    const mirror = random.chance(0.5);
    const pixels = cutWindow(picture, window, sideOf(view), mirror);
    dinoColours(pixels, sideOf(view), view, next);
    out.set(pixels, offset);
    return { ...window, mirror };
  };
}

/** Pieces of the table of positions, one a view, each at a random place: i64[views * grid * grid]. */
function drawPieces(numViews: number, grid: number, tableGrid: number, random: Random): BigInt64Array {
  const places: bigint[] = [];
  for (let view = 0; view < numViews; view++) {
    const [top, left] = [random.int(tableGrid - grid + 1), random.int(tableGrid - grid + 1)];
    for (let p = 0; p < grid * grid; p++) {
      places.push(BigInt((top + Math.floor(p / grid)) * tableGrid + left + (p % grid)));
    }
  }
  return BigInt64Array.from(places);
}

export const createBatcher: CreateBatcher<DinoBatchOptions> = async (options) => {
  const { side, grid, batchSize, smallViews, smallSide, hidden, data, imageSide, tableGrid } = options;
  const source = await openPictures(data, Math.max(imageSide, Math.round(side * SCENE_SCALE)), options);
  const cut = cutter(options);
  return async (index): Promise<DinoBatch> => {
    const random = new Random(index, `dino ${data.seed}`);
    const large = new Uint8Array(2 * batchSize * side * side * 3);
    const small = new Uint8Array(smallViews * batchSize * smallSide * smallSide * 3);
    const broken: string[] = [];
    const samples: string[] = [];
    const matched: { student: number[]; teacher: number[] } = { student: [], teacher: [] };
    const match = (student: number, from: CutWindow, teacher: number, to: CutWindow): void => {
      for (const [p, q] of samePlaces(from, to, grid)) {
        matched.student.push(student * grid * grid + p);
        matched.teacher.push(teacher * grid * grid + q);
      }
    };
    for (let i = 0; i < batchSize; i++) {
      const picture = await source.picture(index * batchSize + i);
      broken.push(...picture.broken);
      samples.push(picture.name);
      const drawings = [picture.image, picture.again ?? picture.image] as const;
      const first = cut(drawings[0], 'first', random, large, i * side * side * 3);
      const second = cut(drawings[1], 'second', random, large, (batchSize + i) * side * side * 3);
      if (options.placeWeight > 0) {
        match(i, first, batchSize + i, second);
        match(batchSize + i, second, i, first);
      }
      for (let v = 0; v < smallViews; v++) {
        cut(drawings[v % 2 === 0 ? 1 : 0], 'small', random, small, (v * batchSize + i) * smallSide * smallSide * 3);
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
      positions: options.positions === 'piece' ? drawPieces(2 * batchSize, grid, tableGrid, random) : null,
      matched: {
        student: BigInt64Array.from(matched.student, BigInt),
        teacher: BigInt64Array.from(matched.teacher, BigInt),
      },
      broken,
      samples,
    };
  };
};
