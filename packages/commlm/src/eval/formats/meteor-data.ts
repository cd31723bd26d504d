/** Finds and reads the tables of a METEOR 1.5 release (or of the pycocoevalcap package), which are not shipped here. */
import { createReadStream } from 'node:fs';
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { createGunzip } from 'node:zlib';
import yauzl, { type Entry, type ZipFile } from 'yauzl';
import { CommError } from '../../config/errors.js';
import { writeAll, writeDurably } from '../../files/durable.js';
import { checkFile, readTextAsync } from '../../files/read.js';
import { MeteorScorer } from '../metrics/meteor.js';
import {
  deserializeParaphrases,
  type ParaphraseArrays,
  ParaphraseBuilder,
  Paraphrases,
  serializeParaphrases,
} from '../metrics/meteor-paraphrases.js';
import { WordNetSynonyms } from '../metrics/meteor-synonyms.js';

const SYNSETS = 'synonym/english.synsets';
const EXCEPTIONS = 'synonym/english.exceptions';
/** Far above the tables of METEOR, and far below what a small archive can claim. */
const LARGEST_MEMBER = 256 * 2 ** 20;
const PARAPHRASES = ['data/paraphrase-en.gz', 'paraphrase-en.gz'];

function dataError(folder: string, problem: string, cause?: unknown): CommError {
  return new CommError(`${folder}: ${problem}`, {
    code: 'score/meteor-data',
    fix: 'Give the folder of the METEOR 1.5 release, which holds meteor-1.5.jar and data/paraphrase-en.gz.',
    cause,
  });
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Opens METEOR with the tables of a folder: synonyms from its jar or `synonym` folder, paraphrases when they are there. */
export async function loadMeteor(folder: string, notify: (line: string) => void = () => {}): Promise<MeteorScorer> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (cause) {
    throw dataError(folder, 'there is no such folder.', cause);
  }
  const synonyms = await loadSynonyms(folder, names);
  for (const name of PARAPHRASES) {
    const path = join(folder, name);
    if (await isThere(path)) return new MeteorScorer({ synonyms, paraphrases: await loadParaphrases(path, notify) });
  }
  return new MeteorScorer({ synonyms });
}

async function loadSynonyms(folder: string, names: readonly string[]): Promise<WordNetSynonyms> {
  for (const root of [folder, join(folder, 'resources')]) {
    if (await isThere(join(root, SYNSETS))) {
      const [synsets, exceptions] = await Promise.all(
        [SYNSETS, EXCEPTIONS].map((name) => readTextAsync(join(root, name), { what: 'a table of METEOR' })),
      );
      return new WordNetSynonyms(synsets as string, exceptions as string);
    }
  }
  const jar = names.find((name) => /^meteor.*\.jar$/.test(name));
  if (jar === undefined) throw dataError(folder, 'it holds neither meteor-1.5.jar nor synonym/english.synsets.');
  checkFile(join(folder, jar), 'the jar of METEOR');
  try {
    const members = await readJar(join(folder, jar), [SYNSETS, EXCEPTIONS]);
    const [synsets, exceptions] = [SYNSETS, EXCEPTIONS].map((name) => members.get(name));
    if (synsets === undefined || exceptions === undefined) throw new RangeError('it has no English synonyms');
    return new WordNetSynonyms(synsets, exceptions);
  } catch (cause) {
    throw dataError(join(folder, jar), `the jar cannot be read: ${(cause as Error).message}.`, cause);
  }
}

const openZip = promisify<string, yauzl.Options, ZipFile>(yauzl.open);

/** Texts of members of a jar, which is a zip archive, by name. @throws Error for one that is damaged or claims too much */
async function readJar(path: string, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const zip = await openZip(path, { lazyEntries: true, autoClose: false });
  const openMember = promisify<Entry, Readable>(zip.openReadStream.bind(zip));
  try {
    const texts = new Map<string, string>();
    for (const entry of await listEntries(zip)) {
      if (!names.includes(entry.fileName)) continue;
      if (entry.uncompressedSize > LARGEST_MEMBER) throw new RangeError(`${entry.fileName} is too large`);
      // More bytes than the list of members says are an error of the stream.
      texts.set(entry.fileName, await text(await openMember(entry)));
    }
    return texts;
  } finally {
    zip.close();
  }
}

function listEntries(zip: ZipFile): Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  return new Promise((resolve, reject) => {
    zip.on('entry', (entry: Entry) => {
      entries.push(entry);
      zip.readEntry();
    });
    zip.on('end', () => resolve(entries));
    zip.on('error', reject);
    zip.readEntry();
  });
}

/** Where the built table is kept; its name holds what tells one source file from another. */
async function cachePath(source: string): Promise<string> {
  const { size, mtimeMs } = await stat(source);
  const root = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(root, 'commlm', `meteor-paraphrases-${size}-${Math.floor(mtimeMs)}.bin`);
}

async function loadParaphrases(source: string, notify: (line: string) => void): Promise<Paraphrases> {
  const path = await cachePath(resolve(source));
  const cached = await readFile(path).catch(() => null);
  const arrays = cached === null ? null : deserializeParaphrases(cached);
  if (arrays !== null) return new Paraphrases(arrays);
  notify(`Building the paraphrase table of METEOR once, to be kept in ${path}`);
  const built = await buildParaphrases(source);
  await writeCache(path, built).catch(() => undefined); // a read-only home only costs time
  return new Paraphrases(built);
}

async function buildParaphrases(source: string): Promise<ParaphraseArrays> {
  const builder = new ParaphraseBuilder();
  checkFile(source, "METEOR's table of paraphrases");
  try {
    for await (const piece of createReadStream(source, { highWaterMark: 1 << 20 }).pipe(
      createGunzip({ chunkSize: 1 << 20 }),
    )) {
      builder.add(piece as Uint8Array);
    }
    return builder.finish();
  } catch (cause) {
    throw dataError(source, `the paraphrase table cannot be read: ${(cause as Error).message}.`, cause);
  }
}

async function writeCache(path: string, arrays: ParaphraseArrays): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  writeDurably(path, (fd) => {
    for (const piece of serializeParaphrases(arrays)) writeAll(fd, piece);
  });
}
