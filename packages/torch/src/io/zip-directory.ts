/**
 * The table of contents of a zip file, zip64 included: of stored (uncompressed) entries, as torch writes them, and where it
 * is asked for of deflated ones too. Only the directory is read; the entries stay in the file.
 */
import type { FileReader } from './file-reader.js';
import type { Fail } from './pickle.js';

const END_MAGIC = 0x06054b50;
const END_BYTES = 22;
const MAX_COMMENT_BYTES = 0xffff;
const LOCATOR64_MAGIC = 0x07064b50;
const LOCATOR64_BYTES = 20;
const END64_MAGIC = 0x06064b50;
const END64_BYTES = 56;
const ENTRY_MAGIC = 0x02014b50;
const ENTRY_BYTES = 46;
const LOCAL_MAGIC = 0x04034b50;
const LOCAL_BYTES = 30;
const ZIP64_EXTRA = 1;
const MAX_DIRECTORY_BYTES = 64 * 2 ** 20;
const ENCRYPTED = 1;
const DEFLATED = 8;

/** One entry: where its local header starts and how many bytes it holds. */
export interface ZipEntry {
  readonly name: string;
  readonly headerStart: number;
  readonly size: number;
  /** Bytes in the file; fewer than `size` where the entry is deflated. */
  readonly packedSize: number;
  readonly deflated: boolean;
}

/** What the directory is read from: a file, or a part of one that is known to hold what is asked for. */
export type ZipBytes = Pick<FileReader, 'size' | 'read'>;

/** Whether the file begins as zip files do. */
export function looksLikeZip(file: FileReader): boolean {
  return file.size >= END_BYTES && file.read(0, 4).readUInt32LE() === LOCAL_MAGIC;
}

/** Reads the directory; fails on anything but entries with distinct names inside the file, stored unless `deflated` are taken too. */
export function readZipDirectory(
  file: ZipBytes,
  fail: Fail,
  { deflated = false }: { readonly deflated?: boolean } = {},
): Map<string, ZipEntry> {
  const { start, size, count } = findDirectory(file, fail);
  if (size > MAX_DIRECTORY_BYTES) fail(`its directory claims ${size} bytes`);
  const bytes = file.read(start, size);
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + ENTRY_BYTES > bytes.length || bytes.readUInt32LE(at) !== ENTRY_MAGIC) {
      fail(`entry ${i} of its directory is damaged`);
    }
    const nameBytes = bytes.readUInt16LE(at + 28);
    const extraBytes = bytes.readUInt16LE(at + 30);
    const next = at + ENTRY_BYTES + nameBytes + extraBytes + bytes.readUInt16LE(at + 32);
    if (next > bytes.length) fail(`entry ${i} of its directory is cut off`);
    const nameEnd = at + ENTRY_BYTES + nameBytes;
    const name = bytes.toString('utf8', at + ENTRY_BYTES, nameEnd);
    const label = JSON.stringify(name);
    if (entries.has(name)) fail(`it has the entry ${label} twice`);
    if ((bytes.readUInt16LE(at + 8) & ENCRYPTED) !== 0) fail(`its entry ${label} is encrypted`);
    const method = bytes.readUInt16LE(at + 10);
    const wide = zip64Fields(bytes.subarray(nameEnd, nameEnd + extraBytes));
    const field = (narrow: number): number => (narrow === 0xffffffff ? (wide.next() ?? narrow) : narrow);
    const size = field(bytes.readUInt32LE(at + 24));
    const packedSize = field(bytes.readUInt32LE(at + 20));
    const headerStart = field(bytes.readUInt32LE(at + 42));
    const isDeflated = deflated && method === DEFLATED;
    if (!isDeflated && (method !== 0 || size !== packedSize)) {
      fail(
        `its entry ${label} is compressed (method ${method}), which ${deflated ? 'is not known' : 'torch does not do'}`,
      );
    }
    if (headerStart + LOCAL_BYTES + packedSize > start)
      fail(`its entry ${label} lies outside the file (a truncated file?)`);
    entries.set(name, { name, headerStart, size, packedSize, deflated: isDeflated });
    at = next;
  }
  return entries;
}

/** Position of an entry's first byte, past its local header. */
export function entryStart(file: ZipBytes, { name, headerStart, packedSize }: ZipEntry, fail: Fail): number {
  const header = file.read(headerStart, LOCAL_BYTES);
  if (header.readUInt32LE() !== LOCAL_MAGIC) fail(`the header of its entry ${JSON.stringify(name)} is damaged`);
  const nameBytes = header.readUInt16LE(26);
  const start = headerStart + LOCAL_BYTES + nameBytes + header.readUInt16LE(28);
  if (start + packedSize > file.size) fail(`its entry ${JSON.stringify(name)} is cut off (a truncated file?)`);
  if (file.read(headerStart + LOCAL_BYTES, nameBytes).toString('utf8') !== name) {
    fail(`its entry ${JSON.stringify(name)} has another name in its own header`);
  }
  return start;
}

function findDirectory(file: ZipBytes, fail: Fail): { start: number; size: number; count: number } {
  const tailStart = Math.max(0, file.size - END_BYTES - MAX_COMMENT_BYTES);
  const tail = file.read(tailStart, file.size - tailStart);
  let at = tail.length - END_BYTES;
  while (at >= 0 && tail.readUInt32LE(at) !== END_MAGIC) at--;
  if (at < 0) return fail('its zip directory is missing (a truncated file?)');
  let count = tail.readUInt16LE(at + 10);
  let size = tail.readUInt32LE(at + 12);
  let start = tail.readUInt32LE(at + 16);
  const locator = at - LOCATOR64_BYTES;
  if (locator >= 0 && tail.readUInt32LE(locator) === LOCATOR64_MAGIC) {
    const end = file.read(toNumber(tail.readBigUInt64LE(locator + 8)), END64_BYTES);
    if (end.readUInt32LE() !== END64_MAGIC) fail('its zip64 directory is damaged');
    count = toNumber(end.readBigUInt64LE(32));
    size = toNumber(end.readBigUInt64LE(40));
    start = toNumber(end.readBigUInt64LE(48));
  }
  if (start + size > tailStart + at || count * ENTRY_BYTES > size) fail('its zip directory is damaged');
  return { start, size, count };
}

/** The 64-bit values of the zip64 field, in order; the directory entry says which of them are there. */
function zip64Fields(extra: Buffer): { next(): number | undefined } {
  let values: Buffer = Buffer.alloc(0);
  for (let at = 0; at + 4 <= extra.length; ) {
    const length = extra.readUInt16LE(at + 2);
    if (extra.readUInt16LE(at) === ZIP64_EXTRA) values = extra.subarray(at + 4, at + 4 + length);
    at += 4 + length;
  }
  let used = 0;
  return {
    next() {
      if (used + 8 > values.length) return undefined;
      used += 8;
      return toNumber(values.readBigUInt64LE(used - 8));
    },
  };
}

/** Numbers past 2^53 lose digits here, and fail as positions past any file's end. */
function toNumber(value: bigint): number {
  return Number(value);
}
