/** Finds keys that an object of a JSON text has twice; `JSON.parse` keeps the last of them and says nothing. */

const SPACE = 0x20;
const BACKSLASH = 0x5c;
const COLON = 0x3a;

/** A text, with the colon that makes it a key, or a bracket of an object. */
const TOKEN = /("[^"\\]*(?:\\.[^"\\]*)*")\s*(:?)|[{}]/gs;

/** The first key that is there twice in an object of a text; `value` is what `JSON.parse` has made of it. */
export function doubledKey(text: string, value: unknown): string | undefined {
  return numWritten(text) === numKept(value) ? undefined : findDoubled(text);
}

/** Members of all objects of a text: each has one quoted key with a colon behind it. From quote to quote, which is quick. */
function numWritten(text: string): number {
  let n = 0;
  for (let start = text.indexOf('"'); start >= 0; ) {
    let at = closingQuote(text, start) + 1;
    while (text.charCodeAt(at) <= SPACE) at++;
    if (text.charCodeAt(at) === COLON) n++;
    start = text.indexOf('"', at);
  }
  return n;
}

function closingQuote(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let numBackslashes = 0;
    while (text.charCodeAt(at - 1 - numBackslashes) === BACKSLASH) numBackslashes++;
    if (numBackslashes % 2 === 0) return at;
  }
  return text.length;
}

/** Members of all objects of a value; without recursion, since a value may be nested more deeply than calls can be. */
function numKept(root: unknown): number {
  let n = 0;
  const left = [root];
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value !== 'object' || value === null) continue;
    const isList = Array.isArray(value);
    const items: unknown[] = isList ? value : Object.values(value);
    if (!isList) n += items.length;
    for (const item of items) if (typeof item === 'object') left.push(item);
  }
  return n;
}

function findDoubled(text: string): string | undefined {
  const open: Set<string>[] = [];
  for (const [token, quoted, colon] of text.matchAll(TOKEN)) {
    if (token === '{') open.push(new Set());
    else if (token === '}') open.pop();
    else if (quoted !== undefined && colon === ':') {
      const key = JSON.parse(quoted) as string;
      if (open.at(-1)?.has(key)) return key;
      open.at(-1)?.add(key);
    }
  }
  return undefined;
}
