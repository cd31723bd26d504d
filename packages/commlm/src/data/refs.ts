/** Entries of the `refs(...).p` pickle of the refer tool, or of the same as JSON. */
import { readPlainPickle } from '@commlm/torch/files';
import { readBytes } from '../files/read.js';
import { openJson } from './json-records.js';
import { asList, asObject, dataPlace, type JsonObject, type Place, WHAT } from './place.js';

/** First bytes of a pickled list: protocol 2 and above, protocol 0, protocol 1. JSON starts with none of them. */
const PICKLE_STARTS: ReadonlySet<number | undefined> = new Set([0x80, 0x28, 0x5d]);
/** Many times the largest published file (RefCOCOg's, some 50 MB). */
const MAX_BYTES = 2 ** 30;
/** Values of a pickle; the largest published file (RefCOCO's, with 142,210 sentences) has some 14 million. */
const MAX_VALUES = 32_000_000;

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
  const fail = (why: string): never => {
    const fix = 'Use the refs file as published, or write it as JSON.';
    throw place.error(`the pickle cannot be read: ${why}.`, fix);
  };
  return readPlainPickle(bytes, { fail, maxValues: MAX_VALUES });
}
