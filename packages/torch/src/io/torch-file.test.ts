/** Torch files: Python's in both formats, lazily and value for value; damaged and hostile ones are refused in one line. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { io, memoryStats, scope, TorchError } from '../index.js';
import { expectNoLeak, withStrictScopes } from '../testing.js';

const folder = mkdtempSync(join(tmpdir(), 'torch-file-'));
after(() => rmSync(folder, { recursive: true }));
const golden = (name: string) =>
  fileURLToPath(new URL(`../../../../tests/golden/torch-files/${name}`, import.meta.url));

interface Facts {
  dtype: string;
  shape: number[];
  values: (number | string | boolean)[];
}
const expected = JSON.parse(readFileSync(golden('expected.json'), 'utf8')) as Record<string, Record<string, Facts>>;

let numFiles = 0;
function written(bytes: Uint8Array): string {
  const path = join(folder, `made-${numFiles++}.pt`);
  writeFileSync(path, bytes);
  return path;
}

/** A pickle after protocol 2's mark, as a file of the older format without storages. */
function legacy(...parts: (string | Uint8Array)[]): string {
  const magic = '\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.\x80\x02';
  const bytes = parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part)));
  return written(Buffer.concat([Buffer.from(magic, 'latin1'), ...bytes, Buffer.from('\x80\x02].', 'latin1')]));
}

function oneLine(path: string, wanted: RegExp): void {
  assert.throws(
    () => io.openTorchFile(path),
    (error: unknown) => {
      assert.ok(error instanceof TorchError, String(error));
      assert.ok(!error.message.includes('\n'), error.message);
      assert.match(error.message, wanted);
      return true;
    },
  );
}

for (const [name, tensors] of Object.entries(expected).filter(([name]) => name !== 'float8.pt')) {
  test(`${name}: every tensor equals Python's`, () => {
    scope(() => {
      using file = io.openTorchFile(golden(name));
      assert.deepEqual(file.keys, Object.keys(tensors));
      for (const [key, { dtype, shape, values }] of Object.entries(tensors)) {
        const info = file.info(key);
        assert.deepEqual([...info.shape], shape, key);
        const read = file.tensor(key);
        assert.equal(read.dtype, info.dtype);
        assert.ok(
          dtype.endsWith(
            { f: 'float', b: 'b', i: 'int', u: 'int' }[info.dtype[0] as 'f'] +
              dtype.replace(/^torch\.[a-z]*?(float|b|int)/, ''),
          ),
          `${dtype} ${info.dtype}`,
        );
        if (dtype === 'torch.int64') {
          assert.deepEqual([...(read.contiguous().toArray() as BigInt64Array)].map(String), values.map(String), key);
        } else {
          assert.deepEqual([...read.to('f64').contiguous().toArray()], values.map(Number), key);
        }
      }
    });
  });
}

for (const name of ['checkpoint.pt', 'checkpoint-legacy.pt']) {
  test(`${name}: everything else of it is plain data`, () => {
    using file = io.openTorchFile(golden(name));
    const value = file.value as Map<string, unknown>;
    const plain = Object.fromEntries([...value].filter(([key]) => !['model', 'parameters', 'optimizer'].includes(key)));
    assert.deepEqual(plain['epoch'], 3);
    assert.deepEqual(plain['big'], 2n ** 80n);
    assert.deepEqual(plain['negative'], -(2 ** 40));
    assert.deepEqual(plain['loss'], 0.25);
    assert.deepEqual(plain['name'], 'ünï 🐘');
    assert.deepEqual(plain['bytes'], Uint8Array.of(0, 255));
    assert.deepEqual(plain['flags'], [true, false, null]);
    assert.deepEqual(plain['pair'], [1, 'two']);
    assert.deepEqual(plain['set'], new Set([1, 2]));
    assert.deepEqual(plain['size'], [2, 3]);
    assert.deepEqual(plain['dtype'], { kind: 'dtype', name: 'torch.bfloat16' });
    assert.deepEqual(plain['device'], { kind: 'device', name: 'cuda:1' });
    assert.deepEqual(plain['counter'], new Map([['a', 2]]));
    assert.deepEqual(plain['complex'], { real: 1, imag: 2 });
    assert.deepEqual(plain['best'], 0.5);
    assert.deepEqual(value.get('__proto__'), new Map([['polluted', 1]]));
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
    assert.ok(file.keys.includes('model.vision_backbone.0.weight') && file.has('parameters.0'));
    const parameter = (value.get('parameters') as io.TorchFileTensor[])[0] as io.TorchFileTensor;
    assert.deepEqual([parameter.dtypeName, [...parameter.shape]], ['torch.float32', [4, 3]]);
  });
}

