/**
 * Reading safetensors files through a memory map (no byte is read before it is used) and writing them atomically.
 * Files of any size: nothing is ever held in one Buffer. Tensors made from a map are private copies on write, so
 * changing one never changes the file; cutting a file short while it is mapped ends the process, as with any map.
 */
import { writeSync } from 'node:fs';
import type { DType } from '../dtype.js';
import { TorchError } from '../errors.js';
import { writeWhole } from '../files.js';
import { op } from '../ops.js';
import { keep, scope } from '../scope.js';
import { empty, type Tensor } from '../tensor.js';
import { FileReader } from './file-reader.js';
import { withOwnVersion } from './own-version.js';
import {
  byteLength,
  DTYPE_NAMES,
  DTYPES,
  type Entry,
  type Header,
  itemBytes,
  LENGTH_BYTES,
  MAX_HEADER_BYTES,
  malformed,
  parseHeader,
} from './safetensors-header.js';

const fromFileOp = op('aten::from_file');
const viewDtypeOp = op('aten::view.dtype');

/** Bytes handed to the file system at once. */
const CHUNK_BYTES = 64 * 2 ** 20;

/** An open safetensors file. Tensors read from it stay valid after {@link SafetensorsFile.close}. */
export class SafetensorsFile {
  readonly path: string;
  /** The file's own notes (`__metadata__`). */
  readonly metadata: ReadonlyMap<string, string>;
  /** Names of the tensors, in the header's order. */
  readonly keys: readonly string[];
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #dataStart: number;
  readonly #fileBytes: number;
  #map: Tensor | null = null;
  #closed = false;

  /** Reads and checks the header only. Use {@link openSafetensors}. */
  constructor(path: string) {
    this.path = path;
    const { header, dataStart, fileBytes } = readHeader(path);
    this.metadata = header.metadata;
    this.keys = [...header.entries.keys()];
    this.#entries = header.entries;
    this.#dataStart = dataStart;
    this.#fileBytes = fileBytes;
  }

  /** Whether the file has a tensor of that name. */
  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /**
   * Dtype and shape of a tensor, without touching its bytes.
   * @throws TorchError for an unknown name or a dtype that the engine does not have.
   */
  info(key: string): { dtype: DType; shape: readonly number[] } {
    const { dtypeName, shape } = this.#entry(key);
    return { dtype: this.#dtype(key, dtypeName), shape };
  }

  /** The format's own name of a tensor's dtype, e.g. 'F8_E4M3': also of those that the engine does not have. */
  storedAs(key: string): string {
    return this.#entry(key).dtypeName;
  }

  /**
   * A tensor over the mapped file; its bytes are read when they are first used.
   * @throws TorchError for an unknown name, a dtype that the engine does not have, or a closed file.
   */
  tensor(key: string): Tensor {
    const { dtypeName, shape, begin, end } = this.#entry(key);
    const dtype = this.#dtype(key, dtypeName);
    if (this.#closed) throw new TorchError(`${this.path} is closed; read "${key}" before closing it`);
    if (begin === end) return empty(shape, { dtype });
    return scope(() => {
      const first = this.#dataStart + begin;
      const bytes = this.#mapped().slice(0, first, first + (end - begin));
      // A view of wider elements has to start at a multiple of their size; the format does not promise that.
      const aligned = first % itemBytes(dtypeName) === 0 ? bytes : bytes.clone();
      return withOwnVersion(viewDtypeOp(aligned, dtype).view(...shape));
    });
  }

  /** Drops this object's hold on the file. */
  close(): void {
    this.#closed = true;
    this.#map?.dispose();
    this.#map = null;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #mapped(): Tensor {
    this.#map ??= keep(fromFileOp(this.path, false, this.#fileBytes, 'u8'));
    return this.#map;
  }

  #entry(key: string): Entry {
    const entry = this.#entries.get(key);
    if (entry === undefined) throw new TorchError(`${this.path} has no tensor "${key}"`);
    return entry;
  }

  #dtype(key: string, dtypeName: string): DType {
    const dtype = DTYPES[dtypeName];
    if (dtype === undefined) {
      throw new TorchError(`${this.path} stores "${key}" as ${dtypeName}, which this engine has no dtype for`);
    }
    return dtype;
  }
}

/**
 * Opens a safetensors file: reads and checks its header, maps its bytes when the first tensor is asked for.
 * @throws TorchError where the file breaks the format; FileFault for a pipe, a device, a folder, or a pointer or page in the
 * place of the file; the file system's error where it cannot be read.
 */
export function openSafetensors(path: string): SafetensorsFile {
  return new SafetensorsFile(path);
}

/** All tensors of a file by name, mapped; their bytes are read when they are first used. */
export function readSafetensors(path: string): Map<string, Tensor> {
  using file = openSafetensors(path);
  return new Map(file.keys.map((key) => [key, file.tensor(key)]));
}

