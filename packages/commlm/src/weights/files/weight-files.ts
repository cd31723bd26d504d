/**
 * Weights of a model folder as one set of names, whatever files they lie in: safetensors or torch files, single or in
 * shards with an index. Only headers are read; tensors are mapped.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { BYTES_PER_ELEMENT, type DType, io, type Tensor, TorchError } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import { readError, readJson } from '../../files/read.js';
import { unreadDtype } from './foreign-quantization.js';

/** Single files and indexes of shards, the preferred one first. */
const SAFETENSORS = { single: 'model.safetensors', index: 'model.safetensors.index.json' };
const TORCH = { single: 'pytorch_model.bin', index: 'pytorch_model.bin.index.json' };
const IS_SAFETENSORS = /\.safetensors$/;
const IS_TORCH = /\.(bin|pt|pth)$/;
/** A shard is a file beside its index, never a path that leads elsewhere. */
const IS_SHARD = /^[\w-][\w.-]*\.(safetensors|bin|pt|pth)$/;
/** Files with a tensor file's ending that are not the weights of a model. */
const OTHER_FILES = /^(adapter_|mm_projector|non_lora_trainables|optimizer|scheduler|scaler|rng_state|training_args)/;
/** Keys below which trainers put the state dict, beside an epoch or the state of an optimiser. */
const WRAPPERS = ['state_dict', 'model_state_dict', 'model', 'module'];

/** What one file of weights can tell: a safetensors file, or the state dict within a torch file. */
interface WeightFile {
  readonly path: string;
  readonly keys: readonly string[];
  info(key: string): { readonly dtype: DType; readonly shape: readonly number[] };
  /** The file's own name of the dtype. */
  storedAs(key: string): string;
  tensor(key: string): Tensor;
  close(): void;
}

/** Open weight files; tensors are mapped and stay valid after closing. */
export class WeightFiles {
  /** What errors call it. */
  readonly name: string;
  readonly #files: readonly WeightFile[];
  readonly #fileOf = new Map<string, WeightFile>();

  private constructor(name: string, files: readonly WeightFile[]) {
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

  /**
   * Opens the weights of a folder, or one file of weights: `model.safetensors`, its shards, `pytorch_model.bin`, its
   * shards, or the only other file of that kind. Throws a CommError for missing, malformed or inconsistent files.
   */
  static open(path: string): WeightFiles {
    // Whatever is no folder is opened as a file, which says what it is.
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === false)
      return new WeightFiles(path, [openFile(path)]);
    for (const { single, index } of [SAFETENSORS, TORCH]) {
      const file = join(path, single);
      if (existsSync(file)) return new WeightFiles(file, [openFile(file)]);
      if (existsSync(join(path, index))) return WeightFiles.#openShards(path, join(path, index));
    }
    const only = join(path, onlyFile(path));
    return new WeightFiles(only, [openFile(only)]);
  }

  static #openShards(folder: string, index: string): WeightFiles {
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

  /** Whether a tensor has that name. */
  has(key: string): boolean {
    return this.#fileOf.has(key);
  }

  /** Dtype and shape without reading the tensor. Throws a CommError for a dtype that no number here has. */
  info(key: string): { readonly dtype: DType; readonly shape: readonly number[] } {
    const file = this.#fileOf.get(key)!;
    try {
      return file.info(key);
    } catch (error) {
      if (!(error instanceof TorchError)) throw error;
      throw unreadDtype(file.path, key, file.storedAs(key));
    }
  }

  /** The tensor, mapped from its file. */
  tensor(key: string): Tensor {
    return this.#fileOf.get(key)!.tensor(key);
  }

  /** Bytes of all tensors. */
  get numBytes(): number {
    return this.keys.reduce((sum, key) => {
      const { dtype, shape } = this.info(key);
      return sum + shape.reduce((a, b) => a * b, 1) * BYTES_PER_ELEMENT[dtype];
    }, 0);
  }

