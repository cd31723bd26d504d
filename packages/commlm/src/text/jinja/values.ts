/**
 * The values that a template computes with: those of Python, as text, truth, order and equality of them are visible in a
 * prompt. Whole numbers are `bigint`, floating-point ones `number`, lists arrays, None is `NONE`.
 */
import { fault } from './faults.js';
import type { Meter } from './meter.js';
import { formatFloat } from './numbers.js';

/** A value of a template. */
export type Value =
  | None
  | boolean
  | bigint
  | number
  | string
  | readonly Value[]
  | Tuple
  | Dict
  | View
  | Range
  | Stream
  | Undefined
  | Namespace
  | Callable;

/** None of Python. It is not JavaScript's null, which stands for what is absent too. */
class None {
  readonly isNone = true;
}

export const NONE = new None();

/** A tuple of Python: a list that prints with round brackets. */
export class Tuple {
  readonly items: readonly Value[];

  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

/** What `groupby` gives: a pair that has names, too. */
export class Group extends Tuple {
  field(name: string): Value | undefined {
    return name === 'grouper' ? this.items[0] : name === 'list' ? this.items[1] : undefined;
  }
}

/** What `items`, `keys` and `values` of a dictionary give. */
export class View {
  readonly kind: string;
  readonly items: readonly Value[];

  constructor(kind: string, items: readonly Value[]) {
    this.kind = kind;
    this.items = items;
  }
}

/** What `range` gives; it prints as its bounds. */
export class Range {
  readonly start: number;
  readonly stop: number;
  readonly step: number;
  readonly items: readonly bigint[];

  constructor(start: number, stop: number, step: number) {
    [this.start, this.stop, this.step] = [start, stop, step];
    this.items = Array.from({ length: Range.lengthOf(start, stop, step) }, (_, i) => BigInt(start + i * step));
  }

  static lengthOf(start: number, stop: number, step: number): number {
    return Math.max(Math.ceil((stop - start) / step), 0);
  }

  get text(): string {
    return `range(${this.start}, ${this.stop}${this.step === 1 ? '' : `, ${this.step}`})`;
  }
}

/** A generator: its entries can be gone through once, it is true even without any, and it has no length. */
export class Stream {
  #next = 0;

  readonly items: readonly Value[];

  constructor(items: readonly Value[]) {
    this.items = items;
  }

  /** The entries that nobody has taken yet. */
  take(): readonly Value[] {
    const rest = this.items.slice(this.#next);
    this.#next = this.items.length;
    return rest;
  }

  /** The next entry; undefined at the end. */
  takeOne(): Value | undefined {
    return this.#next < this.items.length ? this.items[this.#next++] : undefined;
  }
}

/** What is not there; it prints as nothing, and whatever else is done with it is an error that names it. */
export class Undefined {
  readonly why: string;

  constructor(why: string) {
    this.why = why;
  }
}

/** Variables that can be set from within loops. */
export class Namespace {
  readonly fields = new Map<string, Value>();
}

/** Arguments of a call. */
export interface Arguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** A function, a method or a macro. */
export class Callable {
  readonly name: string;
  readonly call: (args: Arguments) => Value;

  constructor(name: string, call: (args: Arguments) => Value) {
    this.name = name;
    this.call = call;
  }
}

/** The variable `loop`: it has fields, which change as the loop goes on, and a recursive loop can be called. */
export class LoopVariable extends Callable {
  readonly field: (name: string) => Value | undefined;

  constructor(field: (name: string) => Value | undefined, recurse: (args: Arguments) => Value) {
    super('loop', recurse);
    this.field = field;
  }
}

/** A dictionary: keys in the order they came; 1, 1.0 and True are one key. */
export class Dict {
  readonly #entries = new Map<string, readonly [Value, Value]>();

  static of(entries: Iterable<readonly [Value, Value]>): Dict {
    const dict = new Dict();
    for (const [key, value] of entries) dict.set(key, value);
    return dict;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: Value): Value | undefined {
    return this.#entries.get(hashOf(key))?.[1];
  }

  /** An entry in place of another keeps its key and its place. */
  set(key: Value, value: Value): void {
    const hash = hashOf(key);
    this.#entries.set(hash, [this.#entries.get(hash)?.[0] ?? key, value]);
  }

