/**
 * What names a picture file, from a path to a Blob, to its bytes. Nothing is fetched from the web, and what can never be
 * read to its end (a pipe, a device) is refused at once.
 */
import { fileURLToPath } from 'node:url';
import { types } from 'node:util';
import { describe } from '../config/check-options.js';
import { CommError } from '../config/errors.js';
import { readBytesAsync } from '../files/read.js';

/** A picture file: its path, `-` for standard input, a `data:` or `file:` URL, or its bytes. */
export type PictureFile = string | URL | Uint8Array | ArrayBuffer | Blob;

/** The bytes of a picture file, and what it is called in a sentence. */
export interface PictureBytes {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const MAX_FILE_BYTES = 2 ** 29;

/** Codes of `files/read.ts` under the names that pictures have. */
const PICTURE_CODES: Readonly<Record<string, string>> = {
  'file/missing': 'image/not-found',
  'file/not-regular': 'image/not-regular',
  'file/unreadable': 'image/no-access',
  'file/too-large': 'image/too-large',
};

/** Reads a picture file; the bytes are not shared with the caller. Throws CommError for what names none. */
export async function readPictureFile(source: PictureFile): Promise<PictureBytes> {
  const given: unknown = source;
  if (typeof given === 'string') return readNamed(given);
  if (given instanceof URL) return readNamed(given.href);
  if (given instanceof Blob) return readBlob(given);
  const bytes = copyOfBytes(given);
  if (bytes === 'detached') {
    throw new CommError('The memory of a picture was handed on to somebody else (a detached ArrayBuffer).', {
      code: 'image/source',
      fix: 'Give the picture before its buffer is transferred, or a copy.',
    });
  }
  if (bytes !== undefined) return { name: 'The picture', bytes };
  throw new CommError(`A picture was given as ${describe(given)}.`, {
    code: 'image/source',
    fix: 'Give the path of a picture file, a file: URL, its bytes (Uint8Array, ArrayBuffer), a Blob, or decoded pixels.',
  });
}

/** Copied, since the decoder works in another thread while the caller may change, shrink or hand on the memory. */
function copyOfBytes(given: unknown): Uint8Array | 'detached' | undefined {
  try {
    if (types.isAnyArrayBuffer(given)) return new Uint8Array(new Uint8Array(given));
    if (types.isUint8Array(given) || types.isUint8ClampedArray(given)) return new Uint8Array(given);
    if (types.isDataView(given)) return new Uint8Array(given.buffer, given.byteOffset, given.byteLength).slice();
    return undefined;
  } catch (error) {
    // The engine's only objection to copying memory is that it is gone.
    if (error instanceof TypeError) return 'detached';
    throw error;
  }
}

async function readBlob(blob: Blob): Promise<PictureBytes> {
  const name = 'name' in blob && typeof blob.name === 'string' && blob.name !== '' ? blob.name : 'The picture';
  if (blob.size > MAX_FILE_BYTES) throw tooLarge(name, blob.size);
  try {
    return { name, bytes: new Uint8Array(await blob.arrayBuffer()) };
  } catch (cause) {
    throw new CommError(`${name} cannot be read from its Blob: ${(cause as Error).message}.`, {
      code: 'image/no-access',
      fix: 'A file must not change after the Blob of it was made.',
      cause,
    });
  }
}

async function readNamed(source: string): Promise<PictureBytes> {
  if (source === '') throw new CommError('The path of the picture is empty.', { code: 'image/source' });
  if (source === '-') return { name: 'The picture on standard input', bytes: await readStandardInput() };
  if (/^data:/i.test(source)) return { name: 'The data: URL', bytes: readDataUrl(source) };
  const path = toPath(source);
  try {
    return { name: source, bytes: await readBytesAsync(path, { what: 'the picture', limitBytes: MAX_FILE_BYTES }) };
  } catch (error) {
    throw error instanceof CommError ? asPictureError(error, source) : error;
  }
}

/** `file:` URLs as paths; addresses of other kinds are refused. */
function toPath(source: string): string {
  if (source.includes('\0'))
    throw new CommError('The path of the picture holds a zero byte.', { code: 'image/source' });
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(source)?.[1]?.toLowerCase();
  if (scheme === 'http' || scheme === 'https') {
    throw new CommError(`${source} is a web address, and pictures are not fetched from the web.`, {
      code: 'image/url',
      fix: 'Download the picture and give the path of the file.',
    });
  }
  if (!/^file:/i.test(source)) {
    // `blob:` and the like have no slashes behind the scheme; a path may hold a colon too.
    if (scheme === undefined && !/^blob:/i.test(source)) return source;
    throw new CommError(`${source} is an address that is not read as a picture.`, {
      code: 'image/url',
      fix: 'Give the path of a file, a file: URL, or the bytes.',
    });
  }
  try {
    return fileURLToPath(source);
  } catch (cause) {
    throw new CommError(`${source} does not name a file of this machine.`, {
      code: 'image/url',
      fix: 'As in file:///home/me/photo.jpg: three slashes, then the path.',
      cause,
    });
  }
}

function asPictureError(error: CommError, name: string): CommError {
  const isFolder = /is a folder/.test(error.message);
  return new CommError(isFolder ? `${name} is a folder, not a picture.` : error.message, {
    code: isFolder ? 'image/is-directory' : (PICTURE_CODES[error.code] ?? error.code),
    fix: isFolder ? 'Give the path of a file in it.' : error.fix,
    cause: error,
  });
}

async function readStandardInput(): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin) {
    const bytes = Buffer.from(chunk as Uint8Array);
    size += bytes.length;
    if (size > MAX_FILE_BYTES) throw tooLarge('The picture on standard input', size);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

function tooLarge(name: string, size: number): CommError {
  return new CommError(`${name} has ${size} bytes or more, beyond the ${MAX_FILE_BYTES} that are read.`, {
    code: 'image/too-large',
    fix: 'Check that this is a picture.',
  });
}

function readDataUrl(url: string): Uint8Array {
  const comma = url.indexOf(',');
  const body = url.slice(comma + 1);
  const broken = (cause: string): CommError =>
    new CommError(`The data: URL ${cause}.`, {
      code: 'image/data-url',
      fix: 'Write it as data:image/png;base64,<the file in base64>.',
    });
  if (comma < 0) throw broken('has no comma before its data');
  if (!/;base64$/i.test(url.slice(0, comma))) {
    if (/%(?![0-9A-Fa-f]{2})/.test(body)) throw broken('has a broken percent sequence');
    return Buffer.from(
      body.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
      'latin1',
    );
  }
  const base64 = body.replace(/\s+/g, '');
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(base64)) throw broken('holds characters that are not base64');
  return Buffer.from(base64, 'base64');
}
