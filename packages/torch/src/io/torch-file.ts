/**
 * Reading the files of `torch.save` (`.bin`, `.pt`, `.pth`): the zip format and the older one. Only the description of
 * the data is read, by an unpickler that never imports or runs anything; the tensors are mapped from the file when they
 * are asked for, and copied only where their bytes are not aligned to their elements or have the other byte order.
 */
import type { DType } from '../dtype.js';
import { TorchError } from '../errors.js';
import { op } from '../ops.js';
import { keep, scope } from '../scope.js';
import { empty, type Tensor } from '../tensor.js';
import { ByteCursor, FileReader } from './file-reader.js';
import { withOwnVersion } from './own-version.js';
import { type Fail, isTuple, readPickle } from './pickle.js';
import { type ElementType, isSize, StorageClass, StorageRef, type TensorPlace, torchGlobals } from './torch-globals.js';
import { entryStart, looksLikeZip, readZipDirectory, type ZipEntry } from './zip-directory.js';

const fromFileOp = op('aten::from_file');
const viewDtypeOp = op('aten::view.dtype');
const asStridedOp = op('aten::as_strided');

/** First value of a file of the older format, and the only version that it has. */
const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_VERSION = 1001;
/** Paths that one file may have; shared containers could otherwise multiply without end. */
const MAX_PATHS = 1_000_000;

/** A tensor of a torch file before its bytes are touched. */
export class TorchFileTensor {
  readonly shape: readonly number[];
  /** Elements between neighbours of each dimension. */
  readonly strides: readonly number[];
  /** torch's name of the element type, e.g. 'torch.bfloat16'. */
  readonly dtypeName: string;
  readonly #place: TensorPlace;
  readonly #read: (place: TensorPlace) => Tensor;

  /** @internal */
  constructor(place: TensorPlace, read: (place: TensorPlace) => Tensor) {
    this.shape = place.shape;
    this.strides = place.strides;
    this.dtypeName = place.element.name;
    this.#place = place;
    this.#read = read;
  }

  /** The engine's dtype, or undefined where it has none for the stored type. */
  get dtype(): DType | undefined {
    return this.#place.element.dtype;
  }

  /**
   * The tensor over the mapped file, without gradient.
   * @throws TorchError for a dtype that the engine does not have, or a closed file.
   */
  read(): Tensor {
    return this.#read(this.#place);
  }
}

/** Where the bytes of storages lie. */
interface Contents {
  readonly value: unknown;
  /** First byte of each storage. */
  readonly starts: ReadonlyMap<string, number>;
  readonly bigEndian: boolean;
}

/** An open torch file. Tensors read from it stay valid after {@link TorchFile.close}. */
export class TorchFile {
  readonly path: string;
  /**
   * Everything that was saved: dicts are Maps, lists and tuples arrays (tuples frozen), sets Sets, tensors
   * {@link TorchFileTensor}, dtypes and devices `{kind, name}`.
   */
  readonly value: unknown;
  /** Paths of the tensors, e.g. `model.projector.0.weight`: keys and indices joined by dots, in the order of the file. */
  readonly keys: readonly string[];
  readonly #tensors: ReadonlyMap<string, TorchFileTensor>;
  readonly #starts: ReadonlyMap<string, number>;
  readonly #bigEndian: boolean;
  readonly #fileBytes: number;
  #map: Tensor | null = null;
  #closed = false;

