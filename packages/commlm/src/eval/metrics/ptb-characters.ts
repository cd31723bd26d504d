/**
 * Which UTF-16 units CoreNLP 3.4.1 takes for letters and digits: the Unicode tables of its time, which differ from those
 * of the running engine, so they are kept here. Each table is a list of ranges, `gap since the last end, length - 1`,
 * in base 36.
 */
import { type CharSet, charSet } from './scanner.js';

const LETTER_RANGES = `
  1t p 7 p 1c 0 b 0 5 0 6 m 2 u 2 cp 5 b f 4 8 0 2 0 3m 4 2 1 3 3 9 0 2 2 2 0 2 j 2 2a 2 3u 9 4d a 11
  3 0 8 12 21 q 6 2 1a 16 10 1 2 2q 2 0 g 1 8 1 b 2 3 0 h 0 2 t u 2g c 0 p w a 1 5 0 6 l 5 0 a 0 4 0 o
  o 20 0 2 a 2g 1h 4 0 j 0 8 9 g 6 2 6 6 7 3 1 3 l 2 6 2 0 4 3 4 0 h 0 e 1 2 2 f 1 k 5 5 1 3 l 2 6 2 1
  2 1 2 1 w 3 2 0 k 2 h 8 2 2 2 l 2 6 2 1 2 4 4 0 j 0 g 1 10 7 3 1 3 l 2 6 2 1 2 4 4 0 v 1 2 2 g 0 i 0
  2 5 4 2 2 3 4 1 2 0 2 1 4 1 4 2 4 b n 0 1h 7 2 2 2 m 2 9 2 4 4 0 r 1 7 1 10 7 2 2 2 m 2 9 2 4 4 0 x
  0 2 1 g 1 j 7 2 2 2 14 3 0 h 0 i 1 p 5 6 h 4 n 2 8 2 0 3 6 1n 1b 2 1 d 6 1n 1 2 0 3 1 2 0 3 0 7 3 2
  6 2 2 2 0 2 0 3 1 2 3 2 1 a 0 3 4 2 0 m 3 x 0 1s 7 2 z s 4 38 16 l 0 h 5 5 3 4 0 4 1 8 2 5 c d 0 i
  11 2 0 6 0 3 16 2 98 2 3 3 6 2 0 2 3 3 14 2 3 3 w 2 3 3 6 2 0 2 3 3 e 2 1k 2 3 3 1u 12 f h 2c d h7 3
  g 2 p 6 22 m c 2 3 f h f h f c 2 2 g 1f 10 0 5 0 1w 2f 9 14 2 0 6 1x b s 1g t 3 4 c 17 m 6 1l m a 1g
  2b 0 2m 1a i 6 1k t e 1 b 17 r z 16 2 b z 30 3 2 3 4 1 a 5b 1t 7p 3 5 3 11 3 5 3 7 2 0 2 0 2 0 2 u 3
  1g 2 6 2 0 4 2 2 6 4 3 3 5 5 c 6 2 2 6 39 0 e 0 h c 2u 0 5 0 3 9 2 0 4 4 7 0 2 0 2 0 2 3 2 a 3 3 6 4
  5 0 1h 1 22k 1a 2 1a 2 3o 7 3 4 1 d 11 2 0 6 0 3 1j 8 0 h m a 6 2 6 2 6 2 6 2 6 2 6 2 6 2 6 29 0 d2
  1 17 4 6 1 5 2d 7 2 2 2h 2 3 6 14 4 2l i q 1i f e9 52t 23 g5o 1g wc 1w 19 3 7g 4 f b 1 l 1a h o 9 1x
  1e 8 3 2u 3 3 2 3 d a 26 9 2 2 2 3 2 m u 1f f 1d 1r 5 4 0 f r b m q s 8 1a t 0 1d 14 o 2 2 7 l m 4 0
  6 1b 2 0 4 1 3 4 3 0 2 0 p 2 3 a 8 2 d 5 3 5 3 5 a 6 2 6 42 y u 8mb d m 5 1c 6it a5 3 2x 13 6 d 4 6
  0 2 9 2 c 2 4 2 0 2 1 2 1 2 2z y a2 j 1r 3 1h 15 b 39 4 2 3q 11 p 7 p c 2g 4 5 3 5 3 5 3 2
`;

const DIGIT_RANGES = `
  1c 9 17r 9 3r 9 5j 9 bh 9 3b 9 3b 9 3b 9 3b 9 3b 9 3b 9 3b 9 3b 9 69 9 3b 9 1z 9 7r 9 1z 9 1fr 9 13
  9 8d 9 3l 9 4n 9 7 9 53 9 2f 9 3r 9 7 9 r7r 9 iv 9 13 9 5j 9 3b 9 bb 9 gev 9
`;

/** Longer ranges are ideographs and syllables, which have no case. */
const LONGEST_CASED_RANGE = 1000;

function decodeRanges(packed: string): CharSet {
  const numbers = packed
    .trim()
    .split(/\s+/)
    .map((digits) => Number.parseInt(digits, 36));
  const ranges: number[] = [];
  let end = 0;
  for (let i = 0; i < numbers.length; i += 2) {
    const low = end + (numbers[i] ?? 0);
    end = low + (numbers[i + 1] ?? 0);
    ranges.push(low, end);
  }
  return ranges;
}

/** Letters of the basic plane. */
export const LETTERS: CharSet = decodeRanges(LETTER_RANGES);

/** Decimal digits of the basic plane. */
export const DIGITS: CharSet = decodeRanges(DIGIT_RANGES);

/** Capital letters of the basic plane, with the capital Roman numerals and circled capitals. */
export const CAPITALS: CharSet = capitals();

function capitals(): CharSet {
  const ranges: Array<[number, number]> = [
    [0x2160, 0x216f],
    [0x24b6, 0x24cf],
  ];
  for (let i = 0; i < LETTERS.length; i += 2) {
    const [low, high] = [LETTERS[i] ?? 0, LETTERS[i + 1] ?? 0];
    if (high - low > LONGEST_CASED_RANGE) continue;
    for (let unit = low; unit <= high; unit++) {
      const isCherokee = unit >= 0x13a0 && unit <= 0x13f5; // without case in that version of Unicode
      if (!isCherokee && /\p{Lu}/u.test(String.fromCharCode(unit))) ranges.push([unit, unit]);
    }
  }
  return charSet(ranges);
}
