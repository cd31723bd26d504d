/** The Python names that a torch file may hold, and the plain data that each becomes here. */
import type { DType } from '../dtype.js';
import type { Fail } from './pickle.js';
import { type Budget, Buildable, isTuple, PickleGlobal } from './pickle.js';

/** A constant of torch that is no number: a dtype, a device or a layout, e.g. `{kind: 'dtype', name: 'torch.float32'}`. */
export interface TorchConstant {
  readonly kind: 'dtype' | 'device' | 'layout';
  readonly name: string;
}

/** Element types as torch names them; those without a dtype of the engine are known by size only. */
export interface ElementType {
  readonly name: string;
  readonly bytes: number;
  readonly dtype?: DType;
}

const type = (name: string, bytes: number, dtype?: DType): ElementType =>
  dtype === undefined ? { name, bytes } : { name, bytes, dtype };

const BYTE = type('torch.uint8', 1, 'u8');

const STORAGES: Readonly<Record<string, ElementType>> = {
  DoubleStorage: type('torch.float64', 8, 'f64'),
  FloatStorage: type('torch.float32', 4, 'f32'),
  HalfStorage: type('torch.float16', 2, 'f16'),
  BFloat16Storage: type('torch.bfloat16', 2, 'bf16'),
  LongStorage: type('torch.int64', 8, 'i64'),
  IntStorage: type('torch.int32', 4, 'i32'),
  ShortStorage: type('torch.int16', 2, 'i16'),
  CharStorage: type('torch.int8', 1, 'i8'),
  ByteStorage: BYTE,
  BoolStorage: type('torch.bool', 1, 'bool'),
  ComplexDoubleStorage: type('torch.complex128', 16),
  ComplexFloatStorage: type('torch.complex64', 8),
  UntypedStorage: BYTE,
};

const OTHER_TYPES = [
  type('torch.uint16', 2),
  type('torch.uint32', 4),
  type('torch.uint64', 8),
  type('torch.complex32', 4),
  type('torch.float8_e4m3fn', 1),
  type('torch.float8_e4m3fnuz', 1),
  type('torch.float8_e5m2', 1),
  type('torch.float8_e5m2fnuz', 1),
  type('torch.float8_e8m0fnu', 1),
];

const ELEMENT_TYPES = new Map([...Object.values(STORAGES), ...OTHER_TYPES].map((entry) => [entry.name, entry]));

/** The element type behind a dtype constant of a file. */
export const elementType = (name: string): ElementType | undefined => ELEMENT_TYPES.get(name);

/** A storage class as persistent ids name it. */
export class StorageClass {
  readonly element: ElementType;
  constructor(element: ElementType) {
    this.element = element;
  }
}

/** A storage inside the file. */
export class StorageRef {
  readonly key: string;
  readonly element: ElementType;
  /** Elements before the first one in the stored bytes (views of the old format). */
  readonly first: number;
  readonly numElements: number;

  constructor(key: string, element: ElementType, first: number, numElements: number) {
    this.key = key;
    this.element = element;
    this.first = first;
    this.numElements = numElements;
  }
}

