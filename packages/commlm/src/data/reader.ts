/** Samples of opened data sets with their pictures, made ready: what the loader, the preview and the check have in common. */
import { CommError } from '../config/errors.js';
import { decodeImage, type RgbImage } from '../images/decode.js';
import type { Frame } from '../images/frames.js';
import { makeSquares, type SquarePlan, type Squares } from '../images/squares.js';
import {
  asSampleError,
  buildExample,
  checkPictureCount,
  type Example,
  SampleError,
  type TextSettings,
} from './example.js';
import type { Place } from './mixture.js';
import type { DataSet, PictureRef, PictureStore, Sample } from './sample.js';

/** Data sets and picture stores, open. */
export interface OpenedData {
  readonly sets: ReadonlyMap<string, DataSet>;
  readonly stores: ReadonlyMap<string, PictureStore>;
}

/** How samples become examples. */
export interface ReaderSettings {
  readonly text: TextSettings;
  readonly squares: SquarePlan;
  readonly overLong: 'error' | 'truncate';
}

/** A sample, ready. */
export interface PreparedSample {
  readonly sample: Sample;
  readonly example: Example;
  /** One for each picture that is left in the example. */
  readonly pictures: readonly PreparedPicture[];
  /** Bytes of picture files that were read. */
  readonly numBytes: number;
}

/** A picture, ready. */
export interface PreparedPicture extends Squares {
  readonly ref: PictureRef;
  readonly image: RgbImage;
}

/** Reads samples and makes them ready; every fault of one is a SampleError. */
export class SampleReader {
  readonly #data: OpenedData;
  readonly #settings: ReaderSettings;

  constructor(data: OpenedData, settings: ReaderSettings) {
    this.#data = data;
    this.#settings = settings;
  }

  /** Sample `index` of a set, pictures not read. */
  sample({ set, index }: Place, draw: number): Sample {
    try {
      return this.#data.sets.get(set)!.sample(index, draw);
    } catch (error) {
      const isCount = error instanceof CommError && error.code === 'data/image-count';
      throw asSampleError(error, isCount ? 'image-count' : 'malformed', '');
    }
  }

  /** Reads the pictures of a sample and builds its example. */
  async prepare(sample: Sample): Promise<PreparedSample> {
    checkPictureCount(sample);
    const { squares } = this.#settings;
    let numBytes = 0;
    const pictures: PreparedPicture[] = [];
    for (const ref of sample.pictures) {
      const { image, size } = await this.#picture(ref, sample.where);
      numBytes += size;
      pictures.push({ ref, image, ...makeSquares(image, squares) });
    }
    const example = this.example(
      sample,
      pictures.map(({ frame }) => frame),
    );
    return { sample, example, pictures: pictures.slice(0, example.imageSlots.length), numBytes };
  }

  /** The example of a sample whose pictures lie in these frames. */
  example(sample: Sample, frames: readonly Frame[]): Example {
    const { text, overLong } = this.#settings;
    return buildExample(sample, frames, text, overLong);
  }

  /** Throws a SampleError for the first picture that is not there; reads none. */
  async requirePictures({ pictures, where }: Sample): Promise<void> {
    for (const { store, key } of pictures) {
      if (await this.#store(store, where).has(key)) continue;
      throw new SampleError('picture', where, `${store}/${key} is not there.`);
    }
  }

  #store(store: string, where: string): PictureStore {
    const opened = this.#data.stores.get(store);
    if (opened !== undefined) return opened;
    throw new SampleError('picture', where, `there is no picture store "${store}".`, 'Name it in the recipe.');
  }

  async #picture({ store, key }: PictureRef, where: string): Promise<{ image: RgbImage; size: number }> {
    const opened = this.#store(store, where);
    try {
      const bytes = await opened.read(key);
      return { image: await decodeImage(bytes), size: bytes.length };
    } catch (error) {
      const fault = asSampleError(error, 'picture', where);
      // A decoder does not know the name of what it decodes.
      if (fault instanceof SampleError && !fault.message.includes(key)) {
        throw new SampleError(
          'picture',
          where,
          `${store}/${key}: ${fault.message.slice(where.length + 2)}`,
          fault.fix,
          error,
        );
      }
      throw fault;
    }
  }

  /** Closes the stores. */
  async close(): Promise<void> {
    for (const store of this.#data.stores.values()) await store.close();
  }
}
