/** Boxes in the ways that models write them: the frames of their coordinates, read from answers and written into prompts. */
import { normalizedToPixel, paddedFrame, pixelToNormalized } from '../images/frames.js';
import { formatBoxes, formatFixed } from '../text/boxes.js';
import { asciiDigits } from './metrics/python-text.js';
import type { CornerBox } from './metrics/rec.js';

/**
 * `shikra`: fractions of the padded square in Shikra's exact form, read by its rules. The others are read from the first four
 * numbers in brackets: `square` fractions of the padded square, `relative` fractions of the picture, `thousandths` of the
 * picture, `pixels`.
 */
export const COORDINATES = ['shikra', 'square', 'relative', 'thousandths', 'pixels'] as const;
export type Coordinates = (typeof COORDINATES)[number];

/**
 * The frames as a user names them who has answers of some model: fractions (as the reader wants them), thousandths of the
 * picture, or its pixels.
 */
export const FRAME_NAMES = ['unit', 'thousand', 'pixel'] as const;
export type FrameName = (typeof FRAME_NAMES)[number];

/** The frame of a name; `shikra` and `relative` are what the two readers of REC expect. */
export function coordinatesOf(frame: FrameName, reader: string): Coordinates {
  if (frame === 'unit') return reader === 'lmms-eval' ? 'relative' : 'shikra';
  return frame === 'thousand' ? 'thousandths' : 'pixels';
}

/** Size of a picture in pixels. */
export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/** What a prompt says about the boxes it wants; stands for `<frame>`. */
export const FRAME_SENTENCES: Readonly<Record<Coordinates, string>> = {
  shikra: '',
  square:
    'Answer with one box [x1,y1,x2,y2]. The picture stands in the middle of a square as wide as its longer side; give fractions of that square with three decimals.',
  relative:
    'Answer with one box [x1,y1,x2,y2] in fractions of the width and the height of the picture with three decimals.',
  thousandths:
    'Answer with one box [x1,y1,x2,y2] in whole numbers from 0 to 1000, thousandths of the width and the height of the picture.',
  pixels: 'Answer with one box [x1,y1,x2,y2] in pixels of the picture.',
};

/** A box in pixels as text in a frame. */
export function writeBox(box: CornerBox, size: PictureSize, coordinates: Coordinates): string {
  const [x1, y1, x2, y2] = box;
  const { width, height } = size;
  switch (coordinates) {
    case 'shikra':
    case 'square':
      return formatBoxes([pixelToNormalized(box, paddedFrame(width, height))]);
    case 'relative':
      return formatBoxes([[x1 / width, y1 / height, x2 / width, y2 / height]]);
    case 'thousandths': {
      const whole = [x1 / width, y1 / height, x2 / width, y2 / height].map((value) => formatFixed(value * 1000, 0));
      return `[${whole.join(',')}]`;
    }
    case 'pixels':
      return `[${box.map((value) => formatFixed(value, 0)).join(',')}]`;
  }
}

const NUMBER = String.raw`\s*(-?\d+(?:\.\d*)?|-?\.\d+)\s*`;
/** `[x1, y1, x2, y2]`, as in `{"bbox_2d": [...]}` too, or the corners apart: `(x1,y1),(x2,y2)`. */
const BOX = new RegExp(
  `[[(]${[NUMBER, NUMBER, NUMBER, NUMBER].join(',')}[\\])]|[[(]${NUMBER},${NUMBER}[\\])]\\s*,?\\s*[[(]${NUMBER},${NUMBER}[\\])]`,
);
/** The key under which some models write y before x. */
const ROWS_FIRST = /\bbox_2d\b/;
/** Digits of a fraction of the picture: a pixel comes back as itself, and decimal fractions as they were. */
const FRACTION_DIGITS = 12;