  /** Reads and checks everything but the tensors' bytes. Use {@link openTorchFile}. */
  constructor(path: string) {
    this.path = path;
    const fail: Fail = (why) => {
      throw new TorchError(`${path} is not a valid torch file: ${why}`);
    };
    const file = new FileReader(path, fail);
    try {
      this.#fileBytes = file.size;
      const make = (place: TensorPlace): TorchFileTensor => {
        checkPlace(place, fail);
        return new TorchFileTensor(place, (wanted) => this.#read(wanted));
      };
      const contents = looksLikeZip(file) ? readZip(file, make, fail) : readLegacy(file, make, fail);
      this.value = contents.value;
      this.#starts = contents.starts;
      this.#bigEndian = contents.bigEndian;
    } finally {
      file.close();
    }
    this.#tensors = collectTensors(this.value, fail);
    this.keys = [...this.#tensors.keys()];
  }

  /** Whether a tensor has that path. */
  has(key: string): boolean {
    return this.#tensors.has(key);
  }

  /**
   * Dtype and shape of a tensor, without touching its bytes.
   * @throws TorchError for an unknown path or a dtype that the engine does not have.
   */
  info(key: string): { dtype: DType; shape: readonly number[] } {
    const { dtype, dtypeName, shape } = this.#tensor(key);
    return { dtype: dtype ?? this.#unsupported(dtypeName), shape };
  }

  /** torch's name of a tensor's dtype, e.g. 'torch.float8_e4m3fn': also of those that the engine does not have. */
  storedAs(key: string): string {
    return this.#tensor(key).dtypeName;
  }

  /**
   * A tensor over the mapped file; its bytes are read when they are first used.
   * @throws TorchError for an unknown path, a dtype that the engine does not have, or a closed file.
   */
  tensor(key: string): Tensor {
    return this.#tensor(key).read();
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

  #tensor(key: string): TorchFileTensor {
    const tensor = this.#tensors.get(key);
    if (tensor === undefined) throw new TorchError(`${this.path} has no tensor "${key}"`);
    return tensor;
  }

  #unsupported(name: string): never {
    throw new TorchError(`${this.path} stores a tensor as ${name}, which this engine has no dtype for`);
  }

  #read({ storage, element, offset, shape, strides }: TensorPlace): Tensor {
    const dtype = element.dtype ?? this.#unsupported(element.name);
    if (this.#closed) throw new TorchError(`${this.path} is closed; read its tensors before closing it`);
    if (shape.includes(0)) return empty(shape, { dtype });
    return scope(() => {
      const first =
        (this.#starts.get(storage.key) as number) + storage.first * storage.element.bytes + offset * element.bytes;
      const span = spanOf(shape, strides);
      this.#map ??= keep(fromFileOp(this.path, false, this.#fileBytes, 'u8'));
      const bytes = this.#map.slice(0, first, first + span * element.bytes);
      return withOwnVersion(asStridedOp(viewDtypeOp(this.#aligned(bytes, first, element), dtype), shape, strides));
    });
  }

  /** A view of wider elements has to start at a multiple of their size, in the machine's byte order. */
  #aligned(bytes: Tensor, first: number, element: ElementType): Tensor {
    if (this.#bigEndian && element.bytes > 1) return bytes.view(-1, element.bytes).flip(1).contiguous().view(-1);
    return first % element.bytes === 0 ? bytes : bytes.clone();
  }
}

/**
 * Opens a file of `torch.save`, in the zip format or the older one, without reading its tensors.
 * @throws TorchError in one line for a damaged or truncated file, and for one that holds Python objects other than data,
 * whose name it says; FileFault for a pipe, a device, a folder, or a pointer or page in the place of the file; the file
 * system's error where it cannot be opened.
 */
export function openTorchFile(path: string): TorchFile {
  return new TorchFile(path);
}

/** Elements from the first to the last of a tensor that is not empty. */
function spanOf(shape: readonly number[], strides: readonly number[]): number {
  return shape.reduce((span, size, i) => span + (size - 1) * strides[i]!, 1);
}

function checkPlace({ storage, element, offset, shape, strides }: TensorPlace, fail: Fail): void {
  const have = storage.numElements * storage.element.bytes;
  const numel = shape.reduce((product, size) => product * size, 1);
  const needed = shape.includes(0) ? 0 : (offset + spanOf(shape, strides)) * element.bytes;
  if (!Number.isSafeInteger(numel) || !Number.isSafeInteger(needed) || needed > have) {
    fail(`a tensor [${shape.join(', ')}] needs ${needed} bytes of a storage that has ${have}`);
  }
}

/** A storage's persistent id, `('storage', class, key, location, size)`; the older format may add a view. */
function storageOf(id: unknown, fail: Fail): StorageRef {
  const [tag, kind, key, location, size, view] = isTuple(id) ? id : [];
  if (tag !== 'storage' || !(kind instanceof StorageClass) || typeof location !== 'string' || !isSize(size)) {
    return fail('it refers to something outside the pickle that is no storage');
  }
  const name = typeof key === 'number' ? String(key) : key;
  if (typeof name !== 'string') return fail('it has a storage without a name');
  if (view === undefined || view === null) return new StorageRef(name, kind.element, 0, size);
  const [, first, length] = isTuple(view) ? view : [];
  if (!isSize(first) || !isSize(length) || first + length > size) return fail('it has a view outside of its storage');
  return new StorageRef(name, kind.element, first, length);
}

function readZip(file: FileReader, make: (place: TensorPlace) => unknown, fail: Fail): Contents {
  const entries = readZipDirectory(file, fail);
  const pickles = [...entries.keys()].filter((name) => /^[^/]*\/data\.pkl$/.test(name) || name === 'data.pkl');
  const [pickleName] = pickles;
  if (pickleName === undefined || pickles.length > 1) return fail('it is a zip file without one data.pkl');
  const prefix = pickleName.slice(0, -'data.pkl'.length);
  if (entries.has(`${prefix}constants.pkl`)) fail('it is a TorchScript program, and only plain data is read');
  const order = entries.get(`${prefix}byteorder`);
  const orderName = order === undefined ? 'little' : readSmall(file, order, fail);
  if (orderName !== 'little' && orderName !== 'big') fail(`it has the byte order ${JSON.stringify(orderName)}`);

  const starts = new Map<string, number>();
  const persistent = (id: unknown): StorageRef => {
    const storage = storageOf(id, fail);
    const entry = entries.get(`${prefix}data/${storage.key}`);
    if (entry === undefined) return fail(`its storage ${JSON.stringify(storage.key)} is missing`);
    const needed = (storage.first + storage.numElements) * storage.element.bytes;
    if (needed > entry.size) fail(`its storage ${JSON.stringify(storage.key)} has ${entry.size} bytes of ${needed}`);
    if (!starts.has(storage.key)) starts.set(storage.key, entryStart(file, entry, fail));
    return storage;
  };
  const pickle = entries.get(pickleName) as NonNullable<ReturnType<typeof entries.get>>;
  const start = entryStart(file, pickle, fail);
  const cursor = new ByteCursor(file, start, start + pickle.size, fail);
  const value = readPickle(cursor, { global: torchGlobals(fail, make), persistent, fail });
  return { value, starts, bigEndian: orderName === 'big' };
}

function readSmall(file: FileReader, entry: ZipEntry, fail: Fail): string {
  return file.read(entryStart(file, entry, fail), Math.min(entry.size, 16)).toString('latin1');
}

/** Magic number, version, facts of the machine, the object, the names of its storages: five pickles, then the bytes. */
function readLegacy(file: FileReader, make: (place: TensorPlace) => unknown, fail: Fail): Contents {
  if (file.size >= 262 && file.read(257, 5).toString('latin1') === 'ustar') {
    fail('it is a tar file of torch before 0.1.10, which is not read; save it again with a newer torch');
  }
  if (file.size < 2 || file.read(0, 1)[0] !== 0x80) fail('it begins neither as a zip file nor as a pickle');
  const cursor = new ByteCursor(file, 0, file.size, fail);
  const noPersistent = (): never => fail('it refers to a storage before its data');
  const plain = { global: () => undefined, persistent: noPersistent, fail };
  if (readPickle(cursor, plain) !== LEGACY_MAGIC) fail('its magic number is wrong, so torch.save did not write it');
  if (readPickle(cursor, plain) !== LEGACY_VERSION) fail('it has an unknown version');
  readPickle(cursor, plain);

  const sizes = new Map<string, { element: ElementType; bytes: number }>();
  const persistent = (id: unknown): StorageRef => {
    const storage = storageOf(id, fail);
    const bytes = (storage.first + storage.numElements) * storage.element.bytes;
    const known = sizes.get(storage.key);
    sizes.set(storage.key, { element: known?.element ?? storage.element, bytes: Math.max(bytes, known?.bytes ?? 0) });
    return storage;
  };
  const value = readPickle(cursor, { global: torchGlobals(fail, make), persistent, fail });

  const names = readPickle(cursor, plain);
  if (!Array.isArray(names)) return fail('its list of storages is missing');
  const starts = new Map<string, number>();
  let at = cursor.position;
  for (const name of names.map(String)) {
    const wanted = sizes.get(name);
    if (wanted === undefined || starts.has(name)) return fail(`it has the unknown storage ${JSON.stringify(name)}`);
    const bytes = Number(file.read(at, 8).readBigInt64LE()) * wanted.element.bytes;
    starts.set(name, at + 8);
    if (bytes < wanted.bytes) fail(`its storage ${JSON.stringify(name)} has ${bytes} bytes of ${wanted.bytes}`);
    at += 8 + bytes;
    if (at > file.size) fail(`it needs ${at} bytes, the file has ${file.size} (a truncated file?)`);
  }
  for (const name of sizes.keys()) {
    if (!starts.has(name)) fail(`its storage ${JSON.stringify(name)} is missing`);
  }
  return { value, starts, bigEndian: false };
}

function collectTensors(root: unknown, fail: Fail): Map<string, TorchFileTensor> {
  const found = new Map<string, TorchFileTensor>();
  let numPaths = 0;
  const walk = (value: unknown, path: string): void => {
    if (value instanceof TorchFileTensor) {
      if (found.has(path)) fail(`two of its tensors have the path ${JSON.stringify(path)}`);
      found.set(path, value);
      return;
    }
    const entries = value instanceof Map || Array.isArray(value) ? value.entries() : [];
    for (const [key, item] of entries) {
      if (++numPaths > MAX_PATHS) fail(`it has more than ${MAX_PATHS} values`);
      // Tensors under other keys (tuples) have no name, they are in `value` only.
      if (!['string', 'number', 'bigint', 'boolean'].includes(typeof key)) continue;
      walk(item, path === '' ? String(key) : `${path}.${key}`);
    }
  };
  walk(root, '');
  return found;
}