  entries(): (readonly [Value, Value])[] {
    return [...this.#entries.values()];
  }

  keys(): Value[] {
    return this.entries().map(([key]) => key);
  }
}

function hashOf(key: Value): string {
  if (typeof key === 'string') return `s${key}`;
  if (typeof key === 'boolean') return `n${key ? 1 : 0}`;
  if (typeof key === 'bigint') return `n${key}`;
  if (typeof key === 'number') return `n${Number.isInteger(key) ? BigInt(key) : key}`;
  if (key === NONE) return 'none';
  if (key instanceof Tuple) return `(${key.items.map((item) => JSON.stringify(hashOf(item))).join()})`;
  return fault(`unhashable type: '${typeName(key)}'`);
}

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (value === NONE) return 'NoneType';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint') return 'int';
  if (typeof value === 'number') return 'float';
  if (typeof value === 'string') return 'str';
  if (isList(value)) return 'list';
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof Dict) return 'dict';
  if (value instanceof View) return value.kind;
  if (value instanceof Range) return 'range';
  if (value instanceof Stream) return 'generator';
  if (value instanceof Undefined) return 'Undefined';
  return value instanceof Namespace ? 'Namespace' : 'function';
}

export const isList = (value: Value): value is readonly Value[] => Array.isArray(value);

/** The number of a number or of a truth value. */
export function asNumber(value: Value): bigint | number | undefined {
  if (typeof value === 'boolean') return value ? 1n : 0n;
  return typeof value === 'bigint' || typeof value === 'number' ? value : undefined;
}

/** Throws for what is not there, as any use of it does in the reference. */
export function requireDefined(value: Value): void {
  if (value instanceof Undefined) fault(value.why);
}

export function isTrue(value: Value): boolean {
  if (value === NONE || value instanceof Undefined) return false;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'bigint') return value !== 0n;
  if (typeof value === 'number') return value !== 0;
  if (typeof value === 'string' || isList(value)) return value.length > 0;
  if (value instanceof Tuple || value instanceof View || value instanceof Range) return value.items.length > 0;
  return value instanceof Dict ? value.size > 0 : true;
}

/** Entries of what a loop can go through; undefined for all else. */
export function entriesOf(value: Value, meter: Meter): readonly Value[] | undefined {
  let entries: readonly Value[] | undefined;
  if (typeof value === 'string') entries = Array.from(value);
  else if (isList(value)) entries = value;
  else if (value instanceof Tuple || value instanceof View || value instanceof Range) entries = value.items;
  else if (value instanceof Dict) entries = value.keys();
  else if (value instanceof Stream) entries = value.take();
  else if (value instanceof Undefined) entries = [];
  meter.work(entries?.length);
  return entries;
}

/** As {@link entriesOf}. @throws TemplateFault for what a loop cannot go through */
export function iterate(value: Value, meter: Meter): readonly Value[] {
  return entriesOf(value, meter) ?? fault(`'${typeName(value)}' object is not iterable`);
}

/** The length that Python's `len` gives. @throws TemplateFault */
export function lengthOf(value: Value, meter: Meter): number {
  if (value instanceof Stream) return fault("object of type 'generator' has no len()");
  const entries = entriesOf(value, meter);
  return entries?.length ?? fault(`object of type '${typeName(value)}' has no len()`);
}

/** The entries of a list or a tuple. */
const sequenceOf = (value: Value): readonly Value[] | undefined =>
  isList(value) ? value : value instanceof Tuple ? value.items : undefined;

export function equal(a: Value, b: Value, meter: Meter): boolean {
  meter.work();
  const [x, y] = [asNumber(a), asNumber(b)];
  // biome-ignore lint/suspicious/noDoubleEquals: a whole number and a floating-point one of the same value are equal
  if (x !== undefined && y !== undefined) return x == y;
  if (typeof a === 'string' && typeof b === 'string') {
    meter.work(a.length);
    return a === b;
  }
  if (a === b || (a instanceof Undefined && b instanceof Undefined)) return true;
  const [left, right] = [sequenceOf(a), sequenceOf(b)];
  if (left !== undefined && right !== undefined) {
    return (
      isList(a) === isList(b) &&
      left.length === right.length &&
      meter.deeper(() => left.every((item, i) => equal(item, right[i]!, meter)))
    );
  }
  if (!(a instanceof Dict && b instanceof Dict) || a.size !== b.size) return false;
  return meter.deeper(() =>
    a.entries().every(([key, value]) => {
      const other = b.get(key);
      return other !== undefined && equal(value, other, meter);
    }),
  );
}

