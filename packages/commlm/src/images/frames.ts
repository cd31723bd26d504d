/**
 * The three frames a coordinate can be in, each a type of its own, so that mixing them up does not compile:
 *
 *   original pixels   0..width, 0..height of the picture as it was given
 *   square pixels     0..side of the square that the encoder sees, before it is scaled
 *   normalised        square pixels / side: what the model reads and writes as text
 *
 * The square is the padded canvas for COMM and Shikra (offset `(width - height) // 2` on the short axis), the centre cut
 * for CLIP's own processor, or the stretched picture; a `Frame` holds the numbers of one picture.
 */

type Quad = readonly [x1: number, y1: number, x2: number, y2: number];
type Pair = readonly [x: number, y: number];

declare const frameName: unique symbol;
type In<Name extends string, Value> = Value & { readonly [frameName]?: Name };

/** x1, y1, x2, y2 in pixels of the original picture. */
export type PixelBox = In<'pixel', Quad>;
/** x1, y1, x2, y2 in pixels of the square. */
export type SquareBox = In<'square', Quad>;
/** x1, y1, x2, y2 as fractions of the square. */
export type NormalizedBox = In<'normalized', Quad>;
/** x, y in pixels of the original picture. */
export type PixelPoint = In<'pixel', Pair>;
/** x, y in pixels of the square. */
export type SquarePoint = In<'square', Pair>;
/** x, y as fractions of the square. */
export type NormalizedPoint = In<'normalized', Pair>;

/** Where the square lies on one picture, in pixels of the original: it may reach over the edge (padding) or stay within. */
export interface Frame {
  /** Size of the original picture. */
  readonly width: number;
  readonly height: number;
  /** The square's left and top edge in original pixels; negative where there is padding. */
  readonly left: number;
  readonly top: number;
  /** Extent of the square in original pixels; both are equal unless the picture is stretched. */
  readonly extentX: number;
  readonly extentY: number;
}

/** The frame of the padded square: side `max(width, height)`, the picture centred with a whole, floored offset. */
export function paddedFrame(width: number, height: number): Frame {
  const side = Math.max(width, height);
  return {
    width,
    height,
    left: 0 - Math.floor((side - width) / 2),
    top: 0 - Math.floor((side - height) / 2),
    extentX: side,
    extentY: side,
  };
}

/** The frame of a picture that is squeezed into the square. */
export function stretchedFrame(width: number, height: number): Frame {
  return { width, height, left: 0, top: 0, extentX: width, extentY: height };
}

/** The frame of a square cut out of the picture after it was resized to `resizedWidth` x `resizedHeight`. */
export function croppedFrame(
  width: number,
  height: number,
  resized: { readonly width: number; readonly height: number },
  crop: { readonly left: number; readonly top: number; readonly size: number },
): Frame {
  const scaleX = width / resized.width;
  const scaleY = height / resized.height;
  return {
    width,
    height,
    left: crop.left * scaleX,
    top: crop.top * scaleY,
    extentX: crop.size * scaleX,
    extentY: crop.size * scaleY,
  };
}

/** Original pixels -> square pixels. */
export function pixelToSquare([x1, y1, x2, y2]: PixelBox, frame: Frame): SquareBox {
  return [x1 - frame.left, y1 - frame.top, x2 - frame.left, y2 - frame.top];
}

/** Square pixels -> original pixels; padding lies outside of 0..width or 0..height. */
export function squareToPixel([x1, y1, x2, y2]: SquareBox, frame: Frame): PixelBox {
  return [x1 + frame.left, y1 + frame.top, x2 + frame.left, y2 + frame.top];
}

/** Square pixels -> fractions of the square. */
export function squareToNormalized([x1, y1, x2, y2]: SquareBox, { extentX, extentY }: Frame): NormalizedBox {
  return [x1 / extentX, y1 / extentY, x2 / extentX, y2 / extentY];
}

/** Fractions of the square -> square pixels. */
export function normalizedToSquare([x1, y1, x2, y2]: NormalizedBox, { extentX, extentY }: Frame): SquareBox {
  return [x1 * extentX, y1 * extentY, x2 * extentX, y2 * extentY];
}

/** Original pixels -> fractions of the square. */
export function pixelToNormalized(box: PixelBox, frame: Frame): NormalizedBox {
  return squareToNormalized(pixelToSquare(box, frame), frame);
}

/** Fractions of the square -> original pixels. */
export function normalizedToPixel(box: NormalizedBox, frame: Frame): PixelBox {
  return squareToPixel(normalizedToSquare(box, frame), frame);
}

/** Original pixels -> fractions of the square, for a point. */
export function pixelPointToNormalized([x, y]: PixelPoint, frame: Frame): NormalizedPoint {
  return [(x - frame.left) / frame.extentX, (y - frame.top) / frame.extentY];
}

/** Fractions of the square -> original pixels, for a point. */
export function normalizedPointToPixel([x, y]: NormalizedPoint, frame: Frame): PixelPoint {
  return [x * frame.extentX + frame.left, y * frame.extentY + frame.top];
}

/** A box cut to where it may be, and whether that changed it. */
export interface Clamped<Box> {
  readonly box: Box;
  readonly clamped: boolean;
}

/** Sorts the corners of a box and cuts it to the original picture. */
export function clampPixelBox(box: PixelBox, { width, height }: Frame): Clamped<PixelBox> {
  return clampQuad(box, width, height);
}

/** Sorts the corners of a box and cuts it to 0..1. */
export function clampNormalizedBox(box: NormalizedBox): Clamped<NormalizedBox> {
  return clampQuad(box, 1, 1);
}

function clampQuad([x1, y1, x2, y2]: Quad, maxX: number, maxY: number): Clamped<Quad> {
  const sorted = [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)] as const;
  const box = [clamp(sorted[0], maxX), clamp(sorted[1], maxY), clamp(sorted[2], maxX), clamp(sorted[3], maxY)] as const;
  return { box, clamped: box.some((value, i) => value !== sorted[i]) };
}

function clamp(value: number, max: number): number {
  return Math.min(Math.max(value, 0), max);
}
