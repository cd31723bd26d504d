/**
 * What is needed of a wheel of torch: which of its files, where they lie in it, and taking them out of it, each checked
 * against the wheel's own list of files (RECORD), whose checksum is known.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  createWriteStream,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createInflateRaw, inflateRawSync } from 'node:zlib';
import { entryStart, readZipDirectory, type ZipBytes, type ZipEntry } from '../io/zip-directory.js';
import { SetupError } from './programs.js';
import { wrongFile } from './wheels.js';

/** Bytes of a wheel from `start` on, in a file of their own. */
export interface WheelPart {
  readonly path: string;
  readonly start: number;
  readonly size: number;
}

/** Libraries that only Python, tests and other languages need. */
const NOT_NEEDED =
  /python|shm|aoti_custom_ops|backend_with_compiler|jitbackend_test|torchbind_test|global_deps|iompstubs/;
/** Libraries to link against on Windows; the others of that kind are parts of torch_cpu.dll already. */
const WINDOWS_LINK = /^(torch|torch_cpu|c10)\.lib$/;
/** The header that says which version this is. */
const VERSION_HEADER = 'torch/include/torch/headeronly/version.h';
/** Files up to this size are taken out in one piece. */
const SMALL_BYTES = 2 ** 20;
/** Between two files that are wanted, so much that is not is read rather than asked around. */
const MAX_GAP_BYTES = 256 * 1024;
/** A local header has 30 bytes, the name, and what the zip program adds. */
const HEADER_BYTES = 30 + 1024;

/** Whether a file of the wheel is needed: libraries, licences, the version, and headers where something will be compiled. */
export function isNeeded(name: string, headers: boolean): boolean {
  const library = /^torch\/lib\/([^/]+)$/.exec(name)?.[1];
  if (library !== undefined) {
    return !NOT_NEEDED.test(library) && (!library.endsWith('.lib') || (headers && WINDOWS_LINK.test(library)));
  }
  if (/^[^/]+\.dist-info\/(licenses\/.+|LICENSE|NOTICE|METADATA)$/.test(name)) return true;
  return name.startsWith('torch/include/') && !name.endsWith('/') && (headers || name === VERSION_HEADER);
}

/** The table of contents of a wheel and its list of files. */
export interface WheelContents {
  readonly entries: readonly ZipEntry[];
  /** SHA-256 of each file, base64url as RECORD has it. */
  readonly hashes: ReadonlyMap<string, string>;
}

/** A failure that names the wheel. */
export const damaged =
  (wheel: string) =>
  (why: string): never => {
    throw new SetupError(`${wheel} cannot be read: ${why}.`, "Check pip's index and the proxy before it.");
  };

/**
 * Reads the table of contents and RECORD out of a wheel's end.
 * @param recordSha256 of RECORD, or undefined when the whole wheel was checked
 */
export function readContents(wheel: string, bytes: ZipBytes, recordSha256: string | undefined): WheelContents {
  const fail = damaged(wheel);
  const entries = [...readZipDirectory(bytes, fail, { deflated: true }).values()];
  const record = entries.find(({ name }) => /^[^/]+\.dist-info\/RECORD$/.test(name));
  if (record === undefined) return fail('it has no RECORD');
  const packed = bytes.read(entryStart(bytes, record, fail), record.packedSize);
  const text = inflate(packed, record, fail);
  const found = createHash('sha256').update(text).digest('hex');
  if (recordSha256 !== undefined && found !== recordSha256) throw wrongFile(`RECORD of ${wheel}`, found, recordSha256);
  const lines = text.toString('utf8').matchAll(/^"?([^"\r\n]+?)"?,sha256=([\w-]+),\d+\r?$/gm);
  return { entries, hashes: new Map([...lines].map(([, name, hash]) => [name as string, hash as string])) };
}

function inflate(packed: Buffer, { name, size, deflated }: ZipEntry, fail: (why: string) => never): Buffer {
  if (!deflated) return packed;
  try {
    const bytes = inflateRawSync(packed, { maxOutputLength: Math.max(size, 1) });
    return bytes.length === size ? bytes : fail(`${name} is ${bytes.length} bytes long, not ${size}`);
  } catch (error) {
    return fail(`${name} is damaged (${(error as Error).message})`);
  }
}

