/**
 * Hidden states of a frozen encoder on disk, so that a picture passes through it once in many epochs, runs and cells of a
 * study. One cache an encoder; a row for each picture and level, so that a level that is asked for later is added.
 *
 *     <folder>/<type>-<hash>/encoder.json            what the rows belong to, for people
 *     <folder>/<type>-<hash>/<random>.safetensors    a shard of rows, see shard.ts
 *
 *     encode(pictures, levels)
 *       keys, levels -> rows in memory, else in a shard (shards.ts), else missing
 *       missing      -> pixels of those pictures -> ViT.forward up to the deepest missing level -> rows in memory
 *       rows         -> one copy a level out of the mapped files -> checksums (row-checks.ts)
 *                       a wrong one: said, the row is taken for missing, once more from the top
 *     flush (each checkpoint, and when a shard is full): rows in memory -> a new shard
 *
 * Keys (encoder-key.ts): the folder's hash covers config, weights, preparation of pictures and dtype; a picture's is of its
 * prepared bytes. Bounded: what is there stays, and what finds no room is computed whenever it comes. A training reads its
 * pictures in turn, so that whatever made room would throw out just what is asked for next; and no number depends on it.
 * Shared: processes write shards of their own and take in those of others; one that is killed loses its rows in memory.
 * Read through maps: a picture of 28.3 MB (24 levels of ViT-L/14@336 in bf16) takes 5 to 18 ms to copy and 3.4 ms to check
 * where it lies; read by position, checked and copied into a tensor it took 51 ms, as JavaScript's buffers add a copy.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { cat, noGrad, scope, type Tensor } from '@commlm/torch';
import type { FeatureDtype } from '../config/comm-train.js';
import { CommError } from '../config/errors.js';
import { resolveLevels } from '../config/model.js';
import { makeFolder, writeJson } from '../files/durable.js';
import { CACHE_VERSION, type CachedEncoder, encoderKey } from './encoder-key.js';
import { pictureBytes, rowBytes, rowShape } from './feature-bytes.js';
import { addRows, KeptRows, type Rows } from './kept-rows.js';
import { type LevelName, RowChecks, saltOf } from './row-checks.js';
import { Shards } from './shards.js';

// Shapes: P pictures, C channels, N tokens, D width, L levels.

const SHARD_BYTES = 2 ** 28;

/** Where features are kept, and how much of the disk they may take. */
export interface FeatureCacheOptions {
  readonly folder: string;
  /** Of everything in the folder, other encoders included. */
  readonly maxBytes: number;
  /** Number format on disk and of the result; by default that of the encoder, which changes no number. */
  readonly dtype?: FeatureDtype | undefined;
  /** Size at which rows in memory become a file. */
  readonly shardBytes?: number | undefined;
  /** Told of what is damaged, and when the cache is full. */
  readonly log?: ((line: string) => void) | undefined;
}

/** Pictures to encode. */
export interface CachedPictures {
  /** One a picture, see `pictureKeys`. */
  readonly keys: readonly string[];
  /** Pixels of the pictures at those places, asked for only where something is missing: float[P, C, S, S]. */
  readonly pixels: (places: readonly number[]) => Tensor;
}

/** Pictures found whole and pictures encoded so far, damaged rows, and bytes of everything in the folder. */
export interface FeatureCacheStats {
  readonly hits: number;
  readonly misses: number;
  readonly damaged: number;
  readonly bytes: number;
}

/** The cache of one frozen encoder; `close` writes what is in memory. */
export class FeatureCache implements Disposable {
  readonly #encoder: CachedEncoder;
  readonly #dtype: FeatureDtype;
  readonly #shape: readonly [tokens: number, width: number];
  readonly #shards: Shards;
  readonly #checks: RowChecks;
  readonly #kept: KeptRows;
  #hits = 0;
  #misses = 0;
  #damaged = 0;

  private constructor(encoder: CachedEncoder, options: FeatureCacheOptions) {
    const { folder: root, maxBytes, shardBytes = SHARD_BYTES, log = () => {} } = options;
    const dtype = options.dtype ?? ownDtype(encoder);
    const shape = rowShape(encoder);
    const folder = join(root, encoderKey(encoder, dtype));
    makeFolder(folder);
    describeRows(join(folder, 'encoder.json'), encoder, dtype, shape);
    const shards = new Shards(folder, { dtype, shape }, log);
    const checks = new RowChecks(rowBytes(shape, dtype));
    const bytesOf = (numLevels: number): number => pictureBytes(shape, numLevels, dtype);
    this.#encoder = encoder;
    this.#dtype = dtype;
    this.#shape = shape;
    this.#shards = shards;
    this.#checks = checks;
    this.#kept = new KeptRows({ folder, root, maxBytes, shardBytes, bytesOf, shards, checks, log });
  }

  /** Opens (or begins) the rows of an encoder with its present weights, all of which are read. @throws CommError `file/output` */
  static open(encoder: CachedEncoder, options: FeatureCacheOptions): FeatureCache {
    const cache = new FeatureCache(encoder, options);
    cache.#shards.refresh();
    return cache;
  }

