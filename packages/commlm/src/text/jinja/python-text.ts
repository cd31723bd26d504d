/** Text as Python sees it: characters are code points, and white space and line ends are more than JavaScript's. */
import { fault } from './faults.js';

/** Inside of a class of Python's white space. */
export const PYTHON_SPACE =
  '\\t-\\r\\u{1c}-\\u{20}\\u{85}\\u{a0}\\u{1680}\\u{2000}-\\u{200a}\\u{2028}\\u{2029}\\u{202f}\\u{205f}\\u{3000}';

const SPACES = new RegExp(`[${PYTHON_SPACE}]+`, 'u');
const IS_SPACE = new RegExp(`^[${PYTHON_SPACE}]$`, 'u');
/** Inside of a class of the characters that end a line. */
const LINE_ENDS = '\n-\r\u{1c}-\u{1e}\u{85}\u{2028}\u{2029}';
const LINE_END = new RegExp(`\r\n|[${LINE_ENDS}]`, 'gu');

export const isSpace = (char: string): boolean => IS_SPACE.test(char);

/** `str.strip`, or one side of it: characters of a set, white space without one. */
export function strip(text: string, chars: string | undefined, sides: 'left' | 'right' | 'both'): string {
  const all = Array.from(text);
  const set = chars === undefined ? undefined : new Set(chars);
  const goes = (char: string): boolean => (set === undefined ? isSpace(char) : set.has(char));
  let [start, end] = [0, all.length];
  if (sides !== 'right') while (start < end && goes(all[start] as string)) start++;
  if (sides !== 'left') while (end > start && goes(all[end - 1] as string)) end--;
  return all.slice(start, end).join('');
}

/** `str.splitlines`. */
export function splitLines(text: string, keepEnds = false): string[] {
  const lines: string[] = [];
  let at = 0;
  for (const end of text.matchAll(LINE_END)) {
    lines.push(text.slice(at, end.index) + (keepEnds ? end[0] : ''));
    at = end.index + end[0].length;
  }
  if (at < text.length) lines.push(text.slice(at));
  return lines;
}

/** `str.split` without a separator: by runs of white space, none at the ends. */
export function splitSpaces(text: string, limit: number): string[] {
  const words: string[] = [];
  let rest = strip(text, undefined, 'left');
  while (rest !== '') {
    const found = words.length === limit ? null : SPACES.exec(rest);
    if (found === null) {
      words.push(words.length === limit ? rest : strip(rest, undefined, 'right'));
      break;
    }
    words.push(rest.slice(0, found.index));
    rest = rest.slice(found.index + found[0].length);
  }
  return words;
}

/** `str.rsplit` without a separator. */
export function splitSpacesFromRight(text: string, limit: number): string[] {
  const turned = splitSpaces(reverseText(text), limit);
  return turned.map(reverseText).reverse();
}

/** `str.split` or `str.rsplit` by a separator. */
export function splitBy(text: string, separator: string, limit: number, fromRight: boolean): string[] {
  const parts = text.split(separator);
  if (limit < 0 || parts.length <= limit + 1) return parts;
  return fromRight
    ? [parts.slice(0, -limit || parts.length).join(separator), ...parts.slice(parts.length - limit)]
    : [...parts.slice(0, limit), parts.slice(limit).join(separator)];
}

export const reverseText = (text: string): string => Array.from(text).reverse().join('');

/** `str.capitalize`: the first letter in title case, all others small. */
export function capitalize(text: string): string {
  const [first = '', ...rest] = Array.from(text);
  return titleCase(first) + rest.join('').toLowerCase();
}

/** The title case of a letter; of most it is the capital one. */
export function titleCase(char: string): string {
  const upper = char.toUpperCase();
  if (/\p{Lt}/u.test(char)) return char;
  const digraph = DIGRAPHS[upper];
  if (digraph !== undefined) return digraph;
  const [first = '', ...rest] = Array.from(upper);
  return first + rest.join('').toLowerCase();
}

const DIGRAPHS: Readonly<Record<string, string>> = {
  '\u01c4': '\u01c5',
  '\u01c7': '\u01c8',
  '\u01ca': '\u01cb',
  '\u01f1': '\u01f2',
};

/** `str.title`: words begin behind whatever is no letter. */
export function titleWords(text: string): string {
  let out = '';
  let inside = false;
  for (const char of text) {
    out += inside ? char.toLowerCase() : titleCase(char);
    inside = /[\p{Lowercase}\p{Uppercase}\p{Lt}]/u.test(char);
  }
  return out;
}

export function swapCase(text: string): string {
  return Array.from(text, (char) => (char === char.toLowerCase() ? char.toUpperCase() : char.toLowerCase())).join('');
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  b: '\b',
  f: '\f',
  v: '\v',
  a: '\x07',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '\n': '',
};

/** The text of a string literal; an escape that Python does not know stays as it is. @throws TemplateFault */
export function unescapePython(literal: string): string {
  return literal.replace(
    /\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([\s\S]))/gu,
    (whole, octal?: string, x?: string, u?: string, U?: string, char?: string) => {
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      const hex = x ?? u ?? U;
      if (hex !== undefined) return codePoint(Number.parseInt(hex, 16));
      if (char === 'x' || char === 'u' || char === 'U' || char === 'N') fault(`a string holds the escape ${whole}`);
      return ESCAPES[char as string] ?? whole;
    },
  );
}

const codePoint = (code: number): string =>
  code <= 0x10ffff ? String.fromCodePoint(code) : fault('a string holds the escape of no character');
