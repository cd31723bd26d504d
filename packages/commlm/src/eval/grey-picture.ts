/** The picture that shows nothing: what is right about it was had without looking. */
import type { PictureSize, RgbImage } from '../images/decode.js';

/** Grey level of the picture that takes the place of the real one. */
const GREY = 128;

/** A grey picture of that size. */
export function greyPicture({ width, height }: PictureSize): RgbImage {
  return { width, height, data: new Uint8Array(width * height * 3).fill(GREY) };
}
