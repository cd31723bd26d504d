/** The squares that a model's encoders look at, each made once: encoders that differ in mean and deviation alone share one. */
import type { ImageConfig } from '../config/model.js';
import type { Frame } from './frames.js';
import type { RgbImage } from './pixels.js';
import { fitSquare, preprocess } from './preprocess.js';

/** Which squares there are, and which one each encoder reads. */
export interface SquarePlan {
  readonly squares: readonly ImageConfig[];
  /** For each encoder, its place in `squares`. */
  readonly encoders: readonly number[];
}

/** The plan of a model's encoders. */
export function planSquares(encoders: readonly ImageConfig[]): SquarePlan {
  const squares = new Map<string, ImageConfig>();
  const keys = encoders.map((image) => {
    const { mean, std, ...fit } = image;
    // Pixels without rounding are normalised at once.
    const key = JSON.stringify(image.rounding === 'none' ? image : fit);
    if (!squares.has(key)) squares.set(key, image);
    return key;
  });
  const order = [...squares.keys()];
  return { squares: [...squares.values()], encoders: keys.map((key) => order.indexOf(key)) };
}

/** A picture in every square. */
export interface Squares {
  /** u8[size, size, 3] before normalisation, or f32[3, size, size] behind it where the encoder does not round. */
  readonly pixels: readonly (Uint8Array | Float32Array)[];
  /** That of the first encoder, in which coordinates are written. */
  readonly frame: Frame;
}

/** Fits a picture into every square of the plan. */
export function makeSquares(image: RgbImage, { squares, encoders }: SquarePlan): Squares {
  const fitted = squares.map((config) => {
    if (config.rounding === 'none') return preprocess(image, config);
    const { image: square, frame } = fitSquare(image, config);
    return { pixels: square.data, frame };
  });
  return { pixels: fitted.map(({ pixels }) => pixels), frame: fitted[encoders[0]!]!.frame };
}
