/** Data thread of the synthetic world: scenes with several questions each, packed behind one picture. */
import type { WorldData } from '../../../config/comm-train.js';
import { loadSpriteBank, Random, type Scene, worldItem } from '../../../data/world/index.js';
import { labelPatches, type PatchLabels } from '../../../data/world/patch-labels.js';
import { IGNORE_LABEL, placesOf } from '../../../text/conversation.js';
import { Tokenizer } from '../../../text/tokenizer.js';
import type { CreateBatcher } from '../../loop/batch-pool.js';
import { tokenWeigher, type WeighTokens, watchedKind } from './token-kinds.js';
import type { TrainBatch } from './train-batch.js';
import { WATCHED } from './watched.js';
import { type WorldRow, WorldRows } from './world-rows.js';
import { type PatchWords, worldWords } from './world-words.js';

// Shapes: B pictures, R rows (one a picture and one a pair), T tokens of a packed row, N visual tokens.

/** What the data thread needs to know. */
export interface WorldBatchOptions {
  readonly world: WorldData;
  /** Pixels of a picture. */
  readonly side: number;
  readonly tokensPerImage: number;
  readonly batchSize: number;
  /** Folder of the tokenizer. */
  readonly tokenizer: string;
}

/** A packed batch of the data thread: one square u8[B, side, side, 3], R rows of which some may show two pictures. */
export interface WorldBatch extends TrainBatch, PaddedRows {
  readonly squares: readonly [Uint8Array];
  readonly shown: BigInt64Array;
  readonly weights: Float32Array;
  /** What each patch of the pictures shows, and the words for it. */
  readonly patches: PatchLabels;
  readonly patchWords: PatchWords;
}

/** Rows of one length, [R, T] each, padded at the right with segment -1. */
interface PaddedRows
  extends Pick<TrainBatch, 'numRows' | 'numTokens' | 'ids' | 'labels' | 'positions' | 'segments' | 'places'> {
  readonly weights: Float32Array;
  /** 0, or which entry of WATCHED the token counts for, from 1. */
  readonly watched: Int8Array;
}

export const createBatcher: CreateBatcher<WorldBatchOptions> = async (options) => {
  const { side, tokensPerImage, batchSize, world } = options;
  const { seed, style, augment } = world;
  const bank = await loadSpriteBank();
  const tokenizer = await Tokenizer.load(options.tokenizer);
  const weigh = tokenWeigher(tokenizer, world.yesNoWeight);
  const words = worldWords(tokenizer);
  const rows = new WorldRows(tokenizer, { ...world, tokensPerImage }, words.probes);

  return (index): WorldBatch => {
    const random = new Random(index, `comm ${seed}`);
    const pictures = new Uint8Array(batchSize * side * side * 3);
    const scenes: Scene[] = [];
    for (let i = 0; i < batchSize; i++) {
      const { scene, pixels } = worldItem(index * batchSize + i, { bank, side, seed, style, augment });
      pictures.set(pixels, i * side * side * 3);
      scenes.push(scene);
    }
    const written = [
      ...scenes.map((scene, i) => rows.about(scene, i, random)),
      ...Array.from({ length: world.pairRows }, () => rows.aboutTwo(scenes, random)),
    ];
    return {
      ...padRows(written, rows, weigh),
      numPictures: batchSize,
      squares: [pictures],
      where: scenes.map((_, i) => `scene ${index * batchSize + i}`),
      patches: labelPatches(scenes, bank, tokensPerImage),
      patchWords: words.patches,
      // A copy: the buffers of a batch go over to the trainer.
      digits: words.digits.slice(),
      shown: BigInt64Array.from(
        written.flatMap((row) => row.pictures),
        BigInt,
      ),
    };
  };
};

/** Rows behind one another in typed arrays. */
function padRows(
  rows: readonly WorldRow[],
  { probeKind }: Pick<WorldRows, 'probeKind'>,
  weigh: WeighTokens,
): PaddedRows {
  const numTokens = Math.max(...rows.map(({ ids }) => ids.length));
  const size = rows.length * numTokens;
  const padded = {
    numRows: rows.length,
    numTokens,
    ids: new BigInt64Array(size),
    labels: new BigInt64Array(size).fill(BigInt(IGNORE_LABEL)),
    positions: new BigInt64Array(size),
    segments: new Int32Array(size).fill(-1),
    places: BigInt64Array.from(
      rows.flatMap(({ imageSlots }, r) => placesOf(imageSlots, r * numTokens)),
      BigInt,
    ),
    weights: new Float32Array(size).fill(1),
    watched: new Int8Array(size),
  };
  for (const [r, { ids, labels, segments, positions, types }] of rows.entries()) {
    const { weights, kinds } = weigh(ids);
    for (let t = 0; t < ids.length; t++) {
      const at = r * numTokens + t;
      const segment = segments[t]!;
      padded.ids[at] = BigInt(ids[t]!);
      padded.labels[at] = BigInt(labels[t]!);
      padded.positions[at] = BigInt(positions[t]!);
      padded.segments[at] = segment;
      padded.weights[at] = weights[t]!;
      // Behind the questions there are probes only.
      const isProbe = types.length > 0 && segment >= types.length;
      const watched = isProbe ? probeKind(labels[t]!, ids[t - 1]!) : watchedKind(types[segment], kinds[t]!);
      padded.watched[at] = watched === undefined ? 0 : WATCHED.indexOf(watched) + 1;
    }
  }
  return padded;
}
