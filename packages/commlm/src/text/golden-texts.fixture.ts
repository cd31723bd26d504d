/**
 * Texts in many scripts for comparisons with the reference, made here as tools/golden/texts.py makes them: the golden
 * files hold a hash for each block of results, not the texts. For tests only.
 */
import { createHash } from 'node:crypto';

/** First and last letter of a script, or of another range of characters. */
const RANGES: readonly (readonly [number, number])[] = [
  [0x61, 0x7a],
  [0x41, 0x5a],
  [0xc0, 0xff],
  [0x100, 0x17f],
  [0x391, 0x3c9],
  [0x410, 0x44f],
  [0x531, 0x587],
  [0x5d0, 0x5ea],
  [0x620, 0x669],
  [0x904, 0x96f],
  [0x985, 0x9ef],
  [0xa05, 0xa6f],
  [0xa85, 0xaef],
  [0xb85, 0xbf2],
  [0xc05, 0xc39],
  [0xc85, 0xcb9],
  [0xd05, 0xd3a],
  [0xd85, 0xdc6],
  [0xe01, 0xe5b],
  [0xe81, 0xeb9],
  [0xf00, 0xf6c],
  [0x1000, 0x1049],
  [0x10d0, 0x10fa],
  [0x1100, 0x1175],
  [0x1200, 0x1248],
  [0x13a0, 0x13f4],
  [0x1780, 0x17e9],
  [0x1810, 0x1842],
  [0x1e00, 0x1eff],
  [0x1f00, 0x1fff],
  [0x2070, 0x209c],
  [0x2150, 0x2188],
  [0x2200, 0x22ff],
  [0x2460, 0x24ff],
  [0x3041, 0x3096],
  [0x30a1, 0x30fa],
  [0x4e00, 0x9fa5],
  [0xac00, 0xd7a3],
  [0xfb00, 0xfb06],
  [0xfe70, 0xfefc],
  [0xff01, 0xffdc],
  [0x10330, 0x1034a],
  [0x10400, 0x1044f],
  [0x12000, 0x12399],
  [0x1d400, 0x1d7ff],
  [0x1f300, 0x1f64f],
  [0x20000, 0x2a6d6],
];
const SPACES = [...'      \u00a0\u2003\u3000\u0085\t\n\r\u1680\u2028\u200b\ufeff\u180e\u000b\u001c\u00ad\u0000'];
const PUNCTUATION = [...'.,!?\'"()[]{}<>-_/\\@#$%^&*+=|~`:;\u2019\u2014\u2026\u00bf\u3002\u0964\u00a9\u20ac'];
const WORDS = [
  ...['the', 'dog', "'s", "'S", "'ll", "'\u017f", "don't", '  ', '\n\n', ' \r\n', '1234567', '\u00bd b', '5 m\u00b2'],
  ...[
    'e\u0301',
    '\u00e9',
    '\u0301',
    '\u1100\u1161\u11a8',
    '\u{1f469}\u200d\u{1f469}\u200d\u{1f467}',
    '\u{1f44d}\u{1f3fd}',
  ],
  ...['\u0130stanbul', 'stra\u00dfe', '\u03a3\u0391\u03a3', '\u0e01\u0e33', '\u0669\u0661', '[0.274,0.074]', '\u2581'],
  ...[
    '</s>',
    '<s>',
    '<|im_end|>',
    '<|eot_id|>',
    '<x>',
    'cat',
    'Cat',
    ' cat',
    'concat',
    'cats',
    'a b',
    '_cat_',
    'right ',
  ],
];

/** A stream of numbers that Python makes in the same way. */
class Numbers {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state * limit) / 2 ** 32);
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

/** The texts of a seed. */
export function goldenTexts(seed: number, count: number): string[] {
  const numbers = new Numbers(seed);
  const letter = ([first, last]: readonly [number, number]): string =>
    String.fromCodePoint(first + numbers.below(last - first + 1));
  return Array.from({ length: count }, () => {
    const script = numbers.of(RANGES);
    let text = '';
    for (let items = numbers.below(20); items >= 0; items--) {
      const kind = numbers.below(16);
      if (kind < 6) for (let length = numbers.below(6); length >= 0; length--) text += letter(script);
      else if (kind < 7) text += letter(numbers.of(RANGES));
      else if (kind < 9) text += numbers.of(SPACES);
      else if (kind < 11) text += ' ';
      else if (kind < 12) text += String(numbers.below(1000));
      else if (kind < 14) text += numbers.of(PUNCTUATION);
      else text += numbers.of(WORDS);
    }
    return text;
  });
}

/** A short hash of each block of results. */
export function blockHashes(results: readonly string[], blockSize: number): string[] {
  return Array.from({ length: Math.ceil(results.length / blockSize) }, (_, block) =>
    createHash('sha256')
      .update(results.slice(block * blockSize, (block + 1) * blockSize).join('\n'))
      .digest('hex')
      .slice(0, 12),
  );
}
