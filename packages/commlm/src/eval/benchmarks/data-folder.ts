/** Finding the files of a benchmark below a data folder, and the pictures that they name. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync } from 'node:fs';
import { basename, dirname, isAbsolute, relative, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { CommError } from '../../config/errors.js';
import { openRegularFile } from '../../files/read.js';
import type { DataFileFacts } from '../results.js';

/** A file or folder that a benchmark looks for; the published names come first. */
export interface DataRole {
  readonly role: string;
  /** Paths from the data folder, or whole ones. */
  readonly names: readonly string[];
}

/** Whose files are looked for. */
export interface DataNeeds {
  readonly name: string;
  readonly roles: readonly DataRole[];
}

/** What the user said about the data of one benchmark. */
export interface DataChoices {
  /** Files named by role, in place of those looked for. */
  readonly files?: ReadonlyMap<string, string> | undefined;
  /** Splits to evaluate; by default all that the benchmark is reported on. */
  readonly splits?: readonly string[] | undefined;
  /** Accept published files that hold fewer entries than they were published with; the run is partial then. */
  readonly subset?: boolean | undefined;
}

/** Entries of files by their names; a list for one that was published in several sizes. */
export type PublishedSizes = Readonly<Record<string, number | readonly number[]>>;

/** How many ids or names an error lists. */
const NUM_NAMED = 5;

/** `a, b, c and 7 more`. */
export function nameSome(names: readonly string[]): string {
  const shown = names.slice(0, NUM_NAMED).join(', ');
  return names.length > NUM_NAMED ? `${shown} and ${names.length - NUM_NAMED} more` : shown;
}

/** SHA-256 of a regular file, read as a stream. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { fd: openRegularFile(path, 'a file of the run') }), hash);
  return hash.digest('hex');
}

/** The data folder as one benchmark sees it. */
export class DataFolder {
  readonly root: string;
  readonly benchmark: DataNeeds;
  readonly choices: DataChoices;
  /** Whether all files read so far are the published ones at their published size. */
  published = true;
  /** Whether one of them holds less than it was published with. */
  partial = false;
  readonly #read = new Map<string, string>();
  readonly #listings = new Map<string, ReadonlySet<string>>();

  /** @throws CommError for a folder that is not there and for names of files that the benchmark does not know */
  constructor(root: string, benchmark: DataNeeds, choices: DataChoices = {}) {
    this.root = resolve(root);
    this.benchmark = benchmark;
    this.choices = choices;
    if (!existsSync(this.root)) {
      throw new CommError(`There is no data folder ${root}.`, { code: 'eval/no-data', fix: 'Check --data.' });
    }
    for (const role of choices.files?.keys() ?? []) {
      if (benchmark.roles.some((known) => known.role === role)) continue;
      throw new CommError(`${benchmark.name} has no file called "${role}".`, {
        code: 'eval/usage',
        exitCode: 2,
        fix: `It has ${benchmark.roles.map((known) => known.role).join(', ')}.`,
      });
    }
  }

  /** Path of a file, or undefined when it is not there; not noted as read. @throws CommError when the user named it and it is not there */
  find(role: string): string | undefined {
    const named = this.choices.files?.get(role);
    if (named !== undefined) {
      if (existsSync(named)) return resolve(named);
      throw new CommError(`There is no file ${named}, named as ${this.benchmark.name}.${role}.`, {
        code: 'eval/no-data',
        fix: 'Check --file.',
      });
    }
    const name = this.#role(role).names.find((candidate) => existsSync(resolve(this.root, candidate)));
    return name === undefined ? undefined : resolve(this.root, name);
  }

  /** Path of a file that must be there. @throws CommError that says what was looked for */
  need(role: string): string {
    return this.needOneOf([role]).path;
  }

  /** The first of several layouts that is there. @throws CommError that says what was looked for */
  needOneOf(roles: readonly string[]): { readonly role: string; readonly path: string } {
    for (const role of roles) {
      const path = this.find(role);
      if (path !== undefined) return { role, path: this.#note(role, path) };
    }
    throw this.#nothingFound(roles);
  }

  #nothingFound(roles: readonly string[]): CommError {
    const { name } = this.benchmark;
    const wanted = roles.map((role) => `${role}: ${this.#role(role).names.join(', ')}`).join('; ');
    return new CommError(`${name}: nothing found in ${this.root}; looked for ${wanted}.`, {
      code: 'eval/no-data',
      fix: `Put the published file there, or name yours with --file ${name}.${roles[0]}=FILE.`,
    });
  }

