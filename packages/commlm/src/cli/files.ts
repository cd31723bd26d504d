/** Output files of commands: checked before work starts. */
import { accessSync, constants, type Stats, statSync } from 'node:fs';
import { dirname, extname, resolve } from 'node:path';
import { CommError } from '../config/errors.js';
import { isFileError, writeError } from '../files/durable.js';

/** The error of an output that cannot be written. */
function cannotWrite(path: string, why: string, fix: string): CommError {
  return new CommError(`Cannot write ${path}: ${why}.`, { code: 'cli/output', fix });
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

/** Throws CommError where a file lies at `path`, or in the place of a folder above it; called before long work. */
export function checkOutputFolder(path: string): void {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    let found: Stats | undefined;
    try {
      found = statSync(folder, { throwIfNoEntry: false });
    } catch {
      // Below a file, which comes next, or not to be entered, which the work itself says.
    }
    if (found?.isDirectory() || folder === dirname(folder)) return;
    if (found !== undefined) throw cannotWrite(path, `${folder} is a file, not a folder`, 'Name another folder.');
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

/** Runs something that writes `path` whole itself; an error of the file system comes out as a sentence about that file. */
export function withOutputErrors<T>(path: string, write: () => T): T {
  try {
    return write();
  } catch (error) {
    throw isFileError(error) ? writeError(error, path) : error;
  }
}
