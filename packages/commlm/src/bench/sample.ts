/** What the suites ask about. */
import type { RgbImage } from '../images/decode.js';

/** A picture with some structure, so that nothing is special about its pixels. */
export function samplePicture(width: number, height: number, phase = 0): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 3;
      data[at] = (x * 7 + phase) & 255;
      data[at + 1] = (y * 5 + phase * 3) & 255;
      data[at + 2] = ((x ^ y) + phase) & 255;
    }
  }
  return { width, height, data };
}

/** A question that calls for a long answer. */
export const BENCH_QUESTION =
  'Provide a comprehensive description of the image and specify the positions of any mentioned objects in square brackets.';
