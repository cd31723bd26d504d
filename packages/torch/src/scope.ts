/**
 * Scopes: the memory rule of this package.
 *
 * A handle is one reference to a tensor; `scope(fn)` drops the references made inside it, at once and in order, except
 * what `fn` returns and what was kept. Garbage collection is only the net below: finalizers do not run inside one
 * synchronous job, so a loop that leans on them runs out of memory. Dropping a handle never breaks autograd, whose
 * graph holds what it saved.
 */
import { TorchError } from './errors.js';
import { type Frame, Handle } from './handle.js';
import { native } from './native.js';

let current: Frame | null = null;
let strict = false;
const traced = new Map<number, { handle: WeakRef<Handle>; stack: string }>();
let tracing = process.env.COMMLM_TRACE_TENSORS === '1';

const net = new FinalizationRegistry<number>((id) => native().release(id));

/** Put a fresh handle under the current scope, or under the garbage collector's net. @internal */
export function track<T extends Handle>(handle: T): T {
  if (tracing) traced.set(handle.id, { handle: new WeakRef(handle), stack: creationSite() });
  if (current !== null) {
    handle.frame = current;
    current.handles.push(handle);
  } else {
    if (strict) {
      native().release(handle.id);
      handle.id = 0;
      throw new TorchError('A tensor was made outside of any scope() while strict scopes are on.', 'ERR_TORCH_SCOPE');
    }
    net.register(handle, handle.id);
  }
  return handle;
}

function creationSite(): string {
  const lines = (new Error().stack ?? '').split('\n').slice(1);
  const outside = lines.filter(
    (line) => !/\/torch\/(dist|src)\/(scope|ops|tensor|handle|functional)\.[jt]s/.test(line),
  );
  return (outside[0] ?? lines[0] ?? '').trim();
}

/** Drop the reference now. Safe to call twice. @internal */
export function disposeHandle(handle: Handle): void {
  if (handle.id === 0) return;
  if (tracing) traced.delete(handle.id);
  native().release(handle.id);
  handle.id = 0;
}

/** Adds the handles in arrays, sets, maps and plain objects at any depth to `found`, each container once. */
function collect(value: unknown, found: Set<Handle>): void {
  const seen = new Set<object>();
  const waiting: object[] = [];
  const meet = (part: unknown): void => {
    if (part instanceof Handle) found.add(part);
    else if (typeof part === 'object' && part !== null && !seen.has(part)) {
      seen.add(part);
      waiting.push(part);
    }
  };
  meet(value);
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    if (Array.isArray(part) || part instanceof Set) {
      for (const item of part) meet(item);
    } else if (part instanceof Map) {
      for (const item of part.values()) meet(item);
    } else if (Object.getPrototypeOf(part) === Object.prototype || Object.getPrototypeOf(part) === null) {
      for (const item of Object.values(part)) meet(item);
    }
  }
}

/**
 * Run `fn` and drop every handle made inside it, except those it returns (found in arrays, maps, sets and plain
 * objects) and those passed to `keep`. Nests; cleans up when `fn` throws.
 * @throws TypeError when `fn` returns a Promise: other code would run inside the scope.
 */
export function scope<R>(fn: () => R): R {
  const frame: Frame = { parent: current, handles: [] };
  current = frame;
  const returned = new Set<Handle>();
  try {
    const result = fn();
    if (typeof (result as { then?: unknown } | null | undefined)?.then === 'function') {
      throw new TypeError(
        'scope() was given an asynchronous function; open a scope around each synchronous part instead',
      );
    }
    collect(result, returned);
    return result;
  } finally {
    current = frame.parent;
    const drop: number[] = [];
    for (const handle of frame.handles) {
      if (handle.id === 0 || handle.frame !== frame) continue;
      if (returned.has(handle)) {
        handle.frame = frame.parent;
        if (frame.parent !== null) frame.parent.handles.push(handle);
        else net.register(handle, handle.id);
      } else {
        if (tracing) traced.delete(handle.id);
        drop.push(handle.id);
        handle.id = 0;
      }
    }
    if (drop.length > 0) native().releaseMany(drop);
  }
}

/** Exempt tensors (or arrays, maps, plain objects of them) from every open scope: their owner disposes them. */
export function keep<T>(value: T): T {
  const found = new Set<Handle>();
  collect(value, found);
  for (const handle of found) {
    if (handle.frame === null) continue;
    handle.frame = null;
    net.register(handle, handle.id);
  }
  return value;
}

/** Make unscoped tensors an error (tests run so). Returns what it was. */
export function setStrictScopes(on: boolean): boolean {
  const before = strict;
  strict = on;
  return before;
}

/** Remember where each tensor was made, for `liveTensors()`; also switched on by COMMLM_TRACE_TENSORS=1. Slow. */
export function traceTensors(on: boolean): void {
  tracing = on;
  if (!on) traced.clear();
}

/** One live tensor as `liveTensors()` reports it. */
export interface LiveTensor {
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly site: string;
}

/** The tensors alive now with the line that made them; empty unless `traceTensors(true)` came before. */
export function liveTensors(): LiveTensor[] {
  const out: LiveTensor[] = [];
  for (const [id, { handle, stack }] of traced) {
    if (handle.deref()?.id !== id) traced.delete(id);
    else out.push({ shape: native().shape(id), dtype: native().dtype(id), site: stack });
  }
  return out;
}

/** Number of live handles and the host bytes that they own, in this thread. */
export function memoryStats(): { liveTensors: number; hostBytes: number } {
  return native().memoryStats();
}

/** Nothing may be open here: used by code that is about to wait. @internal */
export function openScopes(): number {
  let count = 0;
  for (let frame = current; frame !== null; frame = frame.parent) count++;
  return count;
}
