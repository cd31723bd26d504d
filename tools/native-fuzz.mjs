#!/usr/bin/env node
/**
 * Random calls of the addon's entries, with arguments that change while they are read. The rule: a value or an exception,
 * and no tensor left over. What is read out of bounds or after its end shows under AddressSanitizer (tools/sanitize.mjs);
 * without it, a crash does.
 *
 * `node tools/native-fuzz.mjs [--count 20000] [--seed 1]` on the addon that COMMTORCH_ADDON names, else on the built one.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from './setup.mjs';

const addon = process.env.COMMTORCH_ADDON ?? join(ROOT, 'packages', 'torch', 'build', 'commtorch.node');
const native = createRequire(import.meta.url)(addon);
const { values: options } = parseArgs({
  options: { count: { type: 'string', default: '20000' }, seed: { type: 'string', default: '1' } },
});

/** Entries that change the whole process and nothing that could be read wrongly. */
const LEFT_OUT = ['setNumThreads', 'setDeterministic', 'reuseFreedMemory', 'schemas', 'call'];
const ENTRIES = Object.keys(native).filter((name) => !LEFT_OUT.includes(name));

/** The operators that this package calls, and with them our own; a file of the user's is none of this test's business. */
function operatorsInUse() {
  const source = join(ROOT, 'packages', 'torch', 'src');
  const names = readdirSync(source, { recursive: true })
    .filter((name) => name.endsWith('.ts') && !/\.(test|gen)\.ts$/.test(name))
    .flatMap((name) => [...readFileSync(join(source, name), 'utf8').matchAll(/[oO]p\('(\w+::[\w.]+)'\)/g)])
    .map(([, name]) => name);
  return [...new Set(names)].filter((name) => name !== 'aten::from_file').sort();
}

let state = BigInt(options.seed) * 2862933555777941757n + 3037000493n;
/** A whole number below `n`. */
function random(n) {
  state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
  return Number((state >> 33n) % BigInt(n));
}
const pick = (list) => list[random(list.length)];

const operators = operatorsInUse().map((name) => native.resolve(name));
const everyName = native.schemas().flatMap((schema) => /^[\w:]+(\.\w+)?/.exec(schema)?.[0] ?? []);
const DTYPES = ['f32', 'bf16', 'f16', 'f64', 'i64', 'i32', 'i16', 'i8', 'u8', 'bool', 'c64'];
// Sizes are small, or so large that no memory is even asked for.
const INTS = [0, 1, 2, 3, 4, 5, 7, 16, 17, -1, -2, 2 ** 50, -(2 ** 53), 2n ** 62n];
const FLOATS = [0, 1, 0.5, -1.5, 1e-30, 1e30, Number.NaN, Number.POSITIVE_INFINITY];
const STRINGS = [
  ...DTYPES,
  'cpu',
  'meta',
  'cuda:3',
  'strided',
  'contiguous',
  'channels_last',
  'tanh',
  'none',
  'ij->ji',
  '',
  '\0',
];
const NONSENSE = [undefined, null, true, 'x', -0, 5n, Symbol('s'), {}, [], () => 0, new Date(), new Map()];

const live = [];
const buffers = [];

/** What a getter does in the middle of a call. */
const ACTIONS = [
  () => live.length > 0 && native.release(live.splice(random(live.length), 1)[0]),
  () => native.releaseMany(live.splice(0, random(8))),
  () => native.resolve(pick(everyName)),
  () => Array.from({ length: 40 }, () => native.resolve(pick(everyName))),
  () => Array.from({ length: 40 }, () => live.push(native.fromBytes(new Float32Array(3), [3], 'f32'))),
  () => buffers.length > 0 && changeSize(pick(buffers)),
  () => globalThis.gc?.(),
  () => native.createGenerator(1, 'cpu'),
  () => native.releaseGenerator(random(50)),
  () => {
    throw new Error('thrown by a getter');
  },
];

function changeSize(buffer) {
  if (buffer instanceof SharedArrayBuffer) {
    if (buffer.growable && buffer.byteLength < buffer.maxByteLength) buffer.grow(buffer.maxByteLength);
  } else if (buffer.resizable && random(2) === 0) buffer.resize(random(buffer.maxByteLength + 1));
  else if (buffer.byteLength > 0) structuredClone(buffer, { transfer: [buffer] });
}

/** A list, or one with a getter, a proxy, or one that claims more than it holds. */
function listOf(make, length = random(5)) {
  const list = Array.from({ length }, make);
  if (list.length > 0 && random(6) === 0) {
    const [at, value] = [random(list.length), list[0]];
    const act = pick(ACTIONS);
    Object.defineProperty(list, at, {
      get: () => {
        act();
        return value;
      },
    });
  }
  const kind = random(60);
  if (kind === 0) return new Proxy(list, {});
  if (kind === 1) list.length = 2 ** 32 - 1;
  return list;
}

