/** Where the records of a JSON file lie: one pass over its bytes that follows brackets and quotes, and keeps offsets alone. */
import { Offsets } from './positioned-file.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Starts and ends of the values of an array. */
export class Elements {
  readonly starts = new Offsets();
  readonly ends = new Offsets();
}

/** The problem of a file that goes on behind its root value. */
export const AFTER_END = 'there is text after the end of the value';

/** What a walk over the bytes finds. */
export class Layout {
  root: 'array' | 'object' | undefined;
  readonly elements = new Elements();
  readonly memberStarts = new Offsets();
  readonly memberColons = new Offsets();
  readonly memberEnds = new Offsets();
  /** Elements of the members that are lists. */
  readonly lists = new Map<number, Elements>();
}

/** Finds the records of a JSON file: one pass over its bytes that follows brackets and quotes. */
export class LayoutWalker {
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
