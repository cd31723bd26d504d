/**
 * Records of JSON and JSON-lines files by index. Only offsets are kept, 16 bytes a record, and a record is read and parsed
 * when it is asked for; so a file of many gigabytes costs little memory, and no text ever is as long as the file.
 */
import { findJsonFault } from '../files/json-fault.js';
import { AFTER_END, type Elements, type Layout, LayoutWalker } from './json-layout.js';
import { asObject, dataPlace, type Id, idField, type JsonObject, type Place } from './place.js';
import { Offsets, PositionedFile } from './positioned-file.js';

const LINE_FEED = 0x0a;
const OPEN_LIST = 0x5b;
const OPEN_OBJECT = 0x7b;

/** Records of a file in its order. */
export interface Records {
  readonly length: number;
  /** Where a record stands, for errors. */
  place(index: number): Place;
  /** The parsed record. @throws CommError `data/sample` with file and line when it is not valid JSON. */
  value(index: number): unknown;
  /** The record, which must be an object. */
  object(index: number): JsonObject;
}

/** Members of the root object by their keys. */
export interface Members extends Records {
  /** Index of a key, or undefined. @throws CommError `data/sample` when a key is there twice. */
  find(key: string): number | undefined;
  key(index: number): string;
}

/** Lines of a text file by index. */
export interface Lines {
  readonly length: number;
  /** @throws CommError `data/sample` when it is not UTF-8. */
  text(index: number): string;
}

/** Opens a file of lines of text; blank lines at its end do not count. */
export function openLines(path: string): Lines {
  const file = new PositionedFile(path);
  const { length, start, end } = findLines(file);
  return {
    length,
    text: (index) => file.text(start(index), end(index), dataPlace(path, `line ${index + 1}`)).replace(/\r$/, ''),
  };
}

/** Opens a JSON-lines file; blank lines at its end do not count. */
export function openJsonLines(path: string): Records {
  const file = new PositionedFile(path);
  const { length, start, end } = findLines(file);
  if (firstByte(file) === OPEN_LIST) {
    throw dataPlace(path, 'line 1').error(
      'this is a JSON array, one object per line is needed.',
      `Write one JSON object a line, as \`jq -c '.[]' ${path}\` does, or name the kind of data set that is read from JSON.`,
    );
  }
  const place = (index: number): Place => dataPlace(path, `line ${index + 1}`);
  if (length > 1) refuseLongObject(file.text(start(0), end(0), place(0)), place(0));
  return records(length, place, (index, at) => file.parse(start(index), end(index), at));
}

/** Objects that go over several lines are named as that, rather than each of their lines as a fault. */
function refuseLongObject(line: string, place: Place): void {
  try {
    JSON.parse(line);
  } catch {
    if (!/^\s*\{/.test(line) || findJsonFault(line).problem !== 'the text ends early') return;
    throw place.error(
      'an object goes over several lines, and one object a line is needed.',
      `Write one JSON object a line, as \`jq -c . ${place.file}\` does.`,
    );
  }
}

/** Records of a file that is an array or holds one object a line, whatever it is called. */
export function openArrayOrLines(path: string): Records {
  const file = new PositionedFile(path);
  const first = firstByte(file);
  file.close();
  return first === OPEN_OBJECT ? openJsonLines(path) : openJson(path).elements();
}

interface LineOffsets {
  readonly length: number;
  start(index: number): number;
  end(index: number): number;
}

function findLines(file: PositionedFile): LineOffsets {
  const ends = new Offsets();
  let lastContent = 0;
  file.scan((bytes, offset) => {
    if (offset === 0) refuseOtherFiles(bytes, file.path);
    let from = 0;
    for (let at = bytes.indexOf(LINE_FEED); at >= 0; at = bytes.indexOf(LINE_FEED, from)) {
      ends.push(offset + at);
      if (!isBlank(bytes, from, at)) lastContent = ends.length;
      from = at + 1;
    }
    if (!isBlank(bytes, from, bytes.length)) lastContent = ends.length + 1;
  });
  ends.push(file.size);
  if (lastContent === 0) throw dataPlace(file.path).error('the file is empty.', 'Download or write it again.');
  const first = bomLength(file);
  return {
    length: lastContent,
    start: (index) => (index === 0 ? first : ends.at(index - 1) + 1),
    end: (index) => ends.at(index),
  };
}

function isBlank(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i]! > 0x20) return false;
  return true;
}

function bomLength(file: PositionedFile): number {
  return file.size >= 3 && file.read(0, 3).equals(Buffer.from([0xef, 0xbb, 0xbf])) ? 3 : 0;
}

function firstByte(file: PositionedFile): number | undefined {
  const start = bomLength(file);
  return file.read(start, Math.min(file.size, start + 4096)).find((byte) => byte > 0x20);
}

/** First bytes of packed files, in hexadecimal. */
const PACKED: readonly (readonly [start: string, name: string])[] = [
  ['1f8b', 'gzip data'],
  ['504b', 'a zip archive'],
  ['28b52ffd', 'Zstandard data'],
  ['fd377a585a', 'xz data'],
  ['425a68', 'bzip2 data'],
  ['50415231', 'a parquet file'],
];

