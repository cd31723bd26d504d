// Output files of commands: checked before work starts, written to the side and renamed, so nothing is left half-written.
import { randomBytes } from 'node:crypto';
import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { CommError } from '../config/errors.js';

/** The error of an output that cannot be written. */
function cannotWrite(path: string, why: string, fix: string): CommError {
  return new CommError(`Cannot write ${path}: ${why}.`, { code: 'cli/output', fix });
}

function whyNot(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOSPC':
      return 'the disk is full';
    case 'EDQUOT':
      return 'the disk quota is used up';
    case 'EACCES':
    case 'EPERM':
      return 'there is no permission';
    case 'EROFS':
      return 'the file system is read-only';
    case 'ENOENT':
    case 'ENOTDIR':
      return 'its folder does not exist';
    default:
      return (error as Error).message;
  }
}

/** Throws CommError unless a file can be made at `path`; called before the work whose result goes there. */
export function checkOutputFile(path: string): void {
  const folder = dirname(resolve(path));
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw cannotWrite(path, `there is no folder ${folder}`, `Make it with: mkdir -p ${folder}`);
  }
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    throw cannotWrite(path, 'it is a folder', 'Name a file.');
  }
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    throw cannotWrite(path, `there is no permission to write in ${folder}`, 'Choose another place.');
  }
}

/** Throws CommError unless the name ends in one of the extensions (with dot). */
export function checkExtension(path: string, extensions: readonly string[]): void {
  if (extensions.includes(extname(path).toLowerCase())) return;
  throw new CommError(`The output ${path} must end in ${extensions.join(' or ')}.`, {
    code: 'cli/output',
    exitCode: 2,
  });
}

/** Runs something that writes `path`; an error of the file system comes out as a sentence about that file. */
export function withOutputErrors<T>(path: string, write: () => T): T {
  try {
    return write();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw cannotWrite(path, whyNot(error), 'Free some space or choose another place, then run the command again.');
  }
}

/** Writes bytes or text to `path` whole or not at all: to the side first, then renamed. */
export function writeFileAtomically(path: string, content: string | Uint8Array): void {
  withOutputErrors(path, () => {
    const temporary = join(dirname(resolve(path)), `.${basename(path)}.${randomBytes(4).toString('hex')}.part`);
    try {
      const file = openSync(temporary, 'w');
      try {
        writeFileSync(file, content);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  });
}
