/**
 * A shard: rows of features of some pictures in a safetensors file that any reader of the format opens. It appears whole
 * under a name of its own and is never changed, so that processes can read and write one folder without a lock.
 *
 *     <picture key>   dtype[L, N, D], a tensor for each picture
 *     checks          i64[P, L], a checksum of each row, pictures in the order of their keys
 *     __metadata__    levels: their names, "1 2 24n"
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { cat, type DType, io, type Tensor, tensor } from '@commlm/torch';
import { type LevelName, type RowChecks, saltOf } from './row-checks.js';

// Shapes: P pictures, L levels, N tokens, D width.

const CHECKS = 'checks';
const SUFFIX = '.safetensors';

/** What all rows of an encoder have in common. */
export interface RowKind {
  readonly dtype: DType;
  /** [N, D] */
  readonly shape: readonly [number, number];
}

/** A row where it lies, with the checksum that it should have. */
export interface StoredRow {
  /** dtype[1, N, D], mapped: read when it is used. */
  readonly row: Tensor;
  readonly check: bigint;
}

/** Whether a name in the folder is a shard's. */
export const isShard = (name: string): boolean => !name.startsWith('.') && name.endsWith(SUFFIX);

/** An open shard: its header and checksums are read, its rows are mapped. */
export class Shard {
  readonly path: string;
  readonly levels: readonly LevelName[];
  readonly pictures: readonly string[];
  readonly #file: io.SafetensorsFile;
  readonly #checks: BigInt64Array;
  readonly #numbers: ReadonlyMap<string, number>;

  /** @throws an error of any kind where the file is not a shard of these rows. */
  constructor(path: string, { dtype, shape }: RowKind) {
    this.path = path;
    this.#file = io.openSafetensors(path);
    this.levels = (this.#file.metadata.get('levels') ?? '').split(' ') as LevelName[];
    this.pictures = this.#file.keys.filter((key) => key !== CHECKS).sort();
    const wanted = `${dtype} ${[this.levels.length, ...shape]}`;
    for (const picture of this.pictures) {
      const found = this.#file.info(picture);
      if (`${found.dtype} ${found.shape}` === wanted) continue;
      throw new Error(`${path} holds ${found.dtype} [${found.shape}] in the place of ${wanted}`);
    }
    using checks = this.#file.tensor(CHECKS);
    this.#checks = checks.toArray() as BigInt64Array;
    if (this.#checks.length !== this.pictures.length * this.levels.length) {
      throw new Error(`${path} has ${this.#checks.length} checksums`);
    }
    this.#numbers = new Map(this.pictures.map((picture, number) => [picture, number]));
  }

  /** One row; undefined where the shard does not have it. */
  row(picture: string, level: LevelName): StoredRow | undefined {
    const [number, l] = [this.#numbers.get(picture), this.levels.indexOf(level)];
    if (number === undefined || l < 0) return undefined;
    return {
      row: this.#file.tensor(picture).narrow(0, l, 1),
      check: this.#checks[number * this.levels.length + l]!,
    };
  }

  close(): void {
    this.#file.close();
  }
}

/** Writes a shard of pictures that have the same levels: dtype[1, N, D] each, in the order of `levels`; gives its path. */
export function writeShard(
  folder: string,
  levels: readonly LevelName[],
  rows: ReadonlyMap<string, readonly Tensor[]>,
  checks: RowChecks,
): string {
  const path = join(folder, `${randomBytes(8).toString('hex')}${SUFFIX}`);
  const pictures = [...rows.keys()].sort();
  const sums = pictures.flatMap((picture) =>
    rows.get(picture)!.map((row, l) => checks.of(row, [saltOf(picture, levels[l]!)])[0]!),
  );
  const facts = tensor(BigInt64Array.from(sums), { shape: [pictures.length, levels.length] });
  const entries = pictures.map((picture) => {
    const [first] = rows.get(picture)!;
    const shape = [levels.length, ...first!.shape.slice(1)];
    return [picture, { dtype: first!.dtype, shape, read: () => cat([...rows.get(picture)!]) }] as const;
  });
  io.writeSafetensors(path, [[CHECKS, facts], ...entries], { levels: levels.join(' ') });
  return path;
}
