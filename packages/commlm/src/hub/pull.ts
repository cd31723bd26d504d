/** Downloads a model from a hub into the shared cache: list, choose, download and check in parallel, link, remember. */

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { anything, type Checks, checkOptions } from '../config/check-options.js';
import { CommError } from '../config/errors.js';
import { findCachedModel, ModelCache, type RemoteFile } from './cache.js';
import { HubClient, type Note } from './client.js';
import { downloadFile, type FileStatus, hashFor, matchesEtag } from './download.js';
import { type Asked, cacheError, diskFullError, notAHub, offlineError } from './errors.js';
import { formatHubId, type HubId, isCommit, parseHubId } from './hub-id.js';
import { type Patterns, selectFiles } from './select.js';
import { type HubSettings, readHubSettings } from './settings.js';

/** Settings of one download. */
export interface PullOptions extends Patterns {
  readonly revision?: string | undefined;
  /** Files downloaded at the same time; 4 by default. */
  readonly parallel?: number | undefined;
  /** Hash the files that are there already, and download damaged ones again. */
  readonly verify?: boolean | undefined;
  /** List what would be downloaded; write nothing. */
  readonly dryRun?: boolean | undefined;
  readonly settings?: HubSettings | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onNote?: Note | undefined;
  /** Bytes of the chosen files that are there, of all of them. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly onFile?: ((file: PulledFile) => void) | undefined;
}

const OPTIONS: Checks<PullOptions> = {
  include: anything,
  exclude: anything,
  revision: anything,
  parallel: anything,
  verify: anything,
  dryRun: anything,
  settings: anything,
  signal: anything,
  onNote: anything,
  onProgress: anything,
  onFile: anything,
};

/** One file of a download. */
export interface PulledFile extends RemoteFile {
  readonly status: FileStatus | 'planned';
  /** What was checked: the hash, or only the size where the hub names no hash. */
  readonly verified: 'hash' | 'size';
}

/** What a download brought. */
export interface PullResult {
  /** `org/name`. */
  readonly model: string;
  readonly revision: string;
  readonly commit: string;
  /** Folder of the model: a snapshot in the cache. */
  readonly folder: string;
  readonly endpoint: string;
  /** True when the network was not asked (HF_HUB_OFFLINE). */
  readonly offline: boolean;
  readonly files: readonly PulledFile[];
  readonly totalBytes: number;
  /** Bytes that came over the network by this call. */
  readonly downloadedBytes: number;
}

const DEFAULT_PARALLEL = 4;

/**
 * Downloads a model (`org/name[@revision]`) into the Hugging Face cache. Goes on where an earlier download stopped, checks
 * sizes and hashes, and makes the snapshot appear only when every file is there. Throws CommError.
 */
export async function pullModel(model: string, options: PullOptions = {}): Promise<PullResult> {
  checkOptions(options, OPTIONS, { what: 'The options of a download' });
  const id = parseHubId(model, options.revision);
  const settings = options.settings ?? readHubSettings();
  if (settings.offline) return fromCache(id, settings);
  const { signal, onNote = () => {} } = options;
  const client = new HubClient(settings, { onNote, signal });
  const { commit, files: all } = await listRepository(client, id);
  const chosen = chooseFiles(all, id, options);
  const cache = new ModelCache(settings.cacheDir, id.model);
  if (options.dryRun)
    return summary(
      id,
      commit,
      settings,
      chosen.map((file) => planned(file, cache)),
    );
  const files = await downloadAll(client, cache, { id, commit, chosen, options });
  try {
    await cache.link(commit, chosen);
    await cache.writeRef(id.revision, commit);
  } catch (error) {
    throw cacheError(error, cache.folder);
  }
  return summary(
    id,
    commit,
    settings,
    files.map(({ file }) => file),
    files.reduce((sum, { fresh }) => sum + fresh, 0),
  );
}

function summary(
  id: HubId,
  commit: string,
  settings: HubSettings,
  files: PulledFile[],
  downloadedBytes = 0,
): PullResult {
  return {
    ...id,
    commit,
    folder: new ModelCache(settings.cacheDir, id.model).snapshot(commit),
    endpoint: settings.endpoint,
    offline: settings.offline,
    files,
    totalBytes: files.reduce((sum, { size }) => sum + size, 0),
    downloadedBytes,
  };
}

const checkOf = ({ etag, size }: RemoteFile): 'hash' | 'size' => (hashFor(etag, size) === undefined ? 'size' : 'hash');

function planned(file: RemoteFile, cache: ModelCache): PulledFile {
  return { ...file, status: cache.hasBlob(file) ? 'cached' : 'planned', verified: checkOf(file) };
}

/** The copy in the cache, when it is whole; nothing is asked of the network. */
function fromCache(id: HubId, settings: HubSettings): PullResult {
  const found = findCachedModel(id, settings.cacheDir);
  const name = formatHubId(id);
  if (found === undefined) throw offlineError(name, `the model ${name} is not`, settings);
  if (found.missing.length > 0) {
    throw offlineError(name, `of the model ${name} ${found.missing.slice(0, 3).join(', ')} is missing`, settings);
  }
  return summary(id, found.commit, settings, []);
}

function chooseFiles(all: readonly RemoteFile[], id: HubId, patterns: Patterns): RemoteFile[] {
  const chosen = new Set(
    selectFiles(
      all.map(({ path }) => path),
      patterns,
    ),
  );
  if (chosen.size === 0) {
    throw new CommError(`No file of ${formatHubId(id)} is chosen; it has ${all.length}.`, {
      code: 'hub/nothing-chosen',
      fix: 'Name the files with --include, as in --include "*.json" --include "*.safetensors".',
    });
  }
  // Small files first: what is wrong with the access shows at once.
  return all.filter(({ path }) => chosen.has(path)).sort((a, b) => a.size - b.size);
}

/** Downloads the files, several at a time; the first failure stops the others, and what they have stays. */
async function downloadAll(
  client: HubClient,
  cache: ModelCache,
  job: { id: HubId; commit: string; chosen: readonly RemoteFile[]; options: PullOptions },
): Promise<{ file: PulledFile; fresh: number }[]> {
  const { id, commit, chosen, options } = job;
  const { onNote = () => {}, onProgress, onFile } = options;
  if (options.verify) await dropDamaged(cache, chosen, onNote);
  await checkSpace(cache, chosen);
  const stop = new AbortController();
  const onOuter = (): void => stop.abort(options.signal?.reason);
  if (options.signal?.aborted) onOuter();
  options.signal?.addEventListener('abort', onOuter, { once: true });
  const worker = new HubClient(client.settings, { onNote, signal: stop.signal });
  const total = chosen.reduce((sum, { size }) => sum + size, 0);
  // Two files of one content are one download.
  const queue = [...new Map(chosen.map((file) => [file.etag, file])).values()];
  const done = new Map<string, { status: FileStatus; fresh: number }>();
  let present = chosen.filter((file) => !queue.includes(file)).reduce((sum, { size }) => sum + size, 0);
  const run = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      stop.signal.throwIfAborted();
      const begun = cache.partialSize(file.etag);
      const status = await downloadFile(file, {
        client: worker,
        cache,
        commit,
        asked: { model: id.model, revision: id.revision } satisfies Asked,
        signal: stop.signal,
        onNote,
        onBytes: (delta) => {
          present += delta;
          onProgress?.(present, total);
        },
      });
      const fresh = status === 'cached' ? 0 : status === 'resumed' ? Math.max(0, file.size - begun) : file.size;
      done.set(file.etag, { status, fresh });
      onFile?.({ ...file, status, verified: checkOf(file) });
    }
  };
  const workers = Array.from({ length: Math.min(options.parallel ?? DEFAULT_PARALLEL, queue.length) }, run);
  try {
    await Promise.all(workers);
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(workers);
    throw error;
  } finally {
    options.signal?.removeEventListener('abort', onOuter);
  }
  const counted = new Set<string>();
  return chosen.map((file) => {
    const { status, fresh } = done.get(file.etag) ?? { status: 'cached' as const, fresh: 0 };
    const first = !counted.has(file.etag);
    counted.add(file.etag);
    return { file: { ...file, status: first ? status : 'cached', verified: checkOf(file) }, fresh: first ? fresh : 0 };
  });
}

