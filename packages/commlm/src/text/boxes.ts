/**
 * Boxes and points as text, in the form Shikra trained on and COMM keeps:
 * one box is `[0.274,0.074,0.714,0.998]`, two boxes of one phrase `[a,b,c,d;e,f,g,h]`, a point `[0.500,0.250]`.
 * All numbers are fractions of the padded square; `images/frames.ts` turns them into pixels.
 */
import { CommError } from '../config/errors.js';

/** x1, y1, x2, y2 in the normalised padded square. */
export type TextBox = readonly [x1: number, y1: number, x2: number, y2: number];

/** x, y in the normalised padded square. */
export type TextPoint = readonly [x: number, y: number];

/** How boxes and points are spelled. */
export interface BoxFormat {
  /** Digits behind the decimal point, 1 to 6; 3 by default. */
  readonly precision?: number;
  /** `square` writes `[...]` (default), `round` writes `(...)`. */
  readonly brackets?: 'square' | 'round';
}

/**
 * A number as Python's `'%.<precision>f'` prints it: the exact binary value, rounded half to even.
 * `toFixed` is exact too but rounds ties up, so only the ties (dyadic fractions such as 0.0625) are corrected.
 */
export function formatFixed(value: number, precision = 3): string {
  const text = value.toFixed(precision);
  // A tie is (2n+1) / (2 * 10^p); as 5^p is odd, value * 2^(p+1) must then be an odd integer, which a double shows exactly.
  const scaled = Math.abs(value) * 2 ** (precision + 1);
  if (!Number.isInteger(scaled) || scaled % 2 === 0) return text;
  const lower = (scaled * 5 ** precision - 1) / 2;
  const even = lower % 2 === 0 ? lower : lower + 1;
  const digits = String(even).padStart(precision + 1, '0');
  return `${value < 0 ? '-' : ''}${digits.slice(0, -precision)}.${digits.slice(-precision)}`;
}

/** The boxes of one phrase as text, clamped to 0..1; throws `text/box-number` when a number is not finite. */
export function formatBoxes(boxes: readonly TextBox[], format: BoxFormat = {}): string {
  return formatTuples(boxes, format);
}

/** The points of one phrase as text, clamped to 0..1; throws `text/box-number` when a number is not finite. */
export function formatPoints(points: readonly TextPoint[], format: BoxFormat = {}): string {
  return formatTuples(points, format);
}

function formatTuples(
  tuples: readonly (readonly number[])[],
  { precision = 3, brackets = 'square' }: BoxFormat,
): string {
  if (!Number.isInteger(precision) || precision < 1 || precision > 6) {
    throw new CommError(`Box precision must be a whole number from 1 to 6, not ${precision}.`, {
      code: 'text/box-precision',
    });
  }
  const inner = tuples
    .map((tuple) => tuple.map((value) => formatFixed(clampUnit(value), precision)).join(','))
    .join(';');
  return brackets === 'square' ? `[${inner}]` : `(${inner})`;
}

function clampUnit(value: number): number {
  if (!Number.isFinite(value)) {
    throw new CommError(`A box or point holds ${value}, which is not a number between 0 and 1.`, {
      code: 'text/box-number',
    });
  }
  return value <= 0 ? 0 : Math.min(value, 1);
}

const NUMBER = String.raw`\d(?:\.\d*)?`;

function strictPattern(size: number, brackets: 'square' | 'round'): RegExp {
  const tuple = `${NUMBER}(?:,${NUMBER}){${size - 1}}`;
  const [open, close] = brackets === 'square' ? [String.raw`\[`, String.raw`\]`] : [String.raw`\(`, String.raw`\)`];
  return new RegExp(`${open}(${tuple}(?:;${tuple})*)${close}`, 'g');
}

/** Every bracket of the text that holds boxes and nothing else (no spaces, one digit before the point), in order. */
export function parseBoxes(text: string, brackets: 'square' | 'round' = 'square'): TextBox[][] {
  return parseTuples(text, strictPattern(4, brackets)) as unknown as TextBox[][];
}

/** Every bracket of the text that holds points and nothing else, in order. */
export function parsePoints(text: string, brackets: 'square' | 'round' = 'square'): TextPoint[][] {
  return parseTuples(text, strictPattern(2, brackets)) as unknown as TextPoint[][];
}

