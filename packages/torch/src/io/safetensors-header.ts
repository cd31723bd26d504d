/**
 * The header of a safetensors file: `u64 length | JSON | bytes of the tensors`, parsed with every rule of the format
 * checked, since a wrong offset would otherwise show up as wrong numbers.
 */

import type { DType } from '../dtype.js';
import { TorchError } from '../errors.js';

/** Bytes of one element for each dtype name of the format; those the engine has no dtype for are recognised by name. */
const ITEM_BITS: Readonly<Record<string, number>> = {
  F64: 64,
  F32: 32,
  F16: 16,
  BF16: 16,
  I64: 64,
  I32: 32,
  I16: 16,
  I8: 8,
  U8: 8,
  BOOL: 8,
  U64: 64,
  U32: 32,
  U16: 16,
  C64: 64,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
};

/** The format's name of each dtype of the engine. */
export const DTYPE_NAMES: Readonly<Record<DType, string>> = {
  f64: 'F64',
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
  i64: 'I64',
  i32: 'I32',
  i16: 'I16',
  i8: 'I8',
  u8: 'U8',
  bool: 'BOOL',
};

/** The engine's dtype of each name of the format that it can read. */
export const DTYPES: Readonly<Record<string, DType>> = Object.fromEntries(
  Object.entries(DTYPE_NAMES).map(([dtype, name]) => [name, dtype as DType]),
);

/** The largest header that is accepted, the limit of the reference implementation. */
export const MAX_HEADER_BYTES = 100_000_000;

/** Most tensors of one file; the largest mixtures of experts have about 100,000 in all their files. */
export const MAX_TENSORS = 200_000;

/** Bytes before the JSON: its length as u64, little-endian. */
export const LENGTH_BYTES = 8;

/** One tensor's place in the file. */
export interface Entry {
  /** The format's dtype name, e.g. 'BF16'. */
  dtypeName: string;
  shape: readonly number[];
  /** First byte and the byte past the last, counted from the end of the header. */
  begin: number;
  end: number;
}

/** A checked header. */
export interface Header {
  entries: ReadonlyMap<string, Entry>;
  metadata: ReadonlyMap<string, string>;
}

/**
 * Parses and checks a header's JSON for a file with `dataBytes` bytes after it.
 * @throws TorchError naming the file and the rule that is broken.
 */
export function parseHeader(text: string, dataBytes: number, path: string): Header {
  const fail = (why: string): never => malformed(path, why);
  if (!text.startsWith('{')) fail('its header does not begin with "{"');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    fail(`its header is not JSON (${(error as Error).message})`);
  }
  const names = Object.keys(json as Record<string, unknown>);
  if (names.length > MAX_TENSORS) fail(`it has ${names.length} tensors, more than the ${MAX_TENSORS} that are read`);
  const duplicate = findDuplicateKey(text);
  if (duplicate !== undefined) fail(`its header has the key "${duplicate}" twice`);

  const entries = new Map<string, Entry>();
  let metadata: ReadonlyMap<string, string> = new Map();
  for (const [name, value] of Object.entries(json as Record<string, unknown>)) {
    if (name === '__metadata__') metadata = parseMetadata(value, fail);
    else entries.set(name, parseEntry(name, value, fail));
  }
  checkLayout(entries, dataBytes, fail);
  return { entries, metadata };
}

/** Throws the error for a file that breaks the format. */
export function malformed(path: string, why: string): never {
  throw new TorchError(`${path} is not a valid safetensors file: ${why}`);
}

/** Bytes of a tensor of that shape, or undefined where they are no whole number below 2^53. */
export function byteLength(dtypeName: string, shape: readonly number[]): number | undefined {
  const bits = shape.reduce((total, size) => total * BigInt(size), BigInt(ITEM_BITS[dtypeName] as number));
  const bytes = bits / 8n;
  return bits % 8n === 0n && bytes <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(bytes) : undefined;
}

/** The engine's bytes per element of a readable dtype. */
export function itemBytes(dtypeName: string): number {
  return (ITEM_BITS[dtypeName] as number) / 8;
}

type Fail = (why: string) => never;

function parseMetadata(value: unknown, fail: Fail): ReadonlyMap<string, string> {
  if (!isRecord(value)) return fail('__metadata__ is not an object of strings');
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') fail(`__metadata__ has a value that is no string under "${key}"`);
  }
  return new Map(Object.entries(value as Record<string, string>));
}

function parseEntry(name: string, value: unknown, fail: Fail): Entry {
  if (!isRecord(value)) return fail(`the entry of "${name}" is not an object`);
  const { dtype, shape, data_offsets: offsets, ...rest } = value;
  const [unknownField] = Object.keys(rest);
  if (unknownField !== undefined) fail(`"${name}" has the unknown field "${unknownField}"`);
  if (typeof dtype !== 'string' || !Object.hasOwn(ITEM_BITS, dtype)) {
    return fail(`"${name}" has the unknown dtype ${JSON.stringify(dtype)}`);
  }
  if (!isSizes(shape))
    return fail(`"${name}" has the shape ${JSON.stringify(shape)}, not whole numbers from 0 to 2^53`);
  if (!isSizes(offsets) || offsets.length !== 2) {
    return fail(`"${name}" has data_offsets ${JSON.stringify(offsets)}, not two whole numbers from 0 to 2^53`);
  }
  const [begin, end] = offsets as [number, number];
  const wanted = byteLength(dtype, shape);
  if (wanted === undefined || end - begin !== wanted) {
    fail(
      `"${name}" takes ${end - begin} bytes, but ${dtype} [${shape.join(', ')}] needs ${wanted ?? 'no whole number'}`,
    );
  }
  return { dtypeName: dtype, shape, begin, end };
}

/** Tensors have to lie one after another, without overlap or gap, up to the end of the file. */
function checkLayout(entries: ReadonlyMap<string, Entry>, dataBytes: number, fail: Fail): void {
  let at = 0;
  let previous = 'the header';
  const byPlace = [...entries].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  for (const [name, { begin, end }] of byPlace) {
    if (begin < at) fail(`"${name}" overlaps ${previous}`);
    if (begin > at) fail(`there are ${begin - at} stray bytes between ${previous} and "${name}"`);
    at = end;
    previous = `"${name}"`;
  }
  if (at > dataBytes) fail(`its tensors need ${at} bytes, but ${dataBytes} follow the header (a truncated file?)`);
  if (at < dataBytes) fail(`there are ${dataBytes - at} stray bytes after its last tensor`);
}

/** The first key that one object of a valid JSON text has twice; `JSON.parse` silently keeps the last. */
function findDuplicateKey(text: string): string | undefined {
  const open: (Set<string> | null)[] = [];
  const token = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g;
  for (const match of text.matchAll(token)) {
    const lexeme = match[0];
    if (lexeme === '{') open.push(new Set());
    else if (lexeme === '[') open.push(null);
    else if (lexeme === '}' || lexeme === ']') open.pop();
    else if (match[1] !== undefined) {
      const key = JSON.parse(lexeme.slice(0, lexeme.length - match[1].length)) as string;
      const keys = open.at(-1);
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && (size as number) >= 0);
}
