/**
 * Referring expression comprehension: accuracy at IoU above one half, the way Shikra and COMM measure it. Boxes are read
 * from text in the padded square and the target goes through the same text, rounding included.
 */
import { formatFixed, parseBoxes } from '../../text/boxes.js';
import { asciiDigits, SPACE } from './python-text.js';

/** Corners x1, y1, x2, y2. */
export type CornerBox = readonly [x1: number, y1: number, x2: number, y2: number];

/**
 * `shikra` reads boxes in the padded square and asks for more than one half; `lmms-eval` takes the first four numbers in a
 * bracket, relative to the picture itself, and one half is enough.
 */
export type RecReader = 'shikra' | 'lmms-eval';

/** A target in pixels of its picture. */
export interface RecTarget {
  readonly box: CornerBox;
  readonly width: number;
  readonly height: number;
}

/** Reading and overlap of one answer; `box` is on the scale of the reader (0..1), null when none could be read. */
export interface RecItem {
  readonly box: CornerBox | null;
  readonly iou: number;
  readonly hit: boolean;
}

/** `accuracy` over all targets, `meanIoU` with failed answers as boxes without area, `failed` the number of those. */
export interface RecScores {
  readonly accuracy: number;
  readonly meanIoU: number;
  readonly failed: number;
  readonly perItem: readonly RecItem[];
}

/** The box of an answer: exactly one bracket holding exactly one box, else null. */
export function parseRecAnswer(answer: string): CornerBox | null {
  const brackets = parseBoxes(asciiDigits(answer));
  const boxes = brackets[0];
  return brackets.length === 1 && boxes?.length === 1 ? boxes[0]! : null;
}

/**
 * A pixel box as the model would write it: moved into the centred square (offset by floor division), divided by the
 * side, clamped and rounded to three decimals, ties to even.
 */
export function targetInSquare({ box, width, height }: RecTarget): CornerBox {
  const side = Math.max(width, height);
  const left = Math.floor((side - width) / 2);
  const top = Math.floor((side - height) / 2);
  const corners = box.map((value, i) => (value + (i % 2 === 0 ? left : top)) / side);
  return corners.map((value) => Number(formatFixed(Math.max(0, Math.min(value, 1)), 3))) as unknown as CornerBox;
}

/** Intersection over union in float32 of boxes given in thousandths; corners are not swapped, 0/0 gives NaN. */
export function boxIou(a: CornerBox, b: CornerBox): number {
  const f = Math.fround;
  const [ax1, ay1, ax2, ay2] = a.map((value) => f(f(value) * 1000)) as unknown as CornerBox;
  const [bx1, by1, bx2, by2] = b.map((value) => f(f(value) * 1000)) as unknown as CornerBox;
  const areaA = f(f(ax2 - ax1) * f(ay2 - ay1));
  const areaB = f(f(bx2 - bx1) * f(by2 - by1));
  const width = Math.max(0, f(Math.min(ax2, bx2) - Math.max(ax1, bx1)));
  const height = Math.max(0, f(Math.min(ay2, by2) - Math.max(ay1, by1)));
  const intersection = f(width * height);
  return f(intersection / f(f(areaA + areaB) - intersection));
}

const NO_BOX: CornerBox = [0, 0, 0, 0];

const LOOSE_NUMBER = `${SPACE}*(-?\\d+(?:\\.\\d+)?)`;
const LOOSE_BOX = new RegExp(`\\[${[LOOSE_NUMBER, LOOSE_NUMBER, LOOSE_NUMBER, LOOSE_NUMBER].join(',')}${SPACE}*\\]`);

function parseLooseBox(answer: string): CornerBox | null {
  const numbers = LOOSE_BOX.exec(asciiDigits(answer))?.slice(1, 5).map(Number);
  return numbers === undefined ? null : (numbers as unknown as CornerBox);
}

/** Intersection over union in double precision; corners are not swapped. */
function plainIou(a: CornerBox, b: CornerBox): number {
  const overlap =
    Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0])) * Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  return overlap / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap);
}

function overlapOf(box: CornerBox, target: RecTarget, reader: RecReader): number {
  if (reader === 'shikra') return boxIou(box, targetInSquare(target));
  const { width, height } = target;
  // From x, y, width, height, as that tool has it, for the same rounding.
  const [x1, y1, x2, y2] = target.box;
  return plainIou(box, [x1 / width, y1 / height, (x1 + (x2 - x1)) / width, (y1 + (y2 - y1)) / height]);
}

/** Scores one answer per target. An overlap of 0/0 counts as none. */
export function scoreRec(
  targets: readonly RecTarget[],
  answers: readonly string[],
  options: { readonly reader?: RecReader } = {},
): RecScores {
  const { reader = 'shikra' } = options;
  if (targets.length !== answers.length)
    throw new RangeError(`${answers.length} answers for ${targets.length} targets.`);
  let failed = 0;
  let hits = 0;
  let sum = 0;
  const perItem = targets.map((target, i) => {
    const answer = answers[i]!;
    const box = reader === 'shikra' ? parseRecAnswer(answer) : parseLooseBox(answer);
    if (box === null) failed++;
    const overlap = overlapOf(box ?? NO_BOX, target, reader);
    const iou = Number.isNaN(overlap) ? 0 : overlap;
    const hit = reader === 'shikra' ? iou > 0.5 : iou >= 0.5;
    if (hit) hits++;
    sum += iou;
    return { box, iou, hit };
  });
  const count = Math.max(1, targets.length);
  return { accuracy: hits / count, meanIoU: sum / count, failed, perItem };
}