/** Negative, zero or positive; `sign` is for the sentence. @throws TemplateFault for what has no order */
export function compare(a: Value, b: Value, sign: string, meter: Meter): number {
  meter.work();
  const [x, y] = [asNumber(a), asNumber(b)];
  if (x !== undefined && y !== undefined) return x < y ? -1 : x > y ? 1 : 0;
  if (typeof a === 'string' && typeof b === 'string') return compareTexts(a, b, meter);
  const [left, right] = [sequenceOf(a), sequenceOf(b)];
  if (left === undefined || right === undefined || isList(a) !== isList(b)) {
    requireDefined(a);
    requireDefined(b);
    return fault(`'${sign}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
  }
  return meter.deeper(() => {
    const at = left.findIndex((item, i) => i >= right.length || !equal(item, right[i]!, meter));
    if (at < 0 || at >= right.length) return left.length - right.length;
    return compare(left[at]!, right[at]!, sign, meter);
  });
}

/** By code point, as Python does; JavaScript compares halves of characters. */
function compareTexts(a: string, b: string, meter: Meter): number {
  meter.work(Math.min(a.length, b.length));
  for (let at = 0; at < a.length && at < b.length; at++) {
    if (a.charCodeAt(at) === b.charCodeAt(at)) continue;
    const start = at > 0 && isLow(a, at) && isLow(b, at) ? at - 1 : at;
    return (a.codePointAt(start) as number) - (b.codePointAt(start) as number);
  }
  return a.length - b.length;
}

const isLow = (text: string, at: number): boolean => (text.charCodeAt(at) & 0xfc00) === 0xdc00;

/** Whether a value is in a list, a text or the keys of a dictionary. @throws TemplateFault */
export function contains(container: Value, item: Value, meter: Meter): boolean {
  if (typeof container === 'string') {
    if (typeof item !== 'string') {
      requireDefined(item);
      return fault(`'in <string>' requires string as left operand, not ${typeName(item)}`);
    }
    meter.work(container.length);
    return container.includes(item);
  }
  if (container instanceof Dict) return container.get(item) !== undefined;
  const entries = entriesOf(container, meter) ?? fault(`argument of type '${typeName(container)}' is not iterable`);
  return entries.some((entry) => equal(entry, item, meter));
}

/** The text that Python's `str` gives, which is what a template prints. @throws TemplateFault */
export function toText(value: Value, meter: Meter): string {
  if (typeof value === 'string') return value;
  return value instanceof Undefined ? '' : represent(value, meter);
}

/** The text that Python's `repr` gives. @throws TemplateFault for what would print an address */
export function represent(value: Value, meter: Meter): string {
  meter.make(8);
  if (value instanceof None) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return formatFloat(value);
  if (typeof value === 'string') return quote(value, meter);
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Range) return value.text;
  if (value instanceof Stream || value instanceof Callable)
    return fault(`it prints a ${typeName(value)}, whose text is a place in memory`);
  return meter.deeper(() => {
    const all = (items: readonly Value[]): string => items.map((item) => represent(item, meter)).join(', ');
    if (isList(value)) return `[${all(value)}]`;
    if (value instanceof Tuple) return `(${all(value.items)}${value.items.length === 1 ? ',' : ''})`;
    if (value instanceof View) return `${value.kind}([${all(value.items)}])`;
    if (value instanceof Dict) return braces(value.entries(), meter);
    return `<Namespace ${braces([...value.fields], meter)}>`;
  });
}

const braces = (entries: readonly (readonly [Value, Value])[], meter: Meter): string =>
  `{${entries.map(([key, value]) => `${represent(key, meter)}: ${represent(value, meter)}`).join(', ')}}`;

const ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' };

/** A text in quotes: single ones unless it holds single ones only; what does not print as an escape. */
function quote(text: string, meter: Meter): string {
  meter.make(text.length);
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = text.replace(/[\\\p{C}\p{Z}'"]/gu, (char) => {
    if (char === ' ') return char;
    if (char === "'" || char === '"') return char === mark ? `\\${char}` : char;
    return ESCAPES[char] ?? escapeCode(char.codePointAt(0) as number);
  });
  return mark + inner + mark;
}

function escapeCode(code: number): string {
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\U${code.toString(16).padStart(8, '0')}`;
}

/** A value of JavaScript as one of Python. @throws TemplateFault for functions and other objects */
export function fromHost(value: unknown, meter: Meter): Value {
  meter.work();
  if (value === null) return NONE;
  if (typeof value === 'boolean' || typeof value === 'string' || typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value;
  if (value === undefined) return new Undefined('a variable is undefined');
  return meter.deeper((): Value => {
    if (Array.isArray(value)) return value.map((item) => fromHost(item, meter));
    const prototype: unknown = typeof value === 'object' ? Object.getPrototypeOf(value) : undefined;
    if (prototype !== Object.prototype && prototype !== null)
      return fault(`a variable holds a ${typeof value} that is no plain data`);
    return Dict.of(
      Object.entries(value as object)
        .filter(([, field]) => field !== undefined)
        .map(([key, field]) => [key, fromHost(field, meter)] as const),
    );
  });
}
