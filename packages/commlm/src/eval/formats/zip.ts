/** Reads single members of a zip archive (a Java `.jar` is one), stored or deflated. */
import { inflateRawSync } from 'node:zlib';

const END_SIGNATURE = 0x06054b50;
const ENTRY_SIGNATURE = 0x02014b50;
const LOCAL_HEADER_SIZE = 30;
/** Far above the tables of METEOR, and far below what a small archive can claim. */
const LARGEST_MEMBER = 256 * 2 ** 20;

/** The bytes of a member, or null when the archive has none of that name. @throws RangeError for a damaged archive */
export function readZipMember(archive: Buffer, name: string): Buffer | null {
  let end = archive.length - 22;
  while (end >= 0 && archive.readUInt32LE(end) !== END_SIGNATURE) end--;
  if (end < 0) throw new RangeError('not a zip archive, or a cut one');
  const numEntries = archive.readUInt16LE(end + 10);
  let at = archive.readUInt32LE(end + 16);
  for (let i = 0; i < numEntries; i++) {
    if (archive.readUInt32LE(at) !== ENTRY_SIGNATURE) throw new RangeError('a damaged zip archive');
    const nameLength = archive.readUInt16LE(at + 28);
    if (archive.toString('utf8', at + 46, at + 46 + nameLength) === name) return readEntry(archive, at);
    at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  return null;
}

function readEntry(archive: Buffer, entry: number): Buffer {
  const method = archive.readUInt16LE(entry + 10);
  const size = archive.readUInt32LE(entry + 20);
  const header = archive.readUInt32LE(entry + 42);
  const start = header + LOCAL_HEADER_SIZE + archive.readUInt16LE(header + 26) + archive.readUInt16LE(header + 28);
  const data = archive.subarray(start, start + size);
  if (method === 0) return data;
  if (method === 8) return inflateRawSync(data, { maxOutputLength: LARGEST_MEMBER });
  throw new RangeError(`zip method ${method} is not known`);
}
