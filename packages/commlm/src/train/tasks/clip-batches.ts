/** Data thread of contrastive pre-training: pictures with captions, and regions with the phrase of what they show. */
import { CommError } from '../../config/errors.js';
import type { CaptionData, ClipPretrainConfig, WorldData } from '../../config/pretrain.js';
import { pictureError } from '../../data/fault.js';
import { openPictureStore } from '../../data/pictures.js';
import {
  boxInSquare,
  COLOR_NAMES,
  loadSpriteBank,
  NOUNS,
  Random,
  type SceneObject,
  worldItem,
} from '../../data/world/index.js';
import { decodeImage } from '../../images/decode.js';
import { Tokenizer } from '../../text/tokenizer.js';
import type { CreateBatcher } from '../loop/batch-pool.js';
import type { CheckedBatch } from '../loop/checked-batches.js';
import { cutWindow, drawSquare } from '../pictures/crops.js';
import { EpochOrder } from '../pictures/epoch-order.js';
import { firstReadable } from '../pictures/picture-source.js';
import { readCaptions } from './caption-file.js';

/** A batch of the data thread; texts are padded with 0 at the right. */
export interface ClipBatch extends CheckedBatch {
  /** u8[B, side, side, 3]. */
  readonly pictures: Uint8Array;
  /** [B, T] and their lengths. */
  readonly captions: BigInt64Array;
  readonly captionLengths: BigInt64Array;
  /** Null where the data has none. */
  readonly regions: ClipRegions | null;
}

/** Regions of the pictures of a batch. */
export interface ClipRegions {
  /** [U, T'] distinct phrases of the batch and their lengths. */
  readonly phrases: BigInt64Array;
  readonly phraseLengths: BigInt64Array;
  /** Per region: its picture, its phrase, and how much of each patch it covers [R, N] (rows sum to 1). */
  readonly regionPictures: BigInt64Array;
  readonly regionPhrases: BigInt64Array;
  readonly regionPatches: Float32Array;
}

/** What the data thread needs to know. */
export type ClipBatchOptions = Pick<ClipPretrainConfig, 'data'> & {
  readonly batchSize: number;
  /** Side of the pictures and of a patch in pixels. */
  readonly side: number;
  readonly patchSize: number;
  /** Whether regions are named. */
  readonly regions: boolean;
  /** Ids that the text tower knows. */
  readonly vocabSize: number;
};

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
  if (sum > 0) for (let i = 0; i < cover.length; i++) cover[i] = cover[i]! / sum;
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
  const { data } = options;
  return data.kind === 'world' ? worldBatcher(options, data) : captionBatcher(options, data);
};

async function worldBatcher(options: ClipBatchOptions, world: WorldData): Promise<(index: number) => ClipBatch> {
  const { side, patchSize, batchSize, regions } = options;
  const bank = await loadSpriteBank();
  const grid = side / patchSize;
  return (index) => {
    const pictures = new Uint8Array(batchSize * side * side * 3);
    const captions: number[][] = [];
    const samples: string[] = [];
    const phraseIndex = new Map<string, number>();
    const regionPictures: bigint[] = [];
    const regionPhrases: bigint[] = [];
    const covers: Float32Array[] = [];
    for (let i = 0; i < batchSize; i++) {
      const { scene, pixels } = worldItem(index * batchSize + i, { ...world, bank, side });
      pictures.set(pixels, i * side * side * 3);
      samples.push(`scene ${index * batchSize + i}`);
      // Things in any order: a caption must not tell where they stand, or the batch is told apart by that.
      const order = new Random(scene.seed, 'clip caption').shuffle(scene.objects);
      captions.push(encode(order.map(phraseOf).join(' and ')));
      for (const object of regions ? scene.objects : []) {
        const phrase = phraseOf(object);
        if (!phraseIndex.has(phrase)) phraseIndex.set(phrase, phraseIndex.size);
        regionPictures.push(BigInt(i));
        regionPhrases.push(BigInt(phraseIndex.get(phrase) as number));
        covers.push(patchCover(boxInSquare(object.box, scene), grid));
      }
    }
    const caption = padRows(captions);
    const whole = { pictures, captions: caption.ids, captionLengths: caption.lengths, broken: [], samples };
    if (!regions) return { ...whole, regions: null };
    const phrase = padRows([...phraseIndex.keys()].map(encode));
    const regionPatches = new Float32Array(covers.length * grid * grid);
    for (const [r, cover] of covers.entries()) regionPatches.set(cover, r * grid * grid);
    return {
      ...whole,
      regions: {
        phrases: phrase.ids,
        phraseLengths: phrase.lengths,
        regionPictures: BigInt64Array.from(regionPictures),
        regionPhrases: BigInt64Array.from(regionPhrases),
        regionPatches,
      },
    };
  };
}

async function captionBatcher(
  { side, batchSize, vocabSize }: ClipBatchOptions,
  data: Extract<CaptionData, { kind: 'captions' }>,
): Promise<(index: number) => Promise<ClipBatch>> {
  const records = await readCaptions(data.file);
  const store = await openPictureStore(data.pictures);
  const tokenizer = await Tokenizer.load(data.tokenizer);
  const end = endOf(tokenizer, data.tokenizer, vocabSize);
  const order = new EpochOrder(records.length, data.seed);
  return async (index) => {
    const random = new Random(index, `clip ${data.seed}`);
    const pictures = new Uint8Array(batchSize * side * side * 3);
    const captions: number[][] = [];
    const broken: string[] = [];
    const samples: string[] = [];
    for (let i = 0; i < batchSize; i++) {
      let caption = '';
      const picture = await firstReadable(index * batchSize + i, async (at) => {
        const record = records[order.place(at)]!;
        // What replaces a broken picture brings its own caption.
        caption = random.pick(record.captions);
        const image = await named(record.image, async () => decodeImage(await store.read(record.image)));
        return { name: record.image, image, again: null, scene: null, label: null };
      });
      broken.push(...picture.broken);
      samples.push(picture.name);
      const window = drawSquare(picture.image, data.cutArea, () => random.next());
      pictures.set(cutWindow(picture.image, window, side, false), i * side * side * 3);
      captions.push([...tokenizer.encode(caption).slice(0, data.maxTokens - 1), end]);
    }
    const { ids, lengths } = padRows(captions);
    return { pictures, captions: ids, captionLengths: lengths, regions: null, broken, samples };
  };
}

/** The id behind each caption, at which the text tower is read. */
function endOf({ eosId, vocabSize: own }: Tokenizer, folder: string, vocabSize: number): number {
  if (eosId === undefined) {
    throw new CommError(`The tokenizer in ${folder} has no end token.`, {
      code: 'train/tokenizer',
      fix: 'Choose a tokenizer that names an eos_token.',
    });
  }
  if (own > vocabSize) {
    throw new CommError(`The tokenizer in ${folder} has ${own} ids, the text tower ${vocabSize}.`, {
      code: 'train/tokenizer',
      fix: `Set clip.text.vocabSize=${own}.`,
    });
  }
  return eosId;
}

/** An error about bytes, with the name of the picture in front. */
async function named<T>(name: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof CommError) || error.message.includes(name)) throw error;
    throw pictureError(name, error.message, { cause: error });
  }
}
