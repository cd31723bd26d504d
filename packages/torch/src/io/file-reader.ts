/** Reading pieces of a file by position, every one checked against the file's end. */
import { closeSync, fstatSync, readSync } from 'node:fs';
import { openRegularFile, refuseStandIn } from '../files.js';
import type { Fail, PickleBytes } from './pickle.js';

/** Bytes fetched at once when single bytes are asked for. */
const WINDOW_BYTES = 64 * 1024;

/** An open file; {@link FileReader.close} it. A pipe, a device and a stand-in for the file (`FileFault`) are refused. */
export class FileReader {
  readonly size: number;
  readonly #fd: number;
  readonly #fail: Fail;

  constructor(path: string, fail: Fail) {
    this.#fd = openRegularFile(path);
    this.#fail = fail;
    try {
      refuseStandIn(path, this.#fd);
      this.size = fstatSync(this.#fd).size;
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  /** `length` bytes from `position`; fails where the file is shorter. */
  read(position: number, length: number): Buffer {
    if (position < 0 || length < 0 || position + length > this.size) {
      this.#fail(`it needs bytes up to ${position + length}, the file has ${this.size} (a truncated file?)`);
    }
    const bytes = Buffer.alloc(length);
    for (let done = 0; done < length; ) {
      const got = readSync(this.#fd, bytes, done, length - done, position + done);
      if (got === 0) this.#fail('it ended while it was being read');
      done += got;
    }
    return bytes;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** Walks forward through a stretch of a file without holding more than a window of it. */
export class ByteCursor implements PickleBytes {
  /** Position in the file of the next byte. */
  position: number;
  readonly #file: FileReader;
  readonly #end: number;
  readonly #fail: Fail;
  #window: Buffer = Buffer.alloc(0);
  #windowStart = 0;

  constructor(file: FileReader, start: number, end: number, fail: Fail) {
    this.#file = file;
    this.position = start;
    this.#end = end;
    this.#fail = fail;
  }

  /** The next byte. */
  byte(): number {
    const at = this.#ensure(1);
    this.position++;
    return this.#window[at]!;
  }

  /** The next `length` bytes; valid until the next call. */
  take(length: number): Buffer {
    const at = this.#ensure(length);
    this.position += length;
    return this.#window.subarray(at, at + length);
  }

  /** The bytes up to the next line feed, without it; fails where a line is longer than `limit`. */
  line(limit: number): Buffer {
    const bytes: number[] = [];
    for (let byte = this.byte(); byte !== 10; byte = this.byte()) {
      if (bytes.length >= limit) this.#fail(`it has a line of more than ${limit} bytes`);
      bytes.push(byte);
    }
    return Buffer.from(bytes);
  }

  #ensure(length: number): number {
    const at = this.position - this.#windowStart;
    if (at >= 0 && at + length <= this.#window.length) return at;
    if (this.position + length > this.#end) this.#fail('its pickle ends in the middle of a value (a truncated file?)');
    this.#window = this.#file.read(this.position, Math.min(Math.max(length, WINDOW_BYTES), this.#end - this.position));
    this.#windowStart = this.position;
    return 0;
  }
}