  get stats(): FeatureCacheStats {
    return { hits: this.#hits, misses: this.#misses, damaged: this.#damaged, bytes: this.#kept.bytesOnDisk };
  }

  /**
   * `ViT.forward` without gradient, computing only what is not there: dtype[P, N, D] for each level, in the order asked. On
   * the CPU, but for a batch of which nothing is there and nothing kept. What is read has the bits of what was computed.
   * @throws CommError for unknown levels, for pictures of another size than the encoder's, and for values beyond f16.
   */
  encode(
    pictures: CachedPictures,
    levels: readonly number[],
    { applyFinalNorm = false }: { readonly applyFinalNorm?: boolean } = {},
  ): Tensor[] {
    const { numLayers } = this.#encoder.vit.config;
    const names = resolveLevels([...levels], numLayers).map(
      (level): LevelName => (applyFinalNorm && level === numLayers ? `${level}n` : `${level}`),
    );
    return scope(() =>
      noGrad(() => {
        // Computed for this batch and not kept.
        const passing: Rows = new Map();
        for (let round = 0; ; round++) {
          const missing = this.#missing(pictures.keys, names, passing);
          const count = [...missing.values()].reduce((sum, places) => sum + places.length, 0);
          this.#misses += count;
          this.#hits += round === 0 ? pictures.keys.length - count : -count;
          const whole = missing.get(names.join(' '));
          if (!this.#kept.keeps && whole?.length === pictures.keys.length) return this.#run(pictures, whole, names);
          for (const [group, places] of missing) {
            this.#compute(pictures, places, group.split(' ') as LevelName[], passing);
          }
          const maps = names.map((name) => this.#join(pictures.keys, name, passing));
          if (maps.includes(null)) continue;
          this.#kept.flushFull();
          return maps as Tensor[];
        }
      }),
    );
  }

  /** Writes what is in memory; call it with each checkpoint. */
  flush(): void {
    this.#kept.flush();
  }

  /** Writes what is in memory and lets go of the files. */
  close(): void {
    this.flush();
    this.#shards.close();
    this.#checks[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Places of pictures by what they lack, level names joined; each picture once. */
  #missing(keys: readonly string[], names: readonly LevelName[], passing: Rows): Map<string, number[]> {
    const find = (): Map<string, number[]> => {
      const groups = new Map<string, number[]>();
      for (const [place, key] of keys.entries()) {
        if (keys.indexOf(key) < place) continue;
        const lacks = names.filter(
          (name) => this.#inMemory(key, name, passing) === undefined && !this.#shards.has(key, name),
        );
        if (lacks.length > 0) groups.set(lacks.join(' '), [...(groups.get(lacks.join(' ')) ?? []), place]);
      }
      return groups;
    };
    const missing = find();
    if (missing.size === 0) return missing;
    this.#shards.refresh();
    return find();
  }

  #inMemory(key: string, name: LevelName, passing: Rows): Tensor | undefined {
    return this.#kept.row(key, name) ?? passing.get(key)?.get(name);
  }

  /** Encodes pictures at once: dtype[P, N, D] a level. */
  #run({ pixels }: CachedPictures, places: readonly number[], names: readonly LevelName[]): Tensor[] {
    const levels = names.map((name) => Number.parseInt(name, 10));
    const applyFinalNorm = names.some((name) => name.endsWith('n'));
    const maps = this.#encoder.vit.forward(pixels(places), levels, { applyFinalNorm });
    const [, ...shape] = maps[0]!.shape;
    if (shape.join() !== this.#shape.join()) {
      throw new CommError(
        `The encoder gives [${shape.join(', ')}] for these pictures, not [${this.#shape.join(', ')}].`,
        {
          code: 'features/size',
          fix: `Prepare every picture with ${this.#encoder.image.size} pixels a side, as the encoder's config says.`,
        },
      );
    }
    const rows = maps.map((map) => map.to(this.#dtype));
    if (this.#dtype === 'f16' && !rows.every((map) => map.isfinite().all().item())) {
      throw new CommError('The features have values beyond the range of f16.', {
        code: 'features/range',
        fix: 'Keep them in bf16 or f32: comm.features.dtype.',
      });
    }
    return rows;
  }

  /** Encodes what is missing of pictures that lack the same, to be kept where there is room, else for this batch. */
  #compute(pictures: CachedPictures, places: readonly number[], names: readonly LevelName[], passing: Rows): void {
    const maps = this.#run(pictures, places, names).map((map) => map.to('cpu'));
    for (const [i, place] of places.entries()) {
      const key = pictures.keys[place]!;
      const rows = names.map((name, l) => [name, maps[l]!.narrow(0, i, 1)] as const);
      if (!this.#kept.add(key, rows)) addRows(passing, key, rows);
    }
  }

  /** A level of all pictures: dtype[P, N, D]; null where rows were damaged, which are then missing. */
  #join(keys: readonly string[], name: LevelName, passing: Rows): Tensor | null {
    return scope(() => {
      const found = keys.map((key) => {
        const row = this.#inMemory(key, name, passing);
        return row === undefined ? this.#shards.row(key, name)! : { row, check: null };
      });
      const map = cat(found.map(({ row }) => row));
      if (found.every(({ check }) => check === null)) return map;
      const salts = keys.map((key) => saltOf(key, name));
      const sums = this.#checks.of(map, salts);
      const wrong = new Set(keys.filter((_, i) => found[i]!.check !== null && found[i]!.check !== sums[i]));
      for (const key of wrong) this.#shards.reject(key, name);
      this.#damaged += wrong.size;
      return wrong.size === 0 ? map : null;
    });
  }
}

/** Writes what the rows belong to, for people; nothing reads it. */
function describeRows(
  path: string,
  { type, vit, image }: CachedEncoder,
  dtype: FeatureDtype,
  [tokens, width]: readonly [number, number],
): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  writeJson(path, { version: CACHE_VERSION, type, dtype, tokens, width, image, vit: vit.config });
}

/** The format that an encoder computes in. */
function ownDtype({ vit: { dtype } }: CachedEncoder): FeatureDtype {
  return dtype === 'bf16' || dtype === 'f16' ? dtype : 'f32';
}
