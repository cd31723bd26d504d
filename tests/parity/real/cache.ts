/**
 * The folder where parity with real weights keeps what it fetched and made: every part is either whole, with the hashes that
 * it has to have, or made again. Nothing is downloaded or computed twice while those hashes hold.
 */
import { createHash } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root folder. */
export const root = fileURLToPath(new URL('../../../..', import.meta.url));

/** Where everything lies that is fetched or made. */
export const cacheFolder = join(root, '.cache', 'real');

/** Prefix of what is not whole yet; the number behind it is the process that makes it. */
const PARTIAL = '.partial-';

const RECORD = 'made.json';

/** Tells a person what is going on; standard output is the table's alone. */
export const report = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

/** SHA-256 of a file, as hex. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** A folder for what is not whole yet, emptied; what processes that are gone left there is cleared away. */
export function partialFolder(cache: string): string {
  mkdirSync(cache, { recursive: true });
  for (const name of readdirSync(cache)) {
    if (name.startsWith(PARTIAL) && !isAlive(Number(name.slice(PARTIAL.length)))) {
      rmSync(join(cache, name), { recursive: true, force: true });
    }
  }
  const own = join(cache, `${PARTIAL}${process.pid}`);
  rmSync(own, { recursive: true, force: true });
  mkdirSync(own);
  return own;
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

interface MadeRecord {
  /** Hash of what the folder was made from. */
  readonly key: string;
  /** Hashes of its files. */
  readonly files: Readonly<Record<string, string>>;
}

/** What makes a folder of the cache. */
export interface Recipe {
  /** Name of the folder. */
  readonly name: string;
  /** What it is made from, as hashes and settings; another list makes it again. */
  readonly from: readonly string[];
  /** Puts the files into an empty folder. */
  readonly write: (folder: string) => Promise<void>;
}

/** The folder of a recipe and the hash of its contents, made where it is missing, of other origin, or damaged. */
export async function make(
  { name, from, write }: Recipe,
  cache = cacheFolder,
): Promise<{ folder: string; hash: string }> {
  const folder = join(cache, name);
  const key = hashText(JSON.stringify(from));
  const record = readRecord(folder);
  if (record?.key === key) {
    if (await holds(folder, record)) return { folder, hash: hashText(JSON.stringify(record)) };
    report(`${folder} is damaged and is made again.`);
  }
  const partial = partialFolder(cache);
  try {
    await write(partial);
    const names = readdirSync(partial, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const files: Record<string, string> = {};
    for (const entry of names) {
      const path = join(entry.parentPath, entry.name);
      files[path.slice(partial.length + 1)] = await hashFile(path);
    }
    const made: MadeRecord = { key, files };
    writeFileSync(join(partial, RECORD), `${JSON.stringify(made, null, 1)}\n`);
    rmSync(folder, { recursive: true, force: true });
    renameSync(partial, folder);
    return { folder, hash: hashText(JSON.stringify(made)) };
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

function readRecord(folder: string): MadeRecord | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, RECORD), 'utf8')) as MadeRecord;
  } catch {
    return undefined;
  }
}

async function holds(folder: string, { files }: MadeRecord): Promise<boolean> {
  for (const [name, hash] of Object.entries(files)) {
    const path = join(folder, name);
    if (!existsSync(path) || (await hashFile(path)) !== hash) return false;
  }
  return true;
}

const hashText = (text: string): string => createHash('sha256').update(text).digest('hex');
