/** The cache on disk, in the layout that Python's hub client shares: `models--org--name/{blobs,refs,snapshots}`. */
import { randomBytes } from 'node:crypto';
import { constants, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { copyFile, mkdir, readlink, rename, rm, rmdir, symlink } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { writeDurablyAsync } from '../files/durable.js';
import { type HubId, isCommit } from './hub-id.js';
import { selectFiles } from './select.js';

/** A file of a repository at one commit. */
export interface RemoteFile {
  /** Path in the repository, with `/`. */
  readonly path: string;
  readonly size: number;
  /** Name of its content: sha256 for large files, git's blob hash for the others. */
  readonly etag: string;
}

/** Files that make a folder a model; encoders of open_clip and adapters have a config of their own alone. */
const CONFIGS = ['config.json', 'open_clip_config.json', 'adapter_config.json'];

/** The places of one model in the cache. */
export class ModelCache {
  readonly folder: string;
  readonly #locks: string;

  constructor(cacheDir: string, model: string) {
    const name = `models--${model.replaceAll('/', '--')}`;
    this.folder = join(cacheDir, name);
    this.#locks = join(cacheDir, '.locks', name);
  }

  blob(etag: string): string {
    return join(this.folder, 'blobs', etag);
  }

  /** Where a download that has not ended lies. */
  partial(etag: string): string {
    return `${this.blob(etag)}.incomplete`;
  }

  /** Lock of a download; not `<etag>.lock`, which is Python's and stays there unlocked. */
  lock(etag: string): string {
    return join(this.#locks, `${etag}.owner`);
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** The commit that `revision` meant when it was last asked for. */
  commitOf(revision: string): string | undefined {
    if (isCommit(revision)) return revision;
    try {
      const commit = readFileSync(join(this.folder, 'refs', ...revision.split('/')), 'utf8').trim();
      return isCommit(commit) ? commit : undefined;
    } catch {
      return undefined;
    }
  }

  /** True when the content is there in full length. */
  hasBlob({ etag, size }: RemoteFile): boolean {
    const found = statSync(this.blob(etag), { throwIfNoEntry: false });
    return found?.isFile() === true && found.size === size;
  }

  /** Bytes of a download begun earlier. */
  partialSize(etag: string): number {
    return statSync(this.partial(etag), { throwIfNoEntry: false })?.size ?? 0;
  }

  /**
   * Makes the files appear in their snapshot: relative links to their contents, copies where links are not to be had. A new
   * snapshot appears whole, by one rename; into one that is there already, the files that make it a model come last.
   */
  async link(commit: string, files: readonly RemoteFile[]): Promise<void> {
    const snapshot = this.snapshot(commit);
    const isLinked = async ({ path, etag }: RemoteFile): Promise<boolean> => {
      const pointer = join(snapshot, ...path.split('/'));
      return (await readlink(pointer).catch(() => undefined)) === relative(dirname(pointer), this.blob(etag));
    };
    const lacking: RemoteFile[] = [];
    for (const file of files) if (!(await isLinked(file))) lacking.push(file);
    if (lacking.length === 0) return;
    // As deep as a snapshot, so that the links are right in both places.
    const incoming = join(this.folder, 'incoming', `${commit}.${randomBytes(4).toString('hex')}`);
    try {
      for (const file of lacking) await this.#lay(incoming, file);
      await mkdir(dirname(snapshot), { recursive: true });
      if (await becomes(incoming, snapshot)) return;
      for (const { path } of lacking.toSorted(
        (a, b) => Number(CONFIGS.includes(a.path)) - Number(CONFIGS.includes(b.path)),
      )) {
        const pointer = join(snapshot, ...path.split('/'));
        await mkdir(dirname(pointer), { recursive: true });
        await rename(join(incoming, ...path.split('/')), pointer);
      }
    } finally {
      await rm(incoming, { recursive: true, force: true });
      await rmdir(dirname(incoming)).catch(() => {});
    }
  }

  async #lay(folder: string, { path, etag }: RemoteFile): Promise<void> {
    const pointer = join(folder, ...path.split('/'));
    const blob = this.blob(etag);
    await mkdir(dirname(pointer), { recursive: true });
    try {
      await symlink(relative(dirname(pointer), blob), pointer);
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException;
      if (!['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes(code)) throw error;
      await copyFile(blob, pointer, constants.COPYFILE_FICLONE);
    }
  }

  /** Remembers what a branch or tag means now. */
  async writeRef(revision: string, commit: string): Promise<void> {
    if (isCommit(revision) || this.commitOf(revision) === commit) return;
    const path = join(this.folder, 'refs', ...revision.split('/'));
    await mkdir(dirname(path), { recursive: true });
    await writeDurablyAsync(path, commit);
  }

  /** What a usable copy of a commit lacks, as names of files; empty when a model can be loaded from it. */
  missing(commit: string): string[] {
    const folder = this.snapshot(commit);
    if (!existsSync(folder)) return ['every file'];
    const paths = listFiles(folder);
    const there = new Set(paths.filter((path) => existsSync(join(folder, path))));
    const missing = new Set(paths.filter((path) => !there.has(path))); // links to nothing
    if (!CONFIGS.some((name) => there.has(name))) missing.add('config.json');
    if (![...there].some((path) => /\.(safetensors|bin|pt|pth)$/.test(path))) missing.add('the weights');
    const needed = [...shardsOf(paths), ...indexedFiles(folder, there), ...this.#listed(commit)];
    for (const path of needed) if (!there.has(path)) missing.add(path);
    return [...missing].sort();
  }

  /** Files a model needs, from the listing that Python's client may have left beside the snapshot. */
  #listed(commit: string): string[] {
    try {
      const listing = JSON.parse(readFileSync(join(this.folder, 'trees', `${commit}.json`), 'utf8')) as {
        files?: object;
      };
      return selectFiles(Object.keys(listing.files ?? {}));
    } catch {
      return [];
    }
  }
}

/** Renames a folder, unless another has that name already. */
async function becomes(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    // Some systems say of a folder that is there that access is denied.
    if (existsSync(to)) return false;
    throw error;
  }
}

function listFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'));
}

/** Every file of a set such as `model-00001-of-00003.safetensors`, from any one of it. */
function shardsOf(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    const match = /^(.*-)(\d{5})-of-(\d{5})(\.\w+)$/.exec(path);
    if (match === null || Number(match[3]) > 10_000) return [];
    const [, head = '', , total = '', tail = ''] = match;
    return Array.from(
      { length: Number(total) },
      (_, i) => `${head}${String(i + 1).padStart(5, '0')}-of-${total}${tail}`,
    );
  });
}