/** Removes contents whose hash is not their name. */
async function dropDamaged(cache: ModelCache, files: readonly RemoteFile[], onNote: Note): Promise<void> {
  for (const file of files) {
    if (!cache.hasBlob(file) || (await matchesEtag(cache.blob(file.etag), file))) continue;
    onNote(`${file.path}: the copy in the cache is damaged; downloading it again`);
    await rm(cache.blob(file.etag), { force: true });
  }
}

/** Throws CommError when the disk of the cache has no room for what is missing. */
async function checkSpace(cache: ModelCache, files: readonly RemoteFile[]): Promise<void> {
  const missing = [...new Map(files.map((file) => [file.etag, file])).values()].filter((file) => !cache.hasBlob(file));
  const bytes = missing.reduce((sum, { size, etag }) => sum + Math.max(0, size - cache.partialSize(etag)), 0);
  let folder = cache.folder;
  while (!existsSync(folder) && folder !== dirname(folder)) folder = dirname(folder);
  const disk = await statfs(folder);
  const free = disk.bavail * disk.bsize;
  if (bytes > free) throw diskFullError(folder, { bytes, free });
}

type Json = Record<string, unknown>;
const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The commit that the revision means now, and every file of it. */
async function listRepository(client: HubClient, id: HubId): Promise<{ commit: string; files: RemoteFile[] }> {
  const asked: Asked = id;
  const { body } = await client.json(`/api/models/${id.model}/revision/${encodeURIComponent(id.revision)}`, asked);
  const commit = isRecord(body) ? body['sha'] : undefined;
  if (typeof commit !== 'string' || !isCommit(commit)) throw notAHub('it names no commit', client.settings);
  const listing: RemoteFile[] = [];
  let query = '?recursive=true';
  for (let page = 0; query !== ''; page++) {
    if (page > 1000) throw notAHub('its listing has no end', client.settings);
    const path = `/api/models/${id.model}/tree/${commit}${query}`;
    const { body: entries, headers } = await client.json(path, asked);
    if (!Array.isArray(entries)) throw notAHub('its listing of files is none', client.settings);
    for (const entry of entries as unknown[]) {
      if (isRecord(entry) && entry['type'] === 'file') listing.push(await readEntry(entry, client, asked, commit));
    }
    // Only the cursor of the next page is taken: a mirror often names the address of another host here.
    const next = /<([^>]+)>;\s*rel="next"/.exec(headers.get('link') ?? '')?.[1];
    query = next === undefined ? '' : new URL(next, client.settings.endpoint).search;
  }
  return { commit, files: listing };
}

