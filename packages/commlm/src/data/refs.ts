/** Entries of the `refs(...).p` pickle of the refer tool, or of the same as JSON. */
import { Parser } from 'pickleparser';
import { readBytes } from '../files/read.js';
import { dataPlace, openJson, WHAT } from './json-records.js';
import { asList, asObject, type JsonObject, type Place } from './place.js';

/** First bytes of a pickled list: protocol 2 and above, protocol 0, protocol 1. JSON starts with none of them. */
const PICKLE_STARTS: ReadonlySet<number | undefined> = new Set([0x80, 0x28, 0x5d]);
const PROTOCOL_0_START = 0x28;
/** Many times the largest published file (RefCOCOg's, some 50 MB). */
const MAX_BYTES = 2 ** 30;

/** Escapes that stay in the texts of protocol 0 when it is parsed. */
const ESCAPE = /\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))/g;

/** A region of the file. */
export interface RefEntry {
  readonly entry: JsonObject;
  readonly place: Place;
}

/** The entries of a refs file in its order. @throws CommError `data/sample` when it cannot be read. */
export function readRefEntries(path: string): RefEntry[] {
  const bytes = readBytes(path, { what: WHAT, limitBytes: MAX_BYTES });
  if (!isPickle(bytes)) {
    const records = openJson(path).elements();
    return Array.from({ length: records.length }, (_, i) => ({ entry: records.object(i), place: records.place(i) }));
  }
  const place = dataPlace(path);
  return asList(readPickle(bytes, place), place).map((value, i) => {
    const at = place.at(`entry ${i + 1}`);
    return { entry: asObject(value, at), place: at };
  });
}

/** Whether the bytes begin as a pickled list does and no JSON text. */
export function isPickle(bytes: Uint8Array): boolean {
  return PICKLE_STARTS.has(bytes[0]);
}

/** The plain value of a pickle. @throws CommError at `place` when it is damaged or holds an object of a class. */
export function readPickle(bytes: Uint8Array, place: Place): unknown {
  let root: unknown;
  try {
    root = new Parser({ nameResolver: { resolve: refuseClass } }).parse<unknown>(bytes);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'unknown fault';
    throw place.error(`the pickle cannot be read: ${reason}`, 'Use the refs file as published, or write it as JSON.');
  }
  return bytes[0] === PROTOCOL_0_START ? unescaped(root) : root;
}

/** A refs file holds plain lists, dictionaries, numbers and texts; anything else in a pickle is not read. */
function refuseClass(module: string, name: string): never {
  throw new Error(`it holds an object of the class ${module}.${name}.`);
}

function unescaped(value: unknown): unknown {
  if (typeof value === 'string') {
    return value.replace(ESCAPE, (_, unit?: string, byte?: string, char?: string) =>
      char === undefined ? String.fromCharCode(Number.parseInt(unit ?? byte ?? '0', 16)) : char,
    );
  }
  if (Array.isArray(value)) return value.map(unescaped);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unescaped(item)]));
}