/** Files that an index of shards names; of two indexes (safetensors and torch) the first counts. */
function indexedFiles(folder: string, there: ReadonlySet<string>): string[] {
  const hasSingle = there.has('model.safetensors') || there.has('pytorch_model.bin');
  const index = ['model.safetensors.index.json', 'pytorch_model.bin.index.json'].find((name) => there.has(name));
  if (index === undefined || hasSingle) return [];
  try {
    const { weight_map: map } = JSON.parse(readFileSync(join(folder, index), 'utf8')) as { weight_map?: object };
    return [...new Set(Object.values(map ?? {}).map(String))];
  } catch {
    return [index];
  }
}

/** A model found in the cache without asking the network. */
export interface CachedModel {
  readonly folder: string;
  readonly commit: string;
  /** What keeps it from being loaded; empty when it is whole. */
  readonly missing: readonly string[];
}

/** The copy of a model in the cache, or undefined when that revision was never downloaded. Asks nothing of the network. */
export function findCachedModel(id: HubId, cacheDir: string): CachedModel | undefined {
  const cache = new ModelCache(cacheDir, id.model);
  const commit = cache.commitOf(id.revision);
  if (commit === undefined || !existsSync(cache.snapshot(commit))) return undefined;
  return { folder: cache.snapshot(commit), commit, missing: cache.missing(commit) };
}
