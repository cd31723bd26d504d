/**
 * Boxes and points of records: four or two numbers in pixels. What is no box at all is a fault of the record
 * (`data/sample`); a box that shows nothing of its picture, as published sets have a few, is one of its own (`data/empty-box`).
 */
import type { PixelBox, PixelPoint } from '../images/frames.js';
import { asList, type JsonObject, listField, type Place } from './place.js';
import type { Mark, Size } from './sample.js';

/** Code of the error for a box or point that covers nothing of its picture. */
export const EMPTY_BOX = 'data/empty-box';

/** Least share of a box that has to lie on its picture; boxes that reach over the edge are cut to it. */
const LEAST_INSIDE = 0.1;

/** Corners of a box in fractions may lie a bit outside of its picture. */
const LARGEST_FRACTION = 1.5;
/** What other models write boxes in: thousandths of the sides. */
const THOUSAND = 1000;

const FRACTIONS_FIX = 'Multiply them by the width and height of the picture: boxes and points are in its pixels.';

/** Four numbers as a box, not yet cut to its picture. `corners`: x1, y1, x2, y2; `size`: x, y, width, height. */
export function asBox(value: unknown, form: 'corners' | 'size', place: Place): PixelBox {
  const numbers = asNumbers(value, 4, place, form === 'corners' ? 'x1, y1, x2, y2' : 'x, y, width, height');
  const [x1, y1, c, d] = numbers as [number, number, number, number];
  const [x2, y2] = form === 'corners' ? [c, d] : [x1 + c, y1 + d];
  if (x2 - x1 <= 1 && y2 - y1 <= 1) refuseFractions(numbers, LARGEST_FRACTION, place);
  if (x2 < x1 || y2 < y1) {
    throw place.error(
      form === 'corners'
        ? `the box ${numbers.join(', ')} has its corners the wrong way round.`
        : `the box ${numbers.join(', ')} has a size below zero.`,
      form === 'corners' ? 'The form is x1, y1, x2, y2, not x, y, width, height.' : 'The form is x, y, width, height.',
    );
  }
  return [x1, y1, x2, y2];
}

/** Two numbers as a point in pixels. */
export function asPoint(value: unknown, place: Place): PixelPoint {
  const point = asNumbers(value, 2, place, 'x, y') as [number, number];
  refuseFractions(point, 1, place);
  return point;
}

/** A whole picture in fractions; in pixels it would be the one in the corner. */
const isWhole = (numbers: readonly number[]): boolean => numbers.join() === '0,0,1,1';

/** Within a pixel of the corner of a picture, numbers that are not whole are meant otherwise. */
function refuseFractions(numbers: readonly number[], largest: number, place: Place): void {
  if (numbers.some((number) => Math.abs(number) > largest)) return;
  if (numbers.every(Number.isInteger) && !isWhole(numbers)) return;
  throw place.error(`the numbers ${numbers.join(', ')} look like fractions, not pixels.`, FRACTIONS_FIX);
}

function asNumbers(value: unknown, n: number, place: Place, form: string): number[] {
  const list = asList(value, place);
  if (list.length !== n || list.some((item) => typeof item !== 'number' || !Number.isFinite(item))) {
    throw place.error(`${n} numbers ${form} are needed, but this is [${list.map(shown).join(', ').slice(0, 60)}].`);
  }
  return list as number[];
}

/** JSON has no word for what its numbers become beyond 1.8e308. */
const shown = (value: unknown): string => (typeof value === 'number' ? String(value) : JSON.stringify(value));

/** A field with one box. */
export function boxField(object: JsonObject, name: string, form: 'corners' | 'size', place: Place): PixelBox {
  return asBox(listField(object, name, place), form, place.at(name));
}

/** A field with a list of boxes. */
export function boxesField(object: JsonObject, name: string, place: Place): PixelBox[] {
  return listField(object, name, place).map((box, i) => asBox(box, 'corners', place.at(`${name}[${i}]`)));
}

/** Shikra's `boxes_seq`: for each placeholder the indices of its boxes. */
export function boxGroups(sequence: unknown, boxes: readonly PixelBox[], place: Place): Mark[] {
  return asList(sequence, place).map((group, i): Mark => {
    const at = place.at(`group ${i + 1}`);
    const chosen = asList(group, at).map((index) => {
      const box = typeof index === 'number' ? boxes[index] : undefined;
      if (box === undefined)
        throw at.error(`${JSON.stringify(index)} is not the index of one of ${boxes.length} boxes.`);
      return box;
    });
    if (chosen.length === 0) throw at.error('the group has no box.');
    return { kind: 'boxes', picture: 0, boxes: chosen };
  });
}

