/**
 * Rows of features on their way to the disk: held in memory until they fill a shard, within the bytes that the folder may
 * have. What is there stays; what finds no room is not kept. A disk that is full ends the keeping, never the run.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { keep, scope, type Tensor } from '@commlm/torch';
import { whyNoWrite } from '../files/durable.js';
import type { LevelName, RowChecks } from './row-checks.js';
import { writeShard } from './shard.js';
import type { Shards } from './shards.js';

/** Rows of pictures by level: dtype[1, N, D] each, on the CPU. */
export type Rows = Map<string, Map<LevelName, Tensor>>;

/** Adds the rows of a picture. */
export function addRows(rows: Rows, picture: string, added: Iterable<readonly [LevelName, Tensor]>): void {
  rows.set(picture, new Map([...(rows.get(picture) ?? []), ...added]));
}

/** Where rows go, and how many bytes may lie there. */
export interface KeepingOptions {
  /** Of the encoder, within `root`. */
  readonly folder: string;
  readonly root: string;
  /** Of everything in `root`. */
  readonly maxBytes: number;
  readonly shardBytes: number;
  /** Bytes on disk of so many levels of a picture. */
  readonly bytesOf: (numLevels: number) => number;
  readonly shards: Shards;
  readonly checks: RowChecks;
  readonly log: (line: string) => void;
}

/** Rows that are not written yet. */
export class KeptRows {
  readonly #options: KeepingOptions;
  readonly #rows: Rows = new Map();
  #waiting = 0;
  #onDisk: number;
  #keeps = true;

  constructor(options: KeepingOptions) {
    this.#options = options;
    this.#onDisk = bytesBelow(options.root);
  }

  /** Whether rows are still taken. */
  get keeps(): boolean {
    return this.#keeps;
  }

  /** Bytes below `root` when they were last counted. */
  get bytesOnDisk(): number {
    return this.#onDisk;
  }

  row(picture: string, level: LevelName): Tensor | undefined {
    return this.#rows.get(picture)?.get(level);
  }

  /** Takes copies of a picture's rows; false where there is no room. */
  add(picture: string, rows: readonly (readonly [LevelName, Tensor])[]): boolean {
    const { bytesOf, maxBytes } = this.#options;
    if (!this.#keeps) return false;
    const bytes = bytesOf(rows.length);
    if (this.#onDisk + this.#waiting + bytes > maxBytes) {
      this.#stop('is full');
      return false;
    }
    this.#waiting += bytes;
    const copies = rows.map(([level, row]) => [level, scope(() => keep(row.clone()))] as const);
    addRows(this.#rows, picture, copies);
    return true;
  }

  /** Writes where a shard is full. */
  flushFull(): void {
    if (this.#waiting >= this.#options.shardBytes) this.flush();
  }

  /** Writes all of them. */
  flush(): void {
    if (this.#rows.size === 0) return;
    const { folder, root, shards, checks } = this.#options;
    shards.refresh();
    this.#onDisk = bytesBelow(root);
    try {
      for (const [levels, rows] of this.#wholeShards()) writeShard(folder, levels, rows, checks);
    } catch (error) {
      this.#stop(`could not be written to: ${whyNoWrite(error)}`);
    }
    for (const rows of this.#rows.values()) for (const row of rows.values()) row.dispose();
    this.#rows.clear();
    this.#waiting = 0;
    shards.refresh();
    this.#onDisk = bytesBelow(root);
  }

  /** What nobody wrote in the meantime and what has room, by levels. */
  #wholeShards(): [LevelName[], Map<string, Tensor[]>][] {
    const { bytesOf, maxBytes, shards } = this.#options;
    const groups = new Map<string, Map<string, Tensor[]>>();
    let room = maxBytes - this.#onDisk;
    for (const [picture, rows] of this.#rows) {
      const mine = [...rows].filter(([level]) => !shards.has(picture, level));
      if (mine.length === 0) continue;
      room -= bytesOf(mine.length);
      if (room < 0) {
        this.#stop('is full');
        break;
      }
      const levels = mine.map(([level]) => level).join(' ');
      const group = groups.get(levels) ?? new Map<string, Tensor[]>();
      groups.set(levels, group);
      group.set(
        picture,
        mine.map(([, row]) => row),
      );
    }
    return [...groups].map(([levels, rows]) => [levels.split(' ') as LevelName[], rows]);
  }

  #stop(why: string): void {
    if (!this.#keeps) return;
    this.#keeps = false;
    const { folder, root, maxBytes, log } = this.#options;
    const others = bytesBelow(root) - bytesBelow(folder);
    log(
      `features: ${folder} ${why}. Of ${gigabytes(maxBytes)}, ${gigabytes(this.#onDisk)} are taken, ${gigabytes(others)} by other encoders; ` +
        'what is there is read as before, the rest is computed whenever it comes. More room: comm.features.maxGB (a run goes on with it), or delete folders of encoders that are not needed any more.',
    );
  }
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

/** Bytes of all files below a folder, those included that others are writing. */
function bytesBelow(folder: string): number {
  if (statSync(folder, { throwIfNoEntry: false }) === undefined) return 0;
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name);
    return sum + (entry.isDirectory() ? bytesBelow(path) : (statSync(path, { throwIfNoEntry: false })?.size ?? 0));
  }, 0);
}