function refuseOtherFiles(bytes: Buffer, path: string): void {
  const place = dataPlace(path);
  const head = bytes.toString('hex', 0, 8);
  const packed = PACKED.find(([start]) => head.startsWith(start));
  if (packed !== undefined) throw place.error(`this is ${packed[1]}, not text.`, 'Unpack it first.');
  if (head.startsWith('fffe') || head.startsWith('feff')) {
    throw place.error('the text is UTF-16.', 'Save the file as UTF-8.');
  }
  if (bytes.includes(0)) throw place.error('the file holds zero bytes, so it is not text.', 'Check the path.');
}

function records(length: number, place: (i: number) => Place, parse: (i: number, place: Place) => unknown): Records {
  const value = (index: number): unknown => parse(index, place(index));
  return { length, place, value, object: (index) => asObject(value(index), place(index)) };
}

/** A JSON file whose root is an array, or an object with members. */
export interface JsonDocument {
  readonly path: string;
  /** Elements of the root array. @throws CommError when the root is an object. */
  elements(): Records;
  /** Elements of a list that is a member of the root. @throws CommError when there is none of that name. */
  list(name: string): Records;
  hasList(name: string): boolean;
  /** Members of the root object. @throws CommError when the root is an array. */
  members(): Members;
}

/** Finds the records of a JSON file. @throws CommError `data/sample` with the line where it stops being JSON. */
export function openJson(path: string): JsonDocument {
  const file = new PositionedFile(path);
  const walker = new LayoutWalker((offset, problem, byte) => {
    const place = dataPlace(path, `line ${file.lineOf(offset)}`);
    if (problem === AFTER_END && byte === OPEN_OBJECT) {
      return place.error(
        'a second object begins, and this kind of data set is read from one JSON value.',
        `These are JSON lines: put them into an array, as \`jq -s . ${path}\` does, or check the kind of the data set.`,
      );
    }
    return place.error(
      `not valid JSON: ${problem}.`,
      'Write the file again with a JSON library; a cut file ends early.',
    );
  });
  file.scan((bytes, offset) => {
    if (offset === 0) refuseOtherFiles(bytes, path);
    walker.see(bytes, offset);
  });
  const layout = walker.finish(file.size);
  const recordsOf = ({ starts, ends }: Elements, name: string): Records =>
    records(
      starts.length,
      (index) => dataPlace(path, name === '' ? `entry ${index + 1}` : `${name}[${index}]`),
      (index, place) => file.parse(starts.at(index), ends.at(index), place),
    );
  const keyAt = (index: number): string => {
    const start = layout.memberStarts.at(index);
    const key = file.parse(start, layout.memberColons.at(index), dataPlace(path, `key ${index + 1}`));
    return String(key);
  };
  const listNames = new Map<string, Elements>();
  for (const [index, list] of layout.lists) {
    const key = keyAt(index);
    if (listNames.has(key)) {
      throw dataPlace(path).error(`the list "${key}" is there twice.`, 'Remove one of the two: only one is read.');
    }
    listNames.set(key, list);
  }
  return {
    path,
    elements: () => {
      if (layout.root === 'array') return recordsOf(layout.elements, '');
      throw dataPlace(path).error(
        'a JSON array is needed, but this is an object.',
        `Check the kind of the data set; if this is its only record, put it into an array, as \`jq -s . ${path}\` does.`,
      );
    },
    hasList: (name) => listNames.has(name),
    list: (name) => {
      const list = listNames.get(name);
      if (list !== undefined) return recordsOf(list, name);
      throw dataPlace(path).error(
        `the list "${name}" is missing; found ${[...listNames.keys()].slice(0, 8).join(', ') || 'none'}.`,
        'Check the kind of the data set and the file.',
      );
    },
    members: () => {
      if (layout.root !== 'object') {
        throw dataPlace(path).error(
          'a JSON object is needed, but this is an array.',
          'Check the kind of the data set.',
        );
      }
      return membersOf(file, layout, keyAt);
    },
  };
}

function membersOf(file: PositionedFile, layout: Layout, keyAt: (index: number) => string): Members {
  const place = (index: number): Place => dataPlace(file.path, `key "${keyAt(index)}"`);
  const members = records(layout.memberStarts.length, place, (index, at) =>
    file.parse(layout.memberColons.at(index) + 1, layout.memberEnds.at(index), at),
  );
  let byKey: ReadonlyMap<string, number> | undefined;
  return {
    ...members,
    key: keyAt,
    find: (key) => {
      byKey ??= indexByKey(members, keyAt);
      return byKey.get(key);
    },
  };
}

function indexByKey(members: Records, keyAt: (index: number) => string): ReadonlyMap<string, number> {
  const byKey = new Map<string, number>();
  for (let i = 0; i < members.length; i++) {
    const key = keyAt(i);
    if (byKey.has(key)) throw members.place(i).error('the key is there twice.', 'Remove one of the two.');
    byKey.set(key, i);
  }
  return byKey;
}

/** Records by the id in a field. @throws CommError `data/sample` for the second of a kind; `noun` says what ids name, `see` gets every record. */
export function indexById(
  records: Records,
  field: string,
  noun: string,
  see?: (record: JsonObject, index: number) => void,
): ReadonlyMap<Id, number> {
  const byId = new Map<Id, number>();
  for (let i = 0; i < records.length; i++) {
    const place = records.place(i);
    const record = records.object(i);
    const id = idField(record, field, place);
    see?.(record, i);
    const first = byId.get(id);
    if (first !== undefined) {
      throw place.error(
        `${noun} ${JSON.stringify(id)} is there already, at ${records.place(first).detail}.`,
        'Remove one of the two.',
      );
    }
    byId.set(id, i);
  }
  return byId;
}