/** A tensor's id; now and then one that is stale or made up. */
function someTensor() {
  if (live.length === 0 || random(4) === 0) live.push(freshTensor());
  const kind = random(40);
  return kind === 0 ? pick(live) + 1 : kind === 1 ? random(2 ** 31) * 2 ** 22 : pick(live);
}

function freshTensor() {
  const dtype = pick(DTYPES);
  const shape = Array.from({ length: random(4) }, () => pick([0, 1, 2, 3, 5, 16, 17]));
  const [width, count] = [
    { f64: 8, i64: 8, c64: 8, f32: 4, i32: 4, bf16: 2, f16: 2, i16: 2 }[dtype] ?? 1,
    shape.reduce((a, b) => a * b, 1),
  ];
  // Only 0 and 1 are truth values.
  const bytes = Uint8Array.from({ length: count * width }, () => random(dtype === 'bool' ? 2 : 256));
  return native.fromBytes(bytes, shape, dtype);
}

function someBytes() {
  const length = random(70);
  const buffer = pick([
    () => new ArrayBuffer(length * 8),
    () => new ArrayBuffer(length * 8, { maxByteLength: length * 8 + 64 }),
    () => new SharedArrayBuffer(length * 8),
    () => new SharedArrayBuffer(length * 8, { maxByteLength: length * 8 + 64 }),
  ])();
  buffers.push(buffer);
  if (buffers.length > 20) buffers.shift();
  const Type = pick([
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Float32Array,
    Float64Array,
    BigInt64Array,
    DataView,
  ]);
  const start = random(length + 1) * 8;
  return random(2) === 0
    ? new Type(buffer, start)
    : new Type(buffer, start, (length * 8 - start) / (Type.BYTES_PER_ELEMENT ?? 1));
}

/** An argument as the schema wants it, or, rarely, anything. */
function argument(label) {
  if (random(30) === 0) return anything();
  const [, kind, list] = /^(\w+)\??(\[\])?/.exec(label);
  if (label.endsWith('?') && random(3) === 0) return null;
  const one = {
    Tensor: someTensor,
    int: () => pick(INTS),
    float: () => pick(FLOATS),
    bool: () => random(2) === 0,
    Scalar: () => pick(FLOATS),
    str: () => pick(STRINGS),
    dtype: () => pick(DTYPES),
    layout: () => 'strided',
    device: () => pick(['cpu', 'cpu', 'meta']),
    format: () => pick(['contiguous', 'preserve', 'channels_last']),
    generator: () => random(4),
  }[kind];
  if (one === undefined) return anything();
  return list ? listOf(one) : one();
}

function anything() {
  return pick([
    someTensor,
    someBytes,
    () => pick(INTS),
    () => pick(FLOATS),
    () => pick(STRINGS),
    () => pick(NONSENSE),
    () => pick(everyName),
    () => listOf(anything, random(3)),
    () => listOf(() => pick(INTS)),
    () => listOf(someTensor),
  ])();
}

function callOperator() {
  const { index, args, returns } = pick(operators);
  const given = args.slice(0, random(12) === 0 ? random(args.length + 1) : args.length).map(argument);
  const out = native.call(index, ...given);
  const results = returns.length === 1 ? [out] : (out ?? []);
  returns.forEach((kind, i) => {
    if (kind.startsWith('Tensor') && results[i] !== null && results[i] !== undefined) [results[i]].flat().forEach(keep);
  });
}

/** Takes a result into the pool, unless it stands for so many elements that the next operator would not end. */
function keep(id) {
  if (id === null) return;
  if (native.shape(id).reduce((a, b) => a * b, 1) > 1e5) native.release(id);
  else live.push(id);
}

function callEntry() {
  const name = pick(ENTRIES);
  const given = Array.from({ length: random(6) }, anything);
  if (name === 'fromBytes' && random(2) === 0) {
    // Near enough to be taken: bytes, a shape that asks for as many, one of whose elements may change them.
    const bytes = someBytes();
    given.splice(
      0,
      3,
      bytes,
      listOf(() => bytes.byteLength, 1),
      'u8',
    );
  }
  const out = native[name](...given);
  if (/^(fromBytes|grad|generatorState)$/.test(name) && typeof out === 'number') keep(out);
  if (name === 'gradients') out.forEach(keep);
}

let refused = 0;
const count = Number(options.count);
for (let i = 0; i < count; i++) {
  try {
    if (random(4) === 0) callEntry();
    else callOperator();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    refused++;
  }
  native.setGradEnabled(random(2) === 0);
  while (live.length > 40) native.release(live.splice(random(live.length), 1)[0]);
}
native.releaseMany(live);
const { liveTensors } = native.memoryStats();
console.log(JSON.stringify({ operators: operators.length, calls: count, refused, left: liveTensors }));
process.exitCode = liveTensors === 0 ? 0 : 1;
