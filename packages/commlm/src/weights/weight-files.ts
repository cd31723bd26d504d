/** Weights of a model folder: `model.safetensors`, or shards with `model.safetensors.index.json`, as one set of names. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DType, io, type Tensor, TorchError } from '@commlm/torch';
import { CommError } from '../config/errors.js';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/** Open weight files; tensors are mapped and stay valid after closing. */
export class WeightFiles {
  /** What errors call it. */
  readonly name: string;
  readonly #files: readonly io.SafetensorsFile[];
  readonly #fileOf = new Map<string, io.SafetensorsFile>();

  private constructor(name: string, files: readonly io.SafetensorsFile[]) {
    this.name = name;
    this.#files = files;
    for (const file of files) {
      for (const key of file.keys) {
        const other = this.#fileOf.get(key);
        if (other !== undefined) {
          throw new CommError(`The tensor '${key}' is in ${other.path} and again in ${file.path}.`, {
            code: 'weights/duplicate',
            fix: 'Keep the shards of one model only.',
          });
        }
        this.#fileOf.set(key, file);
      }
    }
  }

  /** Opens the weights of a folder; throws a CommError for missing, malformed or inconsistent files. */
  static open(folder: string): WeightFiles {
    const single = join(folder, SINGLE);
    const index = join(folder, INDEX);
    if (existsSync(single)) return new WeightFiles(single, [openFile(single)]);
    if (!existsSync(index)) {
      throw new CommError(`There are no weights in ${folder} (${SINGLE} is missing).`, {
        code: 'weights/missing-file',
        fix: `Put ${SINGLE}, or shards with ${INDEX}, beside config.json.`,
      });
    }
    const weightMap = readWeightMap(index);
    const shards = [...new Set(weightMap.values())].sort();
    const files = new WeightFiles(
      index,
      shards.map((shard) => openFile(join(folder, shard))),
    );
    for (const [key, shard] of weightMap) {
      if (files.#fileOf.get(key)?.path === join(folder, shard)) continue;
      throw new CommError(`${index} says that '${key}' is in ${shard}, but it is not.`, {
        code: 'weights/index',
        fix: 'Get the shards and the index again from one place.',
      });
    }
    return files;
  }

  /** Names of all tensors. */
  get keys(): string[] {
    return [...this.#fileOf.keys()];
  }

  /** Dtype and shape without reading the tensor. */
  info(key: string): { readonly dtype: DType; readonly shape: readonly number[] } {
    return this.#fileOf.get(key)!.info(key);
  }

  /** The tensor, mapped from its file. */
  tensor(key: string): Tensor {
    return this.#fileOf.get(key)!.tensor(key);
  }

  /** Bytes of all tensors. */
  get numBytes(): number {
    return this.keys.reduce((sum, key) => {
      const { dtype, shape } = this.info(key);
      return sum + shape.reduce((a, b) => a * b, 1) * BYTES[dtype];
    }, 0);
  }

  close(): void {
    for (const file of this.#files) file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const BYTES: Record<DType, number> = {
  f64: 8,
  f32: 4,
  f16: 2,
  bf16: 2,
  i64: 8,
  i32: 4,
  i16: 2,
  i8: 1,
  u8: 1,
  bool: 1,
};

function openFile(path: string): io.SafetensorsFile {
  try {
    return io.openSafetensors(path);
  } catch (error) {
    const why = error instanceof TorchError ? error.message : `${path} cannot be read: ${(error as Error).message}`;
    throw new CommError(why, { code: 'weights/bad-file', fix: 'Get the file again.', cause: error });
  }
}

function readWeightMap(index: string): Map<string, string> {
  const bad = (cause?: unknown): CommError =>
    new CommError(`${index} is not an index of weight files.`, {
      code: 'weights/index',
      fix: 'Get the file again.',
      cause,
    });
  let map: unknown;
  try {
    map = (JSON.parse(readFileSync(index, 'utf8')) as { weight_map?: unknown }).weight_map;
  } catch (error) {
    throw bad(error);
  }
  if (typeof map !== 'object' || map === null) throw bad();
  const entries = Object.entries(map);
  // A shard is a file beside the index, never a path that leads elsewhere.
  if (entries.length === 0 || !entries.every(([, file]) => typeof file === 'string' && /^[\w.-]+$/.test(file)))
    throw bad();
  return new Map(entries as [string, string][]);
}
