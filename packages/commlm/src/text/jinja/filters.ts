/** The filters of templates, what stands behind `|`; what the reference has beyond them is refused by name. */
import { asCount, asText, bind } from './arguments.js';
import { fault } from './faults.js';
import { formatPercent } from './format.js';
import { toJson } from './json.js';
import { getAttribute, getItem, pad, replaceText } from './methods.js';
import { add, roundFloat, roundHalfEven } from './numbers.js';
import * as text from './python-text.js';
import type { Operation, Runtime } from './runtime.js';
import {
  asNumber,
  compare,
  contains,
  Dict,
  equal,
  Group,
  isList,
  isTrue,
  iterate,
  lengthOf,
  NONE,
  requireDefined,
  Stream,
  Tuple,
  toText,
  typeName,
  Undefined,
  type Value,
} from './values.js';

type Filter = Operation<Value>;

/** An argument of a filter that is a truth value. */
const flag = (value: Value | undefined): boolean => value !== undefined && isTrue(value);

/** What reads `a.b.0` of an entry. */
function getterOf(attribute: Value | undefined, runtime: Runtime, fallback?: Value): (entry: Value) => Value {
  if (attribute === undefined || attribute === NONE) return (entry) => entry;
  const parts: Value[] =
    typeof attribute === 'bigint'
      ? [attribute]
      : asText(attribute, 'an attribute')
          .split('.')
          .map((part) => (/^\d+$/.test(part) ? BigInt(part) : part));
  return (entry) => {
    let value = entry;
    for (const part of parts) {
      value = getItem(value, part, runtime.meter);
      if (fallback !== undefined && value instanceof Undefined) value = fallback;
    }
    return value;
  };
}

/** Texts without regard to case, unless it counts. */
const folded = (value: Value, caseCounts: boolean): Value =>
  typeof value === 'string' && !caseCounts ? value.toLowerCase() : value;

function sorted(
  entries: readonly Value[],
  keyOf: (entry: Value) => Value,
  reverse: boolean,
  runtime: Runtime,
): Value[] {
  // A step for each entry, before as much memory is taken.
  runtime.meter.work(16 * entries.length);
  const keyed = entries.map((entry) => ({ entry, key: keyOf(entry) }));
  const sign = reverse ? -1 : 1;
  return keyed.sort((a, b) => sign * compare(a.key, b.key, '<', runtime.meter)).map(({ entry }) => entry);
}

function extreme(sign: 1 | -1): Filter {
  return (input, args, runtime) => {
    const [caseCounts, attribute] = bind('min', args, ['case_sensitive', 'attribute']);
    const get = getterOf(attribute, runtime);
    const key = (entry: Value): Value => folded(get(entry), flag(caseCounts));
    const entries = iterate(input, runtime.meter);
    if (entries.length === 0) return new Undefined('No aggregated item, sequence was empty.');
    return entries.reduce((best, entry) =>
      sign * compare(key(entry), key(best), '<', runtime.meter) < 0 ? entry : best,
    );
  };
}

/** `select` and its three relatives. */
function choosing(wanted: boolean, byAttribute: boolean): Filter {
  return (input, args, runtime) => {
    const given = args.positional;
    const get = byAttribute
      ? getterOf(given[0] ?? fault('selectattr needs an attribute'), runtime)
      : (entry: Value) => entry;
    const [name, ...rest] = byAttribute ? given.slice(1) : given;
    const holds = (entry: Value): boolean =>
      name === undefined
        ? isTrue(get(entry))
        : runtime.test(asText(name, 'the name of a test'), get(entry), { positional: rest, named: args.named });
    return new Stream(entriesIfAny(input, runtime).filter((entry) => holds(entry) === wanted));
  };
}

/** What is not true has no entries, whatever it is. */
const entriesIfAny = (input: Value, { meter }: Runtime): readonly Value[] =>
  isTrue(input) ? iterate(input, meter) : [];

