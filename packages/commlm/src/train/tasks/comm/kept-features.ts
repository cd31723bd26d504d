/** The levels of frozen encoders in a training of COMM, out of a cache on disk: a cache an encoder, and what of a batch each reads. */
import { type Device, type DType, type Tensor, tensor } from '@commlm/torch';
import type { FeatureConfig } from '../../../config/comm-train.js';
import { resolveLevels } from '../../../config/model.js';
import { FeatureCache } from '../../../features/cache.js';
import { pictureKeys } from '../../../features/encoder-key.js';
import type { VisionModel } from '../../../models/fusion.js';
import { normalisePictures } from '../../pictures/pixels.js';
import type { TrainBatch, TrainData } from './train-batch.js';

// Shapes: P pictures, C channels, S side, N tokens, D width.

/** How an encoder's pictures lie in a batch, and where it computes. */
export interface PixelSettings {
  readonly encoder: TrainData['encoders'][number];
  readonly device: Device;
  readonly dtype: DType;
}

/** What an encoder reads of the pictures of a batch, or of those at some places: float[P, C, S, S]. */
export function batchPixels(
  { numPictures, squares }: Pick<TrainBatch, 'numPictures' | 'squares'>,
  { encoder: { image, square }, device, dtype }: PixelSettings,
  places?: readonly number[],
): Tensor {
  const all = squares[square]!;
  const [values, count] = places === undefined ? [all, numPictures] : [rowsOf(all, numPictures, places), places.length];
  return values instanceof Uint8Array
    ? normalisePictures(values, count, image.size, image, dtype).to({ device })
    : tensor(values, { shape: [count, 3, image.size, image.size] }).to({ device, dtype });
}

/** The pictures at some places of squares behind one another. */
function rowsOf(squares: Uint8Array | Float32Array, count: number, places: readonly number[]) {
  const each = squares.length / count;
  const rows = squares.slice(0, places.length * each);
  for (const [i, place] of places.entries()) rows.set(squares.subarray(place * each, (place + 1) * each), i * each);
  return rows;
}

/** Levels of all encoders, kept. */
export class KeptFeatures {
  readonly #vision: VisionModel;
  readonly #encoders: readonly PixelSettings[];
  readonly #caches: readonly FeatureCache[];
  readonly #log: (line: string) => void;

  /** Reads every weight of the encoders. @throws CommError where the folder cannot be made */
  constructor(
    vision: VisionModel,
    encoders: readonly PixelSettings[],
    { folder, maxGB, dtype }: FeatureConfig,
    log: (line: string) => void,
  ) {
    this.#vision = vision;
    this.#encoders = encoders;
    this.#log = log;
    const options = { folder, maxBytes: maxGB * 1e9, dtype, log };
    this.#caches = vision.encoders.map(({ config, vit }) => FeatureCache.open({ ...config, vit }, options));
  }

  /** `VisionModel.encode` of the pictures of a batch, without a graph: float[P, N, D] x L an encoder. */
  encode(batch: Pick<TrainBatch, 'numPictures' | 'squares'>): Tensor[][] {
    const keys = batch.squares.map((square) => pictureKeys(square, batch.numPictures));
    return this.#vision.encoders.map(({ config, vit }, i) => {
      const settings = this.#encoders[i]!;
      const { device, dtype } = settings;
      const pictures = {
        keys: keys[settings.encoder.square]!,
        pixels: (places: readonly number[]) => batchPixels(batch, settings, places),
      };
      const levels = resolveLevels(config.levels, vit.config.numLayers);
      return this.#caches[i]!.encode(pictures, levels, config).map((level) => level.to({ device, dtype }));
    });
  }

  /** Writes features that were computed since the last checkpoint. */
  flush(): void {
    for (const cache of this.#caches) cache.flush();
  }

  /** Writes, lets go of the files, and says what the cache gave. */
  close(): void {
    for (const [i, cache] of this.#caches.entries()) {
      cache.close();
      const { hits, misses, damaged, bytes } = cache.stats;
      const mended = damaged === 0 ? '' : `, ${damaged} damaged rows computed again`;
      const { type } = this.#vision.encoders[i]!.config;
      this.#log(
        `features of ${type}: ${misses} pictures encoded, ${hits} read${mended}; ${(bytes / 1e9).toFixed(2)} GB in the folder`,
      );
    }
  }
}
