/**
 * Files as they are met in the world: what lies at a path may be a pipe, a device, or a pointer in the place of the file
 * it stands for; and what is written must be there whole after a crash, or not at all. Loads no libtorch, so that whoever
 * reads or writes files can use it (`@commlm/torch/files`).
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

export { readPlainPickle } from './io/plain-pickle.js';

/** What is wrong with what lies at a path. */
export type FileFaultKind = 'folder' | 'not-regular' | 'stand-in';

/** The thing at a path is not the file that was meant; `message` completes the sentence `<path> ...`. */
export class FileFault extends Error {
  override readonly name = 'FileFault';
  readonly path: string;
  readonly kind: FileFaultKind;
  /** The part of the sentence behind the path: `is a named pipe, not a file`. */
  readonly why: string;

  constructor(path: string, kind: FileFaultKind, why: string) {
    super(`${path} ${why}`);
    this.path = path;
    this.kind = kind;
    this.why = why;
  }
}

/**
 * Opens a file for reading. Returns at once for whatever lies at the path: a pipe without a writer would be waited for
 * for ever, and a device may have no end.
 * @throws FileFault for a folder, pipe, device or socket; the file system's error where it cannot be opened.
 */
export function openRegularFile(path: string): number {
  refuseIrregular(path, statSync(path));
  // Looked at again once it is open, in case another file was put there: not blocking is what keeps that safe.
  const fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    refuseIrregular(path, fstatSync(fd));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** The facts of a file, those of `fs.statSync`, by which {@link refuseIrregular} judges. */
export interface FileType {
  isFile(): boolean;
  isDirectory(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
}

/** @throws FileFault unless these are the facts of a regular file. */
export function refuseIrregular(path: string, facts: FileType): void {
  if (facts.isFile()) return;
  if (facts.isDirectory()) throw new FileFault(path, 'folder', 'is a folder, not a file');
  const kind = facts.isFIFO() ? 'a named pipe' : facts.isSocket() ? 'a socket' : 'a device';
  throw new FileFault(path, 'not-regular', `is ${kind}, not a file`);
}

/** Bytes from the beginning of a file that decide whether it is a stand-in. */
export const STAND_IN_BYTES = 4096;

/** Fields of the error messages that web servers send as JSON; a file that holds nothing else is one of them. */
const ERROR_FIELDS = new Set(
  [
    ...['error', 'errors', 'message', 'detail', 'details', 'status', 'statusCode', 'status_code', 'code', 'type'],
    ...['title', 'documentation_url', 'error_description', 'error_code', 'errorCode', 'request_id', 'requestId'],
    ...['path', 'timestamp', 'success', 'instance', 'traceId', 'reason'],
  ].map((name) => name.toLowerCase()),
);
const ERROR_WORDS = new Set(['error', 'errors', 'message', 'detail', 'error_description', 'reason']);
/** Error messages that are sent as plain text; hubs send some of them with the status of a success after a redirect. */
const ERROR_TEXT =
  /^(?:(?:error:? ?)?\d{3}:? +)?(?:(?:file|page|entry|repository|revision|object|resource) +)?(?:not found|invalid username or password|invalid credentials|unauthorized|forbidden|access denied|access to (?:model|dataset) .{1,200} is restricted.*|too many requests|rate limit exceeded|internal server error|bad gateway|service unavailable|gateway time-?out|bad request)(?:(?:[.:;!,]| for url).{0,400})?$/is;

/**
 * Names what lies in the place of a file, as a noun phrase, or undefined when nothing speaks for a stand-in: pointers of
 * Git LFS and git-annex, and pages and error messages that a web server sent instead of the file.
 * @param head the file's first bytes, {@link STAND_IN_BYTES} of them where it has as many
 * @param size of the whole file; an error message is only one where it is all there is
 */
export function standInOf(head: Uint8Array, size: number = head.length): string | undefined {
  // Binary formats are told apart by their first bytes: only what begins as text is looked at.
  const text = new TextDecoder('utf-8').decode(head.subarray(0, STAND_IN_BYTES)).trimStart();
  if (text.startsWith('version https://git-lfs.github.com/spec/') || text.startsWith('version https://hawser.')) {
    return 'a Git LFS pointer';
  }
  if (/^(?:\S*\/)?\.git\/annex\/objects\/|^\/annex\/objects\//.test(text)) return 'a git-annex pointer';
  if (/^(?:<!--[\s\S]*?-->\s*)*(?:<!doctype\s+html|<html[\s>])/i.test(text)) return 'an HTML page';
  if (/^(?:<\?xml[^>]*\?>\s*)?<Error[\s>]/.test(text)) return 'an error message of a web server (XML)';
  if (size > head.length || size > STAND_IN_BYTES) return undefined;
  const body = text.trim();
  if (body.startsWith('{')) {
    const said = errorMessageOf(body);
    return said === undefined ? undefined : `an error message of a web server (${said})`;
  }
  return ERROR_TEXT.test(body) ? `an error message of a web server (${quote(body)})` : undefined;
}

const quote = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);

/** What an error message in JSON says, quoted; undefined where the object is something else. */
function errorMessageOf(json: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  const entries = Object.entries(value as Record<string, unknown>);
  const named = entries.find(([key]) => ERROR_WORDS.has(key.toLowerCase()));
  if (named === undefined || !entries.every(([key]) => ERROR_FIELDS.has(key.toLowerCase()))) return undefined;
  return quote(typeof named[1] === 'string' ? named[1] : JSON.stringify(named[1]));
}

/**
 * Looks at the beginning of an open file.
 * @throws FileFault when a stand-in lies in the place of the file.
 */
export function refuseStandIn(path: string, fd: number): void {
  const head = Buffer.alloc(STAND_IN_BYTES);
  let length = 0;
  for (let read = -1; read !== 0 && length < head.length; length += read) {
    read = readSync(fd, head, length, head.length - length, length);
  }
  const found = standInOf(head.subarray(0, length), fstatSync(fd).size);
  if (found !== undefined) throw new FileFault(path, 'stand-in', `is ${found}, not the file itself`);
}

/**
 * Writes a file that appears whole or not at all, also where the machine loses power: to a temporary file beside it,
 * flushed, renamed, and the folder flushed. Nothing stays on a failure, and what was there before is untouched.
 * @param write gets the open temporary file
 * @throws FileFault where something other than a file lies at the path; the file system's errors.
 */
export function writeWhole(path: string, write: (fd: number) => void): void {
  const target = resolve(path);
  const { temporary, folder } = prepareWhole(target);
  let fd: number | undefined = openSync(temporary, 'wx');
  try {
    write(fd);
    fsyncSync(fd);
    closeSync(fd);
    fd = undefined;
    renameSync(temporary, target);
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    rmSync(temporary, { force: true });
    throw error;
  }
  syncFolder(folder);
}

/**
 * Where a file that appears at `path` is written to first.
 * @throws FileFault where something other than a file lies there: renaming would put the file in the place of a device.
 */
export function prepareWhole(path: string): { readonly temporary: string; readonly folder: string } {
  const target = resolve(path);
  const found = lstatSync(target, { throwIfNoEntry: false });
  if (found !== undefined && !found.isSymbolicLink()) refuseIrregular(path, found);
  const folder = dirname(target);
  return { temporary: join(folder, `.${basename(target)}.${randomBytes(6).toString('hex')}.part`), folder };
}

/** Makes the names in a folder durable; folders cannot be opened for this on Windows, where it is not needed. */
export function syncFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
