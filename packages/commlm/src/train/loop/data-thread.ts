/** Thread that looks at the files of a recipe's data and gives their sizes and digests. */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, fstatSync, readSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CommError } from '../../config/errors.js';
import { openData } from '../../data/open-data.js';
import type { DataSet, PictureStore } from '../../data/sample.js';
import { openRegularFile } from '../../files/read.js';
import type { CreateBatcher, RawBatch } from './batch-pool.js';
import type { DataFacts, DataIdentity } from './data-facts.js';
import type { DataSource, RecipeData } from './data-sources.js';

/** The answer of the thread. */
export interface IdentityBatch extends RawBatch {
  readonly identity: DataIdentity;
}

/** Bytes of pictures that are looked at in an archive or folder; annotations are read whole. */
const BUDGET = 2 ** 28;
/** A larger archive is looked at in as many stretches, its beginning and its end (where zip and parquet keep their lists) among them. */
const STRETCHES = 256;
/** Samples of a set whose pictures are looked at. */
const SAMPLES = 500;
const CHUNK = 2 ** 20;
const WHAT = 'the data';

export const createBatcher: CreateBatcher<RecipeData> = async (options) => async (): Promise<IdentityBatch> => ({
  identity: await identify(options),
});

async function identify({ sources, data }: RecipeData): Promise<DataIdentity> {
  const identity: Record<string, DataFacts> = {};
  const shown = sources.filter((source) => source.kind === 'pictures');
  for (const source of sources) {
    if (source.kind !== 'pictures') identity[source.path] = await factsOf(source);
  }
  if (data === undefined || shown.length === 0) return identity;
  const names = shown.map(({ set }) => set);
  const stores = Object.fromEntries(shown.map(({ store }) => [store, data.stores[store]!]));
  const opened = await openData({ sets: data.sets, stores }, names);
  for (const { set, store } of shown) {
    identity[`pictures of ${set} in ${store}`] = {
      pictures: await digestsOf(opened.sets.get(set)!, opened.stores.get(store)!),
    };
  }
  for (const store of opened.stores.values()) await store.close();
  return identity;
}

async function factsOf(source: Exclude<DataSource, { kind: 'pictures' }>): Promise<DataFacts> {
  switch (source.kind) {
    case 'file':
      return digestFile(source.path, Number.POSITIVE_INFINITY);
    case 'archive':
      return digestFile(source.path, BUDGET);
    case 'folder':
      return await digestFolder(source.path);
  }
}

/** Size and digest of a file: of all its bytes, or of stretches of `budget` bytes in all where it has more. */
function digestFile(path: string, budget: number): DataFacts {
  const fd = openRegularFile(path, WHAT);
  try {
    const bytes = fstatSync(fd).size;
    const hash = createHash('sha256');
    if (bytes <= budget) {
      addStretch(hash, fd, 0, bytes);
      return { bytes, sha256: hash.digest('hex') };
    }
    const length = Math.floor(budget / STRETCHES);
    for (let i = 0; i < STRETCHES; i++) {
      addStretch(hash, fd, Math.floor(((bytes - length) * i) / (STRETCHES - 1)), length);
    }
    return { bytes, read: length * STRETCHES, sha256: hash.digest('hex') };
  } finally {
    closeSync(fd);
  }
}

function addStretch(hash: Hash, fd: number, start: number, length: number): void {
  const chunk = Buffer.allocUnsafe(Math.min(CHUNK, Math.max(1, length)));
  for (let at = 0; at < length; ) {
    const n = readSync(fd, chunk, 0, Math.min(chunk.length, length - at), start + at);
    if (n === 0) return;
    hash.update(chunk.subarray(0, n));
    at += n;
  }
}

/** Names and sizes of all files below a folder, and the bytes of as many of them, evenly chosen, as the budget allows. */
async function digestFolder(folder: string): Promise<DataFacts> {
  const hash = createHash('sha256');
  const files = (await listFiles(folder)).map((name) => ({ name, bytes: statSync(join(folder, name)).size }));
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const every = Math.max(1, Math.ceil(bytes / BUDGET));
  let read = 0;
  for (const [i, { name, bytes: size }] of files.entries()) {
    hash.update(`${name}\0${size}\0`);
    if (i % every !== 0) continue;
    const fd = openRegularFile(join(folder, name), WHAT);
    addStretch(hash, fd, 0, size);
    closeSync(fd);
    read += size;
  }
  return { files: files.length, bytes, ...(read < bytes ? { read } : {}), sha256: hash.digest('hex') };
}

/** Regular files by their paths in the folder, in one order on every system. */
async function listFiles(folder: string): Promise<string[]> {
  const names: string[] = [];
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new CommError(`The folder ${folder} (${WHAT}) cannot be read.`, {
      code: 'file/missing',
      fix: 'Check the path.',
      cause,
    });
  });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.isDirectory()) {
      for (const name of await listFiles(join(folder, entry.name))) names.push(`${entry.name}/${name}`);
    } else if (statSync(join(folder, entry.name), { throwIfNoEntry: false })?.isFile()) names.push(entry.name);
  }
  return names;
}

/** Digests of the pictures that evenly chosen samples show, by key. */
async function digestsOf(set: DataSet, store: PictureStore): Promise<Record<string, string>> {
  const count = Math.min(set.length, SAMPLES);
  const digests: Record<string, string> = {};
  for (let i = 0; i < count; i++) {
    for (const key of keysOf(set, Math.floor((i * set.length) / count))) {
      digests[key] ??= await digestPicture(store, key);
    }
  }
  return digests;
}

/** A faulty sample shows nothing; whoever trains on it is told. */
function keysOf(set: DataSet, index: number): string[] {
  try {
    return set.sample(index, 0).pictures.map(({ key }) => key);
  } catch (error) {
    if (error instanceof CommError) return [];
    throw error;
  }
}

const DIGITS = 16;
const UNREADABLE = 'not readable';

async function digestPicture(store: PictureStore, key: string): Promise<string> {
  try {
    const bytes = await store.read(key);
    return createHash('sha256').update(bytes).digest('hex').slice(0, DIGITS);
  } catch (error) {
    if (error instanceof CommError) return UNREADABLE;
    throw error;
  }
}
