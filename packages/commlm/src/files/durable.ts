/** Writing files: whole or not at all, also after a crash or on a full disk, and never onto what a command reads. */
import { closeSync, fsyncSync, mkdirSync, statSync, writeSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { FileFault, prepareWhole, syncFolder, writeWhole } from '@commlm/torch/files';
import { CommError } from '../config/errors.js';
import { readBytes } from './read.js';

export { syncFolder } from '@commlm/torch/files';

/** Why the file system did not write, as the end of a sentence. */
export function whyNoWrite(error: unknown): string {
  if (error instanceof FileFault) return `it ${error.why}`;
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOSPC':
      return 'the disk is full';
    case 'EDQUOT':
      return 'the disk quota is used up';
    case 'EFBIG':
      return 'the file system allows no file of that size';
    case 'EACCES':
    case 'EPERM':
      return 'there is no permission';
    case 'EROFS':
      return 'the file system is read-only';
    case 'ENOENT':
    case 'ENOTDIR':
      return 'its folder does not exist';
    case 'EISDIR':
      return 'it is a folder';
    case 'ENAMETOOLONG':
      return 'its name is too long';
    default:
      return message;
  }
}

/** The error of an output that cannot be written. */
export function writeError(error: unknown, path: string): CommError {
  if (error instanceof CommError) return error;
  return new CommError(`Cannot write ${path}: ${whyNoWrite(error)}.`, {
    code: 'file/output',
    fix: isAboutRoom(error)
      ? 'Make room or choose another place, then run the command again.'
      : 'Choose another place.',
    cause: error,
  });
}

/** Whether a file was not written for want of room. */
export const isAboutRoom = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');

/** Makes a folder and those above it. @throws CommError `file/output` where it cannot, or where a file is in the way */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw writeError(error, path);
    throw new CommError(`${path} is a file, not a folder.`, {
      code: 'file/output',
      fix: 'Name a folder.',
      exitCode: 2,
      cause: error,
    });
  }
}

/** Whether an error is the file system's, and not a fault of what was to be written. */
export const isFileError = (error: unknown): boolean =>
  error instanceof FileFault || (error as NodeJS.ErrnoException).syscall !== undefined;

/**
 * Writes a file that appears whole or not at all, and is on the disk when this returns.
 * @param content bytes or text, or a function that writes to the open file
 * @throws CommError `file/output` when the file system does not write; whatever the function throws.
 */
export function writeDurably(path: string, content: string | Uint8Array | ((fd: number) => void)): void {
  try {
    writeWhole(path, typeof content === 'function' ? content : (fd) => writeAll(fd, content));
  } catch (error) {
    throw isFileError(error) ? writeError(error, path) : error;
  }
}

/** A value as JSON for people, written as {@link writeDurably} does. */
export const writeJson = (path: string, value: unknown): void =>
  writeDurably(path, `${JSON.stringify(value, null, 2)}\n`);

/** Copies a file of the size of a tokenizer, durably. @throws CommError where it cannot be read or written. */
export const copyDurably = (from: string, to: string): void =>
  writeDurably(to, readBytes(from, { what: 'what is copied' }));

/** Writes all of it: the system may take a part at a time. */
export function writeAll(fd: number, content: string | Uint8Array): void {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done);
}

/** As {@link writeDurably}, without holding the thread while the disk works. */
export async function writeDurablyAsync(path: string, content: string | Uint8Array): Promise<void> {
  try {
    const { temporary, folder } = prepareWhole(path);
    try {
      const file = await open(temporary, 'wx');
      try {
        await file.writeFile(content);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, resolve(path));
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    syncFolder(folder);
  } catch (error) {
    throw isFileError(error) ? writeError(error, path) : error;
  }
}

/** Flushes and closes a file that was appended to. */
export function closeDurably(fd: number): void {
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * @throws CommError `file/is-input` when the output is one of the inputs, by whatever spelling or link. Called before
 * the work begins.
 */
export function refuseInputAsOutput(output: string, inputs: readonly string[]): void {
  const identity = identityOf(output);
  for (const input of inputs) {
    if (resolve(input) !== resolve(output) && (identity === undefined || identityOf(input) !== identity)) continue;
    const same = resolve(input) === resolve(output) ? 'it is an input' : `it is the same file as the input ${input}`;
    throw new CommError(`Cannot write ${output}: ${same}.`, {
      code: 'file/is-input',
      fix: 'Name another file.',
      exitCode: 2,
    });
  }
}

/** Device and number of what a path leads to; undefined where nothing is there. */
function identityOf(path: string): string | undefined {
  // As big integers: numbers of files beyond 2^53 would be taken for one another.
  const facts = statSync(path, { bigint: true, throwIfNoEntry: false });
  return facts === undefined ? undefined : `${facts.dev}:${facts.ino}`;
}