const map: Filter = (input, args, runtime) => {
  const entries = entriesIfAny(input, runtime);
  const attribute = args.named.get('attribute');
  if (args.positional.length === 0 && attribute !== undefined) {
    for (const name of args.named.keys())
      if (name !== 'attribute' && name !== 'default') fault(`map has no parameter ${name}`);
    return new Stream(entries.map(getterOf(attribute, runtime, args.named.get('default'))));
  }
  const [name, ...positional] = args.positional;
  const filter = asText(name, 'the name of a filter');
  return new Stream(entries.map((entry) => runtime.filter(filter, entry, { positional, named: args.named })));
};

const join: Filter = (input, args, runtime) => {
  const [mark = '', attribute] = bind('join', args, ['d', 'attribute']);
  const parts = iterate(input, runtime.meter)
    .map(getterOf(attribute, runtime))
    .map((entry) => toText(entry, runtime.meter));
  const between = toText(mark, runtime.meter);
  runtime.meter.make(parts.reduce((sum, part) => sum + part.length + between.length, 0));
  return parts.join(between);
};

const indent: Filter = (input, args, { meter }) => {
  const [width = 4n, first, blank] = bind('indent', args, ['width', 'first', 'blank']);
  const spaces = typeof width === 'string' ? width : pad('', asCount(width, 'indent'), ' ', 'left', meter);
  const lines = text.splitLines(`${asText(input, 'indent')}\n`);
  meter.make(lines.length * spaces.length);
  const moved = lines.map((line, i) => (i > 0 && (line !== '' || flag(blank)) ? spaces + line : line)).join('\n');
  return flag(first) ? spaces + moved : moved;
};

const round: Filter = (input, args) => {
  const [precision = 0n, method = 'common'] = bind('round', args, ['precision', 'method']);
  const number = numberOf(input, 'round');
  const digits = asCount(precision, 'round');
  if (method === 'common') {
    if (typeof number === 'number') return roundFloat(number, digits);
    if (digits >= 0) return number;
    return BigInt(roundHalfEven(Number(number) / 10 ** -digits)) * 10n ** BigInt(-digits);
  }
  if (method !== 'ceil' && method !== 'floor') return fault('method must be common, ceil or floor');
  const scale = 10 ** digits;
  return (method === 'ceil' ? Math.ceil(Number(number) * scale) : Math.floor(Number(number) * scale)) / scale;
};

function numberOf(value: Value, what: string): bigint | number {
  requireDefined(value);
  return asNumber(value) ?? fault(`${what} needs a number, not ${typeName(value)}`);
}

const WHOLE = /^[+-]?\d+(?:_\d+)*$/;
const FLOAT = /^[+-]?(?:(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+)?|inf(?:inity)?|nan)$/i;

/** The float that a text spells, as Python reads it. */
function readFloat(spelled: string): number | undefined {
  if (!FLOAT.test(spelled)) return undefined;
  const plain = spelled.replaceAll('_', '').toLowerCase();
  if (plain.includes('inf')) return plain.startsWith('-') ? -Infinity : Infinity;
  return Number(plain);
}

const toWhole: Filter = (input, args, { meter }) => {
  const [fallback = 0n, base = 10n] = bind('int', args, ['default', 'base']);
  if (typeof input === 'string') {
    const spelled = text.strip(input, undefined, 'both');
    if (base !== 10n) return wholeInBase(spelled, asCount(base, 'int')) ?? fallback;
    if (WHOLE.test(spelled) && spelled.length < 1000) return BigInt(spelled.replaceAll('_', '').replace(/^\+/, ''));
    const float = readFloat(spelled);
    return float === undefined || !Number.isFinite(float) ? fallback : BigInt(Math.trunc(float));
  }
  meter.work();
  requireDefined(input);
  const number = asNumber(input);
  if (number === undefined) return fallback;
  if (typeof number === 'bigint') return number;
  return Number.isFinite(number) ? BigInt(Math.trunc(number)) : fallback;
};

