/** Boxes in the ways that models write them: the frames of their coordinates, read from answers and written into prompts. */
import { normalizedToPixel, paddedFrame, pixelToNormalized } from '../images/frames.js';
import { formatBoxes, formatFixed } from '../text/boxes.js';
import type { CornerBox } from './metrics/rec.js';

/**
 * `shikra`: fractions of the padded square in Shikra's exact form, read by its rules. The others are read from the first four
 * numbers in brackets: `square` fractions of the padded square, `relative` fractions of the picture, `thousandths` of the
 * picture, `pixels`.
 */
export const COORDINATES = ['shikra', 'square', 'relative', 'thousandths', 'pixels'] as const;
export type Coordinates = (typeof COORDINATES)[number];

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
const BRACKET = new RegExp(`[[(]${[NUMBER, NUMBER, NUMBER, NUMBER].join(',')}[\\])]`);

/**
 * The first box of an answer, rewritten in the form that the reader of REC understands: fractions of the padded square, or
 * of the picture for `lmms-eval`. An answer without a box stays as it is, and so does one in that very form.
 */
export function rewriteBox(answer: string, size: PictureSize, coordinates: Coordinates, reader: string): string {
  if (coordinates === 'shikra' && reader === 'shikra') return answer;
  const numbers = BRACKET.exec(answer)?.slice(1, 5).map(Number);
  if (numbers === undefined) return answer;
  const pixels = toPixels(numbers as unknown as CornerBox, size, coordinates);
  return writeBox(pixels, size, reader === 'lmms-eval' ? 'relative' : 'square');
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