test('protocols 3 to 5 give the same values', () => {
  for (const protocol of [3, 4, 5]) {
    using file = io.openTorchFile(golden(`protocol-${protocol}.pt`));
    const { w: _, ...rest } = Object.fromEntries(file.value as Map<string, unknown>);
    assert.deepEqual(rest, { b: Uint8Array.of(97, 98), s: new Set([1, 2]), long: 'x'.repeat(300), fs: new Set([3]) });
  }
});

test('dtypes without an engine dtype are named and stop only their own tensor', () => {
  scope(() => {
    using file = io.openTorchFile(golden('float8.pt'));
    assert.deepEqual(file.keys, ['x', 'c', 'ok']);
    assert.throws(() => file.info('x'), /float8\.pt stores a tensor as torch\.float8_e4m3fn, which this engine/);
    assert.throws(() => file.tensor('c'), /as torch\.complex64/);
    assert.deepEqual(file.tensor('ok').tolist(), [1]);
    assert.throws(() => file.tensor('nothing'), /has no tensor "nothing"/);
  });
});

test('tensors are mapped, share storage, and live longer than the file; writing to them leaves it alone', () => {
  scope(() => {
    const path = golden('layouts.pt');
    const before = readFileSync(path);
    const file = io.openTorchFile(path);
    const [base, transposed] = [file.tensor('base'), file.tensor('transposed')];
    assert.equal(base.facts().storageBytes, before.length, 'a map, no copy');
    file.close();
    assert.throws(() => file.tensor('base'), /is closed; read its tensors before closing it/);
    base.zero_();
    assert.ok(transposed.eq(0).all().item());
    assert.deepEqual(readFileSync(path), before);
  });
});

test('bytes of the other order are turned round', () => {
  scope(() => {
    const bytes = readFileSync(golden('tensor.pt'));
    // The same length matters: the entry's text is turned in place and its size cut to three.
    const at = bytes.indexOf('little');
    assert.ok(at > 0);
    const swapped = Buffer.from(bytes);
    swapped.write('big', at, 'latin1');
    const name = Buffer.from('/byteorder');
    for (let found = swapped.indexOf(name); found >= 0; found = swapped.indexOf(name, found + 1)) {
      const central = swapped.lastIndexOf('PK\x01\x02', found, 'latin1');
      if (central > at) {
        swapped.writeUInt32LE(3, central + 20);
        swapped.writeUInt32LE(3, central + 24);
      }
    }
    using file = io.openTorchFile(written(swapped));
    const little = new Float32Array([0, 1, 2]);
    const turned = Buffer.from(little.buffer).swap32();
    assert.deepEqual(file.tensor('').tolist(), [...new Float32Array(Uint8Array.from(turned).buffer)]);
  });
});

test('reading leaves no tensor behind and makes none before it is asked for', () => {
  withStrictScopes(() =>
    expectNoLeak(() =>
      scope(() => {
        const before = memoryStats().liveTensors;
        using file = io.openTorchFile(golden('layouts-legacy.pt'));
        assert.equal(memoryStats().liveTensors, before);
        file.tensor('step');
      }),
    ),
  );
});

test('Python objects are refused by their name and never run', () => {
  for (const name of ['evil.pt', 'evil-legacy.pt']) oneLine(golden(name), /asks for the Python object "posix\.system"/);
  oneLine(golden('module.pt'), /asks for the Python object "torch\.nn\.modules\.container\.Sequential"/);
  assert.ok(!existsSync('polluted'));
  for (const [pickle, name] of [
    ['cos\nsystem\n(S"true"\ntR.', 'os.system'],
    ['c__builtin__\neval\n.', 'builtins.eval'],
    ['\x8c\x08builtins\x8c\x04exec\x93.', 'builtins.exec'],
    ['cobject\n__proto__\n.', 'object.__proto__'],
    ['ctorch\nconstructor\n.', 'torch.constructor'],
  ] as const) {
    oneLine(legacy(pickle), new RegExp(`asks for the Python object "${name.replaceAll('.', '\\.')}"`));
  }
});

