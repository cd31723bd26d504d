/**
 * Records of JSON and JSON-lines files by index. Only offsets are kept, 16 bytes a record, and a record is read and parsed
 * when it is asked for; so a file of many gigabytes costs little memory, and no text ever is as long as the file.
 */
import { closeSync, fstatSync, readSync } from 'node:fs';
import { doubledKey } from '../files/json-doubled.js';
import { findJsonFault, type JsonFault, NO_NUMBER } from '../files/json-fault.js';
import { checkFile, openRegularFile } from '../files/read.js';
import { asObject, type Id, idField, type JsonObject, Place } from './place.js';

const CODE = 'data/sample';
const CHUNK = 1 << 22;
/** Longest record that is read, in bytes: a text of the engine ends near 2^29. */
const MAX_RECORD = 2 ** 28;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const LINE_FEED = 0x0a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Place of a data file, or of a part of it; its errors have the code `data/sample`. */
export function dataPlace(file: string, detail = ''): Place {
  return new Place(file, detail, CODE);
}

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

/** Offsets in a typed array that grows. */
class Offsets {
  #values = new Float64Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.#values.length) {
      const grown = new Float64Array(2 * this.length);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.length++] = value;
  }

  at(index: number): number {
    return this.#values[index]!;
  }
}

/** A file that is read at any position. */
class PositionedFile {
  readonly path: string;
  readonly size: number;
  readonly #handle: number;

  constructor(path: string) {
    this.path = path;
    checkFile(path, WHAT);
    this.#handle = openRegularFile(path, WHAT);
    this.size = fstatSync(this.#handle).size;
    if (this.size === 0) throw dataPlace(path).error('the file is empty.', 'Download or write it again.');
  }

  read(start: number, end: number): Buffer {
    const bytes = Buffer.allocUnsafe(end - start);
    let filled = 0;
    while (filled < bytes.length) {
      const n = readSync(this.#handle, bytes, filled, bytes.length - filled, start + filled);
      if (n === 0) throw dataPlace(this.path).error('the file became shorter while it was read.');
      filled += n;
    }
    return bytes;
  }

  /** Calls `see` with every stretch of the file up to `end`. */
  scan(see: (bytes: Buffer, offset: number) => void, end = this.size): void {
    for (let at = 0; at < end; at += CHUNK) see(this.read(at, Math.min(end, at + CHUNK)), at);
  }

  /** Number of the line that holds a byte; reads the file up to it. */
  lineOf(offset: number): number {
    let line = 1;
    this.scan((bytes) => {
      for (let at = bytes.indexOf(LINE_FEED); at >= 0; at = bytes.indexOf(LINE_FEED, at + 1)) line++;
    }, offset);
    return line;
  }

  close(): void {
    closeSync(this.#handle);
  }

  /** The text of a stretch; `place` says what it is. */
  text(start: number, end: number, place: Place): string {
    if (end - start > MAX_RECORD) {
      throw place.error(`it has ${end - start} bytes, more than the ${MAX_RECORD} that are read.`, 'Check the file.');
    }
    try {
      return DECODER.decode(this.read(start, end));
    } catch {
      const line = `line ${this.lineOf(start)}`;
      const at = place.detail === line ? place : place.at(line);
      throw at.error('the text is not valid UTF-8.', 'Save the file as UTF-8.');
    }
  }

  /** Parses a stretch; `place` says what it is. */
  parse(start: number, end: number, place: Place): unknown {
    const text = this.text(start, end, place);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      if (text.trim() === '') throw place.error('the line is blank.', 'Remove it, or write its object again.');
      const fault = findJsonFault(text);
      const line = `line ${this.lineOf(start) + fault.line - 1}`;
      const at = place.detail === line ? place : place.at(line);
      throw at.at(`column ${fault.column}`).error(`not valid JSON: ${fault.problem}.`, jsonFix(fault));
    }
    const doubled = doubledKey(text, value);
    if (doubled === undefined) return value;
    throw place.error(`the key "${doubled}" is there twice in one object.`, 'Remove one of the two: only one is read.');
  }
}

function jsonFix({ problem }: JsonFault): string {
  if (problem.startsWith(NO_NUMBER)) {
    return 'Python writes it where a number is missing: leave the record out, or write a number.';
  }
  return 'Write the file again with a JSON library; a cut file ends early.';
}

const DECODER = new TextDecoder('utf-8', { fatal: true });

/** What the files of data sets are, in sentences about them. */
export const WHAT = 'the data';

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

/** Starts and ends of the values of an array. */
class Elements {
  readonly starts = new Offsets();
  readonly ends = new Offsets();
}

const AFTER_END = 'there is text after the end of the value';

/** What a walk over the bytes finds. */
class Layout {
  root: 'array' | 'object' | undefined;
  readonly elements = new Elements();
  readonly memberStarts = new Offsets();
  readonly memberColons = new Offsets();
  readonly memberEnds = new Offsets();
  /** Elements of the members that are lists. */
  readonly lists = new Map<number, Elements>();
}

/** Finds the records of a JSON file: one pass over its bytes that follows brackets and quotes. */
class LayoutWalker {
  readonly layout = new Layout();
  readonly #fail: (offset: number, problem: string, byte?: number) => Error;
  #depth = 0;
  #inText = false;
  #escaped = false;
  /** Start of the value (or member) at depth 1, and of the element at depth 2; whether anything but blanks came. */
  #start1 = 0;
  #filled1 = false;
  #start2 = 0;
  #filled2 = false;
  #colon = -1;
  #list: Elements | undefined;

  constructor(fail: (offset: number, problem: string, byte?: number) => Error) {
    this.#fail = fail;
  }

  see(bytes: Buffer, offset: number): void {
    let i = 0;
    while (i < bytes.length) {
      if (this.#inText) {
        i = this.#skipText(bytes, i);
        continue;
      }
      const byte = bytes[i]!;
      if (byte > 0x20) this.#token(byte, offset + i);
      i++;
    }
  }

  /** Goes to the end of a text; returns where to go on. `from` lies within the text. */
  #skipText(bytes: Buffer, from: number): number {
    let start = this.#escaped ? from + 1 : from;
    this.#escaped = false;
    for (;;) {
      const quote = bytes.indexOf(QUOTE, start);
      const end = quote < 0 ? bytes.length : quote;
      let backslashes = 0;
      while (end - backslashes > start && bytes[end - backslashes - 1] === BACKSLASH) backslashes++;
      const isEscaped = backslashes % 2 === 1;
      if (quote < 0) {
        this.#escaped = isEscaped;
        return bytes.length;
      }
      start = quote + 1;
      if (!isEscaped) {
        this.#inText = false;
        return start;
      }
    }
  }

  #token(byte: number, at: number): void {
    if (this.#depth === 0) {
      this.#open(byte, at);
      return;
    }
    const isClose = byte === CLOSE_LIST || byte === CLOSE_OBJECT;
    if (this.#depth === 1 && (byte === COMMA || isClose)) {
      this.#end1(at, isClose);
      if (isClose) this.#depth = 0;
      return;
    }
    if (this.#depth === 2 && this.#list !== undefined && (byte === COMMA || isClose)) {
      this.#end2(at, isClose);
      if (isClose) {
        this.#depth = 1;
        this.#list = undefined;
      }
      return;
    }
    if (this.#depth === 1) {
      if (byte === COLON && this.#colon < 0) this.#colon = at;
      this.#filled1 = true;
    }
    if (this.#depth === 2) this.#filled2 = true;
    if (byte === QUOTE) this.#inText = true;
    else if (isClose) this.#depth--;
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) this.#descend(byte, at);
  }

  #open(byte: number, at: number): void {
    if (this.layout.root !== undefined) throw this.#fail(at, AFTER_END, byte);
    if (byte !== OPEN_LIST && byte !== OPEN_OBJECT) {
      // A byte order mark may stand first.
      if (at < 3 && byte >= 0xbb) return;
      throw this.#fail(at, 'a JSON array or object is needed');
    }
    this.layout.root = byte === OPEN_LIST ? 'array' : 'object';
    this.#depth = 1;
    this.#start1 = at + 1;
  }

