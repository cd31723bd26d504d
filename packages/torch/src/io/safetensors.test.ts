/** Safetensors: Python's files, round trips of every dtype, and files that must be refused. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { testdataPath, wave } from '../golden.fixture.js';
import { arange, type DType, io, memoryStats, ones, scope, type Tensor, TorchError, tensor, zeros } from '../index.js';
import { expectClose, expectNoLeak, withStrictScopes } from '../testing.js';

const folder = mkdtempSync(join(tmpdir(), 'safetensors-'));
after(() => rmSync(folder, { recursive: true }));
let numFiles = 0;

/** A file of the given header and data; a string is taken as it is. */
function craft(header: unknown, dataBytes = 0, length?: bigint): string {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(length ?? BigInt(json.length));
  const path = join(folder, `crafted-${numFiles++}.safetensors`);
  writeFileSync(path, Buffer.concat([size, json, Buffer.from(Uint8Array.from({ length: dataBytes }, (_, i) => i))]));
  return path;
}

const entry = (dtype: string, shape: unknown, begin: unknown, end: unknown) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

test('a file that Python wrote is read, every dtype of it', () => {
  scope(() => {
    using file = io.openSafetensors(testdataPath('python.safetensors'));
    assert.deepEqual([...file.metadata], [['note', 'ünï']]);
    assert.equal(file.keys.length, 14);
    const is = (key: string, dtype: DType, values: unknown) => {
      const read = file.tensor(key);
      assert.deepEqual(file.info(key), { dtype, shape: [...read.shape] });
      assert.equal(read.dtype, dtype);
      assert.deepEqual(read.tolist(), values, key);
    };
    for (const [key, shape, phase] of [
      ['f64', [2, 2], 0],
      ['f32', [2, 3], 0],
      ['f16', [3], 1],
      ['bf16', [5], 2],
    ] as const) {
      const dtype = key as DType;
      is(key, dtype, wave(shape, phase, dtype).tolist());
    }
    assert.deepEqual(file.tensor('i64').toArray(), new BigInt64Array([-(2n ** 62n), 2n ** 62n + 1n]));
    is('i32', 'i32', [-(2 ** 31), 7]);
    is('i16', 'i16', [-(2 ** 15), 7, 8]);
    is('i8', 'i8', [-128, 127, 3]);
    is('u8', 'u8', [0, 255, 9]);
    is('bool', 'bool', [true, false, true]);
    is('scalar', 'f32', 2.5);
    is('empty', 'f32', []);
    is('nämé "quoted"', 'f32', [1]);
    assert.ok(file.has('f8') && !file.has('nothing'));
    assert.throws(
      () => file.tensor('f8'),
      /python\.safetensors stores "f8" as F8_E4M3, which this engine has no dtype for/,
    );
    assert.throws(() => file.info('nothing'), /has no tensor "nothing"/);
  });
});

test('tensors of every dtype and layout go round, with their names and the metadata', () => {
  scope(() => {
    const path = join(folder, 'round.safetensors');
    const dtypes: DType[] = ['f64', 'f32', 'f16', 'bf16', 'i64', 'i32', 'i16', 'i8', 'u8', 'bool'];
    const tensors = new Map<string, Tensor>(dtypes.map((dtype) => [dtype, wave([3, 5], 1).mul(100).abs().to(dtype)]));
    tensors.set('transposed', wave([3, 4]).t());
    tensors.set('slice', arange(10).slice(0, 3, 9, 2));
    tensors.set('expanded', ones([1]).expand(2, 3));
    tensors.set('scalar', tensor(7));
    tensors.set('empty', zeros([2, 0]));
    tensors.set('learned', ones([2], { requiresGrad: true }));
    tensors.set('1', ones([1]));
    tensors.set('__proto__', ones([1]));
    tensors.set('ключ "\n', ones([1]));
    io.writeSafetensors(path, tensors, { step: '12', emoji: '🐘' });
    using file = io.openSafetensors(path);
    assert.deepEqual(new Set(file.keys), new Set(tensors.keys()));
    assert.deepEqual(
      new Map(file.metadata),
      new Map([
        ['step', '12'],
        ['emoji', '🐘'],
      ]),
    );
    for (const [name, original] of tensors) {
      const read = file.tensor(name);
      assert.deepEqual([read.dtype, [...read.shape]], [original.dtype, [...original.shape]]);
      assert.deepEqual(read.toBytes(), original.toBytes(), name);
      assert.ok(!read.requiresGrad);
    }
    assert.equal(readFileSync(path).readBigUInt64LE() % 8n, 0n, 'the data starts aligned');
    for (const name of dtypes)
      assert.equal(file.tensor(name).facts().storageBytes, statSync(path).size, 'a map, no copy');
    assert.ok(readdirSync(folder).every((name) => !name.endsWith('.tmp')));
  });
});

