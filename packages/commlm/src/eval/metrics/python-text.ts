/** Text operations with the exact meaning of Python's, where that of JavaScript differs. */

/** White space of Python's `str.split()` and `str.strip()`, which includes the no-break space and the separators. */
const SPACE = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';

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