/** Stretches of the wheel that hold the entries, few and without large gaps: `[start, end)`. */
export function stretches(entries: readonly ZipEntry[], wheelSize: number): [number, number][] {
  const sorted = [...entries].sort((a, b) => a.headerStart - b.headerStart);
  const found: [number, number][] = [];
  for (const { headerStart, name, packedSize } of sorted) {
    const end = Math.min(wheelSize, headerStart + HEADER_BYTES + Buffer.byteLength(name) + packedSize);
    const last = found.at(-1);
    if (last !== undefined && headerStart - last[1] <= MAX_GAP_BYTES) last[1] = Math.max(last[1], end);
    else found.push([headerStart, end]);
  }
  return found;
}

/** One part of a wheel as bytes at their positions in the wheel. */
class PartBytes implements ZipBytes {
  readonly size: number;
  readonly #part: WheelPart;
  readonly #fd: number;

  constructor(part: WheelPart, wheelSize: number) {
    this.#part = part;
    this.#fd = openSync(part.path, 'r');
    this.size = wheelSize;
  }

  read(position: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    const got = readSync(this.#fd, bytes, 0, length, position - this.#part.start);
    if (got !== length) throw new Error('the part ends too early');
    return bytes;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** Opens a whole wheel, or a part of it; close it. */
export const openPart = (part: WheelPart, wheelSize: number): ZipBytes & { close(): void } =>
  new PartBytes(part, wheelSize);

/**
 * Takes entries out of the parts of a wheel into a folder.
 * @throws SetupError where a file is not what RECORD says
 */
export async function extract(
  wheel: string,
  { entries, hashes }: WheelContents,
  parts: readonly WheelPart[],
  {
    folder,
    wheelSize,
    signal,
  }: { readonly folder: string; readonly wheelSize: number; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const fail = damaged(wheel);
  for (const part of parts) {
    const bytes = openPart(part, wheelSize);
    try {
      const inside = entries.filter(
        ({ headerStart }) => headerStart >= part.start && headerStart < part.start + part.size,
      );
      for (const entry of inside) {
        signal?.throwIfAborted();
        const wanted = hashes.get(entry.name) ?? fail(`RECORD does not list ${entry.name}`);
        const path = join(
          folder,
          ...entry.name.split('/').map((name) => (name === '..' ? fail('it has a file outside') : name)),
        );
        mkdirSync(dirname(path), { recursive: true });
        const start = entryStart(bytes, entry, fail);
        const found =
          entry.size <= SMALL_BYTES
            ? writeSmall(path, inflate(bytes.read(start, entry.packedSize), entry, fail))
            : await writeLarge(path, part, start - part.start, entry, signal);
        if (found !== wanted) throw wrongFile(entry.name, hex(found), hex(wanted));
      }
    } finally {
      bytes.close();
    }
  }
}

const hex = (base64url: string): string => Buffer.from(base64url, 'base64url').toString('hex');

function writeSmall(path: string, bytes: Buffer): string {
  writeFileSync(path, bytes);
  return createHash('sha256').update(bytes).digest('base64url');
}

async function writeLarge(
  path: string,
  part: WheelPart,
  offset: number,
  { deflated, packedSize, size }: ZipEntry,
  signal: AbortSignal | undefined,
): Promise<string> {
  const hash = createHash('sha256');
  let written = 0;
  const watch = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      written += chunk.length;
      hash.update(chunk);
      done(written > size ? new Error('it is longer than the directory says') : null, chunk);
    },
  });
  const packed = createReadStream(part.path, { start: offset, end: offset + packedSize - 1 });
  const plain: Readable | NodeJS.ReadWriteStream = deflated ? packed.pipe(createInflateRaw()) : packed;
  packed.on('error', (error) => watch.destroy(error));
  try {
    await pipeline(plain, watch, createWriteStream(path), { signal });
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
  return hash.digest('base64url');
}