/** An entry of a listing; a file without hash there is asked for by itself. */
async function readEntry(entry: Json, client: HubClient, asked: Asked, commit: string): Promise<RemoteFile> {
  const path = entry['path'];
  if (typeof path !== 'string' || !isSafePath(path)) {
    throw notAHub(`it lists a file with the name ${JSON.stringify(path)}`, client.settings);
  }
  const lfs = isRecord(entry['lfs']) ? entry['lfs'] : undefined;
  const etag = lfs ? (lfs['oid'] ?? lfs['sha256']) : entry['oid'];
  const size = lfs?.['size'] ?? entry['size'];
  if (typeof etag === 'string' && isSafeName(etag) && isSize(size)) return named(path, etag, size);
  const file = path.split('/').map(encodeURIComponent).join('/');
  const headers = await client.head(`/${asked.model}/resolve/${commit}/${file}`, { ...asked, file: path });
  const tag = (headers.get('x-linked-etag') ?? headers.get('etag') ?? '').replace(/^W\//, '').replaceAll('"', '');
  const length = Number(headers.get('x-linked-size') ?? headers.get('content-length') ?? Number.NaN);
  if (!isSafeName(tag) || !isSize(length)) throw notAHub(`it names no size or hash of ${path}`, client.settings);
  return named(path, tag, length);
}

/** A hash names a content whatever its path; a tag of another form may be given to two files, so that the path joins it. */
const named = (path: string, etag: string, size: number): RemoteFile =>
  hashFor(etag, size) === undefined
    ? { path, size, etag: `${etag}-${createHash('sha256').update(path).digest('hex').slice(0, 16)}` }
    : { path, size, etag };

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isSafeName = (name: string): boolean => /^[\w-][\w.-]{0,199}$/.test(name);

/** A path of a repository becomes a path on this disk: it must stay below its folder. */
function isSafePath(path: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (path === '' || /[\\\x00-\x1f:]/.test(path)) return false;
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}