test('a tensor that does not start at a multiple of its element is copied into place', () => {
  scope(() => {
    const path = craft({ odd: entry('U8', [1], 0, 1), wide: entry('I32', [2], 1, 9) }, 9);
    const [, wide] = [...io.readSafetensors(path).values()];
    assert.deepEqual(wide?.tolist(), [0x04030201, 0x08070605]);
  });
});

test('tensors outlive the file object and its scope; writing to them leaves the file alone', () => {
  const path = join(folder, 'private.safetensors');
  scope(() => io.writeSafetensors(path, [['x', ones([4])]]));
  const bytes = readFileSync(path);
  const x = scope(() => {
    const { x } = Object.fromEntries(io.readSafetensors(path));
    return x as Tensor;
  });
  x.add_(1);
  assert.deepEqual(x.tolist(), [2, 2, 2, 2]);
  assert.deepEqual(readFileSync(path), bytes);
  x.dispose();
});

test('a closed file says so', () => {
  const file = io.openSafetensors(testdataPath('python.safetensors'));
  file.close();
  file.close();
  assert.throws(() => file.tensor('f32'), /is closed; read "f32" before closing it/);
});

test('reading and writing leave no tensor behind and touch no byte before it is used', () => {
  const path = join(folder, 'leak.safetensors');
  withStrictScopes(() =>
    expectNoLeak(() =>
      scope(() => {
        io.writeSafetensors(path, [['a', zeros([1000])]]);
        const before = memoryStats().liveTensors;
        using file = io.openSafetensors(path);
        assert.equal(memoryStats().liveTensors, before);
        file.tensor('a');
      }),
    ),
  );
});

