/** Python's two ways of formatting: `'%s' % value` and `'{}'.format(value)`. What is not known here is refused by name. */
import { fault } from './faults.js';
import type { Meter } from './meter.js';
import { fixed, formatFloat } from './numbers.js';
import { type Arguments, asNumber, Dict, isList, represent, Tuple, toText, typeName, type Value } from './values.js';

/** Places before and behind the point that are written out. */
const MAX_WIDTH = 10_000;

interface Layout {
  readonly fill: string;
  readonly align: string;
  readonly sign: string;
  readonly alternate: boolean;
  readonly width: number;
  readonly grouping: string;
  readonly precision: number | undefined;
  readonly type: string;
}

const PERCENT = /%(?:\(([^)]*)\))?([-#0 +]*)(\*|\d+)?(?:\.(\*|\d+))?([\s\S])?/gu;

/** `text % value`. @throws TemplateFault */
export function formatPercent(text: string, value: Value, meter: Meter): string {
  const items = value instanceof Tuple ? value.items : [value];
  const table = value instanceof Dict ? value : undefined;
  let next = 0;
  let usesTable = false;
  const out = text.replace(
    PERCENT,
    (whole, key: string | undefined, flags: string, width?: string, precision?: string, type?: string) => {
      if (type === '%' && whole === '%%') return '%';
      if (type === undefined) return fault('incomplete format');
      if (width === '*' || precision === '*') return fault(`the format ${whole} is not known here`);
      let item: Value;
      if (key !== undefined) {
        usesTable = true;
        if (table === undefined) return fault('format requires a mapping');
        item = table.get(key) ?? fault(`'${key}'`);
      } else {
        if (next >= items.length) fault('not enough arguments for format string');
        item = items[next++]!;
      }
      return percentItem(whole, item, flags, bounded(width ?? '0'), precision, type, meter);
    },
  );
  if (!usesTable && next < items.length && table === undefined && !isList(value))
    fault('not all arguments converted during string formatting');
  meter.make(out.length);
  return out;
}

function percentItem(
  whole: string,
  value: Value,
  flags: string,
  width: number,
  precision: string | undefined,
  type: string,
  meter: Meter,
): string {
  const places = precision === undefined ? undefined : bounded(precision);
  let body: string;
  let numeric = true;
  if (type === 's' || type === 'r') {
    const text = type === 's' ? toText(value, meter) : represent(value, meter);
    body = places === undefined ? text : Array.from(text).slice(0, places).join('');
    numeric = false;
  } else if (type === 'c') {
    body =
      typeof value === 'string' && Array.from(value).length === 1 ? value : fault('%c requires a single character');
    numeric = false;
  } else {
    const number = asNumber(value);
    if (number === undefined) return fault(`%${type} format: a real number is required, not ${typeName(value)}`);
    if ('diu'.includes(type))
      body = signed(typeof number === 'bigint' ? number.toString() : toWhole(number).toString(), flags);
    else if ('xXo'.includes(type) && typeof number === 'bigint')
      body = signed(inBase(number, type, flags.includes('#')), flags);
    else if ('eEfFgG'.includes(type))
      body = signed(floatText(Number(number), type, places ?? 6, flags.includes('#')), flags);
    else return fault(`the format ${whole} is not known here`);
    if (places !== undefined && !'eEfFgG'.includes(type)) return fault(`the format ${whole} is not known here`);
  }
  if (flags.includes('-')) return padEnd(body, width, ' ');
  return numeric && flags.includes('0') ? zeroFill(body, width) : padStart(body, width, ' ');
}

function toWhole(number: number): bigint {
  return Number.isFinite(number)
    ? BigInt(Math.trunc(number))
    : fault(`cannot convert float ${formatFloat(number)} to integer`);
}

const signed = (text: string, flags: string): string =>
  text.startsWith('-') ? text : flags.includes('+') ? `+${text}` : flags.includes(' ') ? ` ${text}` : text;

function inBase(number: bigint, type: string, alternate: boolean): string {
  const base = type === 'o' ? 8 : type === 'b' ? 2 : 16;
  const digits = (number < 0n ? -number : number).toString(base);
  const text = `${number < 0n ? '-' : ''}${alternate ? `0${type.toLowerCase()}` : ''}${digits}`;
  return type === 'X' ? text.toUpperCase() : text;
}

/** A float by `e`, `f` or `g`. */
function floatText(value: number, type: string, places: number, alternate: boolean): string {
  if (alternate) return fault('an alternate form of a float is not known here');
  const kind = type.toLowerCase();
  let text: string;
  if (!Number.isFinite(value)) text = formatFloat(value);
  else if (kind === 'f') text = fixed(value, places);
  else if (kind === 'e') text = exponential(value, places);
  else text = general(value, places === 0 ? 1 : places);
  return type === kind ? text : text.toUpperCase();
}

function exponential(value: number, places: number): string {
  if (places > 100) return fault(`a number with ${places} places`);
  const [mantissa = '', exponent = ''] = value.toExponential(places).split('e');
  return `${mantissa}e${exponent[0]}${exponent.slice(1).padStart(2, '0')}`;
}

function general(value: number, digits: number): string {
  const scientific = exponential(value, Math.min(digits - 1, 100));
  const exponent = Number(scientific.split('e')[1]);
  const short = (text: string): string => (text.includes('.') ? text.replace(/\.?0+$/, '') : text);
  if (exponent < -4 || exponent >= digits) {
    const [mantissa = '', power = ''] = scientific.split('e');
    return `${short(mantissa)}e${power}`;
  }
  return short(fixed(value, Math.max(digits - 1 - exponent, 0)));
}

function bounded(digits: string): number {
  const number = Number(digits);
  return number <= MAX_WIDTH ? number : fault(`it writes to a width of ${digits}`);
}

const lengthOfText = (text: string): number => Array.from(text).length;
const padStart = (text: string, width: number, fill: string): string =>
  fill.repeat(Math.max(width - lengthOfText(text), 0)) + text;
const padEnd = (text: string, width: number, fill: string): string =>
  text + fill.repeat(Math.max(width - lengthOfText(text), 0));

/** Zeros between the sign and the digits. */
export function zeroFill(text: string, width: number): string {
  const sign = /^[-+ ]/.exec(text)?.[0] ?? '';
  return sign + padStart(text.slice(sign.length), width - sign.length, '0');
}

/** How a field of `format` finds its value: `0`, `name`, then `.attribute` or `[key]`. */
export type FieldGetter = (value: Value, name: string, isAttribute: boolean) => Value;

/** `text.format(...)`. @throws TemplateFault */
export function formatBraces(text: string, args: Arguments, get: FieldGetter, meter: Meter): string {
  let automatic = 0;
  let manual = false;
  const valueOfField = (field: string): Value => {
    const [, first = '', rest = ''] = /^([^.[]*)([\s\S]*)$/u.exec(field) ?? [];
    let value: Value | undefined;
    if (first === '' || /^\d+$/.test(first)) {
      if (first === '' ? manual : automatic > 0) fault('cannot mix numbered and automatic fields of a format');
      if (first !== '') manual = true;
      value =
        args.positional[first === '' ? automatic++ : Number(first)] ?? fault('a format has more fields than values');
    } else value = args.named.get(first) ?? fault(`'${first}'`);
    for (const part of rest.matchAll(/\.([^.[]+)|\[([^\]]+)\]|([\s\S])/gu)) {
      if (part[3] !== undefined) fault(`the field {${field}} is not known here`);
      value = get(value, (part[1] ?? part[2]) as string, part[1] !== undefined);
    }
    return value;
  };
  const expand = (source: string, depth: number): string => {
    let out = '';
    for (let at = 0; at < source.length; ) {
      const char = source[at]!;
      if ((char === '{' || char === '}') && source[at + 1] === char) {
        out += char;
        at += 2;
      } else if (char === '}') fault("single '}' encountered in format string");
      else if (char !== '{') {
        out += char;
        at++;
      } else {
        const end = closingBrace(source, at);
        const [, field = '', conversion, spec = ''] =
          /^([^!:]*)(?:!([rsa]))?(?::([\s\S]*))?$/u.exec(source.slice(at + 1, end)) ??
          fault('a field of a format is not known here');
        if (conversion === 'a' || depth > 1) fault('a field of a format is not known here');
        const value = valueOfField(field);
        const shown = conversion === 'r' ? represent(value, meter) : conversion === 's' ? toText(value, meter) : value;
        out += formatSpec(shown, expand(spec, depth + 1), meter);
        at = end + 1;
      }
      meter.make(1);
    }
    return out;
  };
  return expand(text, 0);
}

function closingBrace(source: string, open: number): number {
  let depth = 0;
  for (let at = open; at < source.length; at++) {
    if (source[at] === '{') depth++;
    else if (source[at] === '}' && --depth === 0) return at;
  }
  return fault("expected '}' before end of string");
}

const SPEC = /^(?:([\s\S])?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([\s\S])?$/u;

function readSpec(spec: string): Layout {
  const [, fill, align, sign, alternate, zero, width, grouping, precision, type] =
    SPEC.exec(spec) ?? fault(`invalid format specifier '${spec}'`);
  return {
    fill: fill ?? (zero === undefined ? ' ' : '0'),
    align: align ?? (zero === undefined ? '' : '='),
    sign: sign ?? '-',
    alternate: alternate !== undefined,
    width: bounded(width ?? '0'),
    grouping: grouping ?? '',
    precision: precision === undefined ? undefined : bounded(precision),
    type: type ?? '',
  };
}

/** A value by a format specifier. */
function formatSpec(value: Value, spec: string, meter: Meter): string {
  if (spec === '') return toText(value, meter);
  const layout = readSpec(spec);
  const number = typeof value === 'boolean' && layout.type === '' ? undefined : asNumber(value);
  if (number === undefined) {
    if (typeof value !== 'string') return fault(`unsupported format string passed to ${typeName(value)}.__format__`);
    if (!['', 's'].includes(layout.type) || layout.align === '=' || layout.sign !== '-' || layout.grouping !== '')
      return fault(`invalid format specifier '${spec}' for a text`);
    const text = layout.precision === undefined ? value : Array.from(value).slice(0, layout.precision).join('');
    return align(text, layout, '<');
  }
  const text = numberText(number, layout, spec);
  const flags = layout.sign === '-' ? '' : layout.sign;
  const body = signed(layout.grouping === '' ? text : grouped(text, layout.grouping), flags);
  if (layout.align !== '=') return align(body, layout, '>');
  if (layout.fill === '0')
    return layout.grouping === '' ? zeroFill(body, layout.width) : fault(`the format '${spec}' is not known here`);
  const sign = /^[-+ ]/.exec(body)?.[0] ?? '';
  return sign + padStart(body.slice(sign.length), layout.width - sign.length, layout.fill);
}

function numberText(number: bigint | number, layout: Layout, spec: string): string {
  const { type, precision, alternate } = layout;
  if (typeof number === 'bigint' && ['', 'd', 'x', 'X', 'o', 'b'].includes(type)) {
    if (precision !== undefined) return fault('precision not allowed in integer format specifier');
    return type === '' || type === 'd' ? number.toString() : inBase(number, type, alternate);
  }
  if (type === '%') return `${floatText(Number(number) * 100, 'f', precision ?? 6, alternate)}%`;
  if (type === '' && typeof number === 'number') {
    return precision === undefined ? formatFloat(number) : fault(`the format '${spec}' is not known here`);
  }
  if (!['e', 'E', 'f', 'F', 'g', 'G'].includes(type)) return fault(`the format '${spec}' is not known here`);
  return floatText(Number(number), type, precision ?? 6, alternate);
}

const grouped = (text: string, mark: string): string =>
  text.replace(/^(-?)(\d+)/, (_, sign: string, whole: string) => sign + whole.replace(/\B(?=(\d{3})+$)/g, mark));

function align(text: string, { fill, align: side, width }: Layout, usual: string): string {
  const missing = width - lengthOfText(text);
  if (missing <= 0) return text;
  const kind = side === '' ? usual : side;
  if (kind === '<') return padEnd(text, width, fill);
  if (kind === '>') return padStart(text, width, fill);
  return fill.repeat(missing >> 1) + text + fill.repeat(missing - (missing >> 1));
}

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June'].concat([
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]);

/** `strftime` of a local time, in English. @throws TemplateFault */
export function formatTime(date: Date, format: string): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const [day, month, hour] = [date.getDay(), date.getMonth(), date.getHours()];
  const start = new Date(date.getFullYear(), 0, 1);
  const dayOfYear = Math.round(
    (new Date(date.getFullYear(), month, date.getDate(), 12).getTime() -
      new Date(start.getFullYear(), 0, 1, 12).getTime()) /
      86_400_000,
  );
  const fields: Readonly<Record<string, () => string>> = {
    Y: () => String(date.getFullYear()),
    y: () => two(date.getFullYear() % 100),
    m: () => two(month + 1),
    d: () => two(date.getDate()),
    e: () => String(date.getDate()).padStart(2, ' '),
    H: () => two(hour),
    I: () => two(hour % 12 === 0 ? 12 : hour % 12),
    M: () => two(date.getMinutes()),
    S: () => two(date.getSeconds()),
    p: () => (hour < 12 ? 'AM' : 'PM'),
    A: () => DAYS[day]!,
    a: () => DAYS[day]!.slice(0, 3),
    B: () => MONTHS[month]!,
    b: () => MONTHS[month]!.slice(0, 3),
    h: () => MONTHS[month]!.slice(0, 3),
    j: () => String(dayOfYear + 1).padStart(3, '0'),
    w: () => String(day),
    u: () => String(day === 0 ? 7 : day),
    f: () => `${String(date.getMilliseconds()).padStart(3, '0')}000`,
    U: () => two(Math.floor((dayOfYear + 7 - day) / 7)),
    W: () => two(Math.floor((dayOfYear + 7 - ((day + 6) % 7)) / 7)),
    F: () => formatTime(date, '%Y-%m-%d'),
    D: () => formatTime(date, '%m/%d/%y'),
    T: () => formatTime(date, '%H:%M:%S'),
    R: () => formatTime(date, '%H:%M'),
    n: () => '\n',
    t: () => '\t',
    Z: () => '',
    z: () => '',
    '%': () => '%',
  };
  return format.replace(/%(-?)([\s\S]?)/gu, (whole, bare: string, name: string) => {
    const field = fields[name];
    if (field === undefined || (bare !== '' && !'mdHIMSjUWy'.includes(name)))
      return fault(`the time format ${whole} is not known here`);
    return bare === '' ? field() : field().replace(/^0+(?=\d)/, '');
  });
}
