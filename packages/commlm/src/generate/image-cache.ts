/**
 * Pictures to visual tokens, each encoded once: a picture asked about again costs nothing but its lookup.
 * Shapes: N visual tokens of a picture, E width of the language model, P pictures.
 */
import { createHash } from 'node:crypto';
import { keep, noGrad, scope, type Tensor, tensor } from '@commlm/torch';
import type { RgbImage } from '../images/decode.js';
import type { Frame } from '../images/frames.js';
import { preprocess } from '../images/preprocess.js';
import type { Comm } from '../models/comm.js';

/** A picture that the model has seen. */
export interface EncodedImage {
  /** float[N, E]; the cache's, valid until the next call of `encode`. */
  readonly visual: Tensor;
  /** Where the model's normalised coordinates lie in the picture. */
  readonly frame: Frame;
  /** Number that equal pictures share and different ones do not, for the keys of cached prefixes. */
  readonly key: number;
}

/** Bytes of visual tokens kept by default; a picture of COMM-7B takes 9 MiB in f32, one of comm-tiny 64 KiB. */
const DEFAULT_BYTES = 256 * 2 ** 20;

/** Least recently used pictures leave first; bounded by bytes. */
export class ImageCache {
  readonly #comm: Comm;
  readonly #maxBytes: number;
  readonly #entries = new Map<string, { readonly image: EncodedImage; readonly bytes: number }>();
  #bytes = 0;
  #nextKey = 0;

  constructor(comm: Comm, maxBytes = DEFAULT_BYTES) {
    this.#comm = comm;
    this.#maxBytes = maxBytes;
  }

  /** Encodes the pictures of one request, each on its own so that company never changes its features. */
  encode(images: readonly RgbImage[]): EncodedImage[] {
    const hashes = images.map(hashOf);
    for (const [i, image] of images.entries()) {
      const hash = hashes[i]!;
      const found = this.#entries.get(hash);
      this.#entries.delete(hash);
      this.#entries.set(hash, found ?? this.#add(image));
    }
    const encoded = hashes.map((hash) => (this.#entries.get(hash) as { image: EncodedImage }).image);
    this.#evict(new Set(hashes).size);
    return encoded;
  }

  dispose(): void {
    for (const { image } of this.#entries.values()) image.visual.dispose();
    this.#entries.clear();
    this.#bytes = 0;
  }

  #add(image: RgbImage): { image: EncodedImage; bytes: number } {
    const { encoders } = this.#comm.config.vision;
    const inputs = encoders.map((encoder) => preprocess(image, encoder.image));
    const { dtype, device } = this.#comm;
    const visual = scope(() =>
      noGrad(() => {
        const pixels = inputs.map(({ pixels }, i) => {
          const side = encoders[i]!.image.size;
          return tensor(pixels, { shape: [1, 3, side, side] }).to({ dtype, device });
        });
        return keep(this.#comm.encodeImages(pixels).select(0, 0).contiguous());
      }),
    );
    const bytes = visual.facts().storageBytes;
    this.#bytes += bytes;
    const frame = inputs[0]!.frame;
    return { image: { visual, frame, key: this.#nextKey++ }, bytes };
  }

  /** Lets the oldest go until the bytes fit, but never the `numNewest` that were just asked for. */
  #evict(numNewest: number): void {
    for (const [hash, { image, bytes }] of this.#entries) {
      if (this.#bytes <= this.#maxBytes || this.#entries.size <= numNewest) return;
      this.#entries.delete(hash);
      this.#bytes -= bytes;
      image.visual.dispose();
    }
  }
}

function hashOf({ width, height, data }: RgbImage): string {
  return createHash('sha256').update(`${width}x${height}:`).update(data).digest('base64');
}
