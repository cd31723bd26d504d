/** Every libtorch operator by its schema name, with the types of ops.gen.ts. */
import { TorchError } from './errors.js';
import { Handle, newHandle } from './handle.js';
import { native, type OpSpec } from './native.js';
import type { Ops } from './ops.gen.js';
import { track } from './scope.js';

/** Names of all typed operators, `aten::add.Tensor` and so on. */
export type OpName = keyof Ops;

/** What the dispatcher needs of a random generator object. @internal */
export interface GeneratorHandle {
  readonly generator: number;
}

const PLAIN = 0;
const TENSOR = 1;
const TENSOR_LIST = 2;
const GENERATOR = 3;

interface Prepared {
  readonly spec: OpSpec;
  readonly kinds: Uint8Array;
  readonly returns: Uint8Array;
}

function kindOf(label: string): number {
  if (label === 'Tensor' || label === 'Tensor?') return TENSOR;
  if (label.startsWith('Tensor')) return TENSOR_LIST;
  return label.startsWith('generator') ? GENERATOR : PLAIN;
}

function prepare(name: string): Prepared {
  const spec = native().resolve(name);
  return { spec, kinds: Uint8Array.from(spec.args, kindOf), returns: Uint8Array.from(spec.returns, kindOf) };
}

/** A value by its type, for messages. @internal */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? `a ${value.constructor?.name ?? 'object'}` : `a ${typeof value}`;
}

function idOf(value: unknown, name: string, spec: OpSpec, at: number): unknown {
  if (value instanceof Handle) return value.id;
  if (value === undefined || value === null) return value;
  throw new TypeError(`${name}: argument "${spec.names[at]}" must be a Tensor, got ${describe(value)}`);
}

/** Ids of a list as long as it is now, whatever getters make of it; a hole is no tensor. */
function idsOf(list: readonly unknown[], name: string, spec: OpSpec, at: number): unknown[] {
  const ids: unknown[] = [];
  const { length } = list;
  for (let i = 0; i < length; i++) {
    const item = list[i];
    if (item === undefined)
      throw new TypeError(`${name}: argument "${spec.names[at]}" must be a Tensor, got undefined`);
    ids.push(idOf(item, name, spec, at));
  }
  return ids;
}

function generatorOf(value: object, name: string, spec: OpSpec, at: number): number {
  const { generator } = value as Partial<GeneratorHandle>;
  if (typeof generator === 'number') return generator;
  throw new TypeError(`${name}: argument "${spec.names[at]}" must be a Generator, got ${describe(value)}`);
}

function encode(args: unknown[], prepared: Prepared, name: string): void {
  const { kinds, spec } = prepared;
  const count = Math.min(args.length, kinds.length);
  for (let i = 0; i < count; i++) {
    const kind = kinds[i];
    if (kind === PLAIN) continue;
    const value = args[i];
    if (kind === TENSOR) {
      args[i] = value instanceof Handle ? value.id : idOf(value, name, spec, i);
    } else if (kind === TENSOR_LIST) {
      if (Array.isArray(value)) args[i] = idsOf(value, name, spec, i);
    } else if (value !== undefined && value !== null) {
      args[i] = generatorOf(value, name, spec, i);
    }
  }
}

function wrap(value: unknown, kind: number | undefined): unknown {
  if (kind === TENSOR) return value === null ? null : track(newHandle(value as number));
  if (kind === TENSOR_LIST && Array.isArray(value))
    return value.map((id) => (id === null ? null : track(newHandle(id))));
  return value;
}

/** Throws a refusal of libtorch as a TorchError that names the operation, and anything else as it is. @internal */
export function fail(error: unknown, name: string): never {
  const code = (error as { code?: string }).code;
  if (code === 'ERR_TORCH' || code === 'ERR_TORCH_OOM') {
    throw new TorchError(`${name}: ${(error as Error).message}`, code, { cause: error });
  }
  throw error;
}

/** Out of memory: give back what is only waiting for collection, then try once more. */
function invoke(index: number, args: unknown[], name: string): unknown {
  try {
    return native().call(index, ...args);
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_TORCH_OOM') fail(error, name);
    globalThis.gc?.();
    native().emptyCache();
    try {
      return native().call(index, ...args);
    } catch (again) {
      fail(again, name);
    }
  }
}

/**
 * A callable for one operator: positional arguments in schema order, trailing defaults may be left out, null is None.
 * The name is resolved on the first call. In-place operators return the very Tensor object they were given.
 * @throws TypeError for wrong arguments, disposed tensors, unknown names; TorchError for what libtorch refuses.
 */
export function op<N extends OpName>(name: N): Ops[N] {
  return untypedOp(name) as unknown as Ops[N];
}

/** As `op`, for operators that have no generated type (custom libraries). */
export function untypedOp(name: string): (...args: unknown[]) => unknown {
  let prepared: Prepared | undefined;
  return (...args: unknown[]): unknown => {
    prepared ??= prepare(name);
    const { spec, returns } = prepared;
    const { aliases } = spec;
    if (aliases.length === 1) {
      const alias = aliases[0] as number;
      const self = alias >= 0 ? args[alias] : undefined;
      encode(args, prepared, name);
      const out = invoke(spec.index, args, name);
      if (alias < 0) return wrap(out, returns[0]);
      (self as Handle).invalidate();
      return self;
    }
    const given = aliases.length === 0 ? args : args.slice();
    encode(args, prepared, name);
    const out = invoke(spec.index, args, name);
    if (aliases.length === 0) return undefined;
    return aliases.map((alias, i) => {
      if (alias < 0) return wrap((out as unknown[])[i], returns[i]);
      const self = given[alias] as Handle;
      self.invalidate();
      return self;
    });
  };
}

/** The schema text of an operator, e.g. `aten::relu(Tensor self) -> Tensor`. */
export function schemaOf(name: string): string {
  return native().resolve(name).schema;
}
