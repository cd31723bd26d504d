/**
 * Windows of pictures: where a random cut lies, and how it is brought to the side of a view. Plain arrays: runs in the data
 * thread.
 */
import type { RgbImage } from '../../images/decode.js';
import { cut, shortSideSize } from '../../images/preprocess.js';
import { resize } from '../../images/resize.js';

/** Numbers in [0, 1). */
export type Random = () => number;

/** A window in pixels of its picture. */
export interface Window {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Which part of its picture a view shows. */
export interface CutWindow extends Window {
  readonly mirror: boolean;
}

/** Aspect of a random window, from its reciprocal on. */
const MAX_ASPECT = 4 / 3;
const ATTEMPTS = 10;

/**
 * A window of whole pixels with a share of the area drawn evenly from `area` and an aspect drawn log-evenly from 3/4 to 4/3
 * (torchvision's RandomResizedCrop): ten draws, then the largest centred window within the aspects.
 */
export function drawWindow(
  { width, height }: Pick<RgbImage, 'width' | 'height'>,
  area: readonly [number, number],
  random: Random,
): Window {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const target = (area[0] + random() * (area[1] - area[0])) * width * height;
    const aspect = Math.exp((2 * random() - 1) * Math.log(MAX_ASPECT));
    const w = Math.round(Math.sqrt(target * aspect));
    const h = Math.round(Math.sqrt(target / aspect));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    return {
      left: Math.floor(random() * (width - w + 1)),
      top: Math.floor(random() * (height - h + 1)),
      width: w,
      height: h,
    };
  }
  const w = Math.min(width, Math.round(height * MAX_ASPECT));
  const h = Math.min(height, Math.round(width * MAX_ASPECT));
  return { left: Math.floor((width - w) / 2), top: Math.floor((height - h) / 2), width: w, height: h };
}

/** A random square with a share of the area of the largest one drawn evenly from `area` (CLIP's random square crop). */
export function drawSquare(
  { width, height }: Pick<RgbImage, 'width' | 'height'>,
  area: readonly [number, number],
  random: Random,
): Window {
  const most = Math.min(width, height);
  const side = Math.max(1, Math.round(most * Math.sqrt(area[0] + random() * (area[1] - area[0]))));
  return {
    left: Math.floor(random() * (width - side + 1)),
    top: Math.floor(random() * (height - side + 1)),
    width: side,
    height: side,
  };
}

/** A window as a square of `side` pixels, bicubic as Pillow does it, perhaps mirrored: u8[side, side, 3]. */
export function cutWindow(
  image: RgbImage,
  { left, top, width, height }: Window,
  side: number,
  mirror: boolean,
): Uint8Array {
  const { data } = resize(cut(image, left, top, width, height), side, side, 'bicubic');
  const own = data === image.data ? data.slice() : data;
  if (mirror) mirrorRows(own, side);
  return own;
}

/** Short side to `side`, then a square of it moved by up to `reach` pixels over reflected edges (Simple Random Crop of DeiT III). */
export function simpleCut(image: RgbImage, side: number, reach: number, random: Random, mirror: boolean): Uint8Array {
  const size = shortSideSize(image, side);
  const { width, height, data } = resize(image, size.width, size.height, 'bicubic');
  const left = Math.floor(random() * (width - side + 2 * reach + 1)) - reach;
  const top = Math.floor(random() * (height - side + 2 * reach + 1)) - reach;
  const out = new Uint8Array(side * side * 3);
  for (let y = 0; y < side; y++) {
    const row = reflect(top + y, height) * width;
    for (let x = 0; x < side; x++) {
      const from = (row + reflect(left + x, width)) * 3;
      const to = (y * side + x) * 3;
      out[to] = data[from]!;
      out[to + 1] = data[from + 1]!;
      out[to + 2] = data[from + 2]!;
    }
  }
  if (mirror) mirrorRows(out, side);
  return out;
}

/** The place that a place outside of 0..size-1 is the mirror image of, the edge itself not repeated. */
function reflect(at: number, size: number): number {
  if (size === 1) return 0;
  const period = 2 * (size - 1);
  const folded = ((at % period) + period) % period;
  return folded < size ? folded : period - folded;
}

/** Mirrors a square u8[side, side, 3] in place, left for right. */
function mirrorRows(data: Uint8Array, side: number): void {
  for (let y = 0; y < side; y++) {
    for (let low = y * side, high = low + side - 1; low < high; low++, high--) {
      for (let c = 0; c < 3; c++) {
        const kept = data[low * 3 + c]!;
        data[low * 3 + c] = data[high * 3 + c]!;
        data[high * 3 + c] = kept;
      }
    }
  }
}

