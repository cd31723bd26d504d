/**
 * One process a run: a lock file that names its owner. The lock of a process that is gone is taken over at once, so that a
 * killed run can be resumed; a beating heart would stop during a long step or save.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { CommError } from '../config/errors.js';

interface Owner {
  readonly pid: number;
  readonly host: string;
  /** When the process began, where the system tells: process ids are used again. */
  readonly began: string | null;
}

const FILE = 'train.lock';

/** Takes the lock of a run's folder; throws a CommError where another process trains in it. */
export function lockRun(out: string): Disposable {
  const path = join(out, FILE);
  const text = JSON.stringify({ pid: process.pid, host: hostname(), began: beginning(process.pid) } satisfies Owner);
  while (!create(path, text)) {
    const found = read(path);
    if (found === null) continue;
    const owner = parse(found);
    if (owner === null || isAlive(owner)) throw busy(out, owner);
    // Of several that find it stale one moves it away; who moved a fresh one puts it back.
    const aside = `${path}.${process.pid}`;
    try {
      renameSync(path, aside);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw error;
    }
    if (read(aside) === found) {
      rmSync(aside, { force: true });
    } else {
      renameSync(aside, path);
      throw busy(out, parse(read(path) ?? ''));
    }
  }
  return {
    [Symbol.dispose]: () => {
      if (read(path) === text) rmSync(path, { force: true });
    },
  };
}

function create(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/** The owner; null for a lock that is just being written. */
function parse(text: string): Owner | null {
  try {
    return JSON.parse(text) as Owner;
  } catch {
    return null;
  }
}

/** Clock tick at which a process began (Linux), else null. */
function beginning(pid: number): string | null {
  const fields = read(`/proc/${pid}/stat`);
  // The name of the program may hold spaces; the fields behind its bracket are plain.
  return fields?.slice(fields.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}

function isAlive({ pid, host, began }: Owner): boolean {
  // A folder shared by several machines: who is not here cannot be asked.
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
  return began === null || began === beginning(pid);
}

function busy(out: string, owner: Owner | null): CommError {
  const who = owner === null ? 'Another process' : `Process ${owner.pid} on ${owner.host}`;
  return new CommError(`${who} trains in ${out}.`, {
    code: 'train/busy',
    fix: `Wait for it, or name another --out. If it is surely gone, remove ${join(out, FILE)}.`,
  });
}
