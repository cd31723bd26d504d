/** Data thread of contrastive pre-training: pictures with captions, and regions with the phrase of what they show. */
import {
  type AugmentLevel,
  boxInSquare,
  COLOR_NAMES,
  loadSpriteBank,
  NOUNS,
  Random,
  type SceneObject,
  type StyleChoice,
  worldItem,
} from '../data/world/index.js';
import type { CreateBatcher } from './batch-pool.js';
import type { ClipBatch, ClipPretrainConfig } from './clip-task.js';

/** What the data thread needs to know. */
export interface ClipBatchOptions {
  /** Side of the pictures and of a patch in pixels. */
  readonly side: number;
  readonly patchSize: number;
  readonly batchSize: number;
  readonly world: ClipPretrainConfig['world'];
}

/**
 * Words of the text tower, which is dropped after pre-training and needs no tokenizer of a language model.
 * Id 0 pads, 1 ends a text.
 */
const WORDS = new Map(['a', 'and', ...COLOR_NAMES, ...NOUNS.map(({ name }) => name)].map((word, i) => [word, i + 2]));
const END = 1;

/** Number of ids that the text tower has to know. */
export const NUM_WORD_IDS = WORDS.size + 2;

/** `a red circle`, `a dog`. */
const phraseOf = ({ noun, color }: SceneObject): string => (color === undefined ? `a ${noun}` : `a ${color} ${noun}`);

const encode = (text: string): number[] => [...text.split(' ').map((word) => WORDS.get(word) as number), END];

/** Share of each patch of a `grid` x `grid` picture that a box (0..1) covers, summing to 1. */
export function patchCover(box: readonly [number, number, number, number], grid: number): Float32Array {
  const cover = new Float32Array(grid * grid);
  const overlap = (low: number, high: number, cell: number): number =>
    Math.max(0, Math.min(high * grid, cell + 1) - Math.max(low * grid, cell));
  let sum = 0;
  for (let row = 0; row < grid; row++) {
    for (let column = 0; column < grid; column++) {
      const share = overlap(box[1], box[3], row) * overlap(box[0], box[2], column);
      cover[row * grid + column] = share;
      sum += share;
    }
  }
  if (sum > 0) for (let i = 0; i < cover.length; i++) cover[i] = (cover[i] as number) / sum;
  return cover;
}

/** Token rows padded with 0 at the right, and their lengths. */
function padRows(rows: readonly (readonly number[])[]): { ids: BigInt64Array; lengths: BigInt64Array } {
  const width = Math.max(...rows.map((row) => row.length));
  const ids = new BigInt64Array(rows.length * width);
  for (const [i, row] of rows.entries()) {
    for (const [t, id] of row.entries()) ids[i * width + t] = BigInt(id);
  }
  return { ids, lengths: BigInt64Array.from(rows, (row) => BigInt(row.length)) };
}

export const createBatcher: CreateBatcher<ClipBatchOptions> = async (options) => {
  const { side, patchSize, batchSize, world } = options;
  const bank = await loadSpriteBank();
  const grid = side / patchSize;
  return (index): ClipBatch => {
    const pictures = new Uint8Array(batchSize * side * side * 3);
    const captions: number[][] = [];
    const phraseIndex = new Map<string, number>();
    const regionPictures: bigint[] = [];
    const regionPhrases: bigint[] = [];
    const covers: Float32Array[] = [];
    for (let i = 0; i < batchSize; i++) {
      const { scene, pixels } = worldItem(index * batchSize + i, {
        bank,
        seed: world.seed,
        side,
        style: world.style as StyleChoice,
        augment: world.augment as AugmentLevel,
      });
      pictures.set(pixels, i * side * side * 3);
      // Things in any order: a caption must not tell where they stand, or the batch is told apart by that.
      const order = new Random(scene.seed, 'clip caption').shuffle(scene.objects);
      captions.push(encode(order.map(phraseOf).join(' and ')));
      for (const object of scene.objects) {
        const phrase = phraseOf(object);
        if (!phraseIndex.has(phrase)) phraseIndex.set(phrase, phraseIndex.size);
        regionPictures.push(BigInt(i));
        regionPhrases.push(BigInt(phraseIndex.get(phrase) as number));
        covers.push(patchCover(boxInSquare(object.box, scene), grid));
      }
    }
    const caption = padRows(captions);
    const phrase = padRows([...phraseIndex.keys()].map(encode));
    const regionPatches = new Float32Array(covers.length * grid * grid);
    for (const [r, cover] of covers.entries()) regionPatches.set(cover, r * grid * grid);
    return {
      pictures,
      captions: caption.ids,
      captionLengths: caption.lengths,
      phrases: phrase.ids,
      phraseLengths: phrase.lengths,
      regionPictures: BigInt64Array.from(regionPictures),
      regionPhrases: BigInt64Array.from(regionPhrases),
      regionPatches,
    };
  };
};