/** What one light view takes from a picture. */
export interface CropOptions {
  /** Side of the view in pixels. */
  readonly side: number;
  /** Share of the picture's area, drawn from this range. */
  readonly scale: readonly [number, number];
  /** Strength of brightness, contrast and channel changes, 0 for none. */
  readonly colour: number;
}

/**
 * A light view in one pass: a random window, resized bilinearly without antialias, perhaps mirrored, colours changed, written
 * at `offset`. For pictures that are about as large as their views. Hands back the window, in fractions of pixels.
 */
export function randomCrop(
  { width: sourceWidth, height: sourceHeight, data: source }: RgbImage,
  { side, scale, colour }: CropOptions,
  random: Random,
  out: Uint8Array,
  offset: number,
): CutWindow {
  const area = (scale[0] + random() * (scale[1] - scale[0])) * sourceWidth * sourceHeight;
  const aspect = Math.exp((random() - 0.5) * 2 * Math.log(MAX_ASPECT));
  const width = Math.min(sourceWidth, Math.sqrt(area * aspect));
  const height = Math.min(sourceHeight, Math.sqrt(area / aspect));
  const left = random() * (sourceWidth - width);
  const top = random() * (sourceHeight - height);
  const flip = random() < 0.5;
  const contrast = 1 + (random() - 0.5) * colour;
  const gains = [0, 1, 2].map(() => contrast * (1 + (random() - 0.5) * colour));
  const lift = (random() - 0.5) * colour * 128 + 128 * (1 - contrast);
  const xs = sampleAxis(left, width, side, sourceWidth, flip);
  const ys = sampleAxis(top, height, side, sourceHeight, false);
  for (let y = 0; y < side; y++) {
    const upper = ys.low[y]! * sourceWidth;
    const lower = ys.high[y]! * sourceWidth;
    const fy = ys.share[y]!;
    for (let x = 0; x < side; x++) {
      const x0 = xs.low[x]!;
      const x1 = xs.high[x]!;
      const fx = xs.share[x]!;
      const at = offset + (y * side + x) * 3;
      for (let c = 0; c < 3; c++) {
        const a = source[(upper + x0) * 3 + c]!;
        const b = source[(upper + x1) * 3 + c]!;
        const d = source[(lower + x0) * 3 + c]!;
        const e = source[(lower + x1) * 3 + c]!;
        const value = (a + (b - a) * fx) * (1 - fy) + (d + (e - d) * fx) * fy;
        const changed = value * gains[c]! + lift;
        out[at + c] = Math.max(0, Math.min(255, changed));
      }
    }
  }
  return { left, top, width, height, mirror: flip };
}

/**
 * Which patch of another view shows the place in the middle of each patch of a view, by the windows alone: pairs of places in
 * a grid of `grid` x `grid`. Windows may be of two drawings of one scene.
 */
export function samePlaces(from: CutWindow, to: CutWindow, grid: number): [from: number, to: number][] {
  const pairs: [number, number][] = [];
  for (let place = 0; place < grid * grid; place++) {
    const column = place % grid;
    const x = from.left + (((from.mirror ? grid - 1 - column : column) + 0.5) / grid) * from.width;
    const y = from.top + ((Math.floor(place / grid) + 0.5) / grid) * from.height;
    const across = Math.floor(((x - to.left) / to.width) * grid);
    const down = Math.floor(((y - to.top) / to.height) * grid);
    if (across < 0 || across >= grid || down < 0 || down >= grid) continue;
    pairs.push([place, down * grid + (to.mirror ? grid - 1 - across : across)]);
  }
  return pairs;
}

interface Axis {
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly share: Float32Array;
}

function sampleAxis(start: number, length: number, count: number, limit: number, flip: boolean): Axis {
  const axis = { low: new Int32Array(count), high: new Int32Array(count), share: new Float32Array(count) };
  for (let i = 0; i < count; i++) {
    const at = Math.max(0, start + ((i + 0.5) * length) / count - 0.5);
    const low = Math.min(limit - 1, Math.floor(at));
    const to = flip ? count - 1 - i : i;
    axis.low[to] = low;
    axis.high[to] = Math.min(limit - 1, low + 1);
    axis.share[to] = at - low;
  }
  return axis;
}