test('malformed files are refused with the rule that they break', () => {
  const cases: [string, RegExp][] = [
    [craft({ a: entry('F32', [2], 0, 8) }, 8, 10n ** 9n), /claims 1000000000 bytes, more than the 100000000/],
    [craft({}, 0, 5n), /header claims 5 bytes, the file has 10/],
    [craft('[]'), /does not begin with "\{"/],
    [craft(' {}'), /does not begin with "\{"/],
    [craft('{"a":'), /not JSON/],
    [craft('{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"\\u0061":{}}', 4), /key "a" twice/],
    [craft('{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}', 1), /key "dtype" twice/],
    [craft({ a: 1 }), /entry of "a" is not an object/],
    [craft({ a: entry('Q4', [1], 0, 1) }, 1), /"a" has the unknown dtype "Q4"/],
    [craft({ a: entry('toString', [1], 0, 1) }, 1), /unknown dtype "toString"/],
    [craft({ a: { dtype: 'U8', shape: [1] } }, 1), /"a" has data_offsets undefined/],
    [craft({ a: { ...entry('U8', [1], 0, 1), extra: 1 } }, 1), /unknown field "extra"/],
    [craft({ a: entry('U8', [-1], 0, 1) }, 1), /shape \[-1\], not whole numbers/],
    [craft({ a: entry('U8', [1.5], 0, 1) }, 1), /shape \[1\.5\], not whole numbers/],
    [craft({ a: entry('U8', 1, 0, 1) }, 1), /shape 1, not whole numbers/],
    [craft({ a: entry('U8', [2 ** 53], 0, 2 ** 53) }, 1), /shape \[9007199254740992\], not whole numbers/],
    [craft({ a: entry('F32', [2 ** 30, 2 ** 30], 0, 4) }, 4), /needs no whole number/],
    [craft({ a: entry('U8', [1], 1, 0) }, 1), /"a" takes -1 bytes/],
    [craft({ a: entry('U8', [1], 0, '1') }, 1), /not two whole numbers/],
    [craft({ a: entry('F32', [2], 0, 4) }, 4), /"a" takes 4 bytes, but F32 \[2\] needs 8/],
    [craft({ a: entry('F32', [1], 0, 4), b: entry('F32', [1], 2, 6) }, 6), /"b" overlaps "a"/],
    [craft({ a: entry('F32', [1], 0, 4), b: entry('F32', [1], 6, 10) }, 10), /2 stray bytes between "a" and "b"/],
    [craft({ a: entry('F32', [1], 4, 8) }, 8), /4 stray bytes between the header and "a"/],
    [craft({ a: entry('F32', [1], 0, 4) }, 6), /2 stray bytes after its last tensor/],
    [craft({ a: entry('F32', [2], 0, 8) }, 4), /need 8 bytes, but 4 follow the header \(a truncated file\?\)/],
    [craft({ __metadata__: { a: 1 } }), /value that is no string under "a"/],
    [craft({ __metadata__: [] }), /__metadata__ is not an object/],
  ];
  for (const [path, rule] of cases) {
    assert.throws(
      () => io.openSafetensors(path),
      (error: Error) => {
        assert.ok(error instanceof TorchError);
        assert.match(error.message, rule);
        assert.ok(
          error.message.startsWith(`${path} is not a valid safetensors file: `) && !error.message.includes('\n'),
        );
        return true;
      },
    );
  }
});

test('tiny, truncated and absent files, and bytes that are no UTF-8, are refused', () => {
  const path = join(folder, 'bytes.safetensors');
  for (const size of [0, 7]) {
    writeFileSync(path, Buffer.alloc(size));
    assert.throws(() => io.openSafetensors(path), new RegExp(`has ${size} bytes, too few`));
  }
  writeFileSync(path, Buffer.from([4, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x22, 0xff, 0x7d]));
  assert.throws(() => io.openSafetensors(path), /not UTF-8/);
  scope(() => io.writeSafetensors(path, [['x', wave([100])]]));
  truncateSync(path, statSync(path).size - 1);
  assert.throws(() => io.openSafetensors(path), /truncated/);
  assert.throws(() => io.openSafetensors(join(folder, 'nothing')), { code: 'ENOENT' });
});

test('a pipe, a device and what stands in for the file are refused at once', {
  skip: process.platform === 'win32',
}, () => {
  const pipe = join(folder, 'pipe.safetensors');
  execFileSync('mkfifo', [pipe]);
  const pointer = join(folder, 'pointer.safetensors');
  writeFileSync(pointer, `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 360984\n`);
  for (const [path, why] of [
    [pipe, 'is a named pipe, not a file'],
    ['/dev/zero', 'is a device, not a file'],
    [pointer, 'is a Git LFS pointer, not the file itself'],
  ] as const) {
    assert.throws(() => io.openSafetensors(path), { name: 'FileFault', message: `${path} ${why}` });
  }
});

test('valid corner cases are read: no tensors, padding, entries in any order, empty tensors anywhere', () => {
  scope(() => {
    assert.deepEqual(io.openSafetensors(craft('{}  ')).keys, []);
    const entries = { b: entry('U8', [1], 2, 3), e: entry('F32', [0], 2, 2), a: entry('F16', [1], 0, 2) };
    const file = io.openSafetensors(craft(entries, 3));
    assert.deepEqual(file.tensor('b').tolist(), [2]);
    assert.deepEqual([...file.tensor('e').shape], [0]);
  });
});

