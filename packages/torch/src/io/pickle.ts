/**
 * A reader of Python pickles that hold data only: numbers, strings, bytes and containers. Nothing is ever imported or
 * run: a global is a name, looked up in the caller's table, and any name outside it ends the reading. All work and
 * memory is bounded by the length of the pickle.
 *
 * Python -> here: dict, OrderedDict -> Map; list -> array; tuple -> frozen array; set -> Set; int -> number, or bigint
 * past 2^53; float -> number; str -> string; bytes -> Uint8Array; None -> null.
 */

/** Throws the reader's own error about a damaged file. */
export type Fail = (why: string) => never;

/** Where a pickle's bytes come from, one after the other. */
export interface PickleBytes {
  /** The next byte. */
  byte(): number;
  /** The next `length` bytes; valid until the next call. */
  take(length: number): Buffer;
  /** The bytes up to the next line feed, without it; fails where there are more than `limit`. */
  line(limit: number): Buffer;
}

/** What a global of the table makes of its arguments (`REDUCE`); a global without it is a plain constant. */
export class PickleGlobal {
  readonly name: string;
  readonly call: ((args: readonly unknown[], budget: Budget) => unknown) | undefined;

  constructor(name: string, call?: (args: readonly unknown[], budget: Budget) => unknown) {
    this.name = name;
    this.call = call;
  }
}

/** What the reader asks its caller. */
export interface PickleHooks {
  /** The meaning of `module.name`, or undefined to refuse it. */
  readonly global: (name: string) => unknown;
  /** The object behind a persistent id. */
  readonly persistent: (id: unknown) => unknown;
  readonly fail: Fail;
  /** Values, copies counted, that the pickle may make; by default {@link MAX_VALUES}. */
  readonly maxValues?: number | undefined;
}

/** A limit on the values that a pickle may make beyond one a byte: copies of containers and strings cost their length. */
export class Budget {
  #left: number;
  readonly #fail: Fail;

  constructor(limit: number, fail: Fail) {
    this.#left = limit;
    this.#fail = fail;
  }

  spend(amount: number): void {
    this.#left -= amount;
    if (this.#left < 0) this.#fail('its pickle makes too many values');
  }
}

/** Values, copies counted, that one pickle may make; a 7B checkpoint with its optimiser needs less than 100,000. */
const MAX_VALUES = 4_000_000;
/** What a dict or set counts as, since an empty one already takes some hundred bytes. */
const CONTAINER_COST = 32;
/** Longest string or bytes object. */
const MAX_STRING_BYTES = 64 * 2 ** 20;
/** Longest integer; real ones take 8 bytes. */
const MAX_INT_BYTES = 1024;
const MAX_NESTING = 256;

/** Marks the begin of a container's items on the stack. */
const MARK = Symbol('mark');

/** Reads one pickle from the cursor, which then stands past its last byte. */
export function readPickle(cursor: PickleBytes, hooks: PickleHooks): unknown {
  const value = new Machine(cursor, hooks).run();
  checkNesting(value, hooks.fail);
  return value;
}

/** Whether the value stands for a Python tuple. */
export function isTuple(value: unknown): value is readonly unknown[] {
  return Array.isArray(value) && Object.isFrozen(value);
}

class Machine {
  readonly #in: PickleBytes;
  readonly #hooks: PickleHooks;
  readonly #fail: Fail;
  readonly #budget: Budget;
  readonly #stack: unknown[] = [];
  readonly #memo = new Map<number, unknown>();
  #numMarks = 0;

  constructor(cursor: PickleBytes, hooks: PickleHooks) {
    this.#in = cursor;
    this.#hooks = hooks;
    this.#fail = hooks.fail;
    this.#budget = new Budget(hooks.maxValues ?? MAX_VALUES, hooks.fail);
  }