/** Boxes of the first picture. */
export const boxesMark = (...boxes: PixelBox[]): Mark => ({ kind: 'boxes', picture: 0, boxes });

/** Points of the first picture. */
export const pointsMark = (...points: PixelPoint[]): Mark => ({ kind: 'points', picture: 0, points });

/** `width` and `height` of the picture, where a record tells them; 0 x 0 stands for unknown. */
export function sizeOf(object: JsonObject, place: Place): Size | undefined {
  const { width, height } = object;
  if ((width ?? null) === null && (height ?? null) === null) return undefined;
  return asSize(width, height, place);
}

/** Two numbers as the sides of a picture; undefined for 0 x 0. */
export function asSize(width: unknown, height: unknown, place: Place): Size | undefined {
  if (width === 0 && height === 0) return undefined;
  const isSide = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value > 0;
  if (isSide(width) && isSide(height)) return { width, height };
  throw place.error(
    `the size of the picture is ${JSON.stringify(width ?? null)} x ${JSON.stringify(height ?? null)}.`,
    'Give width and height as two numbers above zero, or none of them.',
  );
}

/** Something that covers nothing of its picture: the end of a sentence about it, and what may be done. */
interface Emptiness {
  readonly problem: string;
  readonly fix: string;
}

/** Throws what `fault` makes of the first box or point that covers nothing of a picture; cuts the others to it. */
export function fitMark(mark: Mark, picture: Size | undefined, fault: (problem: string, fix: string) => Error): Mark {
  const check = (found: Emptiness | undefined): void => {
    if (found !== undefined) throw fault(found.problem, found.fix);
  };
  if (mark.kind === 'points') {
    for (const point of mark.points) check(emptinessOfPoint(point, picture));
    return mark;
  }
  const boxes = mark.boxes.map((box) => {
    check(emptinessOf(box, picture));
    return cut(box, picture);
  });
  return { ...mark, boxes };
}

function emptinessOf(box: PixelBox, picture: Size | undefined): Emptiness | undefined {
  const area = areaOf(box);
  if (area <= 0) return { problem: `the box ${box.join(', ')} has no area.`, fix: LEAVE_OUT };
  const inside = areaOf(cut(box, picture));
  if (inside >= LEAST_INSIDE * area) return undefined;
  const lies = inside > 0 ? 'lies nearly all outside of' : 'lies outside of';
  return {
    problem: `the box ${box.join(', ')} ${lies} the picture${sizeText(picture)}.`,
    fix: outsideFix(box, picture),
  };
}

function emptinessOfPoint([x, y]: PixelPoint, picture: Size | undefined): Emptiness | undefined {
  const isInside = x >= 0 && y >= 0 && x <= (picture?.width ?? x) && y <= (picture?.height ?? y);
  if (isInside) return undefined;
  return {
    problem: `the point ${x}, ${y} lies outside of the picture${sizeText(picture)}.`,
    fix: outsideFix([x, y], picture),
  };
}

const LEAVE_OUT = 'Correct or remove it; comm.data.skip.empty-box says whether training leaves such samples out.';

function outsideFix(numbers: readonly number[], picture: Size | undefined): string {
  const mayBeThousandths = picture !== undefined && numbers.every((number) => number >= 0 && number <= THOUSAND);
  return mayBeThousandths
    ? `Boxes and points are in pixels of the picture; thousandths of its sides (0 to ${THOUSAND}) have to be multiplied by its width and height over ${THOUSAND}.`
    : LEAVE_OUT;
}

const sizeText = (picture: Size | undefined): string =>
  picture === undefined ? '' : ` (${picture.width} x ${picture.height})`;

/** Where the size is not known, only the edges at 0 are. */
function cut([x1, y1, x2, y2]: PixelBox, picture: Size | undefined): PixelBox {
  const right = Math.min(x2, picture?.width ?? x2);
  const bottom = Math.min(y2, picture?.height ?? y2);
  return [Math.max(x1, 0), Math.max(y1, 0), right, bottom];
}

const areaOf = ([x1, y1, x2, y2]: PixelBox): number => Math.max(0, x2 - x1) * Math.max(0, y2 - y1);
