/** Samples of opened data sets with their pictures, made ready: what the loader, the preview and the check have in common. */
import { standInOf } from '../files/read.js';
import { type DecodedImage, decodeImage, decodeInFrame } from '../images/decode.js';
import type { Frame } from '../images/frames.js';
import { makeSquares, type SquarePlan, type Squares } from '../images/squares.js';
import {
  asSampleError,
  buildExample,
  checkPictureCount,
  type Example,
  fitToPictures,
  SampleError,
  type TextSettings,
} from './example.js';
import { pictureError } from './fault.js';
import type { Place } from './mixture.js';
import type { DataSet, PictureRef, PictureStore, Sample, Size } from './sample.js';

/** Data sets and picture stores, open. */
export interface OpenedData {
  readonly sets: ReadonlyMap<string, DataSet>;
  readonly stores: ReadonlyMap<string, PictureStore>;
}

/** First bytes of a file that tell a stand-in. */
const HEAD = 4096;
const STAND_IN_FIX = 'Get the picture itself: `git lfs pull` in a clone, or download it again.';

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
  /** In the frame of its coordinates: upright, or as stored where the record's size says so. */
  readonly image: DecodedImage;
}

/** Whether a picture is kept as it is stored, although its file says that it lies otherwise. */
export const isAsStored = ({ ref: { size }, image }: PreparedPicture): boolean =>
  size !== undefined && image.orientation > 4 && image.width === image.storedWidth && !isSquare(image);

const isSquare = ({ width, height }: Size): boolean => width === height;

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
      throw asSampleError(error, 'malformed', '');
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
    const frames = pictures.map(({ frame }) => frame);
    const fitted = fitToPictures(sample, frames);
    const example = this.example(fitted, frames);
    return { sample: fitted, example, pictures: pictures.slice(0, example.imageSlots.length), numBytes };
  }

  /** The example of a sample whose pictures lie in these frames. */
  example(sample: Sample, frames: readonly Frame[]): Example {
    const { text, overLong } = this.#settings;
    return buildExample(sample, frames, text, overLong);
  }

  /** Throws a SampleError for the first picture that is not there; reads none. */
  async requirePictures({ pictures, where }: Sample): Promise<void> {
    for (const { store, key } of pictures) {
      const opened = this.#store(store, where);
      // Reading what is not there tells why, and what was meant.
      if (!(await opened.has(key))) await opened.read(key).catch((error) => this.#refuse(error, { store, key }, where));
    }
  }

  #store(store: string, where: string): PictureStore {
    const opened = this.#data.stores.get(store);
    if (opened !== undefined) return opened;
    throw new SampleError('picture', where, `there is no picture store "${store}".`, 'Name it in the recipe.');
  }

  async #picture(ref: PictureRef, where: string): Promise<{ image: DecodedImage; size: number }> {
    const opened = this.#store(ref.store, where);
    try {
      const bytes = await opened.read(ref.key);
      const standIn = standInOf(bytes.subarray(0, HEAD), bytes.length);
      if (standIn !== undefined)
        throw pictureError(`${ref.store}/${ref.key}`, `this is ${standIn}.`, { fix: STAND_IN_FIX });
      return { image: await this.#inItsFrame(bytes, ref, where), size: bytes.length };
    } catch (error) {
      this.#refuse(error, ref, where);
    }
  }

  /** The picture in the frame that its coordinates are in; without a size, upright. */
  async #inItsFrame(bytes: Uint8Array, { store, key, size }: PictureRef, where: string): Promise<DecodedImage> {
    if (size === undefined) return await decodeImage(bytes);
    const { image, fits } = await decodeInFrame(bytes, size);
    if (fits) return image;
    const [said, found] = [size, image].map(({ width, height }) => `${width} x ${height}`);
    const swapped = image.width === size.height && image.height === size.width;
    throw new SampleError(
      'picture-size',
      where,
      `${store}/${key} has ${found} pixels, but the record says ${said}${swapped ? ': its sides are swapped, as where a picture was turned and lost its EXIF orientation' : ''}.`,
      'Use the pictures that the record was made on, or correct its size and coordinates.',
    );
  }

  #refuse(error: unknown, { store, key }: PictureRef, where: string): never {
    const fault = asSampleError(error, 'picture', where);
    // A decoder does not know the name of what it decodes.
    if (fault instanceof SampleError && !fault.message.includes(key)) {
      const message = `${store}/${key}: ${fault.message.slice(where.length + 2)}`;
      throw new SampleError(fault.kind, where, message, fault.fix, error);
    }
    throw fault;
  }

  /** Closes the stores. */
  async close(): Promise<void> {
    for (const store of this.#data.stores.values()) await store.close();
  }
}
