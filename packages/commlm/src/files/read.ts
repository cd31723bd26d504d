/**
 * Reading the files that a user names: whatever lies at the path, the answer is the bytes or one sentence, at once. Pipes,
 * devices, folders, pointers of Git LFS, pages and error messages in the place of the file are told apart and named.
 */
import { closeSync, fstatSync, readFileSync, readSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { FileFault, openRegularFile as openRegular, refuseStandIn as refuse } from '@commlm/torch/files';
import { CommError } from '../config/errors.js';
import { findJsonFault } from './json-fault.js';

export { standInOf } from '@commlm/torch/files';

/** What is read, for the sentence of an error. */
export interface ReadOptions {
  /** A noun phrase, such as `the tokenizer`. */
  readonly what: string;
  /** Largest size in bytes; 256 MiB where it is not given. */
  readonly limitBytes?: number | undefined;
}

const DEFAULT_LIMIT = 256 * 2 ** 20;
/** Deeper than any file that is meant for people or models; recursion over it would end in a raw error. */
const MAX_DEPTH = 200;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

const STAND_IN_FIX =
  'Get the file itself: `git lfs pull` in a clone, `commlm pull` for a model of the hub, or download it again.';

/** The error of a file that cannot be read, as a sentence about the file. */
export function readError(error: unknown, path: string, what: string): CommError {
  if (error instanceof CommError) return error;
  if (error instanceof FileFault) {
    const fix = error.kind === 'stand-in' ? STAND_IN_FIX : 'Put the file itself there, or name another one.';
    const code = error.kind === 'stand-in' ? 'file/stand-in' : 'file/not-regular';
    return new CommError(`${error.message}${error.kind === 'stand-in' ? '' : ` for ${what}`}.`, {
      code,
      fix,
      cause: error,
    });
  }
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new CommError(`There is no file ${path} (${what}).`, { code: 'file/missing', fix: 'Check the path.' });
  }
  return new CommError(`${path} (${what}) cannot be read: ${whyNoRead(code) ?? message}.`, {
    code: 'file/unreadable',
    fix: `${whatMends(code)}, then run the command again.`,
    cause: error,
  });
}

function whatMends(code: string | undefined): string {
  switch (code) {
    case 'EMFILE':
    case 'ENFILE':
      return 'Close other programs or raise the limit (ulimit -n)';
    case 'EIO':
      return 'Check the disk and its cables, or get the file from a copy';
    default:
      return 'Check the permissions of the file and its folders';
  }
}

function whyNoRead(code: string | undefined): string | undefined {
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return 'there is no permission';
    case 'EMFILE':
    case 'ENFILE':
      return 'too many files are open';
    case 'EIO':
      return 'the disk reports an input error';
    case 'ELOOP':
      return 'its symbolic links lead in a circle';
    case 'ENAMETOOLONG':
      return 'its name is too long';
    default:
      return undefined;
  }
}

/** Opens a regular file for reading. @throws CommError `file/not-regular`, `file/missing`, `file/unreadable` */
export function openRegularFile(path: string, what: string): number {
  try {
    return openRegular(path);
  } catch (error) {
    throw readError(error, path, what);
  }
}

/** @throws CommError unless a regular file that is no stand-in lies at the path; for readers that open it themselves. */
export function checkFile(path: string, what: string): void {
  const fd = openRegularFile(path, what);
  try {
    refuse(path, fd);
  } catch (error) {
    throw readError(error, path, what);
  } finally {
    closeSync(fd);
  }
}

/** Bytes of a file. @throws CommError with a code of this file */
export function readBytes(path: string, options: ReadOptions): Buffer {
  const fd = openRegularFile(path, options.what);
  try {
    checkSize(path, fstatSync(fd).size, options);
    refuse(path, fd);
    return checkedBytes(path, readFileSync(fd), options);
  } catch (error) {
    throw readError(error, path, options.what);
  } finally {
    closeSync(fd);
  }
}

/** As {@link readBytes}, without holding the thread while the disk works. */
export async function readBytesAsync(path: string, options: ReadOptions): Promise<Buffer> {
  checkFile(path, options.what);
  const fd = openRegularFile(path, options.what);
  try {
    checkSize(path, fstatSync(fd).size, options);
  } finally {
    closeSync(fd);
  }
  try {
    return checkedBytes(path, await readFile(path), options);
  } catch (error) {
    throw readError(error, path, options.what);
  }
}

function checkSize(path: string, size: number, { what, limitBytes = DEFAULT_LIMIT }: ReadOptions): void {
  if (size <= limitBytes) return;
  throw new CommError(`${path} has ${size} bytes, more than the ${limitBytes} that are read for ${what}.`, {
    code: 'file/too-large',
    fix: `Check that this is ${what}.`,
  });
}

/** Some files tell a size of 0 and have content, those of /proc for instance. */
function checkedBytes(path: string, bytes: Buffer, options: ReadOptions): Buffer {
  checkSize(path, bytes.length, options);
  return bytes;
}

/** UTF-8 text of a file, without a byte order mark. @throws CommError, also `file/not-text` */
export const readText = (path: string, options: ReadOptions): string => decode(readBytes(path, options), path, options);

/** As {@link readText}, without holding the thread. */
export const readTextAsync = async (path: string, options: ReadOptions): Promise<string> =>
  decode(await readBytesAsync(path, options), path, options);

function decode(bytes: Buffer, path: string, { what }: ReadOptions): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new CommError(`${path} (${what}) is not UTF-8 text.`, {
      code: 'file/not-text',
      fix: 'Get the file again, or save it as UTF-8.',
      cause,
    });
  }
}

/** JSON value of a file. @throws CommError, also `file/bad-json` with line and column */
export const readJson = (path: string, options: ReadOptions): unknown =>
  parseJson(readText(path, options), path, options);

/** As {@link readJson}, without holding the thread while the disk works. */
export const readJsonAsync = async (path: string, options: ReadOptions): Promise<unknown> =>
  parseJson(await readTextAsync(path, options), path, options);

/** The value of a JSON text; `path` and `what` are for the error. @throws CommError `file/bad-json` */
export function parseJson(text: string, path: string, { what }: ReadOptions): unknown {
  if (nestsDeeper(text, MAX_DEPTH)) {
    throw badJson(`${path} (${what}) is nested more than ${MAX_DEPTH} levels deep`);
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    const { line, column, problem } = findJsonFault(text);
    throw badJson(`${path} (${what}) is not valid JSON: line ${line}, column ${column}: ${problem}`);
  }
}

const badJson = (sentence: string): CommError =>
  new CommError(`${sentence}.`, { code: 'file/bad-json', fix: 'Get the file again, or correct it at that place.' });

/** Looks at brackets outside of texts alone: recursion over a deep value would end in the engine's own error. */
function nestsDeeper(text: string, limit: number): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (quoted) {
      if (char === BACKSLASH) at++;
      else if (char === QUOTE) quoted = false;
    } else if (char === QUOTE) quoted = true;
    else if (char === OPEN_LIST || char === OPEN_OBJECT) {
      if (++depth > limit) return true;
    } else if (char === CLOSE_LIST || char === CLOSE_OBJECT) depth--;
  }
  return false;
}

/** The first bytes of an open file, at most `length` of them. */
export function readHead(fd: number, length: number): Buffer {
  const head = Buffer.alloc(length);
  return head.subarray(0, readSync(fd, head, 0, length, 0));
}
