/** Text operations with the exact meaning of Python's, where that of JavaScript differs. */

/** White space of Python's `str.split()`, `str.strip()` and `\s`, which includes the no-break space and the separators. */
export const SPACE = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';

const SPACES = new RegExp(`${SPACE}+`);
const LEADING = new RegExp(`^${SPACE}+`);
const TRAILING = new RegExp(`(?<!${SPACE})${SPACE}+$`);

/** `text.split()`. */
export function splitWords(text: string): string[] {
  return text.split(SPACES).filter((word) => word !== '');
}

/** `text.strip()`. */
export function trim(text: string): string {
  return trimEnd(text.replace(LEADING, ''));
}

/** `text.rstrip()`. */
export function trimEnd(text: string): string {
  return text.replace(TRAILING, '');
}

/** Letters that Python's caseless patterns take for `i` and `s`, as pieces of a pattern. */
export const CASELESS_I = '[iI\\u0130\\u0131]';
export const CASELESS_S = '[sS\\u017f]';

const OTHER_DIGIT = /(?![0-9])\p{Nd}/gu;

/** Digits of other scripts as those of ASCII: `\d` and `float()` know no difference. */
export function asciiDigits(text: string): string {
  return text.replace(OTHER_DIGIT, (digit) => String(digitValue(digit.codePointAt(0) as number)));
}

/** Every run of decimal digits in Unicode starts with a zero and holds whole tens. */
function digitValue(code: number): number {
  let start = code;
  while (/^\p{Nd}$/u.test(String.fromCodePoint(start - 1))) start--;
  return (code - start) % 10;
}