test('the opcodes of protocols 0 and 1 are read', () => {
  const read = (pickle: string): unknown => {
    using file = io.openTorchFile(legacy(pickle));
    return file.value;
  };
  assert.deepEqual(read("(lp0\nI5\naL-12L\naF1.5\naS'a\\n\\xc3\\xa9'\naV\\u20ac\naI01\naI00\naNa."), [
    5,
    -12,
    1.5,
    'a\né',
    '€',
    true,
    false,
    null,
  ]);
  assert.deepEqual(read('(dp0\nS"k"\n(I1\nI2\nts.'), new Map([['k', [1, 2]]]));
  assert.deepEqual(read('(S"a"\nI1\nd.'), new Map([['a', 1]]));
  assert.deepEqual(
    read(']q\x00(K\x01M\x00\x01J\xff\xff\xff\xff\x8a\x00\x8b\x02\x00\x00\x00\x00\x80e0h\x00.'),
    [1, 256, -1, 0, -32768],
  );
  assert.deepEqual(read('(I1\n1(I2\nI3\n02t.'), [2, 2]);
  assert.deepEqual(read('X\x03\x00\x00\x00\xed\xa0\x80.'), '\ud800');
  assert.deepEqual(
    read(
      'cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nU\x02i8\x85R(K\x03U\x01>NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbC\x08\x00\x00\x00\x00\x00\x00\x00\x07\x86R.',
    ),
    7,
  );
});

test('malformed pickles are refused with their fault', () => {
  for (const [pickle, fault] of [
    ['.', /empty stack/],
    ['(.', /empty stack/],
    ['K\x01K\x02.', /leaves values over/],
    ['h\x05.', /value 5 before it is there/],
    ['t.', /ends a container that it did not begin/],
    ['K\x01K\x02a.', /appends to something that is no list/],
    [')K\x02a.', /no list/],
    [']K\x01K\x02s.', /no dict/],
    ['}]K\x02s.', /a container as a key/],
    ['}(K\x02u.', /a key without a value/],
    ['K\x01)R.', /calls something that is no constructor/],
    ['ctorch\nSize\nK\x01R.', /calls something that is no constructor/],
    ['ctorch\nSize\n(K\x01K\x02tR.', /torch\.Size with arguments/],
    ['ctorch._utils\n_rebuild_tensor_v2\n)R.', /_rebuild_tensor_v2 with arguments/],
    ['K\x01}b.', /sets the state of something that has none/],
    ['K\x01Q.', /something outside the pickle that is no storage/],
    ['(S"module"\nNNtQ.', /no storage/],
    ['\x8b\xff\xff\xff\x7f.', /integer of 2147483647 bytes/],
    ['\x8d\xff\xff\xff\xff\xff\xff\xff\xff.', /string of 1844674407370955\d+ bytes/],
    ['X\xff\xff\xff\x03.', /middle of a value/],
    ['T\xff\xff\xff\xff.', /string of -1 bytes/],
    ['I5x\n.', /the integer "5x"/],
    ['F0x10\n.', /the number "0x10"/],
    ['S5\n.', /string without quotes/],
    [`I${'9'.repeat(5000)}\n.`, /line of more than 4096 bytes/],
    ['X\x01\x00\x00\x00\xff.', /not UTF-8/],
    ['\x80\x09.', /protocol past 5/],
    ['i', /opcode 0x69/],
    ['\x82\x01.', /opcode 0x82/],
    [']q\x00h\x00a.', /a container that holds itself/],
    [`${'('.repeat(300)}${'t'.repeat(300)}.`, /nests deeper than 256/],
    [`${'('.repeat(100_001)}.`, /nests too deeply/],
    [`(${'}'.repeat(1_000_000)}t.`, /makes too many values/],
  ] as const) {
    oneLine(legacy(pickle), fault);
  }
});

test('copies of containers and strings cannot multiply', () => {
  const list = `(${'K\x01'.repeat(100_000)}lq\x00`;
  oneLine(legacy(`(c__builtin__\nset\nq\x01${list}${'h\x01h\x00\x85R'.repeat(1000)}t.`), /makes too many values/);
  const laughs = Array.from(
    { length: 30 },
    (_, i) => `(h${String.fromCharCode(i)}h${String.fromCharCode(i)}lq${String.fromCharCode(i + 1)}`,
  );
  oneLine(legacy(`(]q\x00${laughs.join('')}l.`), /more than 1000000 values/);
});

