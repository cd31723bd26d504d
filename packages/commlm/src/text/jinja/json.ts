/** The JSON that Python's `json.dumps` writes: a space behind commas and colons, letters as they are. */
import { fault } from './faults.js';
import type { Meter } from './meter.js';
import { formatFloat } from './numbers.js';
import { asNumber, Dict, isList, NONE, Tuple, typeName, type Value } from './values.js';

/** How it is written. */
export interface JsonStyle {
  readonly ascii: boolean;
  /** What each level is moved in by; on one line without. */
  readonly indent: string | undefined;
  readonly comma: string;
  readonly colon: string;
  readonly sortKeys: boolean;
}

/** @throws TemplateFault for what JSON does not know */
export function toJson(value: Value, style: JsonStyle, meter: Meter, level = 0): string {
  meter.make(8);
  if (value === NONE) return 'null';
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (typeof value === 'string') return quote(value, style.ascii, meter);
  if (asNumber(value) !== undefined) return numberText(value as bigint | number);
  return meter.deeper(() => {
    if (isList(value) || value instanceof Tuple) {
      const items = isList(value) ? value : value.items;
      return wrap(
        '[',
        ']',
        items.map((item) => toJson(item, style, meter, level + 1)),
        style,
        level,
      );
    }
    if (!(value instanceof Dict)) return fault(`Object of type ${typeName(value)} is not JSON serializable`);
    const entries = value.entries().map(([key, item]) => [keyText(key), item] as const);
    if (style.sortKeys) entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    const pairs = entries.map(
      ([key, item]) => quote(key, style.ascii, meter) + style.colon + toJson(item, style, meter, level + 1),
    );
    return wrap('{', '}', pairs, style, level);
  });
}

function wrap(open: string, close: string, items: readonly string[], style: JsonStyle, level: number): string {
  if (items.length === 0) return open + close;
  if (style.indent === undefined) return open + items.join(style.comma) + close;
  const line = `\n${style.indent.repeat(level + 1)}`;
  return `${open}${line}${items.join(style.comma + line)}\n${style.indent.repeat(level)}${close}`;
}

function numberText(value: bigint | number): string {
  if (typeof value === 'bigint') return value.toString();
  if (Number.isFinite(value)) return formatFloat(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
}

function keyText(key: Value): string {
  if (typeof key === 'string') return key;
  if (key === NONE) return 'null';
  if (typeof key === 'boolean') return String(key);
  const number = asNumber(key);
  return number === undefined
    ? fault(`keys must be str, int, float, bool or None, not ${typeName(key)}`)
    : numberText(number);
}

function quote(text: string, ascii: boolean, meter: Meter): string {
  meter.make(text.length);
  const quoted = JSON.stringify(text);
  return ascii
    ? quoted.replace(/[^\0-~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    : quoted;
}