  close(): void {
    for (const file of this.#files) file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The state dict within a torch file, under its own names. */
class TorchWeights implements WeightFile {
  readonly path: string;
  readonly keys: readonly string[];
  readonly #file: io.TorchFile;
  /** Path of the state dict within what was saved, with a dot at its end; empty at the top. */
  readonly #prefix: string;

  constructor(file: io.TorchFile) {
    this.path = file.path;
    this.#file = file;
    this.#prefix = stateDictPath(file.value, file.path)
      .map((name) => `${name}.`)
      .join('');
    this.keys = file.keys
      .filter((key) => key !== '' && key.startsWith(this.#prefix))
      .map((key) => key.slice(this.#prefix.length));
    if (this.keys.length === 0) throw new TorchError(`${file.path} holds no named tensors`);
  }

  info(key: string): { dtype: DType; shape: readonly number[] } {
    return this.#file.info(this.#prefix + key);
  }

  storedAs(key: string): string {
    return this.#file.storedAs(this.#prefix + key);
  }

  tensor(key: string): Tensor {
    return this.#file.tensor(this.#prefix + key);
  }

  close(): void {
    this.#file.close();
  }
}

/** Keys that lead to the state dict: none where tensors lie at the top. */
function stateDictPath(root: unknown, file: string): string[] {
  const path: string[] = [];
  for (let value = root; value instanceof Map && path.length < 4; ) {
    if ([...value.values()].some((entry) => entry instanceof io.TorchFileTensor)) break;
    const held = value;
    const [wrapper, other] = WRAPPERS.filter((name) => held.get(name) instanceof Map);
    if (wrapper === undefined) break;
    if (other !== undefined) {
      throw new TorchError(
        `${file} holds two state dicts, '${wrapper}' and '${other}', and which one is meant is not known`,
      );
    }
    path.push(wrapper);
    value = value.get(wrapper);
  }
  return path;
}

function openFile(path: string): WeightFile {
  try {
    return IS_TORCH.test(path) ? new TorchWeights(io.openTorchFile(path)) : io.openSafetensors(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new CommError(`${path} is missing.`, { code: 'weights/missing-file', fix: 'Get the file again.' });
    }
    // A range is what the engine says where a damaged file asks for more than it can hold.
    if (error instanceof TorchError || error instanceof RangeError) {
      throw new CommError(`${error.message.replace(/\.$/, '')}.`, {
        code: 'weights/bad-file',
        fix: 'Get the file again.',
        cause: error,
      });
    }
    throw readError(error, path, 'weights');
  }
}

/** Name of the one file of weights in a folder that follows no convention; safetensors before torch files. */
function onlyFile(folder: string): string {
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => !OTHER_FILES.test(name)) : [];
  for (const kind of [IS_SAFETENSORS, IS_TORCH]) {
    const [first, ...others] = names.filter((name) => kind.test(name)).sort();
    if (first !== undefined && others.length === 0) return first;
    if (first !== undefined) {
      throw new CommError(`${folder} holds several files of weights: ${[first, ...others].slice(0, 4).join(', ')}.`, {
        code: 'weights/ambiguous',
        fix: `Keep one of them, or add the ${SAFETENSORS.index} that makes them shards of one model.`,
      });
    }
  }
  refuseOtherContents(folder);
  throw new CommError(`There are no weights in ${folder} (${SAFETENSORS.single} is missing).`, {
    code: 'weights/missing-file',
    fix: `Put ${SAFETENSORS.single} or ${TORCH.single}, or shards with their index, beside config.json.`,
  });
}

/** Throws a CommError that names what a folder without weights holds in their place. */
function refuseOtherContents(folder: string): void {
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const refuse = (what: string, fix: string): never => {
    throw new CommError(`${folder} holds ${what}, and no weights of a model.`, { code: 'weights/missing-file', fix });
  };
  const gguf = names.find((name) => name.endsWith('.gguf'));
  if (gguf !== undefined) refuse(`a GGUF file (${gguf}), which is not read`, 'Get the model in safetensors.');
  if (names.includes('adapter_config.json')) {
    refuse('a LoRA adapter', 'Name the model that it was made for with --model, and this folder with --lora.');
  }
  if (names.includes('mm_projector.bin')) {
    refuse('a projector alone (mm_projector.bin)', 'Name the folder of the whole model.');
  }
}

function readWeightMap(index: string): Map<string, string> {
  const bad = (): CommError =>
    new CommError(`${index} is not an index of weight files.`, { code: 'weights/index', fix: 'Get the file again.' });
  const map = (readJson(index, { what: 'the index of the weights' }) as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null) throw bad();
  const entries = Object.entries(map);
  if (entries.length === 0 || !entries.every(([, file]) => typeof file === 'string' && IS_SHARD.test(file)))
    throw bad();
  return new Map(entries as [string, string][]);
}