/** Where a tensor's elements lie, as its rebuild function was told. */
export interface TensorPlace {
  readonly storage: StorageRef;
  readonly element: ElementType;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** Makes the object that stands for a tensor. */
export type MakeTensor = (place: TensorPlace) => unknown;

/** numpy's description of one scalar type; its state gives the byte order. */
class NumpyType extends Buildable {
  readonly code: string;
  #bigEndian = false;
  constructor(code: string) {
    super();
    this.code = code;
  }
  override build(state: unknown): boolean {
    if (!isTuple(state) || !['<', '>', '|', '='].includes(state[1] as string)) return false;
    this.#bigEndian = state[1] === '>';
    return true;
  }
  /** The scalar of these bytes, or undefined where they do not fit. */
  read(data: Uint8Array): unknown {
    const size = Number(this.code.slice(1));
    if (data.length !== size) return undefined;
    const view = new DataView(data.buffer, data.byteOffset, size);
    const little = !this.#bigEndian;
    const int = (value: bigint): unknown => (Number.isSafeInteger(Number(value)) ? Number(value) : value);
    switch (this.code) {
      case 'f8':
        return view.getFloat64(0, little);
      case 'f4':
        return view.getFloat32(0, little);
      case 'i8':
        return int(view.getBigInt64(0, little));
      case 'u8':
        return int(view.getBigUint64(0, little));
      case 'i4':
        return view.getInt32(0, little);
      case 'u4':
        return view.getUint32(0, little);
      case 'i2':
        return view.getInt16(0, little);
      case 'u2':
        return view.getUint16(0, little);
      case 'i1':
        return view.getInt8(0);
      case 'u1':
        return view.getUint8(0);
      case 'b1':
        return view.getUint8(0) !== 0;
      default:
        return undefined;
    }
  }
}

/** The table of names; anything outside it is refused by the unpickler. */
export function torchGlobals(fail: Fail, makeTensor: MakeTensor): (name: string) => unknown {
  const wrong = (name: string): never => fail(`it calls ${name} with arguments that make no data`);
  const table = new Map<string, unknown>();
  const define = (name: string, call: (args: readonly unknown[], budget: Budget) => unknown): void => {
    table.set(name, new PickleGlobal(name, call));
  };

  const tensorOf = (name: string, args: readonly unknown[]): unknown => {
    const [storage, offset, shape, strides, , , dtype] = args;
    const v3 = name.endsWith('_v3');
    if (!(storage instanceof StorageRef) || !isSize(offset) || !isSizes(shape) || !isSizes(strides)) return wrong(name);
    const element = v3 ? elementType((dtype as TorchConstant | undefined)?.name ?? '') : storage.element;
    if (element === undefined || shape.length !== strides.length || shape.length > 64) return wrong(name);
    // The last argument may carry the bits of lazy conjugation and negation.
    const bits = args[v3 ? 7 : 6];
    if (bits instanceof Map && [...bits.values()].some((bit) => bit !== false)) return wrong(name);
    return makeTensor({ storage, element, offset, shape, strides });
  };
  for (const name of ['_rebuild_tensor', '_rebuild_tensor_v2', '_rebuild_tensor_v3']) {
    define(`torch._utils.${name}`, (args) => tensorOf(`torch._utils.${name}`, args));
  }
  for (const name of ['_rebuild_parameter', '_rebuild_parameter_with_state']) {
    define(`torch._utils.${name}`, ([data]) => (data === undefined ? wrong(name) : data));
  }
  // A tensor with Python attributes, which are no weights.
  define('torch._tensor._rebuild_from_type_v2', ([rebuild, , args], budget) =>
    rebuild instanceof PickleGlobal && rebuild.name.startsWith('torch._utils._rebuild_') && isTuple(args)
      ? rebuild.call?.(args, budget)
      : wrong('torch._tensor._rebuild_from_type_v2'),
  );
  table.set('torch.Tensor', new PickleGlobal('torch.Tensor'));
  table.set('torch.nn.parameter.Parameter', new PickleGlobal('torch.nn.parameter.Parameter'));

  const dictOf = (name: string) => (args: readonly unknown[], budget: Budget) => {
    const [items] = args;
    if (items === undefined) {
      budget.spend(32);
      return new Map();
    }
    if (items instanceof Map) {
      budget.spend(32 + 2 * items.size);
      return new Map(items);
    }
    if (!Array.isArray(items) || !items.every((pair) => Array.isArray(pair) && pair.length === 2)) return wrong(name);
    budget.spend(32 + 2 * items.length);
    return new Map(items as [unknown, unknown][]);
  };
  define('collections.OrderedDict', dictOf('collections.OrderedDict'));
  define('collections.Counter', dictOf('collections.Counter'));
  for (const name of ['builtins.set', 'builtins.frozenset']) {
    define(name, ([items], budget) => {
      if (items !== undefined && !Array.isArray(items)) return wrong(name);
      if (items?.some((item: unknown) => typeof item === 'object' && item !== null && !isTuple(item)))
        return wrong(name);
      budget.spend(32 + (items?.length ?? 0));
      return new Set(items);
    });
  }
  define('torch.Size', ([sizes], budget) => {
    if (!isSizes(sizes)) return wrong('torch.Size');
    budget.spend(sizes.length);
    return Object.freeze([...sizes]);
  });
  define('_codecs.encode', ([text, encoding], budget) => {
    if (typeof text !== 'string' || encoding !== 'latin1') return wrong('_codecs.encode');
    budget.spend(text.length);
    return Uint8Array.from(Buffer.from(text, 'latin1'));
  });
  for (const name of ['builtins.bytes', 'builtins.bytearray']) {
    define(name, ([data], budget) => {
      if (data !== undefined && !(data instanceof Uint8Array)) return wrong(name);
      budget.spend(data?.length ?? 0);
      return data === undefined ? new Uint8Array() : Uint8Array.from(data);
    });
  }
  define('builtins.complex', ([real, imag]) =>
    typeof real === 'number' && typeof imag === 'number' ? Object.freeze({ real, imag }) : wrong('builtins.complex'),
  );
  define('torch.device', ([kind, index]) => {
    if (typeof kind !== 'string' || !(index === undefined || isSize(index))) return wrong('torch.device');
    return Object.freeze({ kind: 'device', name: index === undefined ? kind : `${kind}:${index}` });
  });
  for (const name of ELEMENT_TYPES.keys()) table.set(name, Object.freeze({ kind: 'dtype', name }));
  table.set('torch.strided', Object.freeze({ kind: 'layout', name: 'torch.strided' }));

  for (const [name, element] of Object.entries(STORAGES)) {
    for (const module of ['torch', 'torch.cuda', 'torch.storage']) {
      table.set(`${module}.${name}`, new StorageClass(element));
    }
  }
  define('numpy.dtype', ([code]) =>
    typeof code === 'string' && /^([fiu][1248]|b1)$/.test(code) ? new NumpyType(code) : wrong('numpy.dtype'),
  );
  for (const module of ['numpy.core.multiarray', 'numpy._core.multiarray']) {
    define(`${module}.scalar`, ([dtype, data]) => {
      const value = dtype instanceof NumpyType && data instanceof Uint8Array ? dtype.read(data) : undefined;
      return value === undefined ? wrong(`${module}.scalar`) : value;
    });
  }
  return (name) => table.get(name);
}

/** A count or position. */
export function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every(isSize);
}