test('tensors outside their storage are refused', () => {
  const storage = '(S"storage"\nctorch\nFloatStorage\nS"0"\nS"cpu"\nK\x04NtQ';
  const rebuild = (offset: string, shape: string, strides: string) =>
    legacy(
      `ctorch._utils\n_rebuild_tensor_v2\n(${storage}${offset}${shape}${strides}\x89}tR.\x80\x02](S"0"\ne.`,
      '\x04\0\0\0\0\0\0\0'.concat('\0'.repeat(16)),
    );
  const bad = (path: string) =>
    oneLine(path, /needs .* bytes of a storage that has 16|with arguments that make no data/);
  bad(rebuild('K\x01', 'K\x04\x85', 'K\x01\x85'));
  bad(rebuild('K\x00', 'K\x02\x85', 'K\x04\x85'));
  bad(rebuild('J\xff\xff\xff\xff', 'K\x02\x85', 'K\x01\x85'));
  bad(rebuild('K\x00', 'K\x02\x85', 'J\xff\xff\xff\xff\x85'));
  bad(rebuild('K\x00', 'K\x02K\x02\x86', 'K\x01\x85'));
  bad(
    rebuild('K\x00', '\x8a\x07\xff\xff\xff\xff\xff\xff\x0f\x8a\x07\xff\xff\xff\xff\xff\xff\x0f\x86', 'K\x00K\x00\x86'),
  );
});

test('a file cut off anywhere is refused in one line', () => {
  for (const name of ['tensor.pt', 'tensor-legacy.pt', 'layouts-legacy.pt']) {
    const bytes = readFileSync(golden(name));
    for (let length = 0; length < bytes.length; length += 13) {
      const path = join(folder, 'cut.pt');
      writeFileSync(path, bytes.subarray(0, length));
      oneLine(path, /is not a valid torch file: /);
    }
  }
});

test('damaged zip directories, compressed and foreign files are refused', () => {
  const bytes = readFileSync(golden('tensor.pt'));
  const damaged = (change: (copy: Buffer, central: number, end: number) => void): string => {
    const copy = Buffer.from(bytes);
    change(copy, copy.indexOf('PK\x01\x02', 0, 'latin1'), copy.lastIndexOf('PK\x05\x06', undefined, 'latin1'));
    return written(copy);
  };
  oneLine(
    damaged((copy, central) => copy.writeUInt16LE(8, central + 10)),
    /is compressed \(method 8\)/,
  );
  oneLine(
    damaged((copy, central) => copy.writeUInt16LE(1, central + 8)),
    /is encrypted/,
  );
  oneLine(
    damaged((copy, central) => copy.writeUInt32LE(0xfffffff0, central + 42)),
    /lies outside the file/,
  );
  oneLine(
    damaged((copy, central) => copy.writeUInt16LE(0xffff, central + 28)),
    /entry 0 of its directory is cut off/,
  );
  oneLine(
    damaged(
      (copy) =>
        copy.write('PK\x03\x05', 0, 'latin1') &&
        copy.write('PK\x03\x04', 0, 'latin1') &&
        copy.writeUInt16LE(0xfff0, 26),
    ),
    /cut off|another name/,
  );
  oneLine(
    damaged((copy) => copy.writeUInt32LE(0xffff, copy.indexOf('PK\x06\x06', 0, 'latin1') + 48)),
    /directory is damaged/,
  );
  oneLine(written(Buffer.from('PK\x03\x04'.padEnd(100, '\0'), 'latin1')), /zip directory is missing/);
  oneLine(written(Buffer.from('{"a": 1}')), /neither as a zip file nor as a pickle/);
  oneLine(written(Buffer.from('\x80\x02K\x01.', 'latin1')), /magic number is wrong/);
  oneLine(written(Buffer.alloc(0)), /neither as a zip/);
  assert.throws(() => io.openTorchFile(folder), { name: 'FileFault', kind: 'folder' });
  const page = join(folder, 'page.pt');
  writeFileSync(page, '<!DOCTYPE html><html></html>');
  assert.throws(() => io.openTorchFile(page), {
    name: 'FileFault',
    message: `${page} is an HTML page, not the file itself`,
  });
  assert.throws(() => io.openTorchFile(join(folder, 'nothing.pt')), { code: 'ENOENT' });
});