test('what cannot be written is refused, and nothing is left of it', () => {
  scope(() => {
    const path = join(folder, 'refused.safetensors');
    const x = ones([1]);
    const gone = ones([1]);
    gone.dispose();
    assert.throws(
      () =>
        io.writeSafetensors(path, [
          ['a', x],
          ['a', x],
        ]),
      /two tensors are named "a"/,
    );
    assert.throws(() => io.writeSafetensors(path, [['__metadata__', x]]), /cannot name a tensor/);
    assert.throws(() => io.writeSafetensors(path, [['a', zeros([1], { device: 'meta' })]]), /on the meta device/);
    assert.throws(() => io.writeSafetensors(path, [['a', gone]]), TypeError);
    assert.throws(() => io.writeSafetensors(join(folder, 'no', 'such'), [['a', x]]), { code: 'ENOENT' });
    assert.ok(!existsSync(path));
    assert.ok(readdirSync(folder).every((name) => !name.endsWith('.tmp')));
  });
});

test('lazy tensors are made one at a time, when they are written, and have to be as announced', () => {
  scope(() => {
    const path = join(folder, 'lazy.safetensors');
    const live: number[] = [];
    const lazy = (value: number): io.LazyTensor => ({
      dtype: 'bf16',
      shape: [3],
      read: () => {
        live.push(memoryStats().liveTensors);
        return ones([3]).mul(value).to('bf16');
      },
    });
    io.writeSafetensors(path, [
      ['a', lazy(1)],
      ['b', zeros([2], { dtype: 'f64' })],
      ['c', lazy(3)],
    ]);
    assert.equal(live.length, 2);
    assert.equal(live[0], live[1], 'the first is gone before the second is made');
    const read = io.readSafetensors(path);
    assert.deepEqual(read.get('a')!.tolist(), [1, 1, 1]);
    assert.deepEqual(read.get('c')!.tolist(), [3, 3, 3]);
    assert.throws(
      () => io.writeSafetensors(path, [['a', { dtype: 'f32', shape: [2], read: () => ones([3]) }]]),
      /announced as f32 \[2\] and made as f32 \[3\]/,
    );
    assert.deepEqual(io.readSafetensors(path).get('a')!.tolist(), [1, 1, 1], 'the old file is still there');
  });
});

test('what is no tensor is refused by its name', () => {
  for (const wrong of [{}, null, 3, { shape: 'x' }]) {
    const path = join(folder, 'wrong.safetensors');
    assert.throws(() => io.writeSafetensors(path, [['x', wrong as unknown as Tensor]]), {
      name: 'TypeError',
      message: `${path}: what is named "x" is no tensor`,
    });
  }
});

test('a write that fails leaves nothing of itself and the old target alone', () => {
  scope(() => {
    const path = join(folder, 'occupied');
    mkdirSync(join(path, 'full'), { recursive: true });
    assert.throws(() => io.writeSafetensors(path, [['x', ones([10])]]), { name: 'FileFault', kind: 'folder' });
    assert.deepEqual(readdirSync(path), ['full']);
    const kept = join(folder, 'kept.safetensors');
    io.writeSafetensors(kept, [['x', ones([10])]]);
    const fault = new Error('read failed');
    const broken = {
      dtype: 'f32',
      shape: [10],
      read: () => {
        throw fault;
      },
    } as const;
    assert.throws(() => io.writeSafetensors(kept, [['a', ones([10])] as const, ['x', broken] as const]), fault);
    assert.deepEqual(io.readSafetensors(kept).get('x')?.tolist(), Array(10).fill(1));
    assert.ok(readdirSync(folder).every((name) => !name.endsWith('.part')));
  });
});

test('a file is replaced as a whole, under tensors that still read the old one', () => {
  scope(() => {
    const path = join(folder, 'replaced.safetensors');
    io.writeSafetensors(path, [['x', ones([1000])]]);
    const old = io.readSafetensors(path).get('x') as Tensor;
    io.writeSafetensors(path, [['x', zeros([3])]]);
    expectClose(old, ones([1000]));
    assert.deepEqual(io.readSafetensors(path).get('x')?.tolist(), [0, 0, 0]);
  });
});
