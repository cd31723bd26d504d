/**
 * One file of a repository into the cache: goes on where an earlier try stopped, is checked, and only then gets its name.
 */
import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CommError } from '../config/errors.js';
import { syncFolder } from '../files/durable.js';
import type { ModelCache, RemoteFile } from './cache.js';
import type { HubClient, Note } from './client.js';
import { type Asked, cacheError, formatSize, notAHub, TransientError } from './errors.js';
import { acquireLock, type FileLock } from './lock.js';

/** How a file came to be there. */
export type FileStatus = 'downloaded' | 'resumed' | 'cached';

/** What one download needs. */
export interface DownloadContext {
  readonly client: HubClient;
  readonly cache: ModelCache;
  readonly asked: Asked;
  /** Commit that the file belongs to. */
  readonly commit: string;
  readonly signal?: AbortSignal | undefined;
  readonly onNote: Note;
  /** Bytes that are there now and were not before; negative when a bad part is thrown away. */
  readonly onBytes: (delta: number) => void;
}

const READ_BYTES = 1 << 20;
const WRITE_BYTES = 1 << 20;

/** The hash that an etag is, or undefined for one of another form (then only the size can be checked). */
export function hashFor(etag: string, size: number): Hash | undefined {
  if (/^[0-9a-f]{64}$/.test(etag)) return createHash('sha256');
  if (/^[0-9a-f]{40}$/.test(etag)) return createHash('sha1').update(`blob ${size}\0`);
  return undefined;
}

/** Downloads one file into `blobs/` unless it is there. Throws CommError; what is downloaded by then stays for the next time. */
export async function downloadFile(file: RemoteFile, context: DownloadContext): Promise<FileStatus> {
  const { cache, signal, onNote, onBytes } = context;
  if (cache.hasBlob(file)) {
    onBytes(file.size);
    return 'cached';
  }
  try {
    await mkdir(dirname(cache.blob(file.etag)), { recursive: true });
    const lock = await acquireLock(cache.lock(file.etag), {
      signal,
      onWait: (pid) =>
        onNote(`${file.path}: waiting for another process${pid === undefined ? '' : ` (${pid})`} that downloads it`),
    });
    try {
      // Whoever held the lock may have finished the file.
      if (cache.hasBlob(file)) {
        onBytes(file.size);
        return 'cached';
      }
      return await fill(file, lock, context);
    } finally {
      await lock.release();
    }
  } catch (error) {
    throw cacheError(error, cache.partial(file.etag));
  }
}

/** Hash of a whole file on disk against its etag: true when equal or when the etag is no hash. */
export async function matchesEtag(path: string, { etag, size }: RemoteFile): Promise<boolean> {
  const hash = hashFor(etag, size);
  if (hash === undefined) return true;
  const handle = await open(path, 'r');
  try {
    await feed(hash, handle);
  } finally {
    await handle.close();
  }
  return hash.digest('hex') === etag;
}

async function feed(hash: Hash, handle: FileHandle): Promise<void> {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  for (let position = 0; ; ) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return;
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}

/** Brings the partial file to its full length, checks it and renames it. */
async function fill(file: RemoteFile, lock: FileLock, context: DownloadContext): Promise<FileStatus> {
  const { cache, onNote, onBytes } = context;
  const partial = cache.partial(file.etag);
  // A silent owner may wake and write on: it keeps the old file, this process gets a new one.
  if (lock.doubtful) await rm(partial, { force: true });
  // 'a+' makes the file where it is missing and cuts nothing.
  await (await open(partial, 'a+')).close();
  const handle = await open(partial, 'r+');
  try {
    let start = (await handle.stat()).size;
    if (start > file.size) {
      await handle.truncate(0);
      start = 0;
    }
    const resumed = start > 0;
    for (let round = 0; ; round++) {
      onBytes(start);
      const digest = await receive(file, handle, start, context);
      if (digest === undefined || digest === file.etag) break;
      onBytes(-file.size);
      await handle.truncate(0);
      start = 0;
      if (round > 0) {
        await rm(partial, { force: true });
        throw new CommError(
          `What the hub sent as ${file.path} is not that file: its hash is ${digest}, not ${file.etag}.`,
          {
            code: 'hub/hash-mismatch',
            fix: 'Run the command again; if it stays so, a proxy or mirror (HF_ENDPOINT) hands out damaged files.',
          },
        );
      }
      onNote(`${file.path}: its hash is wrong; downloading it again from the start`);
    }
    await handle.sync();
    if (!lock.held()) {
      throw new CommError(`Another process took over the download of ${file.path} while this one was stopped.`, {
        code: 'hub/lost-lock',
        fix: 'Run the command again.',
      });
    }
    const blob = cache.blob(file.etag);
    await rename(partial, blob);
    syncFolder(dirname(blob));
    return resumed ? 'resumed' : 'downloaded';
  } finally {
    await handle.close();
  }
}