  #role(role: string): DataRole {
    const found = this.benchmark.roles.find((known) => known.role === role);
    if (found === undefined) throw new RangeError(`${this.benchmark.name} has no role ${role}.`);
    return found;
  }

  #note(role: string, path: string): string {
    // Pictures are not hashed: there are gigabytes of them, and a folder of annotations (MME) is noted file by file.
    if (role !== 'images' && !role.endsWith('-folder')) this.#read.set(path, role);
    return path;
  }

  /** Notes a file that is read: one inside a folder that was found as a whole, or one that need not be there. */
  noteFile(role: string, path: string): void {
    this.#read.set(path, role);
  }

  /** Role, path and hash of every file that was found so far, in this order. */
  async facts(): Promise<DataFileFacts[]> {
    const facts: DataFileFacts[] = [];
    for (const [path, role] of this.#read) facts.push({ role, path: this.keyOf(path), sha256: await hashFile(path) });
    return facts;
  }

  /**
   * Compares the number of entries of a file with what it was published with; the name decides which file it is. A file of
   * another name is the user's own, and no published figure compares with it.
   *
   * @throws CommError when a published file holds another number, unless a subset was asked for
   */
  checkCount(path: string, numFound: number, noun: string, sizes: PublishedSizes): void {
    const published = sizes[basename(path)];
    if (published === undefined) this.published = false;
    const expected = [published ?? numFound].flat();
    if (expected.includes(numFound)) return;
    if (!this.choices.subset) {
      throw new CommError(`${path}: ${numFound} ${noun}, but the published file has ${expected.join(' or ')}.`, {
        code: 'eval/wrong-count',
        fix: 'Get the whole file, or say with --subset that a part is meant; the result is marked as one.',
      });
    }
    this.published = false;
    this.partial = true;
  }

  /** Splits to evaluate out of those that are there. @throws CommError when one that was named is not */
  chooseSplits(found: readonly string[], wanted: readonly string[] = found): readonly string[] {
    const named = this.choices.splits;
    if (named === undefined) return wanted.filter((split) => found.includes(split));
    const absent = named.find((split) => !found.includes(split));
    if (absent === undefined) return named;
    throw new CommError(`${this.benchmark.name} has no split "${absent}" here.`, {
      code: 'eval/no-split',
      exitCode: 2,
      fix: `Its splits are ${found.join(', ') || 'none'}.`,
    });
  }

  /** Refuses `--split` for a benchmark that has none. */
  refuseSplits(): void {
    if (this.choices.splits === undefined) return;
    throw new CommError(`${this.benchmark.name} has no splits.`, {
      code: 'eval/no-split',
      exitCode: 2,
      fix: `Leave out --split ${this.benchmark.name}=${this.choices.splits.join(',')}.`,
    });
  }

  /** The name that samples carry for a file: its path from the data folder, absolute when it lies elsewhere. */
  keyOf(path: string): string {
    const key = relative(this.root, path);
    return key.startsWith('..') || isAbsolute(key) ? path : key.replaceAll('\\', '/');
  }

  /**
   * Looks for pictures: `names` of one item are tried in turn in the folders of the role `images` (or the one the user
   * named), and then as they are. Gives the keys; @throws CommError that names what is missing
   */
  findPictures(wanted: readonly { readonly id: unknown; readonly names: readonly string[] }[]): string[] {
    const named = this.choices.files?.get('images');
    const folders =
      named !== undefined ? [resolve(named)] : this.#role('images').names.map((name) => resolve(this.root, name));
    const missing: string[] = [];
    const keys = wanted.map(({ id, names }) => {
      for (const folder of named !== undefined ? folders : [...folders, this.root]) {
        const found = names.find((name) => this.#exists(resolve(folder, name)));
        if (found !== undefined) return this.keyOf(resolve(folder, found));
      }
      missing.push(`${names[0]} (${String(id)})`);
      return '';
    });
    if (missing.length === 0) return keys;
    const numMissing = new Set(missing.map((name) => name.replace(/ \(.*\)$/, ''))).size;
    throw new CommError(`${this.benchmark.name}: ${numMissing} pictures are missing: ${nameSome(missing)}.`, {
      code: 'eval/no-picture',
      fix: `They were looked for in ${[...folders, ...(named ? [] : [this.root])].join(', ')}; name their folder with --file ${this.benchmark.name}.images=FOLDER.`,
    });
  }

  /** Whether a file exists, by one listing a folder: a benchmark asks for a hundred thousand of them. */
  #exists(path: string): boolean {
    const folder = dirname(path);
    let names = this.#listings.get(folder);
    if (names === undefined) {
      try {
        names = new Set(readdirSync(folder));
      } catch {
        names = new Set();
      }
      this.#listings.set(folder, names);
    }
    return names.has(basename(path));
  }
}
