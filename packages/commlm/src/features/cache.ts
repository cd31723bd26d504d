/**
 * Levels of frozen encoders on disk, so that a picture passes through the towers once in a training of many epochs.
 *
 *     <folder>/<set>/cache.json            what all entries have in common: encoders, levels, shapes
 *     <folder>/<set>/<random>.safetensors  a shard: one bf16 row a picture, named by the hash of its pixels
 *
 * A set belongs to one content hash of the encoders' weights and levels: other weights never find old features. Shards
 * appear whole under their name and are never changed, and their headers are the index, so that a killed run loses only
 * what it had not written yet, and several processes can fill one set.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { cat, io, keep, noGrad, scope, type Tensor, tensor } from '@commlm/torch';
import { z } from 'zod';
import { CommError } from '../config/errors.js';
import { whyNoWrite, writeDurably } from '../files/durable.js';
import { readJson } from '../files/read.js';
import type { VisionModel } from '../models/fusion.js';

// Shapes: P pictures, N tokens and D width of a level, R numbers of all levels of one picture.

/** Features are kept in half the bytes of f32; so are those that are computed, so that both are the same bits. */
const DTYPE = 'bf16';
const BYTES = 2;
/** Part of the layout; a cache of another one is not read. */
const VERSION = 1;
const FACTS = 'cache.json';
const Facts = z.object({
  version: z.literal(VERSION),
  dtype: z.literal(DTYPE),
  shapes: z.array(z.array(z.tuple([z.int().positive(), z.int().positive()]))),
});
const SHARD_BYTES = 2 ** 28;
const HASH_BYTES = 2 ** 26;

/** Where features are kept, and how much of the disk they may take. */
export interface FeatureCacheOptions {
  readonly folder: string;
  /** Of all sets in the folder together; a picture beyond it is an error. */
  readonly maxBytes: number;
  /** Size at which rows in memory become a file. */
  readonly shardBytes?: number;
}

/** Pictures found and computed so far. */
export interface FeatureCacheStats {
  readonly hits: number;
  readonly misses: number;
  readonly bytes: number;
}

/** The cache of one model's frozen encoders; `close` writes what is in memory. */
export class FeatureCache {
  readonly #vision: VisionModel;
  readonly #options: Required<FeatureCacheOptions>;
  readonly #folder: string;
  /** Rows on disk, mapped. */
  readonly #stored = new Map<string, io.SafetensorsFile>();
  readonly #files: io.SafetensorsFile[] = [];
  /** Rows not written yet: bf16[R]. */
  readonly #fresh = new Map<string, Tensor>();
  /** Shapes [N, D] of the levels of each encoder; known after the first picture. */
  #shapes: readonly (readonly (readonly [number, number])[])[] | null = null;
  #bytes: number;
  #hits = 0;
  #misses = 0;

  private constructor(vision: VisionModel, set: string, options: Required<FeatureCacheOptions>) {
    this.#vision = vision;
    this.#options = options;
    this.#folder = join(options.folder, set);
    this.#bytes = bytesBelow(options.folder);
  }