  run(): unknown {
    for (;;) {
      this.#budget.spend(1);
      const opcode = this.#in.byte();
      if (opcode === 0x2e) break; // .
      this.#step(opcode);
    }
    const value = this.#pop();
    if (this.#stack.length > 0) this.#fail('its pickle leaves values over');
    return value;
  }

  #step(opcode: number): unknown {
    switch (String.fromCharCode(opcode)) {
      case '\x80': // PROTO
        if (this.#in.byte() > 5) this.#fail('its pickle has a protocol past 5');
        return undefined;
      case '\x95': // FRAME: only a hint for buffering
        this.#in.take(8);
        return undefined;
      case '(':
        if (++this.#numMarks > 100_000) this.#fail('its pickle nests too deeply');
        return this.#push(MARK);
      case '0':
        this.#drop();
        return undefined;
      case '1':
        this.#popMark();
        return undefined;
      case '2':
        return this.#push(this.#top());

      case 'N':
        return this.#push(null);
      case '\x88':
        return this.#push(true);
      case '\x89':
        return this.#push(false);
      case 'I':
        return this.#push(this.#textInt());
      case 'L':
        return this.#push(this.#decimal(this.#text().replace(/L$/, '')));
      case 'F':
        return this.#push(this.#textFloat());
      case 'J':
        return this.#push(this.#in.take(4).readInt32LE());
      case 'K':
        return this.#push(this.#in.byte());
      case 'M':
        return this.#push(this.#in.take(2).readUInt16LE());
      case '\x8a':
        return this.#push(this.#long(this.#in.byte()));
      case '\x8b':
        return this.#push(this.#long(this.#in.take(4).readInt32LE()));
      case 'G':
        return this.#push(this.#in.take(8).readDoubleBE());

      case 'S': // Python 2's str; torch reads it as UTF-8
        return this.#push(this.#quoted());
      case 'T':
        return this.#push(this.#string(this.#in.take(4).readInt32LE()));
      case 'U':
        return this.#push(this.#string(this.#in.byte()));
      case 'V':
        return this.#push(this.#rawUnicode());
      case 'X':
        return this.#push(this.#string(this.#in.take(4).readUInt32LE()));
      case '\x8c':
        return this.#push(this.#string(this.#in.byte()));
      case '\x8d':
        return this.#push(this.#string(this.#length8()));
      case 'B':
        return this.#push(this.#bytes(this.#in.take(4).readUInt32LE()));
      case 'C':
        return this.#push(this.#bytes(this.#in.byte()));
      case '\x8e':
      case '\x96':
        return this.#push(this.#bytes(this.#length8()));

      case ']':
        return this.#push([]);
      case 'l':
        return this.#push(this.#popMark());
      case 'a': {
        const item = this.#pop();
        this.#list().push(item);
        return undefined;
      }
      case 'e': {
        const items = this.#popMark();
        const list = this.#list();
        for (const item of items) list.push(item);
        return undefined;
      }
      case ')':
        return this.#push(Object.freeze([]));
      case 't':
        return this.#push(Object.freeze(this.#popMark()));
      case '\x85':
        return this.#tuple(1);
      case '\x86':
        return this.#tuple(2);
      case '\x87':
        return this.#tuple(3);
      case '}':
        this.#budget.spend(CONTAINER_COST);
        return this.#push(new Map());
      case 'd': {
        const items = this.#popMark();
        this.#budget.spend(CONTAINER_COST);
        return this.#push(this.#setItems(new Map(), items));
      }
      case 's': {
        const value = this.#pop();
        const key = this.#pop();
        this.#setItems(this.#dict(), [key, value]);
        return undefined;
      }
      case 'u': {
        const items = this.#popMark();
        this.#setItems(this.#dict(), items);
        return undefined;
      }
      case '\x8f':
        this.#budget.spend(CONTAINER_COST);
        return this.#push(new Set());
      case '\x90': {
        const items = this.#popMark();
        const set = this.#top();
        if (!(set instanceof Set)) return this.#fail('its pickle adds items to something that is no set');
        for (const item of items) set.add(this.#key(item));
        return undefined;
      }
      case '\x91':
        this.#budget.spend(CONTAINER_COST);
        return this.#push(new Set(this.#popMark().map((item) => this.#key(item))));

      case 'g':
        return this.#get(this.#index(this.#text()));
      case 'h':
        return this.#get(this.#in.byte());
      case 'j':
        return this.#get(this.#in.take(4).readUInt32LE());
      case 'p':
        return this.#put(this.#index(this.#text()));
      case 'q':
        return this.#put(this.#in.byte());
      case 'r':
        return this.#put(this.#in.take(4).readUInt32LE());
      case '\x94':
        return this.#put(this.#memo.size);

      case 'c': {
        const module = this.#text();
        return this.#push(this.#global(module, this.#text()));
      }
      case '\x93': {
        const name = this.#pop();
        const module = this.#pop();
        if (typeof module !== 'string' || typeof name !== 'string')
          return this.#fail('its pickle has a nameless global');
        return this.#push(this.#global(module, name));
      }
      case 'R':
      case '\x81': {
        const args = this.#pop();
        const callee = this.#pop();
        return this.#push(this.#call(callee, args));
      }
      case 'b':
        return this.#build(this.#pop());
      case 'Q':
        return this.#push(this.#hooks.persistent(this.#pop()));
      case 'P':
        return this.#push(this.#hooks.persistent(this.#text()));
      default:
        return this.#fail(
          `its pickle has the opcode 0x${opcode.toString(16).padStart(2, '0')}, which data does not need`,
        );
    }
  }

  #push(value: unknown): void {
    this.#stack.push(value);
  }

  #top(): unknown {
    const value = this.#stack.at(-1);
    if (this.#stack.length === 0 || value === MARK) this.#fail('its pickle takes a value from an empty stack');
    return value;
  }

  #pop(): unknown {
    const value = this.#top();
    this.#stack.pop();
    return value;
  }

