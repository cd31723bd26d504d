/** A file of data that is read at any position: its bytes, the text of a stretch, its JSON, and which line that is. */
import { closeSync, fstatSync, readSync } from 'node:fs';
import { doubledKey } from '../files/json-doubled.js';
import { findJsonFault, type JsonFault, NO_NUMBER } from '../files/json-fault.js';
import { checkFile, openRegularFile } from '../files/read.js';
import { dataPlace, type Place, WHAT } from './place.js';

const CHUNK = 1 << 22;
/** Longest record that is read, in bytes: a text of the engine ends near 2^29. */
const MAX_RECORD = 2 ** 28;
const LINE_FEED = 0x0a;

/** Offsets in a typed array that grows. */
export class Offsets {
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
export class PositionedFile {
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
