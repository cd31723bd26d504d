/** The base of all layers and models: finding parameters, state dicts, moving, freezing and freeing. */
import { noGrad } from '../autograd.js';
import { type Device, type DType, isFloating } from '../dtype.js';
import { TorchError } from '../errors.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { adopt, Buffer, Parameter } from './parameter.js';
import { joinKey, snakeCase } from './snake-case.js';
import { compareState, describeReport, type StateReport } from './state-report.js';

/** A module, or any object, that maps one tensor to one tensor; what `Sequential` and `Tensor.pipe` take. */
export interface Layer {
  forward(x: Tensor): Tensor;
}

/** Target of {@link Module.to}. */
export type ModuleTarget = DType | Device | { dtype?: DType | undefined; device?: Device | undefined };

/** Something that a module holds, with its key relative to the module. */
type Held = [key: string, value: Parameter | Buffer | Module];

/**
 * A part of a model. Subclasses put `Parameter`s, `Buffer`s, modules and (nested) arrays of them into public attributes
 * and implement `forward`. The state-dict key of a tensor is the path of attributes to it, in snake_case (`qProj` is
 * `q_proj`) with positions in arrays as numbers (`layers.0.weight`). A class renames attributes with
 * `static keys = { attribute: 'key' }`; the key '' leaves a level out.
 */
export abstract class Module {
  /** Whether dropout and batch statistics behave as in training; set it with `train()` and `eval()`. */
  training = true;

  /** Every parameter once, in the order of the attributes. */
  parameters(): Parameter[] {
    return [...this.namedParameters().values()];
  }

