/** Attributes and methods of the values of a template: those of Python's texts, lists, tuples and dictionaries. */
import { asCount, asText, bind } from './arguments.js';
import { fault } from './faults.js';
import { formatBraces, zeroFill } from './format.js';
import type { Meter } from './meter.js';
import * as text from './python-text.js';
import {
  type Arguments,
  Callable,
  Dict,
  equal,
  Group,
  isList,
  iterate,
  LoopVariable,
  Namespace,
  NONE,
  Range,
  requireDefined,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from './values.js';

type Method<T> = (self: T, args: Arguments, meter: Meter) => Value;

/** Methods that change a value in place; the reference's sandbox refuses them, too. */
const MUTATORS: Readonly<Record<string, ReadonlySet<string>>> = {
  list: new Set(['append', 'clear', 'pop', 'reverse', 'insert', 'sort', 'extend', 'remove']),
  dict: new Set(['clear', 'pop', 'popitem', 'setdefault', 'update']),
};
/** Methods of Python's texts that are not known here. */
const UNKNOWN_TEXT_METHODS = new Set([
  ...['encode', 'format_map', 'isidentifier', 'isprintable', 'maketrans', 'translate'],
]);

/** `object.name`: an attribute, else an entry. */
export function getAttribute(object: Value, name: string, meter: Meter): Value {
  return ownAttribute(object, name, meter) ?? entryOf(object, name, meter) ?? missing(object, name);
}

/** `object[key]`: an entry, else an attribute. */
export function getItem(object: Value, key: Value, meter: Meter): Value {
  requireDefined(object);
  const entry = entryOf(object, key, meter);
  if (entry !== undefined) return entry;
  const attribute = typeof key === 'string' ? ownAttribute(object, key, meter) : undefined;
  return attribute ?? missing(object, key);
}

function missing(object: Value, key: Value): Undefined {
  const kind = object === NONE ? 'None' : `'${typeName(object)} object'`;
  return new Undefined(
    typeof key === 'string' ? `${kind} has no attribute '${key}'` : `${kind} has no element ${String(key)}`,
  );
}

function entryOf(object: Value, key: Value, meter: Meter): Value | undefined {
  meter.work();
  if (object instanceof Dict) return isList(key) || key instanceof Dict ? undefined : object.get(key);
  const index = typeof key === 'boolean' ? BigInt(key) : key;
  if (typeof index !== 'bigint') return undefined;
  const items =
    typeof object === 'string'
      ? charactersOf(object, meter)
      : isList(object)
        ? object
        : object instanceof Tuple || object instanceof Range
          ? object.items
          : undefined;
  return items?.at(asCount(index, 'an index'));
}

function charactersOf(object: string, meter: Meter): readonly string[] {
  meter.work(object.length);
  return Array.from(object);
}

function ownAttribute(object: Value, name: string, meter: Meter): Value | undefined {
  requireDefined(object);
  // The sandbox shows nothing that begins with an underscore.
  if (name.startsWith('__')) return undefined;
  if (object instanceof LoopVariable) return object.field(name);
  if (object instanceof Namespace) return object.fields.get(name);
  const type = typeName(object);
  if (MUTATORS[type]?.has(name))
    return new Undefined(`the method ${name} would change a ${type}, which is not allowed`);
  if (typeof object === 'string') return bound(object, name, TEXT_METHODS, meter);
  if (isList(object)) return bound<readonly Value[]>(object, name, LIST_METHODS, meter);
  if (object instanceof Group && object.field(name) !== undefined) return object.field(name);
  if (object instanceof Tuple) return bound(object.items, name, SEQUENCE_METHODS, meter);
  return object instanceof Dict ? bound(object, name, DICT_METHODS, meter) : undefined;
}

function bound<T extends Value>(
  self: T,
  name: string,
  methods: Readonly<Record<string, Method<T>>>,
  meter: Meter,
): Value | undefined {
  const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
  if (method !== undefined) {
    return new Callable(name, (args) => {
      meter.work(typeof self === 'string' || isList(self) ? self.length : 0);
      return method(self, args, meter);
    });
  }
  if (typeof self === 'string' && UNKNOWN_TEXT_METHODS.has(name))
    return fault(`the text method ${name} is not known here`);
  return undefined;
}

const SEQUENCE_METHODS: Readonly<Record<string, Method<readonly Value[]>>> = {
  count(self, args, meter) {
    const [item = NONE] = bind('count', args, ['value']);
    return BigInt(self.filter((entry) => equal(entry, item, meter)).length);
  },
  index(self, args, meter) {
    const [item = NONE, start, stop] = bind('index', args, ['value', 'start', 'stop']);
    const [from, to] = bounds(self.length, start, stop);
    const at = self.findIndex((entry, i) => i >= from && i < to && equal(entry, item, meter));
    return at < 0 ? fault('a list does not hold what index looks for') : BigInt(at);
  },
};

const LIST_METHODS: typeof SEQUENCE_METHODS = { ...SEQUENCE_METHODS, copy: (self) => self };

const DICT_METHODS: Readonly<Record<string, Method<Dict>>> = {
  get(self, args) {
    const [key = NONE, fallback = NONE] = bind('get', args, ['key', 'default']);
    return self.get(key) ?? fallback;
  },
  items: (self, _, meter) => {
    meter.make(self.size);
    return new View(
      'dict_items',
      self.entries().map((entry) => new Tuple(entry)),
    );
  },
  keys: (self) => new View('dict_keys', self.keys()),
  values: (self) =>
    new View(
      'dict_values',
      self.entries().map(([, value]) => value),
    ),
  copy: (self) => Dict.of(self.entries()),
};

/** Start and end of a search, counted as in a slice. */
function bounds(length: number, start: Value | undefined, stop: Value | undefined): [number, number] {
  const place = (value: Value | undefined, fallback: number): number => {
    if (value === undefined || value === NONE) return fallback;
    const at = asCount(value, 'a place in a text');
    return Math.min(Math.max(at < 0 ? at + length : at, 0), length);
  };
  return [place(start, 0), place(stop, length)];
}

/** Methods that look for a text between two places, in code points. */
function search(find: (text: string, part: string) => number, fails: boolean): Method<string> {
  return (self, args) => {
    const [part, start, stop] = bind('find', args, ['sub', 'start', 'end']);
    const sought = asText(part, 'find');
    const chars = Array.from(self);
    const [from, to] = bounds(chars.length, start, stop);
    const inside = from <= to ? chars.slice(from, to).join('') : undefined;
    const at = inside === undefined ? -1 : find(inside, sought);
    if (at >= 0) return BigInt(from + Array.from((inside as string).slice(0, at)).length);
    return fails ? fault('substring not found') : -1n;
  };
}

/** `startswith` and `endswith`: one text or a tuple of them. */
function affix(has: (text: string, part: string) => boolean): Method<string> {
  return (self, args) => {
    const [part = NONE, start, stop] = bind('startswith', args, ['prefix', 'start', 'end']);
    const chars = Array.from(self);
    const [from, to] = bounds(chars.length, start, stop);
    const inside = start === undefined && stop === undefined ? self : chars.slice(from, to).join('');
    const parts = part instanceof Tuple ? part.items : [part];
    return from <= to && parts.some((one) => has(inside, asText(one, 'startswith or endswith')));
  };
}

function stripper(sides: 'left' | 'right' | 'both'): Method<string> {
  return (self, args) => {
    const [chars = NONE] = bind('strip', args, ['chars']);
    return text.strip(self, chars === NONE ? undefined : asText(chars, 'strip'), sides);
  };
}

function splitter(fromRight: boolean): Method<string> {
  return (self, args, meter) => {
    const [separator = NONE, most = -1n] = bind('split', args, ['sep', 'maxsplit']);
    const limit = asCount(most, 'split');
    meter.make(self.length);
    if (separator === NONE) return (fromRight ? text.splitSpacesFromRight : text.splitSpaces)(self, limit);
    const mark = asText(separator, 'split');
    return mark === '' ? fault('empty separator') : text.splitBy(self, mark, limit, fromRight);
  };
}

function partition(fromRight: boolean): Method<string> {
  return (self, args) => {
    const mark = asText(bind('partition', args, ['sep'])[0], 'partition');
    if (mark === '') fault('empty separator');
    const at = fromRight ? self.lastIndexOf(mark) : self.indexOf(mark);
    if (at < 0) return new Tuple(fromRight ? ['', '', self] : [self, '', '']);
    return new Tuple([self.slice(0, at), mark, self.slice(at + mark.length)]);
  };
}

function justify(side: 'left' | 'right' | 'both'): Method<string> {
  return (self, args, meter) => {
    const [width, fill = ' '] = bind('ljust', args, ['width', 'fillchar']);
    const char = asText(fill, 'ljust');
    if (Array.from(char).length !== 1) fault('The fill character must be exactly one character long');
    return pad(self, asCount(width, 'ljust'), char, side, meter);
  };
}

/** A text within a width; in the middle the odd place goes where Python puts it. */
export function pad(self: string, width: number, char: string, side: 'left' | 'right' | 'both', meter: Meter): string {
  const missing = Math.max(width - Array.from(self).length, 0);
  meter.make(missing);
  const before = side === 'left' ? 0 : side === 'right' ? missing : (missing >> 1) + (missing & width & 1);
  return char.repeat(before) + self + char.repeat(missing - before);
}

/** Whether there is a character, and all are of a kind. */
function every(pattern: RegExp): Method<string> {
  return (self) => self !== '' && Array.from(self).every((char) => pattern.test(char));
}

/** `islower` and `isupper`: letters of one case, at least one of them. */
function cased(wanted: RegExp, other: RegExp): Method<string> {
  return (self) => wanted.test(self) && !other.test(self);
}

/** `str.replace` with a number of replacements. */
export function replaceText(self: string, from: string, to: string, count: number, meter: Meter): string {
  const parts = from === '' ? ['', ...Array.from(self), ''] : self.split(from);
  const most = count < 0 ? parts.length - 1 : Math.min(count, parts.length - 1);
  meter.make(self.length + most * to.length);
  if (most === parts.length - 1) return parts.join(to);
  return (
    parts
      .slice(0, most)
      .map((part) => part + to)
      .join('') + parts.slice(most).join(from)
  );
}

const TEXT_METHODS: Readonly<Record<string, Method<string>>> = {
  capitalize: (self) => text.capitalize(self),
  casefold: (self) => self.toLowerCase().replaceAll('ß', 'ss').replaceAll('ς', 'σ'),
  center: justify('both'),
  count(self, args) {
    const [part, start, stop] = bind('count', args, ['sub', 'start', 'end']);
    const sought = asText(part, 'count');
    const chars = Array.from(self);
    const [from, to] = bounds(chars.length, start, stop);
    if (from > to) return 0n;
    return BigInt(sought === '' ? to - from + 1 : chars.slice(from, to).join('').split(sought).length - 1);
  },
  endswith: affix((whole, part) => whole.endsWith(part)),
  expandtabs(self, args, meter) {
    const [size = 8n] = bind('expandtabs', args, ['tabsize']);
    return expandTabs(self, asCount(size, 'expandtabs'), meter);
  },
  find: search((whole, part) => whole.indexOf(part), false),
  format: (self, args, meter) =>
    formatBraces(
      self,
      args,
      (value, name, isAttribute) =>
        isAttribute
          ? getAttribute(value, name, meter)
          : getItem(value, /^\d+$/.test(name) ? BigInt(name) : name, meter),
      meter,
    ),
  index: search((whole, part) => whole.indexOf(part), true),
  isalnum: every(/[\p{L}\p{N}]/u),
  isalpha: every(/\p{L}/u),
  isascii: (self) => /^[\0-\x7f]*$/.test(self),
  isdecimal: every(/\p{Nd}/u),
  isdigit: every(/[\p{Nd}\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468]/u),
  islower: cased(/\p{Lowercase}/u, /[\p{Uppercase}\p{Lt}]/u),
  isnumeric: every(/\p{N}/u),
  isspace: (self) => self !== '' && Array.from(self).every(text.isSpace),
  istitle: (self) => /\p{L}/u.test(self) && text.titleWords(self) === self && /[\p{Lu}\p{Lt}]/u.test(self),
  isupper: cased(/\p{Uppercase}/u, /[\p{Lowercase}\p{Lt}]/u),
  join(self, args, meter) {
    const parts = iterate(bind('join', args, ['iterable'])[0] ?? NONE, meter).map((part) => asText(part, 'join'));
    meter.make(parts.reduce((sum, part) => sum + part.length + self.length, 0));
    return parts.join(self);
  },
  ljust: justify('left'),
  lower: (self) => self.toLowerCase(),
  lstrip: stripper('left'),
  partition: partition(false),
  removeprefix: (self, args) => {
    const part = asText(bind('removeprefix', args, ['prefix'])[0], 'removeprefix');
    return self.startsWith(part) ? self.slice(part.length) : self;
  },
  removesuffix: (self, args) => {
    const part = asText(bind('removesuffix', args, ['suffix'])[0], 'removesuffix');
    return part !== '' && self.endsWith(part) ? self.slice(0, -part.length) : self;
  },
  replace(self, args, meter) {
    const [from, to, count = -1n] = bind('replace', args, ['old', 'new', 'count']);
    return replaceText(self, asText(from, 'replace'), asText(to, 'replace'), asCount(count, 'replace'), meter);
  },
  rfind: search((whole, part) => whole.lastIndexOf(part), false),
  rindex: search((whole, part) => whole.lastIndexOf(part), true),
  rjust: justify('right'),
  rpartition: partition(true),
  rsplit: splitter(true),
  rstrip: stripper('right'),
  split: splitter(false),
  splitlines(self, args, meter) {
    const [keep = false] = bind('splitlines', args, ['keepends']);
    meter.make(self.length);
    return text.splitLines(self, keep !== false && keep !== NONE && keep !== 0n);
  },
  startswith: affix((whole, part) => whole.startsWith(part)),
  strip: stripper('both'),
  swapcase: (self) => text.swapCase(self),
  title: (self) => text.titleWords(self),
  upper: (self) => self.toUpperCase(),
  zfill(self, args, meter) {
    const width = asCount(bind('zfill', args, ['width'])[0], 'zfill');
    meter.make(Math.max(width, 0));
    // Of the signs, a space is none here.
    return self.startsWith(' ') ? pad(self, width, '0', 'right', meter) : zeroFill(self, width);
  },
};

function expandTabs(self: string, size: number, meter: Meter): string {
  let out = '';
  let column = 0;
  for (const char of self) {
    if (char !== '\t') {
      out += char;
      column = char === '\n' || char === '\r' ? 0 : column + 1;
    } else if (size > 0) {
      const spaces = size - (column % size);
      meter.make(spaces);
      out += ' '.repeat(spaces);
      column += spaces;
    }
  }
  return out;
}

/** `object[start:stop:step]`. @throws TemplateFault */
export function slice(object: Value, parts: readonly (Value | undefined)[], meter: Meter): Value {
  requireDefined(object);
  const items =
    typeof object === 'string'
      ? charactersOf(object, meter)
      : isList(object)
        ? object
        : object instanceof Tuple || object instanceof Range
          ? object.items
          : undefined;
  if (items === undefined) return fault(`'${typeName(object)}' object is not subscriptable`);
  const number = (value: Value | undefined): number | undefined =>
    value === undefined || value === NONE ? undefined : asCount(value, 'a slice');
  const step = number(parts[2]) ?? 1;
  if (step === 0) fault('slice step cannot be zero');
  const place = (value: number | undefined, fallback: number): number => {
    if (value === undefined) return fallback;
    const at = value < 0 ? value + items.length : value;
    return Math.min(Math.max(at, step < 0 ? -1 : 0), step < 0 ? items.length - 1 : items.length);
  };
  const start = place(number(parts[0]), step < 0 ? items.length - 1 : 0);
  const stop = place(number(parts[1]), step < 0 ? -1 : items.length);
  if (object instanceof Range) {
    const at = (index: number): number => object.start + index * object.step;
    return new Range(at(start), at(stop), object.step * step);
  }
  const taken: Value[] = [];
  for (let at = start; step > 0 ? at < stop : at > stop; at += step) taken.push(items[at] as Value);
  meter.make(taken.length);
  if (typeof object === 'string') return taken.join('');
  return object instanceof Tuple ? new Tuple(taken) : taken;
}
