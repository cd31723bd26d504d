/**
 * A small font of strokes for labels on pictures, so that drawing needs no font on the machine. Each letter is an SVG
 * path on a grid where capitals reach from y = 0 to 8, small letters from 3, and descenders to 10.5.
 */

type Glyph = readonly [width: number, path: string];

const BOWL = 'M4 5.5A2 2.5 0 1 1 0 5.5A2 2.5 0 1 1 4 5.5';
const RING = 'M5.4 4A2.7 4 0 1 1 0 4A2.7 4 0 1 1 5.4 4';
const ARCH = 'M0 5Q.6 3 2.2 3Q4 3 4 5V8';

const GLYPHS: Readonly<Record<string, Glyph>> = {
  a: [4, `${BOWL}M4 3V8`],
  b: [4, `M0 0V8${BOWL}`],
  c: [3.7, 'M3.7 4.18A2 2.5 0 1 0 3.7 6.82'],
  d: [4, `${BOWL}M4 0V8`],
  e: [4, 'M0 5.5H4A2 2.5 0 1 0 3.7 6.82'],
  f: [3.2, 'M3.2 .2Q1.2 -.4 1.2 2V8M0 3H3'],
  g: [4, `${BOWL}M4 3V8.5Q4 10.5 2 10.5Q.8 10.5 .3 9.8`],
  h: [4, `M0 0V8${ARCH}`],
  i: [0, 'M0 3V8M0 .7V.9'],
  j: [1, 'M1 3V9Q1 10.5 -.5 10.4M1 .7V.9'],
  k: [3.6, 'M0 0V8M3.4 3L0 6M1.3 5L3.6 8'],
  l: [0, 'M0 0V8'],
  m: [6, 'M0 3V8M0 5Q.4 3 1.7 3Q3 3 3 5V8M3 5Q3.4 3 4.7 3Q6 3 6 5V8'],
  n: [4, `M0 3V8${ARCH}`],
  o: [4, BOWL],
  p: [4, `M0 3V10.5${BOWL}`],
  q: [4, `${BOWL}M4 3V10.5`],
  r: [2.6, 'M0 3V8M0 5.2Q.5 3 2.6 3.1'],
  s: [3.6, 'M3.4 3.8Q2.8 3 1.8 3Q.2 3 .2 4.3Q.2 5.3 1.8 5.5Q3.6 5.7 3.6 6.7Q3.6 8 1.8 8Q.6 8 0 7.1'],
  t: [3.2, 'M1.2 1V6.6Q1.2 8 2.4 8Q2.9 8 3.2 7.8M0 3H3'],
  u: [4, 'M0 3V6Q0 8 1.8 8Q3.4 8 4 6M4 3V8'],
  v: [4, 'M0 3L2 8L4 3'],
  w: [6, 'M0 3L1.5 8L3 3.5L4.5 8L6 3'],
  x: [3.8, 'M0 3L3.8 8M3.8 3L0 8'],
  y: [4, 'M0 3L2 8M4 3L1.6 9.2Q1.1 10.5 0 10.5'],
  z: [3.8, 'M0 3H3.8L0 8H3.8'],
  A: [5.2, 'M0 8L2.6 0L5.2 8M.9 5.3H4.3'],
  B: [4.8, 'M0 0V8H2.6Q4.8 8 4.8 5.9Q4.8 3.8 2.6 3.8H0M2.4 3.8Q4.3 3.8 4.3 1.9Q4.3 0 2.4 0H0'],
  C: [5, 'M5 1.4Q4.2 0 2.8 0Q0 0 0 4Q0 8 2.8 8Q4.2 8 5 6.6'],
  D: [5, 'M0 0V8H2Q5 8 5 4Q5 0 2 0H0'],
  E: [4.4, 'M4.4 0H0V8H4.4M0 3.8H3.8'],
  F: [4.4, 'M4.4 0H0V8M0 3.9H3.7'],
  G: [5, 'M5 1.4Q4.2 0 2.8 0Q0 0 0 4Q0 8 2.8 8Q5 8 5 5.8V4.4H3'],
  H: [5, 'M0 0V8M5 0V8M0 3.9H5'],
  I: [0, 'M0 0V8'],
  J: [3, 'M3 0V6Q3 8 1.4 8Q0 8 0 6.4'],
  K: [4.8, 'M0 0V8M4.6 0L0 4.8M1.7 3.2L4.8 8'],
  L: [4.2, 'M0 0V8H4.2'],
  M: [6, 'M0 8V0L3 5.5L6 0V8'],
  N: [5, 'M0 8V0L5 8V0'],
  O: [5.4, RING],
  P: [4.7, 'M0 8V0H2.6Q4.7 0 4.7 2.2Q4.7 4.4 2.6 4.4H0'],
  Q: [5.4, `${RING}M3.4 6L5.4 8.4`],
  R: [4.9, 'M0 8V0H2.6Q4.7 0 4.7 2.2Q4.7 4.4 2.6 4.4H0M2.6 4.4L4.9 8'],
  S: [4.7, 'M4.4 1.3Q3.7 0 2.3 0Q.3 0 .3 2Q.3 3.5 2.3 3.9Q4.7 4.4 4.7 6Q4.7 8 2.3 8Q.6 8 0 6.5'],
  T: [5, 'M0 0H5M2.5 0V8'],
  U: [5, 'M0 0V5.2Q0 8 2.5 8Q5 8 5 5.2V0'],
  V: [5.2, 'M0 0L2.6 8L5.2 0'],
  W: [7.2, 'M0 0L1.8 8L3.6 1L5.4 8L7.2 0'],
  X: [4.8, 'M0 0L4.8 8M4.8 0L0 8'],
  Y: [5, 'M0 0L2.5 4V8M5 0L2.5 4'],
  Z: [4.8, 'M0 0H4.8L0 8H4.8'],
  '0': [4.4, 'M4.4 4A2.2 4 0 1 1 0 4A2.2 4 0 1 1 4.4 4'],
  '1': [4, 'M.4 1.6L2.2 0V8M.4 8H4'],
  '2': [4.4, 'M.2 2.2Q.2 0 2.2 0Q4.2 0 4.2 2.2Q4.2 3.6 2.8 5L0 8H4.4'],
  '3': [4.4, 'M.2 1.2Q1 0 2.2 0Q4 0 4 2Q4 3.8 1.6 3.8Q4.4 3.8 4.4 5.9Q4.4 8 2.2 8Q.7 8 0 6.7'],
  '4': [4.6, 'M3.4 8V0L0 5.6H4.6'],
  '5': [4.4, 'M4 0H.7L.4 3.6Q1.2 3 2.2 3Q4.4 3 4.4 5.5Q4.4 8 2.1 8Q.7 8 0 6.9'],
  '6': [4.4, 'M3.8 .8Q3.2 0 2.3 0Q0 0 0 4.6Q0 8 2.2 8Q4.4 8 4.4 5.6Q4.4 3.3 2.3 3.3Q.4 3.3 0 5.4'],
  '7': [4.4, 'M0 0H4.4L1.6 8'],
  '8': [
    4.4,
    'M2.2 3.8Q.4 3.6 .4 1.9Q.4 0 2.2 0Q4 0 4 1.9Q4 3.6 2.2 3.8Q0 4 0 5.9Q0 8 2.2 8Q4.4 8 4.4 5.9Q4.4 4 2.2 3.8',
  ],
  '9': [4.4, 'M.6 7.2Q1.2 8 2.1 8Q4.4 8 4.4 3.4Q4.4 0 2.2 0Q0 0 0 2.4Q0 4.7 2.1 4.7Q4 4.7 4.4 2.6'],
  ' ': [1.6, ''],
  '.': [0, 'M0 7.8V8'],
  ',': [0.5, 'M.5 7.7L0 9.3'],
  ':': [0, 'M0 3.6V3.8M0 7.8V8'],
  ';': [0.5, 'M.5 3.6V3.8M.5 7.7L0 9.3'],
  '!': [0, 'M0 0V5.4M0 7.8V8'],
  '?': [3.6, 'M0 1.6Q.4 0 1.8 0Q3.6 0 3.6 1.9Q3.6 3.2 2.4 3.8Q1.8 4.2 1.8 5.4M1.8 7.8V8'],
  "'": [0, 'M0 0V1.9'],
  '"': [1.4, 'M0 0V1.9M1.4 0V1.9'],
  '(': [1.8, 'M1.8 -.6Q-1.8 4.2 1.8 9.2'],
  ')': [1.8, 'M0 -.6Q3.6 4.2 0 9.2'],
  '[': [1.6, 'M1.6 -.6H0V9.2H1.6'],
  ']': [1.6, 'M0 -.6H1.6V9.2H0'],
  '{': [2, 'M2 -.6Q.8 -.6 .8 1V3.2L0 4.3L.8 5.4V7.6Q.8 9.2 2 9.2'],
  '}': [2, 'M0 -.6Q1.2 -.6 1.2 1V3.2L2 4.3L1.2 5.4V7.6Q1.2 9.2 0 9.2'],
  '-': [2.6, 'M0 5H2.6'],
  _: [4.4, 'M0 9.2H4.4'],
  '+': [4, 'M0 5H4M2 3V7'],
  '=': [4, 'M0 4.2H4M0 6H4'],
  '/': [3.4, 'M3.4 -.6L0 8.6'],
  '\\': [3.4, 'M0 -.6L3.4 8.6'],
  '|': [0, 'M0 -.6V9.2'],
  '<': [3.6, 'M3.6 2.4L0 5L3.6 7.6'],
  '>': [3.6, 'M0 2.4L3.6 5L0 7.6'],
  '*': [3, 'M1.5 0V3.6M0 .9L3 2.7M3 .9L0 2.7'],
  '#': [4.8, 'M1.6 0L.8 8M4 0L3.2 8M.2 2.6H4.8M0 5.4H4.6'],
  '%': [5.6, 'M5 0L.6 8M2 1.6A1 1.4 0 1 1 0 1.6A1 1.4 0 1 1 2 1.6M5.6 6.4A1 1.4 0 1 1 3.6 6.4A1 1.4 0 1 1 5.6 6.4'],
  '&': [5, 'M5 8L1.2 2.6Q.4 0 2 0Q3.4 0 3.2 1.8Q3 3 1.2 4Q0 4.8 0 6Q0 8 2 8Q4.4 8 5 4.6'],
  '@': [
    6,
    'M4.4 3V5.4Q4.6 6.4 5.2 6.2Q6 5.8 6 4Q6 0 3 0Q0 0 0 4Q0 8 3 8H4.6M4.4 4.3A1.5 1.8 0 1 1 1.4 4.3A1.5 1.8 0 1 1 4.4 4.3',
  ],
  $: [4.4, 'M4.2 2Q3.6 1 2.2 1Q.3 1 .3 2.5Q.3 3.7 2.2 4Q4.4 4.4 4.4 5.6Q4.4 7 2.2 7Q.6 7 0 6M2.2 -.4V8.4'],
  '^': [3.2, 'M0 2L1.6 0L3.2 2'],
  '~': [3.6, 'M0 5.4Q.9 4.2 1.8 5Q2.7 5.8 3.6 4.6'],
  '`': [0.8, 'M0 0L.8 1.4'],
};

/** A letter that the font lacks is an empty frame. */
const UNKNOWN: Glyph = [3.6, 'M0 0H3.6V8H0Z'];

/** Space between letters, in units of the grid. */
const LETTER_GAP = 1.9;

/** A line of text as letters with their places on the grid. */
export interface StrokedText {
  /** Width of the line in grid units. */
  readonly width: number;
  /** Each letter's path and how far right it starts. */
  readonly letters: readonly { readonly path: string; readonly x: number }[];
}

/** Lays out one line; accents are dropped, other letters outside of ASCII become empty frames. */
export function strokeText(text: string): StrokedText {
  const letters: { path: string; x: number }[] = [];
  let x = 0;
  for (const letter of text.normalize('NFD').replace(/\p{M}/gu, '')) {
    const [width, path] = Object.hasOwn(GLYPHS, letter) ? GLYPHS[letter]! : UNKNOWN;
    if (path !== '') letters.push({ path, x });
    x += width + LETTER_GAP;
  }
  return { width: Math.max(0, x - LETTER_GAP), letters };
}