  /** Opens (or begins) the set that belongs to the encoders' weights; throws a CommError for one that cannot be read. */
  static open(vision: VisionModel, options: FeatureCacheOptions): FeatureCache {
    const set = encoderHash(vision);
    const cache = new FeatureCache(vision, set, { shardBytes: SHARD_BYTES, ...options });
    mkdirSync(cache.#folder, { recursive: true });
    cache.#readShards();
    return cache;
  }

  get stats(): FeatureCacheStats {
    return { hits: this.#hits, misses: this.#misses, bytes: this.#bytes };
  }

  /**
   * `VisionModel.encode` without gradient, computing only pictures that are not there: float[P, C, H, W] an encoder ->
   * bf16[P, N, D] x L an encoder. What is read has the bits of what was computed.
   */
  encode(pixels: readonly Tensor[]): Tensor[][] {
    return scope(() =>
      noGrad(() => {
        const keys = pictureHashes(pixels);
        const missing = [...new Set(keys)].filter((key) => !this.#fresh.has(key) && !this.#stored.has(key));
        this.#hits += keys.length - missing.length;
        this.#misses += missing.length;
        // In memory until the batch is put together: a full shard is written behind it.
        if (missing.length > 0) this.#compute(missing, keys, pixels);
        const levels = this.#unpack(cat(keys.map((key) => this.#row(key).unsqueeze(0))));
        if (this.#freshBytes >= this.#options.shardBytes) this.flush();
        return levels;
      }),
    );
  }

  /** Writes what is in memory as a shard; call it with each checkpoint. */
  flush(): void {
    if (this.#fresh.size === 0) return;
    const path = join(this.#folder, `${randomBytes(8).toString('hex')}.safetensors`);
    try {
      io.writeSafetensors(path, [...this.#fresh]);
    } catch (error) {
      throw new CommError(`Features could not be written to ${this.#folder}: ${whyNoWrite(error)}.`, {
        code: 'train/feature-cache',
        fix: 'Make room there and go on with --resume; the folder of the features may be another one then (comm.features.folder).',
        cause: error,
      });
    }
    for (const row of this.#fresh.values()) row.dispose();
    this.#fresh.clear();
    this.#add(path);
  }

  /** Writes what is in memory and lets go of the files. */
  close(): void {
    this.flush();
    for (const file of this.#files) file.close();
    this.#files.length = 0;
    this.#stored.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get #freshBytes(): number {
    return this.#fresh.size * this.#rowBytes;
  }

  get #rowBytes(): number {
    return BYTES * (this.#shapes ?? []).flat().reduce((sum, [n, d]) => sum + n * d, 0);
  }

  /** Encodes the pictures that are missing, all at once. */
  #compute(missing: readonly string[], keys: readonly string[], pixels: readonly Tensor[]): void {
    const places = tensor(BigInt64Array.from(missing, (key) => BigInt(keys.indexOf(key))));
    const levels = this.#vision.encode(pixels.map((images) => images.indexSelect(0, places.to(images.device))));
    const shapes = levels.map((maps) => maps.map(({ shape: [, n, d] }) => [n!, d!] as const));
    this.#setShapes(shapes);
    const added = missing.length * this.#rowBytes;
    if (this.#bytes + added > this.#options.maxBytes) {
      throw new CommError(
        `The feature cache in ${this.#options.folder} is full: ${gigabytes(this.#bytes)} of ${gigabytes(this.#options.maxBytes)}, and a picture takes ${(this.#rowBytes / 1e6).toFixed(1)} MB.`,
        {
          code: 'train/feature-cache-full',
          fix: 'Raise it with --set comm.features.maxGB=N (a run goes on with it), or delete sets of other weights in that folder.',
        },
      );
    }
    const rows_PR = cat(
      levels.flat().map((map) => map.to(DTYPE).flatten(1)),
      1,
    ).to('cpu');
    for (const [i, key] of missing.entries()) {
      this.#fresh.set(
        key,
        scope(() => keep(rows_PR.select(0, i).clone())),
      );
    }
    this.#bytes += added;
  }

  #row(key: string): Tensor {
    return this.#fresh.get(key) ?? this.#stored.get(key)!.tensor(key);
  }

  /** bf16[P, R] -> the levels of each encoder. */
  #unpack(rows_PR: Tensor): Tensor[][] {
    let from = 0;
    return this.#shapes!.map((maps) =>
      maps.map(([n, d]) => {
        const level = rows_PR.narrow(1, from, n * d).unflatten(1, [n, d]);
        from += n * d;
        return level.contiguous();
      }),
    );
  }

  /** Remembers the shapes, in the folder too; throws a CommError where the folder holds others. */
  #setShapes(shapes: readonly (readonly (readonly [number, number])[])[]): void {
    if (this.#shapes === null) {
      this.#shapes = shapes;
      writeDurably(join(this.#folder, FACTS), `${JSON.stringify({ version: VERSION, dtype: DTYPE, shapes })}\n`);
    } else if (JSON.stringify(shapes) !== JSON.stringify(this.#shapes)) {
      throw new CommError('Pictures of two sizes cannot share a feature cache.', {
        code: 'train/feature-cache',
        fix: 'Prepare every picture at the size of the encoder, or train without the cache: --set comm.features=null.',
      });
    }
  }

  #readShards(): void {
    const names = readdirSync(this.#folder);
    if (names.includes(FACTS)) {
      const facts = Facts.safeParse(readJson(join(this.#folder, FACTS), { what: 'the facts of the feature cache' }));
      if (!facts.success) {
        throw new CommError(`${this.#folder} holds features of another layout.`, {
          code: 'train/feature-cache',
          fix: 'Delete that folder; the features are computed again.',
        });
      }
      this.#shapes = facts.data.shapes;
    }
    for (const name of names) if (name.endsWith('.safetensors')) this.#add(join(this.#folder, name));
  }

  #add(path: string): void {
    const file = openShard(path);
    this.#files.push(file);
    for (const key of file.keys) this.#stored.set(key, file);
  }
}

function openShard(path: string): io.SafetensorsFile {
  try {
    return io.openSafetensors(path);
  } catch (error) {
    throw new CommError(`The shard ${path} of the feature cache is damaged (${(error as Error).message}).`, {
      code: 'train/feature-cache',
      fix: 'Delete that file; its features are computed again.',
      cause: error,
    });
  }
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

function bytesBelow(folder: string): number {
  mkdirSync(folder, { recursive: true });
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name);
    return sum + (entry.isDirectory() ? bytesBelow(path) : statSync(path).size);
  }, 0);
}

/** What the features depend on besides the pixels: every encoder's config, levels and weights. */
function encoderHash(vision: VisionModel): string {
  const hash = createHash('sha256').update(`${VERSION} ${DTYPE}`);
  for (const { config, vit } of vision.encoders) {
    const { levels, applyFinalNorm } = config;
    hash.update(JSON.stringify({ levels, applyFinalNorm, vit: vit.config }));
    for (const [key, weight] of vit.stateDict()) {
      hash.update(`${key} ${weight.dtype} ${weight.shape.join()}`);
      updateWith(hash, weight);
    }
  }
  return hash.digest('hex').slice(0, 32);
}

/** One hash a picture, over the pixels that every encoder is given. */
function pictureHashes(pixels: readonly Tensor[]): string[] {
  return Array.from({ length: pixels[0]!.shape[0]! }, (_, i) => {
    const hash = createHash('sha256');
    for (const images of pixels) {
      hash.update(`${images.dtype} ${images.shape.slice(1).join()}`);
      scope(() => updateWith(hash, images.select(0, i)));
    }
    return hash.digest('hex');
  });
}

/** Feeds the bytes of a tensor, some at a time. */
function updateWith(hash: ReturnType<typeof createHash>, values: Tensor): void {
  scope(() => {
    const bytes = values.detach().to('cpu').contiguous().flatten().viewDtype('u8');
    for (let from = 0; from < bytes.numel; from += HASH_BYTES) {
      const count = Math.min(HASH_BYTES, bytes.numel - from);
      hash.update(scope(() => bytes.narrow(0, from, count).toArray()) as Uint8Array);
    }
  });
}
