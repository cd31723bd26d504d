/**
 * One writer to a file among processes, which the others wait for. The cache may lie on a disk that machines share, where a
 * killed owner cannot be asked for: a heartbeat says that it lives. The lock itself is made as everywhere (files/lock.ts).
 */
import { existsSync, readFileSync, statSync, utimesSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLock, isGone, newOwner, type Owner, parseOwner } from '../files/lock.js';

const HEARTBEAT_MS = 5_000;
/** An owner silent for so long is gone, wherever it ran. */
const STALE_MS = 60_000;
const POLL_MS = 200;

/** A lock that is held until `release`. */
export interface FileLock {
  /** True when the lock came from an owner that was silent, not surely dead: what it wrote is not to be trusted. */
  readonly doubtful: boolean;
  /** False once somebody else took the lock over (this process was stopped for long). */
  held(): boolean;
  release(): Promise<void>;
}

function readOwner(path: string): Owner | undefined {
  try {
    return parseOwner(readFileSync(path, 'utf8')) ?? undefined;
  } catch {
    return undefined; // released
  }
}

type State = 'held' | 'dead' | 'silent';

function stateOf(path: string, owner: Owner | undefined): State {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found !== undefined && Date.now() - found.mtimeMs > STALE_MS) return 'silent';
  return owner !== undefined && isGone(owner) ? 'dead' : 'held';
}

/** Removes the lock of `owner` and of nobody else: among several who find it stale, one at a time looks again. */
async function breakLock(path: string, owner: Owner | undefined): Promise<void> {
  const gate = `${path}.break`;
  try {
    await writeFile(gate, '', { flag: 'wx' });
  } catch {
    const age = Date.now() - (statSync(gate, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > STALE_MS) await rm(gate, { force: true });
    return;
  }
  try {
    if (readOwner(path)?.token === owner?.token) await rm(path, { force: true });
  } finally {
    await rm(gate, { force: true });
  }
}

/** Takes the lock, waiting for its owner; `onWait` is told once whom it waits for. Throws the signal's reason on an abort. */
export async function acquireLock(
  path: string,
  options: { signal?: AbortSignal | undefined; onWait?: (pid: number | undefined) => void } = {},
): Promise<FileLock> {
  await mkdir(dirname(path), { recursive: true });
  const mine = newOwner();
  let doubtful = false;
  for (let tries = 0; ; tries++) {
    options.signal?.throwIfAborted();
    if (createLock(path, JSON.stringify(mine))) break;
    const owner = readOwner(path);
    const state = stateOf(path, owner);
    if (state === 'held') {
      if (tries === 0) options.onWait?.(owner?.pid);
      await sleep(POLL_MS);
    } else if (existsSync(path)) {
      doubtful = state === 'silent';
      await breakLock(path, owner);
    }
  }
  const held = (): boolean => readOwner(path)?.token === mine.token;
  const heartbeat = setInterval(() => {
    try {
      if (held()) utimesSync(path, new Date(), new Date());
    } catch {
      // Taken away: `held` says so before anything is made final.
    }
  }, HEARTBEAT_MS);
  heartbeat.unref();
  return {
    doubtful,
    held,
    release: async () => {
      clearInterval(heartbeat);
      if (held()) await rm(path, { force: true });
    },
  };
}
