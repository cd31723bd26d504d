/**
 * The members of a JSON object as they are written: a number that JavaScript cannot hold (12345678901234567890, 1e400,
 * 1.0) keeps its digits only in its source text.
 */

/** The source text of each member of an object, in order; a name may come twice. */
export type JsonMembers = readonly { readonly name: string; readonly source: string }[];

/** The members of a text that `JSON.parse` has read as an object; of none other. */
export function jsonMembers(text: string): JsonMembers {
  const members: { name: string; source: string }[] = [];
  let at = text.indexOf('{') + 1;
  for (;;) {
    const nameStart = text.indexOf('"', at);
    if (nameStart < 0) return members;
    const nameEnd = endOfText(text, nameStart);
    const start = text.indexOf(':', nameEnd) + 1;
    const end = endOfValue(text, start);
    members.push({
      name: JSON.parse(text.slice(nameStart, nameEnd)) as string,
      source: text.slice(start, end).trim(),
    });
    if (text[end] === '}') return members;
    at = end + 1;
  }
}

/** Behind the quote that closes the text which opens at `start`. */
function endOfText(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); ; at = text.indexOf('"', at + 1)) {
    let numBackslashes = 0;
    while (text[at - 1 - numBackslashes] === '\\') numBackslashes++;
    if (numBackslashes % 2 === 0) return at + 1;
  }
}

/** The comma or bracket that ends the value from `start` on. */
function endOfValue(text: string, start: number): number {
  let depth = 0;
  for (let at = start; ; at++) {
    const char = text[at];
    if (char === '"') at = endOfText(text, at) - 1;
    else if (char === '{' || char === '[') depth++;
    else if ((char === '}' || char === ']') && depth-- === 0) return at;
    else if (char === ',' && depth === 0) return at;
  }
}