  /** Parameters by state-dict key; one that is shared appears under its first key only. */
  namedParameters(): Map<string, Parameter> {
    return withoutRepeats(this.#collect(isParameter));
  }

  /** Buffers by key, each once, those that are not persistent included. */
  namedBuffers(): Map<string, Buffer> {
    return withoutRepeats(this.#collect(isBuffer));
  }

  /** Modules directly below this one, by key. */
  namedChildren(): Map<string, Module> {
    return new Map([...walk(this)].filter(isChild));
  }

  /** This module (key '') and all below it, by key; one that is shared appears under its first key only. */
  namedModules(): Map<string, Module> {
    const found = new Map<string, Module>();
    const seen = new Set<Module>();
    const visit = (prefix: string, module: Module): void => {
      if (seen.has(module)) return;
      seen.add(module);
      found.set(prefix, module);
      for (const [key, child] of [...walk(module)].filter(isChild)) visit(joinKey(prefix, key), child);
    };
    visit('', this);
    return found;
  }

  /** This module and all below it, each once. */
  modules(): Module[] {
    return [...this.namedModules().values()];
  }

  /** Number of elements of all parameters, shared ones counted once. */
  numParameters({ trainableOnly = false }: { trainableOnly?: boolean } = {}): number {
    const counted = this.parameters().filter(({ requiresGrad }) => requiresGrad || !trainableOnly);
    return counted.reduce((total, { numel }) => total + numel, 0);
  }

  /** Parameters and persistent buffers by key: the tensors themselves, no copies; shared ones under each of their keys. */
  stateDict(): Map<string, Parameter | Buffer> {
    const dict = new Map<string, Parameter | Buffer>(this.#collect(isParameter));
    for (const [key, buffer] of this.#collect(isBuffer)) if (buffer.persistent) dict.set(key, buffer);
    return dict;
  }

  /**
   * Fills parameters and persistent buffers from a state dict: by copying values, converted to the module's dtype and
   * device, or with `assign` by taking over the given tensors' memory, dtype and device without a copy.
   * @param strict whether a missing or unexpected key is an error.
   * @returns what was missing and unexpected.
   * @throws TorchError naming every key that does not fit; nothing is changed then.
   */
  loadStateDict(
    dict: ReadonlyMap<string, Tensor>,
    { strict = true, assign = false }: { strict?: boolean; assign?: boolean } = {},
  ): StateReport {
    const own = this.stateDict();
    const report = compareState(own, dict);
    const { missing, unexpected, misshaped } = report;
    if (misshaped.length > 0 || (strict && missing.length + unexpected.length > 0)) {
      const relevant = strict ? report : { missing: [], unexpected: [], misshaped };
      throw new TorchError(describeReport(this.constructor.name, relevant), 'ERR_TORCH_STATE');
    }
    const [empty] = assign ? [] : [...own].filter(([key, { device }]) => device === 'meta' && dict.has(key));
    if (empty !== undefined) {
      const why = `"${empty[0]}" of ${this.constructor.name} has no memory yet: load with {assign: true}`;
      throw new TorchError(why, 'ERR_TORCH_STATE');
    }
    for (const [key, target] of own) {
      const source = dict.get(key);
      if (source === undefined) continue;
      if (assign) adopt(target, source);
      else noGrad(() => target.copy_(source));
    }
    return report;
  }

  /**
   * Moves all tensors to a device and converts the floating-point ones to a dtype, dropping their gradients. The
   * `Parameter` objects stay the same, so an optimiser made before still steps on them (its own state does not move).
   */
  to(target: ModuleTarget): this {
    const { dtype, device } = asTarget(target);
    const all = new Set<Parameter | Buffer>([...this.namedParameters().values(), ...this.namedBuffers().values()]);
    for (const tensor of all) {
      const wantedDtype = dtype !== undefined && isFloating(tensor.dtype) ? dtype : tensor.dtype;
      const wantedDevice = device ?? tensor.device;
      if (wantedDtype === tensor.dtype && wantedDevice === tensor.device) continue;
      scope(() => noGrad(() => adopt(tensor, tensor.to({ dtype: wantedDtype, device: wantedDevice }))));
    }
    return this;
  }

  /** Switches this module and all below it to training (or not); returns it. */
  train(on = true): this {
    for (const module of this.modules()) module.training = on;
    return this;
  }

  /** Switches dropout off and batch statistics to their running values, here and below; returns the module. */
  eval(): this {
    return this.train(false);
  }

  /** Lets all parameters ask for gradients, or freezes them; returns the module. */
  requiresGrad_(on = true): this {
    for (const parameter of this.parameters()) parameter.requiresGrad = on;
    return this;
  }

  /** Drops the gradients of all parameters. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) parameter.grad = null;
  }

  /** Calls `fn` on every module below this one and last on itself; returns it. */
  apply(fn: (module: Module) => void): this {
    for (const module of this.modules().reverse()) fn(module);
    return this;
  }

  /**
   * Puts other modules in the place of those below this one: `change` is asked for each, outermost first, and hands back
   * the module itself to keep it. What was replaced is disposed of, without the tensors that its successor took over;
   * it must not be shared.
   */
  replaceModules(change: (module: Module, key: string) => Module, prefix = ''): void {
    const keys = keysOf(this.constructor);
    const visit = (holder: Record<string, unknown>, name: string, key: string): void => {
      const value = holder[name];
      if (Array.isArray(value)) {
        for (const i of value.keys()) visit(value as never, String(i), joinKey(key, String(i)));
      } else if (value instanceof Module) {
        const next = change(value, key);
        if (next === value) value.replaceModules(change, key);
        else {
          const kept = new Set<Parameter | Buffer>([...next.parameters(), ...next.namedBuffers().values()]);
          for (const module of value.modules()) {
            for (const [, held] of walk(module)) if (!(held instanceof Module) && !kept.has(held)) held.dispose();
          }
          next.train(value.training);
          holder[name] = next;
        }
      }
    };
    for (const name of Object.keys(this)) {
      visit(this as never, name, joinKey(prefix, keys.get(name) ?? snakeCase(name)));
    }
  }

  /** Drops all parameters and buffers. The module cannot be used afterwards; disposing it again does nothing. */
  dispose(): void {
    for (const module of this.modules()) {
      for (const [, held] of walk(module)) if (!(held instanceof Module)) held.dispose();
    }
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** All tensors of one class here and below, by key; a shared one appears under each of its keys. */
  #collect<T extends Parameter | Buffer>(isWanted: (value: unknown) => value is T): Map<string, T> {
    const found = new Map<string, T>();
    const visit = (prefix: string, module: Module): void => {
      for (const [name, value] of walk(module)) {
        const key = joinKey(prefix, name);
        if (value instanceof Module) visit(key, value);
        else if (isWanted(value)) {
          if (found.has(key)) throw new TorchError(`${this.constructor.name} has two tensors under the key "${key}"`);
          found.set(key, value);
        }
      }
    };
    visit('', this);
    return found;
  }
}

function isParameter(value: unknown): value is Parameter {
  return value instanceof Parameter;
}

function isBuffer(value: unknown): value is Buffer {
  return value instanceof Buffer;
}

function isChild(held: Held): held is [string, Module] {
  return held[1] instanceof Module;
}

/** What a module holds directly, arrays opened, in the order of its attributes. */
function* walk(module: Module): Generator<Held> {
  const keys = keysOf(module.constructor);
  for (const [attribute, value] of Object.entries(module)) {
    yield* inspect(keys.get(attribute) ?? snakeCase(attribute), value);
  }
}

function* inspect(key: string, value: unknown): Generator<Held> {
  if (typeof value !== 'object' || value === null) return;
  if (value instanceof Parameter || value instanceof Buffer || value instanceof Module) yield [key, value];
  else if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) yield* inspect(joinKey(key, String(i)), item);
  }
}

const keysByClass = new WeakMap<object, ReadonlyMap<string, string>>();

/** The attribute names that a class and its bases override; the class itself wins. */
function keysOf(owner: object): ReadonlyMap<string, string> {
  let keys = keysByClass.get(owner);
  if (keys === undefined) {
    const base = Object.getPrototypeOf(owner) as object | null;
    const own = Object.hasOwn(owner, 'keys') ? (owner as { keys: Readonly<Record<string, string>> }).keys : {};
    keys = new Map([...(base === null ? [] : keysOf(base)), ...Object.entries(own)]);
    keysByClass.set(owner, keys);
  }
  return keys;
}

function withoutRepeats<T>(named: ReadonlyMap<string, T>): Map<string, T> {
  const seen = new Set<T>();
  const once = new Map<string, T>();
  for (const [key, value] of named) {
    if (seen.has(value)) continue;
    seen.add(value);
    once.set(key, value);
  }
  return once;
}

function asTarget(target: ModuleTarget): { dtype?: DType | undefined; device?: Device | undefined } {
  if (typeof target === 'object') return target;
  const isDevice = /^(cpu|cuda(:\d+)?|mps|meta)$/.test(target);
  return isDevice ? { device: target as Device } : { dtype: target as DType };
}