/** The first box of an answer in the frame that it was written in. */
function firstBox(answer: string): CornerBox | undefined {
  const text = asciiDigits(answer);
  const found = BOX.exec(text);
  if (found === null) return undefined;
  const [a, b, c, d] = found
    .slice(1)
    .filter((number) => number !== undefined)
    .map(Number) as [number, number, number, number];
  return ROWS_FIRST.test(text.slice(0, found.index)) ? [b, a, d, c] : [a, b, c, d];
}

/**
 * The first box of an answer, rewritten in the form that the reader of REC understands: fractions of the padded square, or
 * of the picture for `lmms-eval`. An answer without a box stays as it is, and so does one in that very form.
 */
export function rewriteBox(answer: string, size: PictureSize, coordinates: Coordinates, reader: string): string {
  if (coordinates === 'shikra' && reader === 'shikra') return answer;
  const numbers = firstBox(answer);
  if (numbers === undefined) return answer;
  const pixels = toPixels(numbers, size, coordinates);
  if (reader !== 'lmms-eval') return writeBox(pixels, size, 'square');
  const { width, height } = size;
  const fractions = pixels.map((value, i) => Math.max(0, Math.min(1, value / (i % 2 === 0 ? width : height))));
  return `[${fractions.map((value) => value.toFixed(FRACTION_DIGITS)).join(', ')}]`;
}

/** Largest numbers that a box may hold, for x and for y. */
function edgesOf(coordinates: Coordinates, { width, height }: PictureSize): readonly [x: number, y: number] {
  if (coordinates === 'pixels') return [width, height];
  return coordinates === 'thousandths' ? [1000, 1000] : [1, 1];
}

/**
 * What must be said about answers whose numbers do not fit the frame that they were read in: a model that writes another
 * one is wrong everywhere and looks as if it saw nothing.
 */
export function frameNotes(
  answers: readonly string[],
  sizes: readonly PictureSize[],
  coordinates: Coordinates,
): readonly string[] {
  const boxes = answers.map(firstBox);
  const count = (test: (box: CornerBox, size: PictureSize) => boolean): number =>
    boxes.filter((box, i) => box !== undefined && test(box, sizes[i]!)).length;
  const numBeyond = count((box, size) => {
    const [x, y] = edgesOf(coordinates, size);
    return box[0] > x || box[2] > x || box[1] > y || box[3] > y;
  });
  const numBelow = count((box) => box.some((value) => value < 0));
  const isUnit = coordinates !== 'thousandths' && coordinates !== 'pixels';
  const numUnit = isUnit ? 0 : count((box) => box.every((value) => value >= 0 && value <= 1));
  const limit = isUnit ? '1' : coordinates === 'thousandths' ? '1000' : 'the size of the picture';
  const of = (number: number): string => `${number} of ${answers.length} answers`;
  const other = isUnit ? 'thousand or pixel' : coordinates === 'thousandths' ? 'pixel or unit' : 'thousand or unit';
  const advice = `they were read as ${isUnit ? 'fractions' : coordinates}. If they are not, say --coordinates ${other}.`;
  return [
    ...(numBeyond > 0 ? [`${of(numBeyond)} hold numbers above ${limit}: ${advice}`] : []),
    ...(numBelow > 0 ? [`${of(numBelow)} hold numbers below 0: ${advice}`] : []),
    ...(numUnit > 0 ? [`${of(numUnit)} hold no number above 1: ${advice}`] : []),
  ];
}

function toPixels(box: CornerBox, { width, height }: PictureSize, coordinates: Coordinates): CornerBox {
  const [x1, y1, x2, y2] = box;
  switch (coordinates) {
    case 'shikra':
    case 'square':
      return normalizedToPixel(box, paddedFrame(width, height));
    case 'relative':
      return [x1 * width, y1 * height, x2 * width, y2 * height];
    case 'thousandths':
      return [(x1 * width) / 1000, (y1 * height) / 1000, (x2 * width) / 1000, (y2 * height) / 1000];
    case 'pixels':
      return box;
  }
}
