/** A decoded picture to the numbers an encoder takes: fit into its square, resize as Pillow does, normalise. */
import { CommError } from '../config/errors.js';
import type { ImageConfig } from '../config/model.js';
import { croppedFrame, type Frame, paddedFrame, stretchedFrame } from './frames.js';
import type { RgbImage } from './pixels.js';
import { checkPixels } from './pixels.js';
import { resize, resizeUnrounded } from './resize.js';

/** A colour: red, green, blue, 0..255 each. */
export type Rgb = readonly [red: number, green: number, blue: number];

/** A picture ready for an encoder. */
export interface PreprocessedImage {
  /** f32[3, size, size], row-major. */
  readonly pixels: Float32Array;
  /** Ties normalised coordinates to the original picture. */
  readonly frame: Frame;
}

/** The whole way from decoded pixels to the encoder's input; equal to the reference processors, bit for bit. */
export function preprocess(image: RgbImage, config: ImageConfig): PreprocessedImage {
  checkPixels(image);
  if (config.rounding === 'none') return preprocessUnrounded(image, config);
  const { image: square, frame } = fitSquare(image, config);
  return { pixels: normalizePixels(square, config.mean, config.std), frame };
}

/** Both sides to the encoder's size in floating point, then (x / 255 - mean) / std. */
function preprocessUnrounded(image: RgbImage, { size, resample, mean, std }: ImageConfig): PreprocessedImage {
  const square = resizeUnrounded(image, size, size, resample);
  const pixels = new Float32Array(square.length);
  for (let i = 0; i < size * size; i++) {
    for (let channel = 0; channel < 3; channel++) {
      const value = square[i * 3 + channel]! / 255;
      pixels[channel * size * size + i] = (value - mean[channel]!) / std[channel]!;
    }
  }
  return { pixels, frame: stretchedFrame(image.width, image.height) };
}

/** Pixels between the picture and the encoder's square that are made for a picture of any shape. */
const MAX_BETWEEN = 2 ** 26;
/** More than that, and so many times the picture's own, come from a sliver alone: memory for nothing to see. */
const MAX_GROWTH = 16;

/** @throws CommError `image/sliver` where a picture is so thin that preparing it would take memory out of all proportion */
function refuseSliver({ width, height }: RgbImage, between: { readonly width: number; readonly height: number }): void {
  const pixels = between.width * between.height;
  if (pixels <= MAX_BETWEEN || pixels <= MAX_GROWTH * width * height) return;
  throw new CommError(`A picture of ${width} x ${height} pixels is too long and thin to be prepared.`, {
    code: 'image/sliver',
    fix: 'Cut out the part that is asked about.',
  });
}

/** The encoder's square as a picture, before it is normalised. */
export function fitSquare(image: RgbImage, config: ImageConfig): { image: RgbImage; frame: Frame } {
  const { size, resample } = config;
  switch (config.fit) {
    case 'pad': {
      const longSide = Math.max(image.width, image.height);
      refuseSliver(image, { width: longSide, height: longSide });
      const padded = padToSquare(image, config.padColor ?? [255, 255, 255]);
      return { image: resize(padded.image, size, size, resample), frame: padded.frame };
    }
    case 'stretch':
      return { image: resize(image, size, size, resample), frame: stretchedFrame(image.width, image.height) };
    case 'crop':
    case 'stretch-crop': {
      const side = config.shortSide ?? size;
      const target = config.fit === 'crop' ? shortSideSize(image, side) : { width: side, height: side };
      refuseSliver(image, target);
      const resized = resize(image, target.width, target.height, resample);
      const offset = config.cropOffset === 'half-to-even' ? halfToEven : Math.floor;
      const left = offset((resized.width - size) / 2);
      const top = offset((resized.height - size) / 2);
      return {
        image: cut(resized, left, top, size, size),
        frame: croppedFrame(image.width, image.height, resized, { left, top, size }),
      };
    }
  }
}

/** The nearest whole number, the even one of two: Python's `round`. */
function halfToEven(x: number): number {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + (Math.abs(floor) % 2) : Math.round(x);
}

/** Puts a picture into the middle of a square canvas (floored offset); a square picture stays as it is. */
export function padToSquare(image: RgbImage, color: Rgb = [255, 255, 255]): { image: RgbImage; frame: Frame } {
  const frame = paddedFrame(image.width, image.height);
  if (image.width === image.height) return { image, frame };
  const side = frame.extentX;
  return { image: cut(image, frame.left, frame.top, side, side, color), frame };
}

/** Size with the short side at `shortSide`; the long side is cut to a whole number, as the transformers library does. */
export function shortSideSize(
  { width, height }: { readonly width: number; readonly height: number },
  shortSide: number,
): { width: number; height: number } {
  return width <= height
    ? { width: shortSide, height: Math.trunc((shortSide * height) / width) }
    : { width: Math.trunc((shortSide * width) / height), height: shortSide };
}

/** A window of a picture; what lies outside of the picture has the colour given. */
export function cut(
  { width, height, data }: RgbImage,
  left: number,
  top: number,
  windowWidth: number,
  windowHeight: number,
  [red, green, blue]: Rgb = [0, 0, 0],
): RgbImage {
  const output = new Uint8Array(windowWidth * windowHeight * 3);
  const firstX = Math.max(0, left);
  const lastX = Math.min(width, left + windowWidth);
  const inside = top >= 0 && left >= 0 && top + windowHeight <= height && left + windowWidth <= width;
  if (!inside && (red !== 0 || green !== 0 || blue !== 0)) {
    output.set([red, green, blue]);
    // Doubling what is there is the fast way to repeat three bytes.
    for (let done = 3; done < output.length; done *= 2) output.copyWithin(done, 0, done);
  }
  for (let y = Math.max(0, top); y < Math.min(height, top + windowHeight) && lastX > firstX; y++) {
    const row = data.subarray((y * width + firstX) * 3, (y * width + lastX) * 3);
    output.set(row, ((y - top) * windowWidth + firstX - left) * 3);
  }
  return { width: windowWidth, height: windowHeight, data: output };
}

/** (x / 255 - mean) / std as f32[3, height, width], with the reference's roundings: f64 for x / 255, then f32 throughout. */
export function normalizePixels({ width, height, data }: RgbImage, mean: Rgb, std: Rgb): Float32Array {
  const numPixels = width * height;
  const pixels = new Float32Array(numPixels * 3);
  for (let channel = 0; channel < 3; channel++) {
    const table = channelTable(mean[channel]!, std[channel]!);
    const start = channel * numPixels;
    for (let i = 0; i < numPixels; i++) pixels[start + i] = table[data[i * 3 + channel]!] as number;
  }
  return pixels;
}

function channelTable(mean: number, std: number): Float32Array {
  const mean32 = Math.fround(mean);
  const std32 = Math.fround(std);
  return Float32Array.from({ length: 256 }, (_, value) => Math.fround(Math.fround(value * (1 / 255)) - mean32) / std32);
}