/** A tensor that is made when its turn to be written comes, and dropped behind it. */
export interface LazyTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Called once, within a scope. */
  readonly read: () => Tensor;
}

/**
 * Writes tensors of any device to a file that appears whole or not at all: into a temporary file beside it, in pieces of
 * at most 64 MiB, flushed to the disk and renamed. Wide elements come first, so that each tensor is aligned. Of lazy
 * tensors only one exists at a time.
 * @throws TorchError for a name that appears twice, a tensor without memory, or a lazy one that is not as announced.
 */
export function writeSafetensors(
  path: string,
  tensors: Iterable<readonly [string, Tensor | LazyTensor]>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  const entries = ordered(tensors, path);
  const header = encodeHeader(entries, metadata);
  writeWhole(path, (fd) => {
    writeAll(fd, header);
    for (const [name, tensor] of entries) writeTensor(fd, tensor, `${path}: "${name}"`);
  });
}

function readHeader(path: string): { header: Header; dataStart: number; fileBytes: number } {
  const file = new FileReader(path, (why) => malformed(path, why));
  try {
    const fileBytes = file.size;
    if (fileBytes < LENGTH_BYTES) malformed(path, `it has ${fileBytes} bytes, too few for a header`);
    const headerBytes = file.read(0, LENGTH_BYTES).readBigUInt64LE();
    if (headerBytes > BigInt(MAX_HEADER_BYTES)) {
      malformed(path, `its header claims ${headerBytes} bytes, more than the ${MAX_HEADER_BYTES} that are allowed`);
    }
    const dataStart = LENGTH_BYTES + Number(headerBytes);
    if (dataStart > fileBytes) malformed(path, `its header claims ${headerBytes} bytes, the file has ${fileBytes}`);
    const bytes = file.read(LENGTH_BYTES, Number(headerBytes));
    return { header: parseHeader(decodeUtf8(bytes, path), fileBytes - dataStart, path), dataStart, fileBytes };
  } finally {
    file.close();
  }
}

function decodeUtf8(bytes: Buffer, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return malformed(path, 'its header is not UTF-8');
  }
}

function ordered(
  tensors: Iterable<readonly [string, Tensor | LazyTensor]>,
  path: string,
): (readonly [string, Tensor | LazyTensor])[] {
  const byName = new Map<string, Tensor | LazyTensor>();
  for (const [name, tensor] of tensors) {
    if (name === '__metadata__') throw new TorchError(`${path}: "__metadata__" cannot name a tensor`);
    if (!Array.isArray(tensor?.shape)) throw new TypeError(`${path}: what is named "${name}" is no tensor`);
    if (byName.has(name)) throw new TorchError(`${path}: two tensors are named "${name}"`);
    if (!('read' in tensor) && tensor.device === 'meta')
      throw new TorchError(`${path}: "${name}" is on the meta device and has no values to write`);
    byName.set(name, tensor);
  }
  const width = (tensor: Tensor | LazyTensor) => itemBytes(DTYPE_NAMES[tensor.dtype]);
  return [...byName].sort(([nameA, a], [nameB, b]) => width(b) - width(a) || (nameA < nameB ? -1 : 1));
}

function encodeHeader(
  entries: readonly (readonly [string, Tensor | LazyTensor])[],
  metadata: Readonly<Record<string, string>>,
): Buffer {
  // A Map of entries, since an object would move names such as "0" to the front.
  const fields: string[] = [];
  if (Object.keys(metadata).length > 0) fields.push(`"__metadata__":${JSON.stringify(metadata)}`);
  let at = 0;
  for (const [name, { dtype, shape }] of entries) {
    const end = at + (byteLength(DTYPE_NAMES[dtype], shape) as number);
    const entry = { dtype: DTYPE_NAMES[dtype], shape, data_offsets: [at, end] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    at = end;
  }
  const json = Buffer.from(`{${fields.join(',')}}`);
  const padding = (LENGTH_BYTES - (json.length % LENGTH_BYTES)) % LENGTH_BYTES;
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeBigUInt64LE(BigInt(json.length + padding));
  return Buffer.concat([length, json, Buffer.alloc(padding, ' ')]);
}

function writeTensor(fd: number, source: Tensor | LazyTensor, name: string): void {
  scope(() => {
    const tensor = 'read' in source ? source.read() : source;
    if (tensor.dtype !== source.dtype || tensor.shape.join() !== source.shape.join()) {
      const [made, announced] = [tensor, source].map(({ dtype, shape }) => `${dtype} [${shape.join(', ')}]`);
      throw new TorchError(`${name} was announced as ${announced} and made as ${made}`);
    }
    const flat = tensor.detach().to('cpu').contiguous().view(-1);
    const step = CHUNK_BYTES / itemBytes(DTYPE_NAMES[tensor.dtype]);
    for (let at = 0; at < tensor.numel; at += step) {
      scope(() => writeAll(fd, flat.narrow(0, at, Math.min(step, tensor.numel - at)).toBytes()));
    }
  });
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done);
}