function wholeInBase(spelled: string, base: number): bigint | undefined {
  const prefix = { 2: '0b', 8: '0o', 16: '0x' }[base];
  if (prefix === undefined) return fault(`int of base ${base} is not known here`);
  const [, sign = '', digits = ''] = /^([+-]?)(?:0[box])?([\da-f]+)$/i.exec(spelled) ?? [];
  if (digits === '' || digits.length > 1000) return undefined;
  try {
    return BigInt(prefix + digits) * (sign === '-' ? -1n : 1n);
  } catch {
    return undefined;
  }
}

const toFloat: Filter = (input, args) => {
  const [fallback = 0] = bind('float', args, ['default']);
  requireDefined(input);
  if (typeof input === 'string') return readFloat(text.strip(input, undefined, 'both')) ?? fallback;
  const number = asNumber(input);
  return number === undefined ? fallback : Number(number);
};

const sum: Filter = (input, args, runtime) => {
  const [attribute, start = 0n] = bind('sum', args, ['attribute', 'start']);
  return iterate(input, runtime.meter)
    .map(getterOf(attribute, runtime))
    .reduce<bigint | number>((total, entry) => add(total, numberOf(entry, 'sum')), numberOf(start, 'sum'));
};

const truncate: Filter = (input, args, { meter }) => {
  const [length = 255n, kill, end = '...', leeway = 5n] = bind('truncate', args, [
    'length',
    'killwords',
    'end',
    'leeway',
  ]);
  const [most, slack] = [asCount(length, 'truncate'), leeway === NONE ? 5 : asCount(leeway, 'truncate')];
  const mark = toText(end, meter);
  if (most < Array.from(mark).length || slack < 0) fault('truncate gets a length below that of its end');
  if (lengthOf(input, meter) <= most + slack) return input;
  const chars = Array.from(asText(input, 'truncate'));
  const cut = chars.slice(0, most - Array.from(mark).length).join('');
  if (flag(kill)) return cut + mark;
  const space = cut.lastIndexOf(' ');
  return (space < 0 ? cut : cut.slice(0, space)) + mark;
};

const json: Filter = (input, args, { meter }) => {
  const names = ['ensure_ascii', 'indent', 'separators', 'sort_keys'];
  const [ascii, indentation = NONE, separators = NONE, sortKeys] = bind('tojson', args, names);
  const level =
    indentation === NONE
      ? undefined
      : typeof indentation === 'string'
        ? indentation
        : pad('', asCount(indentation, 'tojson'), ' ', 'left', meter);
  const [comma, colon] = separators === NONE ? [level === undefined ? ', ' : ',', ': '] : marksOf(separators);
  return toJson(input, { ascii: flag(ascii), indent: level, comma, colon, sortKeys: flag(sortKeys) }, meter);
};

function marksOf(separators: Value): [string, string] {
  const marks = separators instanceof Tuple ? separators.items : isList(separators) ? separators : [];
  if (marks.length !== 2) fault('separators of tojson are two texts');
  return [asText(marks[0], 'tojson'), asText(marks[1], 'tojson')];
}

const dictSort: Filter = (input, args, runtime) => {
  const [caseCounts, by = 'key', reverse] = bind('dictsort', args, ['case_sensitive', 'by', 'reverse']);
  if (!(input instanceof Dict)) return fault('dictsort needs a dictionary');
  if (by !== 'key' && by !== 'value') return fault("dictsort sorts by 'key' or 'value'");
  const pairs = input.entries().map((entry) => new Tuple(entry));
  const key = (pair: Value): Value => folded((pair as Tuple).items[by === 'key' ? 0 : 1] as Value, flag(caseCounts));
  return sorted(pairs, key, flag(reverse), runtime);
};