  /** Python's POP takes a mark off, too. */
  #drop(): void {
    if (this.#stack.length === 0) this.#fail('its pickle takes a value from an empty stack');
    if (this.#stack.pop() === MARK) this.#numMarks--;
  }

  #popMark(): unknown[] {
    const at = this.#stack.lastIndexOf(MARK);
    if (at < 0) this.#fail('its pickle ends a container that it did not begin');
    this.#numMarks--;
    const items = this.#stack.splice(at);
    items.shift();
    return items;
  }

  #tuple(size: number): void {
    const items = Array.from({ length: size }, () => this.#pop()).reverse();
    this.#push(Object.freeze(items));
  }

  #list(): unknown[] {
    const list = this.#top();
    if (!Array.isArray(list) || Object.isFrozen(list))
      return this.#fail('its pickle appends to something that is no list');
    return list;
  }

  #dict(): Map<unknown, unknown> {
    const dict = this.#top();
    return dict instanceof Map ? dict : this.#fail('its pickle sets an item of something that is no dict');
  }

  #setItems(dict: Map<unknown, unknown>, items: readonly unknown[]): Map<unknown, unknown> {
    if (items.length % 2 !== 0) this.#fail('its pickle has a key without a value');
    for (let i = 0; i < items.length; i += 2) dict.set(this.#key(items[i]), items[i + 1]);
    return dict;
  }

  /** What Python can hash: no lists, dicts or sets. */
  #key(value: unknown): unknown {
    if (value instanceof Map || value instanceof Set || (Array.isArray(value) && !Object.isFrozen(value))) {
      return this.#fail('its pickle has a container as a key');
    }
    return value;
  }

  #get(index: number): void {
    if (!this.#memo.has(index)) this.#fail(`its pickle refers to the value ${index} before it is there`);
    this.#push(this.#memo.get(index));
  }

  #put(index: number): void {
    this.#memo.set(index, this.#top());
  }

  #global(module: string, name: string): unknown {
    const full = `${module === '__builtin__' ? 'builtins' : module}.${name}`;
    const found = this.#hooks.global(full);
    return found === undefined
      ? this.#fail(`it asks for the Python object ${JSON.stringify(full)}, and only plain data is read`)
      : found;
  }

  #call(callee: unknown, args: unknown): unknown {
    if (!(callee instanceof PickleGlobal) || callee.call === undefined || !isTuple(args)) {
      const name = callee instanceof PickleGlobal ? ` ${callee.name}` : '';
      return this.#fail(`its pickle calls something that is no constructor of data${name}`);
    }
    return callee.call(args, this.#budget);
  }

  /** Attributes of containers are no data (`_metadata` of state dicts); a dtype of numpy takes its byte order. */
  #build(state: unknown): void {
    const target = this.#top();
    if (target instanceof Map && state instanceof Map) return;
    if (target instanceof Buildable && target.build(state)) return;
    this.#fail('its pickle sets the state of something that has none');
  }

  #text(): string {
    return this.#in.line(4096).toString('utf8');
  }

  #index(text: string): number {
    return /^\d{1,15}$/.test(text) ? Number(text) : this.#fail(`its pickle has the index ${JSON.stringify(text)}`);
  }

  #textInt(): unknown {
    const text = this.#text();
    if (text === '00') return false;
    return text === '01' ? true : this.#decimal(text);
  }

  #decimal(text: string): number | bigint {
    if (!/^[+-]?\d{1,2500}$/.test(text)) this.#fail(`its pickle has the integer ${JSON.stringify(text.slice(0, 40))}`);
    return toInt(BigInt(text.replace('+', '')));
  }

  #textFloat(): number {
    const text = this.#text();
    if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return Number(text);
    const special = /^([+-]?)(inf|nan)$/.exec(text);
    if (special === null) return this.#fail(`its pickle has the number ${JSON.stringify(text.slice(0, 40))}`);
    return special[2] === 'nan' ? Number.NaN : special[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }

  #long(length: number): number | bigint {
    if (length < 0 || length > MAX_INT_BYTES) this.#fail(`its pickle has an integer of ${length} bytes`);
    if (length === 0) return 0;
    const hex = Buffer.from(this.#in.take(length)).reverse().toString('hex');
    return toInt(BigInt.asIntN(8 * length, BigInt(`0x${hex}`)));
  }

  #length8(): number {
    return Number(this.#in.take(8).readBigUInt64LE());
  }

  #checkLength(length: number): void {
    if (length < 0 || length > MAX_STRING_BYTES) this.#fail(`its pickle has a string of ${length} bytes`);
  }

  #string(length: number): string {
    this.#checkLength(length);
    const bytes = this.#in.take(length);
    const text = bytes.toString('utf8');
    // Python writes lone surrogates as three bytes, which no strict UTF-8 reader takes.
    return text.includes('\ufffd') ? decodeSurrogates(bytes, this.#fail) : text;
  }

  #bytes(length: number): Uint8Array {
    this.#checkLength(length);
    return Uint8Array.from(this.#in.take(length));
  }

  #quoted(): string {
    const text = this.#in.line(MAX_STRING_BYTES).toString('latin1');
    const quote = text[0];
    if (text.length < 2 || (quote !== "'" && quote !== '"') || !text.endsWith(quote))
      this.#fail('its pickle has a string without quotes');
    return decodeEscapes(text.slice(1, -1));
  }

  #rawUnicode(): string {
    const text = this.#in.line(MAX_STRING_BYTES).toString('latin1');
    return text.replace(/\\u([0-9a-f]{4})|\\U([0-9a-f]{8})/gi, (match, short: string, long: string) => {
      const code = Number.parseInt(short ?? long, 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : match;
    });
  }
}

