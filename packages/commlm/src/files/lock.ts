/**
 * One process at a time: a lock file that names its owner, for a folder or a file that is appended to. A lock of a process
 * that is gone is taken over at once, so that what was killed can be resumed; a beating heart would stop during a long step.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { CommError } from '../config/errors.js';
import { writeError } from './durable.js';
import { readError } from './read.js';

/** Who holds a lock: what is written into its file. */
export interface Owner {
  readonly pid: number;
  readonly host: string;
  /** When the process began, where the system tells: process ids are used again. */
  readonly began: string | null;
  /** Tells two locks of one process apart. */
  readonly token: string;
}

/** What the lock is for, for the sentence of an error: `Process 12 on host <doing> <subject>.` */
export interface LockPurpose {
  /** `trains in` */
  readonly doing: string;
  /** The folder or file as the user named it. */
  readonly subject: string;
  /** What else can be done: `name another --out`. */
  readonly otherwise: string;
}

/**
 * A lock is never seen half-written where the file system has hard links; elsewhere, and from a crash of an older version,
 * an unreadable one that stays so for this long has no owner.
 */
const UNREADABLE_MS = 2_000;

/** Takes the lock until disposed. @throws CommError `file/busy` where another process has it, `file/output` */
export function lockFile(path: string, purpose: LockPurpose): Disposable {
  const text = JSON.stringify(newOwner());
  try {
    while (!createLock(path, text)) {
      const found = read(path);
      if (found === null) continue;
      if (isAbandoned(path, found)) takeAway(path, found);
      // Given back or taken over in the meantime: asked anew.
      else if (read(path) === found) throw busy(path, parseOwner(found), purpose);
    }
  } catch (error) {
    throw writeError(error, path);
  }
  return {
    [Symbol.dispose]: () => {
      if (read(path) === text) rmSync(path, { force: true });
    },
  };
}

/** This process as the owner of a lock, with a token of its own. */
export const newOwner = (): Owner => ({
  pid: process.pid,
  host: hostname(),
  began: beginning(process.pid),
  token: randomBytes(8).toString('hex'),
});

/** Makes a lock with its content in one step; false where there is one. */
export function createLock(path: string, text: string): boolean {
  const draft = `${path}.${randomBytes(6).toString('hex')}.part`;
  try {
    writeFileSync(draft, text, { flag: 'wx' });
    linkSync(draft, path);
    return true;
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (syscall !== 'link') throw error;
    return createWithoutLinks(path, text);
  } finally {
    rmSync(draft, { force: true });
  }
}

/** For file systems without hard links. */
function createWithoutLinks(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    rmSync(path, { force: true });
    throw error;
  }
}

/**
 * Removes the abandoned lock that was found, and no other: among several who found it, one at a time holds the gate and
 * looks again. A gate whose owner was killed in that instant is moved away in one step, which only one can do.
 */
function takeAway(path: string, found: string): void {
  const gate = `${path}.gate`;
  const mine = JSON.stringify(newOwner());
  if (!createLock(gate, mine)) {
    const other = read(gate);
    if (other !== null && isAbandoned(gate, other)) {
      const aside = `${gate}.${randomBytes(6).toString('hex')}.part`;
      try {
        renameSync(gate, aside);
        rmSync(aside, { force: true });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    pause();
    return;
  }
  try {
    if (read(path) === found) rmSync(path, { force: true });
  } finally {
    if (read(gate) === mine) rmSync(gate, { force: true });
  }
}

/** Lets others run for a moment; the whole wait is over in an instant. */
const pause = (): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw readError(error, path, 'a lock');
  }
}

/** The owner that a lock names; null where its text is none. */
export function parseOwner(text: string): Owner | null {
  try {
    const owner = JSON.parse(text) as Owner | null;
    return typeof owner?.pid === 'number' && typeof owner.host === 'string' ? owner : null;
  } catch {
    return null;
  }
}

/** Clock tick at which a process began (Linux), else null. */
function beginning(pid: number): string | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name of the program may hold spaces; the fields behind its bracket are plain.
    return fields.slice(fields.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function isAbandoned(path: string, text: string): boolean {
  const owner = parseOwner(text);
  return owner === null ? staysUnreadable(path, text) : isGone(owner);
}

/** Whether the process that took a lock has surely ended. */
export function isGone(owner: Owner): boolean {
  // A folder shared by several machines: who is not here cannot be asked.
  if (owner.host !== hostname()) return false;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    // Anything else: a process of another user has the number, perhaps because it was given out again.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return true;
  }
  // Where processes of others are hidden, nothing is known of when they began.
  const began = beginning(owner.pid);
  return owner.began !== null && began !== null && owner.began !== began;
}

/** Waits for the one who may be writing it. */
function staysUnreadable(path: string, text: string): boolean {
  for (;;) {
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Number.NaN);
    if (Number.isNaN(age) || read(path) !== text) return false;
    // A clock that was set back must not make it wait for ever.
    if (age > UNREADABLE_MS || age < -UNREADABLE_MS) return true;
    pause();
  }
}

function busy(path: string, owner: Owner | null, { doing, subject, otherwise }: LockPurpose): CommError {
  const who = owner === null ? 'Another process' : `Process ${owner.pid} on ${owner.host}`;
  return new CommError(`${who} ${doing} ${subject}.`, {
    code: 'file/busy',
    fix: `Wait for it, or ${otherwise}. If it is surely gone, remove ${path}.`,
  });
}