/** Receives the bytes from `start` on, over as many connections as it takes; gives the hash of the whole file. */
async function receive(
  file: RemoteFile,
  handle: FileHandle,
  start: number,
  { client, asked, commit, onBytes }: DownloadContext,
): Promise<string | undefined> {
  let hash = hashFor(file.etag, file.size);
  if (hash !== undefined && start > 0) await feed(hash, handle);
  let position = start;
  let before = start;
  const restart = async (): Promise<void> => {
    onBytes(-position);
    await handle.truncate(0);
    position = 0;
    hash = hashFor(file.etag, file.size);
  };
  const path = `/${asked.model}/resolve/${commit}/${file.path.split('/').map(encodeURIComponent).join('/')}`;
  const attempt = async (): Promise<void> => {
    if (position === file.size) return;
    const { downloadTimeoutMs: timeoutMs } = client.settings;
    const answer = await client.open('GET', path, { ...asked, file: file.path }, { timeoutMs, range: position });
    let pending: Uint8Array[] = [];
    let numPending = 0;
    const flush = async (): Promise<void> => {
      if (numPending === 0) return;
      const parts = pending;
      const length = numPending;
      pending = [];
      numPending = 0;
      const { bytesWritten } = await handle.writev(parts, position);
      if (bytesWritten < length) {
        // Nearly always a full disk; writing the rest says which error it is.
        const rest = Buffer.concat(parts).subarray(bytesWritten);
        for (let done = 0; done < rest.length; ) {
          done += (await handle.write(rest, done, rest.length - done, position + bytesWritten + done)).bytesWritten;
        }
      }
      for (const part of parts) hash?.update(part);
      position += length;
      onBytes(length);
    };
    try {
      // A server that knows no ranges, or another range than asked for, begins anew.
      if (position > 0 && !answersRange(answer.response, position)) await restart();
      checkLength(answer.response, position, file, client);
      try {
        for await (const chunk of answer.chunks()) {
          pending.push(chunk);
          numPending += chunk.length;
          if (position + numPending > file.size) throw lengthError(file, `more than ${formatSize(file.size)}`, client);
          if (numPending >= WRITE_BYTES) await flush();
        }
      } finally {
        if (position + numPending <= file.size) await flush();
      }
    } finally {
      answer.close();
    }
    if (position < file.size) {
      throw new TransientError('the connection ended early', lengthError(file, formatSize(position), client));
    }
  };
  await client.retrying(file.path, attempt, () => {
    const progressed = position > before;
    before = position;
    return progressed;
  });
  return hash?.digest('hex');
}

function answersRange(response: Response, position: number): boolean {
  const range = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '');
  return response.status === 206 && Number(range?.[1]) === position;
}

/** An answer of another length is another file; better said before it is downloaded. */
function checkLength({ headers }: Response, position: number, file: RemoteFile, client: HubClient): void {
  const length = headers.get('content-length');
  if (length === null || headers.get('content-encoding') !== null) return;
  const total = position + Number(length);
  if (total > file.size) throw lengthError(file, formatSize(total), client);
}

function lengthError(file: RemoteFile, got: string, client: HubClient): CommError {
  return notAHub(`${file.path} has ${formatSize(file.size)} in its listing, but it sends ${got}`, client.settings);
}