const groupBy: Filter = (input, args, runtime) => {
  const [attribute, fallback, caseCounts] = bind('groupby', args, ['attribute', 'default', 'case_sensitive']);
  const get = getterOf(attribute, runtime, fallback);
  const key = (entry: Value): Value => folded(get(entry), flag(caseCounts));
  const groups: { readonly key: Value; readonly entries: Value[] }[] = [];
  for (const entry of sorted(iterate(input, runtime.meter), key, false, runtime)) {
    const last = groups.at(-1);
    if (last !== undefined && equal(last.key, key(entry), runtime.meter)) last.entries.push(entry);
    else groups.push({ key: key(entry), entries: [entry] });
  }
  // A group is named as its first entry spells it.
  return groups.map(({ entries }) => new Group([get(entries[0] as Value), entries]));
};

const unique: Filter = (input, args, runtime) => {
  const [caseCounts, attribute] = bind('unique', args, ['case_sensitive', 'attribute']);
  const get = getterOf(attribute, runtime);
  const seen = new Dict();
  return new Stream(
    iterate(input, runtime.meter).filter((entry) => {
      const key = folded(get(entry), flag(caseCounts));
      if (contains(seen, key, runtime.meter)) return false;
      seen.set(key, true);
      return true;
    }),
  );
};

/** `batch`: lists of a length, the last filled up where something is given to fill with. */
const batch: Filter = (input, args, { meter }) => {
  const [count, fill = NONE] = bind('batch', args, ['linecount', 'fill_with']);
  const [entries, length] = [iterate(input, meter), asCount(count, 'batch')];
  if (length < 1) fault('batch needs a length above 0');
  const lists: Value[][] = [];
  for (let at = 0; at < entries.length; at += length) lists.push(entries.slice(at, at + length));
  const last = lists.at(-1);
  if (last !== undefined && fill !== NONE) {
    meter.make(length);
    while (last.length < length) last.push(fill);
  }
  return new Stream(lists);
};

const first: Filter = (input, _, { meter }) => {
  const entry = input instanceof Stream ? input.takeOne() : iterate(input, meter)[0];
  return entry ?? new Undefined('No first item, sequence was empty.');
};

const last: Filter = (input, _, { meter }) => {
  if (input instanceof Stream) return fault("'generator' object is not reversible");
  return iterate(input, meter).at(-1) ?? new Undefined('No last item, sequence was empty.');
};

const reverse: Filter = (input, _, { meter }) =>
  typeof input === 'string' ? text.reverseText(input) : new Stream([...iterate(input, meter)].reverse());

const fallback: Filter = (input, args) => {
  const [value = '', falsy] = bind('default', args, ['default_value', 'boolean']);
  return input instanceof Undefined || (flag(falsy) && !isTrue(input)) ? value : input;
};

const count: Filter = (input, _, { meter }) => BigInt(lengthOf(input, meter));

/** Words begin behind spaces, hyphens and opening brackets. */
const title: Filter = (input, _, { meter }) =>
  toText(input, meter)
    .split(new RegExp(`([-(\\[{<${text.PYTHON_SPACE}]+)`, 'u'))
    .map((word) => {
      const [head = '', ...rest] = Array.from(word);
      return head.toUpperCase() + rest.join('').toLowerCase();
    })
    .join('');

/** A filter that works on the text of its input. */
const onText =
  (change: (text: string) => string): Filter =>
  (input, args, { meter }) => {
    bind('a filter', args, []);
    const source = toText(input, meter);
    meter.make(source.length);
    return change(source);
  };