  #descend(byte: number, at: number): void {
    if (this.#depth === 1 && byte === OPEN_LIST && this.layout.root === 'object' && this.#colon >= 0) {
      this.#list = new Elements();
      this.layout.lists.set(this.layout.memberStarts.length, this.#list);
      this.#start2 = at + 1;
      this.#filled2 = false;
    }
    this.#depth++;
  }

  #end1(at: number, isClose: boolean): void {
    const { layout } = this;
    if (this.#filled1) {
      if (layout.root === 'array') {
        layout.elements.starts.push(this.#start1);
        layout.elements.ends.push(at);
      } else {
        if (this.#colon < 0) throw this.#fail(at, 'a member of the object has no colon');
        layout.memberStarts.push(this.#start1);
        layout.memberColons.push(this.#colon);
        layout.memberEnds.push(at);
      }
    } else if (!isClose || layout.elements.starts.length + layout.memberStarts.length > 0) {
      throw this.#fail(at, 'a value is missing');
    }
    this.#start1 = at + 1;
    this.#filled1 = false;
    this.#colon = -1;
  }

  #end2(at: number, isClose: boolean): void {
    const list = this.#list!;
    if (this.#filled2) {
      list.starts.push(this.#start2);
      list.ends.push(at);
    } else if (!isClose || list.starts.length > 0) {
      throw this.#fail(at, 'a value is missing');
    }
    this.#start2 = at + 1;
    this.#filled2 = false;
  }

  /** @throws when the file ended too early. */
  finish(size: number): Layout {
    if (this.#depth > 0 || this.#inText || this.layout.root === undefined) {
      throw this.#fail(size, 'the text ends early');
    }
    return this.layout;
  }
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
