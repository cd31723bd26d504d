/** Pictures in tar archives (WebDataset shards): the headers are walked once, a picture is one positioned read. */
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { writeDurablyAsync } from '../../files/durable.js';
import { checkFile } from '../../files/read.js';
import { pictureError, reasonOf } from '../fault.js';
import { NearestKeys } from '../nearest-key.js';
import type { PictureStore } from '../sample.js';
import { checkPictureSize } from './picture-bytes.js';

const BLOCK = 512;
/** Bytes of the longest name that a member may have; Linux knows paths of 4,096. */
const MAX_NAME = 2 ** 16;
/** name, offset of the bytes, size */
type Member = readonly [name: string, offset: number, size: number];

interface Located {
  readonly shard: number;
  readonly offset: number;
  readonly size: number;
}

/** Opens archives; keys are the names of their members. @throws CommError `data/picture` for a damaged or packed one. */
export async function openTar(patterns: readonly string[]): Promise<PictureStore> {
  const files = patterns.flatMap(expandBraces);
  const handles: FileHandle[] = [];
  const members = new Map<string, Located>();
  const close = async (): Promise<void> => {
    for (const handle of handles.splice(0)) await handle.close();
  };
  try {
    for (const file of files) {
      checkFile(file, 'the pictures');
      const handle = await open(file).catch((cause: unknown) => {
        throw pictureError(file, reasonOf(cause), { cause, fix: 'Check the path.' });
      });
      const shard = handles.push(handle) - 1;
      for (const [name, offset, size] of await membersOf(file, handle)) {
        const before = members.get(name);
        if (before !== undefined) {
          throw pictureError(`${file}, ${name}`, `the member is there already, in ${files[before.shard]}.`, {
            fix: 'Name every archive once, or make a store of each.',
          });
        }
        members.set(name, { shard, offset, size });
      }
    }
  } catch (error) {
    await close();
    throw error;
  }
  const nearest = new NearestKeys(() => members.keys());
  return {
    async read(key) {
      const found = members.get(key);
      if (found === undefined) throw await nearest.missing(patterns.join(', '), key);
      checkPictureSize(`${files[found.shard]}, ${key}`, found.size);
      return await readExactly(handles[found.shard]!, found.offset, found.size, `${files[found.shard]}, ${key}`);
    },
    has: async (key) => members.has(key),
    close,
  };
}

/** `a-{00..02}.tar` -> `a-00.tar`, `a-01.tar`, `a-02.tar`. */
export function expandBraces(pattern: string): string[] {
  const match = /^(.*)\{(\d+)\.\.(\d+)\}(.*)$/s.exec(pattern);
  if (match === null) return [pattern];
  const [, head, first, last, tail] = match as unknown as [string, string, string, string, string];
  const names: string[] = [];
  for (let i = Number(first); i <= Number(last); i++) names.push(head + String(i).padStart(first.length, '0') + tail);
  return names.flatMap(expandBraces);
}

async function readExactly(handle: FileHandle, offset: number, size: number, where: string): Promise<Buffer> {
  const bytes = Buffer.alloc(size);
  const { bytesRead } = await handle.read(bytes, 0, size, offset);
  if (bytesRead === size) return bytes;
  throw pictureError(where, 'the archive ends early.', { fix: 'Load it again.' });
}

/** The list is kept beside the archive (`<archive>.index.json`), for as long as that has the same size and time. */
async function membersOf(file: string, handle: FileHandle): Promise<readonly Member[]> {
  const { size, mtimeMs } = await handle.stat();
  const cache = `${file}.index.json`;
  const kept = await readCache(cache);
  if (kept?.size === size && kept.mtimeMs === mtimeMs) return kept.members;
  const members = await walkHeaders(file, handle, size);
  // Data often lie on a disk that cannot be written: then the headers are walked each time.
  await writeDurablyAsync(cache, JSON.stringify({ size, mtimeMs, members })).catch(() => {});
  return members;
}

interface CachedIndex {
  readonly size: number;
  readonly mtimeMs: number;
  readonly members: readonly Member[];
}

async function readCache(path: string): Promise<CachedIndex | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as CachedIndex;
  } catch {
    return undefined;
  }
}

async function walkHeaders(file: string, handle: FileHandle, fileSize: number): Promise<Member[]> {
  const members: Member[] = [];
  let longName: string | undefined;
  for (let at = 0; at < fileSize; ) {
    const header = await readExactly(handle, at, BLOCK, file);
    if (header.every((byte) => byte === 0)) break;
    if (!checksumIsRight(header)) {
      const packed = header[0] === 0x1f && header[1] === 0x8b;
      throw pictureError(file, packed ? 'the archive is packed (gzip).' : `there is no tar header at byte ${at}.`, {
        fix: packed ? 'Unpack it to a plain .tar: pictures are read where they lie.' : 'Load it again.',
      });
    }
    const size = numberAt(header, 124, 12);
    const start = at + BLOCK;
    if (start + size > fileSize) throw pictureError(file, 'the archive ends early.', { fix: 'Load it again.' });
    const type = String.fromCharCode(header[156]!);
    if ((type === 'L' || type === 'x') && size > MAX_NAME) {
      throw pictureError(file, `the name of the member at byte ${at} has ${size} bytes.`, { fix: 'Load it again.' });
    }
    if (type === 'L') longName = textOf(await readExactly(handle, start, size, file));
    else if (type === 'x') longName = paxPath(await readExactly(handle, start, size, file)) ?? longName;
    else {
      // '0' and NUL are files; folders, links and the global header hold no bytes of a picture.
      if (type === '0' || type === '\0') members.push([longName ?? nameOf(header), start, size]);
      if (type !== 'g') longName = undefined;
    }
    at = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  return members;
}

const textOf = (bytes: Buffer): string => {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
};

function nameOf(header: Buffer): string {
  const name = textOf(header.subarray(0, 100));
  const prefix = header.toString('latin1', 257, 263) === 'ustar\0' ? textOf(header.subarray(345, 500)) : '';
  const whole = prefix === '' ? name : `${prefix}/${name}`;
  return whole.replace(/^\.\//, '');
}

/** Octal digits, or GNU's base 256 for sizes of 8 GiB and more. */
function numberAt(header: Buffer, at: number, length: number): number {
  if (header[at]! & 0x80) return header.readUIntBE(at + length - 6, 6);
  return Number.parseInt(header.toString('latin1', at, at + length), 8) || 0;
}

function checksumIsRight(header: Buffer): boolean {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 0x20 : header[i]!;
  return sum === numberAt(header, 148, 8);
}

/** `path` of the records `<length> <key>=<value>\n`. */
function paxPath(bytes: Buffer): string | undefined {
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = Number.parseInt(bytes.toString('latin1', at, space), 10);
    if (space < 0 || !(length > 0)) return undefined;
    const record = bytes.toString('utf8', space + 1, at + length - 1);
    if (record.startsWith('path=')) return record.slice('path='.length);
    at += length;
  }
  return undefined;
}