/** All filters by their names. */
export const FILTERS: ReadonlyMap<string, Filter> = new Map<string, Filter>([
  ['abs', (input) => absolute(numberOf(input, 'abs'))],
  ['attr', (input, args, { meter }) => attributeOnly(input, asText(bind('attr', args, ['name'])[0], 'attr'), meter)],
  ['batch', batch],
  ['capitalize', onText(text.capitalize)],
  [
    'center',
    (input, args, { meter }) => {
      const [width = 80n] = bind('center', args, ['width']);
      return pad(toText(input, meter), asCount(width, 'center'), ' ', 'both', meter);
    },
  ],
  ['count', count],
  ['length', count],
  ['d', fallback],
  ['default', fallback],
  ['dictsort', dictSort],
  ['first', first],
  ['float', toFloat],
  [
    'format',
    (input, args, { meter }) => {
      const named = Dict.of(args.named);
      if (args.positional.length > 0 && named.size > 0) fault('format takes values or names, not both');
      return formatPercent(toText(input, meter), named.size > 0 ? named : new Tuple(args.positional), meter);
    },
  ],
  ['groupby', groupBy],
  ['indent', indent],
  ['int', toWhole],
  [
    'items',
    (input, _, { meter }) => {
      if (input instanceof Undefined) return new Stream([]);
      if (!(input instanceof Dict)) return fault('Can only get item pairs from a mapping.');
      meter.make(input.size);
      return new Stream(input.entries().map((entry) => new Tuple(entry)));
    },
  ],
  ['join', join],
  ['last', last],
  [
    'list',
    (input, _, { meter }) => {
      const entries = iterate(input, meter);
      meter.make(entries.length);
      return entries;
    },
  ],
  ['lower', onText((value) => value.toLowerCase())],
  ['map', map],
  ['max', extreme(-1)],
  ['min', extreme(1)],
  ['reject', choosing(false, false)],
  ['rejectattr', choosing(false, true)],
  [
    'replace',
    (input, args, { meter }) => {
      const [from, to, most = NONE] = bind('replace', args, ['old', 'new', 'count']);
      const [old, fresh] = [
        toText(from ?? fault('replace needs a text'), meter),
        toText(to ?? fault('replace needs a text'), meter),
      ];
      return replaceText(toText(input, meter), old, fresh, most === NONE ? -1 : asCount(most, 'replace'), meter);
    },
  ],
  ['reverse', reverse],
  ['round', round],
  ['select', choosing(true, false)],
  ['selectattr', choosing(true, true)],
  [
    'sort',
    (input, args, runtime) => {
      const [backwards, caseCounts, attribute] = bind('sort', args, ['reverse', 'case_sensitive', 'attribute']);
      const names = typeof attribute === 'string' ? attribute.split(',') : [attribute];
      const getters = names.map((name) => getterOf(name, runtime));
      // A list even of one: what lacks the attribute is equal to others that do, where it has no order.
      const key = (entry: Value): Value => getters.map((get) => folded(get(entry), flag(caseCounts)));
      return sorted(iterate(input, runtime.meter), key, flag(backwards), runtime);
    },
  ],
  ['string', onText((value) => value)],
  ['sum', sum],
  ['title', title],
  ['tojson', json],
  [
    'trim',
    (input, args, { meter }) => {
      const [chars = NONE] = bind('trim', args, ['chars']);
      return text.strip(toText(input, meter), chars === NONE ? undefined : asText(chars, 'trim'), 'both');
    },
  ],
  ['truncate', truncate],
  ['unique', unique],
  ['upper', onText((value) => value.toUpperCase())],
  [
    'wordcount',
    (input, args, { meter }) => {
      bind('wordcount', args, []);
      return BigInt(toText(input, meter).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0);
    },
  ],
]);

const absolute = (number: bigint | number): bigint | number =>
  typeof number === 'bigint' ? (number < 0n ? -number : number) : Math.abs(number);

/** `attr` never looks at entries. */
function attributeOnly(input: Value, name: string, meter: Runtime['meter']): Value {
  if (!(input instanceof Dict)) return getAttribute(input, name, meter);
  return getAttribute(new Dict(), name, meter) instanceof Undefined
    ? new Undefined(`'dict object' has no attribute '${name}'`)
    : getAttribute(input, name, meter);
}
