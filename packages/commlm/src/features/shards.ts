/** All shards in the folder of one encoder, those that other processes add included: where a row lies, and which are damaged. */
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setAside } from '../files/set-aside.js';
import type { LevelName } from './row-checks.js';
import { isShard, type RowKind, Shard, type StoredRow } from './shard.js';

/** A shard is written in seconds: what is older and not whole was left by a process that was killed. */
const PART_MS = 3_600_000;

/** Clocks of file systems tick this coarsely at most: what was just changed may change again under the same time. */
const TICK_MS = 2_000;

/** The shards of a folder. */
export class Shards {
  readonly #folder: string;
  readonly #kind: RowKind;
  readonly #log: (line: string) => void;
  readonly #open: Shard[] = [];
  /** Paths that were looked at. */
  readonly #seen = new Set<string>();
  /** Shards that hold a picture, the newest first: a row that was computed again comes before the damaged one. */
  readonly #byPicture = new Map<string, readonly Shard[]>();
  /** Rows that were found damaged: `<path> <picture> <level>`. */
  readonly #damaged = new Set<string>();
  #changed = Number.NaN;

  constructor(folder: string, kind: RowKind, log: (line: string) => void) {
    this.#folder = folder;
    this.#kind = kind;
    this.#log = log;
  }

  /** Takes in the shards that came since, if the folder changed. */
  refresh(): void {
    const changed = statSync(this.#folder, { throwIfNoEntry: false })?.mtimeMs;
    if (changed === undefined || changed === this.#changed) return;
    this.#changed = Date.now() - changed < TICK_MS ? Number.NaN : changed;
    const found: { readonly path: string; readonly written: number }[] = [];
    for (const name of readdirSync(this.#folder)) {
      const path = join(this.#folder, name);
      if (this.#seen.has(path)) continue;
      const facts = statSync(path, { throwIfNoEntry: false });
      if (facts === undefined) continue;
      if (isShard(name)) found.push({ path, written: facts.mtimeMs });
      else if (name.endsWith('.part') && Date.now() - facts.mtimeMs > PART_MS) this.#attempt(() => rmSync(path));
    }
    for (const { path } of found.sort((a, b) => a.written - b.written)) this.#add(path);
  }

  /** A row that was not found damaged; undefined where there is none. */
  row(picture: string, level: LevelName): StoredRow | undefined {
    const shard = this.#shardOf(picture, level);
    return shard?.row(picture, level);
  }

  /** Whether the row is there and was not found damaged. */
  has(picture: string, level: LevelName): boolean {
    return this.#shardOf(picture, level) !== undefined;
  }

  /** Remembers that the row `row` gave last is damaged, so that it is not given again. */
  reject(picture: string, level: LevelName): void {
    const shard = this.#shardOf(picture, level)!;
    this.#damaged.add(`${shard.path} ${picture} ${level}`);
    this.#log(`features: level ${level} of a picture is damaged in ${shard.path}; it is computed again`);
  }

  close(): void {
    for (const shard of this.#open) shard.close();
    this.#open.length = 0;
    this.#byPicture.clear();
  }

  #shardOf(picture: string, level: LevelName): Shard | undefined {
    return this.#byPicture
      .get(picture)
      ?.find((shard) => shard.levels.includes(level) && !this.#damaged.has(`${shard.path} ${picture} ${level}`));
  }

  #add(path: string): void {
    this.#seen.add(path);
    let shard: Shard;
    try {
      shard = new Shard(path, this.#kind);
    } catch (error) {
      this.#log(`features: ${path} cannot be used (${(error as Error).message}); its features are computed again`);
      // Another process may have found it at the same time, and the folder may be read-only.
      this.#attempt(() => void setAside(path));
      return;
    }
    this.#open.push(shard);
    for (const picture of shard.pictures) {
      this.#byPicture.set(picture, [shard, ...(this.#byPicture.get(picture) ?? [])]);
    }
  }

  #attempt(tidy: () => void): void {
    try {
      tidy();
    } catch {
      // Of no consequence: it stays, and is not read.
    }
  }
}