/** A value under construction that takes a state; `build` says whether it took it. */
export abstract class Buildable {
  abstract build(state: unknown): boolean;
}

function toInt(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', a: '\x07', b: '\b', f: '\f', v: '\v' };

/** Python 2's escaped bytes, which stand for UTF-8. */
function decodeEscapes(text: string): string {
  const bytes = text.replace(/\\(x[0-9a-f]{2}|[0-7]{1,3}|.)/gis, (_, code: string) => {
    if (code.length === 3 && code[0] === 'x') return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    if (/^[0-7]+$/.test(code)) return String.fromCharCode(Number.parseInt(code, 8) & 0xff);
    return ESCAPES[code] ?? code;
  });
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function decodeSurrogates(bytes: Buffer, fail: Fail): string {
  const parts: string[] = [];
  let start = 0;
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const flush = (end: number): void => {
    try {
      parts.push(strict.decode(bytes.subarray(start, end)));
    } catch {
      fail('its pickle has a string that is not UTF-8');
    }
  };
  for (let i = 0; i + 2 < bytes.length; i++) {
    const [a, b, c] = [bytes[i]!, bytes[i + 1]!, bytes[i + 2]!];
    if (a !== 0xed || b < 0xa0 || b > 0xbf || (c & 0xc0) !== 0x80) continue;
    flush(i);
    parts.push(String.fromCharCode(0xd000 | ((b & 0x3f) << 6) | (c & 0x3f)));
    start = i + 3;
    i += 2;
  }
  flush(bytes.length);
  return parts.join('');
}

function itemsOf(value: unknown): readonly unknown[] | undefined {
  if (Array.isArray(value)) return value;
  if (value instanceof Map) return [...value.keys(), ...value.values()];
  return value instanceof Set ? [...value] : undefined;
}

/** Fails where containers hold themselves or lie deeper than any reader should have to follow. */
function checkNesting(root: unknown, fail: Fail): void {
  const depths = new Map<unknown, number>();
  const open: { value: unknown; items: readonly unknown[]; next: number; depth: number }[] = [];
  const enter = (value: unknown): void => {
    const items = itemsOf(value);
    if (items === undefined) return;
    const known = depths.get(value);
    if (known === -1) fail('its pickle has a container that holds itself');
    if (known === undefined) {
      depths.set(value, -1);
      open.push({ value, items, next: 0, depth: 1 });
      if (open.length > MAX_NESTING) fail(`its pickle nests deeper than ${MAX_NESTING} containers`);
    }
  };
  enter(root);
  for (let frame = open.at(-1); frame !== undefined; frame = open.at(-1)) {
    if (frame.next < frame.items.length) {
      enter(frame.items[frame.next++]);
      continue;
    }
    let depth = 1;
    for (const item of frame.items) depth = Math.max(depth, 1 + (depths.get(item) ?? 0));
    if (depth > MAX_NESTING) fail(`its pickle nests deeper than ${MAX_NESTING} containers`);
    depths.set(frame.value, depth);
    open.pop();
  }
}