function parseTuples(text: string, pattern: RegExp): number[][][] {
  return Array.from(text.matchAll(pattern), (match) =>
    (match[1] ?? '').split(';').map((tuple) => tuple.split(',').map(Number)),
  );
}

/** What stands for the placeholders of a sentence, one entry a placeholder, in order. */
export interface PlaceholderValues {
  readonly boxes?: readonly (readonly TextBox[])[];
  readonly points?: readonly (readonly TextPoint[])[];
}

/**
 * Puts boxes and points in the place of `<boxes>` and `<points>`; every other character, braces included, is kept.
 * Throws `text/placeholder-count` unless there is exactly one entry for each placeholder.
 */
export function fillPlaceholders(text: string, values: PlaceholderValues, format: BoxFormat = {}): string {
  const boxes = values.boxes ?? [];
  const points = values.points ?? [];
  requireCount(text, '<boxes>', boxes.length);
  requireCount(text, '<points>', points.length);
  let nextBox = 0;
  let nextPoint = 0;
  return text.replace(/<boxes>|<points>/g, (placeholder) =>
    placeholder === '<boxes>'
      ? formatBoxes(boxes[nextBox++] ?? [], format)
      : formatPoints(points[nextPoint++] ?? [], format),
  );
}

function requireCount(text: string, placeholder: string, given: number): void {
  const found = text.split(placeholder).length - 1;
  if (found !== given) {
    throw new CommError(`The sentence has ${found} ${placeholder} but ${given} were given: "${text}".`, {
      code: 'text/placeholder-count',
      fix: `Give one entry for each ${placeholder}.`,
    });
  }
}

/** A box found in an answer, with the noun phrase that stands before its bracket. */
export interface FoundBox {
  readonly label?: string;
  /** As the model wrote it: not clamped, corners not sorted. */
  readonly box: TextBox;
  /** Offsets of the whole bracket in the answer; boxes of one bracket share them. */
  readonly start: number;
  readonly end: number;
}

const LENIENT_NUMBER = String.raw`\s*(?:\d+(?:\.\d*)?|\.\d+)\s*`;
const LENIENT_BOX = `${LENIENT_NUMBER}(?:,${LENIENT_NUMBER}){3}`;
const LENIENT_BRACKET = new RegExp(String.raw`\[(${LENIENT_BOX}(?:;${LENIENT_BOX})*)\]`, 'g');

/** Finds all boxes of an answer, spaces allowed, each with the phrase before it (`a red car [..]` gives `red car`). */
export function findBoxes(answer: string): FoundBox[] {
  const found: FoundBox[] = [];
  let previousEnd = 0;
  for (const match of answer.matchAll(LENIENT_BRACKET)) {
    const start = match.index;
    const end = start + match[0].length;
    const label = labelBefore(answer.slice(previousEnd, start));
    for (const tuple of (match[1] ?? '').split(';')) {
      const box = tuple.split(',').map(Number) as unknown as TextBox;
      found.push(label === undefined ? { box, start, end } : { label, box, start, end });
    }
    previousEnd = end;
  }
  return found;
}

const ARTICLES = /^(?:a|an|the|his|her|its|their|one|two|three|four|five|six|some|another|this|that)$/i;
// Words that end the phrase before a noun phrase, or follow one without being part of it.
const LINKS =
  /^(?:and|or|but|with|of|on|in|at|to|by|near|beside|behind|under|above|below|over|beneath|from|for|between|around|is|are|was|were|it|there|here|has|have|shows?|sits?|stands?|next|left|right|see|i|you|located|position|box)$/i;

function labelBefore(text: string): string | undefined {
  const clause = text.split(/[.!?;:,\n]/).filter((part) => part.trim() !== '');
  const words = (clause.at(-1) ?? '').split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word));
  while (words.length > 0 && (LINKS.test(words.at(-1) ?? '') || ARTICLES.test(words.at(-1) ?? ''))) words.pop();
  const lastBreak = words.findLastIndex((word) => ARTICLES.test(word) || LINKS.test(word));
  const label = words.slice(lastBreak + 1).join(' ');
  return label === '' || /^answers?$/i.test(label) ? undefined : label;
}
