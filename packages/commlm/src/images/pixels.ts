/** Decoded pixels; those that come from outside are checked: what is read as rows of three bytes must be just that. */
import { types } from 'node:util';
import { describe } from '../config/check-options.js';
import { CommError } from '../config/errors.js';

/** Pixels of a picture: rows from the top, three bytes a pixel. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** u8[height, width, 3] */
  readonly data: Uint8Array;
}

/** Whether a value is meant as decoded pixels (right or wrong), and not as a picture file. */
export function isPixels(value: unknown): value is RgbImage {
  return typeof value === 'object' && value !== null && 'data' in value && 'width' in value;
}

/** The pixels as they were given. Throws CommError `image/pixels` unless they are `u8[height, width, 3]`. */
export function checkPixels(image: RgbImage): RgbImage {
  if (typeof image !== 'object' || image === null) throw badPixels(`were given as ${describe(image)}`);
  const { width, height, data } = image;
  for (const [side, value] of Object.entries({ width, height })) {
    if (!Number.isSafeInteger(value) || value < 1) throw badPixels(`have the ${side} ${String(value)}`);
  }
  if (!types.isUint8Array(data) && !types.isUint8ClampedArray(data)) throw badPixels(`are ${describe(data)}`);
  const numPixels = width * height;
  if (data.length === numPixels * 3) return image;
  const channels = data.length / numPixels;
  const many = Number.isInteger(channels) ? ` (${channels} channels)` : '';
  throw badPixels(`of ${width} x ${height} are ${data.length} bytes${many}, not ${numPixels * 3}`);
}

function badPixels(what: string): CommError {
  return new CommError(`The pixels ${what}.`, {
    code: 'image/pixels',
    fix: 'Give {width, height, data} with data a Uint8Array of three bytes a pixel (red, green, blue), rows from the top.',
  });
}
