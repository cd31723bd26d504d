/** Folders of several files that belong together: written aside and moved to their place, whole or not at all. */
import { existsSync, mkdirSync, readdirSync, realpathSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { CommError } from '../config/errors.js';
import { isFileError, makeFolder, syncFolder, writeError } from './durable.js';
import { lockFile } from './lock.js';

/** In a folder that was there and empty: what is written, and the lock. */
const PART = '.part';
const LOCK = '.lock';
/** The file without which a folder is none: it is moved last. */
const LAST = 'config.json';

const isEmpty = (folder: string): boolean => readdirSync(folder).every((name) => name === PART || name === LOCK);

/** Throws a CommError when a folder to write holds something already. */
export function refuseFilled(out: string): void {
  if (!existsSync(out) || isEmpty(out)) return;
  throw new CommError(`${out} is not empty.`, {
    code: 'weights/exists',
    fix: 'Name a new folder, or remove that one first.',
    exitCode: 2,
  });
}

/** How a folder is written. */
export interface FolderOptions {
  /** Takes the place of a filled folder; otherwise one that is there, or appears meanwhile, is refused and stays. */
  readonly replace: boolean;
}

/**
 * Lets `write` fill a folder, which then appears at `out`, in the place of the one that was there. On a failure `out` is as
 * it was; what a killed process had written is removed by the next one. One process at a time writes it.
 * @throws CommError `file/busy`, `file/output`; whatever `write` throws that is not the file system's.
 */
export function writeFolder<T>(out: string, write: (folder: string) => T, { replace }: FolderOptions): T {
  return named(out, () => {
    using draft = new Draft(out, replace);
    const result = write(draft.folder);
    draft.finish();
    return result;
  });
}

/** As {@link writeFolder}, for what is written in several turns. */
export async function writeFolderAsync<T>(
  out: string,
  write: (folder: string) => Promise<T>,
  { replace }: FolderOptions,
): Promise<T> {
  const draft = named(out, () => new Draft(out, replace));
  try {
    const result = await write(draft.folder);
    draft.finish();
    return result;
  } catch (error) {
    throw namedError(out, error);
  } finally {
    draft[Symbol.dispose]();
  }
}

/** A folder that is being written. */
class Draft implements Disposable {
  /** Where the files go. */
  readonly folder: string;
  readonly #target: string;
  /** The folder was there: its place cannot be renamed (a mounted disk, a parent that may not be written). */
  readonly #isInside: boolean;
  readonly #before: string;
  readonly #lock: Disposable;
  /** As the user named it. */
  readonly #out: string;
  readonly #replace: boolean;

  constructor(out: string, replace: boolean) {
    this.#out = out;
    this.#replace = replace;
    this.#target = existsSync(out) ? realpathSync(out) : resolve(out);
    this.#isInside = existsSync(this.#target) && isEmpty(this.#target);
    const parent = this.#isInside ? this.#target : dirname(this.#target);
    const prefix = this.#isInside ? '' : `.${basename(this.#target)}`;
    this.folder = join(parent, `${prefix}${PART}`);
    this.#before = join(parent, `${prefix}.before`);
    makeFolder(parent);
    this.#lock = lockFile(join(parent, `${prefix}${LOCK}`), {
      doing: 'writes',
      subject: out,
      otherwise: 'name another folder',
    });
    try {
      rmSync(this.folder, { recursive: true, force: true });
      // Killed between the two renames of `finish`.
      if (!existsSync(this.#target) && existsSync(this.#before)) renameSync(this.#before, this.#target);
      this.#refuseFilled();
      mkdirSync(this.folder);
    } catch (error) {
      this.#lock[Symbol.dispose]();
      throw error;
    }
  }

  #refuseFilled(): void {
    if (!this.#replace) refuseFilled(this.#out);
  }

  /** Moves what was written to its place. */
  finish(): void {
    syncFolder(this.folder);
    // Others may have put something there since, without the lock.
    this.#refuseFilled();
    if (this.#isInside) {
      const names = readdirSync(this.folder);
      const last = names.filter((name) => name === LAST);
      for (const name of [...names.filter((each) => each !== LAST), ...last]) {
        renameSync(join(this.folder, name), join(this.#target, name));
      }
      rmdirSync(this.folder);
      syncFolder(this.#target);
      return;
    }
    rmSync(this.#before, { recursive: true, force: true });
    if (existsSync(this.#target)) renameSync(this.#target, this.#before);
    renameSync(this.folder, this.#target);
    syncFolder(dirname(this.#target));
  }

  [Symbol.dispose](): void {
    try {
      for (const rest of [this.folder, this.#before]) rmSync(rest, { recursive: true, force: true });
    } finally {
      this.#lock[Symbol.dispose]();
    }
  }
}

function named<T>(out: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw namedError(out, error);
  }
}

/** Names the place that the user gave, not the one that is written to first. Errors about files elsewhere stay. */
function namedError(out: string, error: unknown): unknown {
  const cause = error instanceof CommError && error.code === 'file/output' ? error.cause : error;
  if (!(cause instanceof Error && isFileError(cause))) return error;
  const { path, syscall } = cause as NodeJS.ErrnoException;
  // An error of an open file that is written to has no path.
  const isOurs =
    path === undefined ? syscall === 'write' || syscall === 'fsync' : path.startsWith(dirname(resolve(out)));
  return isOurs ? writeError(cause, out) : error;
}
