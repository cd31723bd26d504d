/** Stores of pictures: folders, archives and tables, whole and damaged. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { crc32, deflateRawSync, gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import tar from 'tar-stream';
import type { PictureStoreConfig } from '../config/data.js';
import { openPictureStore } from './pictures.js';
import { expandBraces } from './stores/tar.js';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'comm-pictures-'));
});
after(() => rm(folder, { recursive: true, force: true }));

const KEYS = ['train/a.jpg', `train/${'long'.repeat(40)}.jpg`, 'ünï.jpg'];
const bytesOf = (key: string): Buffer => Buffer.from(`bytes of ${key}`.repeat(50));

function zipOf(keys: readonly string[]): Buffer {
  const parts: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  keys.forEach((key, i) => {
    const [name, bytes] = [Buffer.from(key), bytesOf(key)];
    const data = i % 2 === 0 ? bytes : deflateRawSync(bytes);
    const head = Buffer.alloc(26);
    head.writeUInt16LE(20, 0);
    head.writeUInt16LE(0x800, 2);
    head.writeUInt16LE(i % 2 === 0 ? 0 : 8, 4);
    head.writeUInt32LE(crc32(bytes), 10);
    head.writeUInt32LE(data.length, 14);
    head.writeUInt32LE(bytes.length, 18);
    head.writeUInt16LE(name.length, 22);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), head, name, data]);
    central.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), head, tail, name]));
    parts.push(local);
    offset += local.length;
  });
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(keys.length, 4);
  end.writeUInt16LE(keys.length, 6);
  end.writeUInt32LE(directory.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...parts, directory, Buffer.from('PK\x05\x06'), end]);
}

async function tarOf(keys: readonly string[]): Promise<Buffer> {
  const pack = tar.pack();
  pack.entry({ name: 'train/', type: 'directory' });
  for (const key of keys) pack.entry({ name: key }, bytesOf(key));
  pack.finalize();
  return await buffer(pack);
}

async function readsAll(config: PictureStoreConfig, keys: readonly string[]): Promise<void> {
  const store = await openPictureStore(config);
  for (const key of keys) {
    assert.equal(await store.has(key), true, key);
    assert.deepEqual(Buffer.from(await store.read(key)), bytesOf(key), key);
  }
  assert.equal(await store.has('train/absent.jpg'), false);
  await assert.rejects(store.read('train/absent.jpg'), { code: 'data/picture', message: /train\/absent\.jpg: / });
  await store.close();
}

test('a folder gives its files and nothing outside', async () => {
  const root = join(folder, 'plain');
  await mkdir(join(root, 'train'), { recursive: true });
  for (const key of KEYS) await writeFile(join(root, key), bytesOf(key));
  await readsAll({ kind: 'folder', folder: root }, KEYS);
  const store = await openPictureStore({ kind: 'folder', folder: root });
  await assert.rejects(store.read('../secret.jpg'), { code: 'data/picture', message: /leads out of the folder/ });
  await assert.rejects(openPictureStore({ kind: 'folder', folder: join(folder, 'absent') }), /no such folder/);
});

test('a zip gives stored and deflated members', async () => {
  const file = join(folder, 'pictures.zip');
  await writeFile(file, zipOf(KEYS));
  await readsAll({ kind: 'zip', file }, KEYS);
});

test('a cut zip is refused with its name', async () => {
  const file = join(folder, 'cut.zip');
  const whole = zipOf(KEYS);
  await writeFile(file, whole.subarray(0, whole.length - 30));
  await assert.rejects(openPictureStore({ kind: 'zip', file }), { code: 'data/picture', message: /cut\.zip: / });
});

test('tar shards give their members, also by long names, and keep an index', async () => {
  await writeFile(join(folder, 's-000.tar'), await tarOf(KEYS.slice(0, 2)));
  await writeFile(join(folder, 's-001.tar'), await tarOf(KEYS.slice(2)));
  const config: PictureStoreConfig = { kind: 'tar', files: [join(folder, 's-{000..001}.tar')] };
  await readsAll(config, KEYS);
  const index = JSON.parse(await readFile(join(folder, 's-000.tar.index.json'), 'utf8')) as { members: unknown[] };
  assert.equal(index.members.length, 2);
  await readsAll(config, KEYS);
  // Another archive under the same name is not read by the old index.
  await writeFile(join(folder, 's-000.tar'), await tarOf(['new.jpg', ...KEYS.slice(0, 2)]));
  await readsAll(config, ['new.jpg', ...KEYS]);
});

test('damaged, packed and repeated tars are refused', async () => {
  const whole = await tarOf(KEYS);
  const refused = async (name: string, bytes: Buffer, message: RegExp): Promise<void> => {
    await writeFile(join(folder, name), bytes);
    const opening = openPictureStore({ kind: 'tar', files: [join(folder, name)] });
    await assert.rejects(opening, { code: 'data/picture', message });
  };
  await refused('cut.tar', whole.subarray(0, 900), /cut\.tar: the archive ends early/);
  await refused('packed.tar', gzipSync(whole, { level: 0 }), /packed \(gzip\)/);
  await refused('text.tar', Buffer.alloc(2000, 'x'), /no tar header at byte 0/);
  await refused('twice.tar', await tarOf(['a.jpg', 'a.jpg']), /a\.jpg: the member is there already/);
});

test('braces in the name of an archive stand for all numbers', () => {
  assert.deepEqual(expandBraces('a-{08..10}.tar'), ['a-08.tar', 'a-09.tar', 'a-10.tar']);
  assert.deepEqual(expandBraces('a.tar'), ['a.tar']);
});

/** Rows of `{bytes, path}` in groups of two, beside a column of ids, as Hugging Face's data sets are. */
function parquetOf(keys: readonly string[]): Uint8Array {
  const image = keys.map((key) => ({ bytes: new Uint8Array(bytesOf(key)), path: key }));
  const buffer = parquetWriteBuffer({
    columnData: [
      { name: 'id', data: keys.map((_, i) => i) },
      { name: 'image', data: image },
    ],
    schema: [
      { name: 'root', num_children: 2 },
      { name: 'id', type: 'INT32', repetition_type: 'REQUIRED' },
      { name: 'image', num_children: 2, repetition_type: 'OPTIONAL' },
      { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
      { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
    ],
    rowGroupSize: 2,
  });
  return new Uint8Array(buffer);
}

test('parquet gives the pictures of all its row groups, by path or by another column', async () => {
  const file = join(folder, 'a.parquet');
  await writeFile(file, parquetOf(KEYS));
  const byPath: PictureStoreConfig = { kind: 'parquet', files: [file], image: 'image' };
  await readsAll(byPath, KEYS);
  await readsAll(byPath, [...KEYS].reverse());
  const store = await openPictureStore({ ...byPath, key: 'id' });
  assert.deepEqual(Buffer.from(await store.read('2')), bytesOf(KEYS[2]!));
  await store.close();
});

test('a parquet file that is damaged, lacks a column or repeats a key is refused', async () => {
  const refused = async (name: string, bytes: Uint8Array, message: RegExp, more: object = {}): Promise<void> => {
    const file = join(folder, name);
    await writeFile(file, bytes);
    const opening = openPictureStore({ kind: 'parquet', files: [file], image: 'image', ...more });
    await assert.rejects(opening, { code: 'data/picture', message });
  };
  const whole = parquetOf(KEYS);
  await refused('cut.parquet', whole.subarray(0, whole.length - 20), /cut\.parquet: it cannot be read as parquet/);
  await refused('other.parquet', whole, /there is no column "picture"/, { image: 'picture' });
  await refused('plain.parquet', whole, /id: the column is no struct of bytes and path/, { image: 'id' });
  await refused('twice.parquet', parquetOf(['a.jpg', 'b.jpg', 'a.jpg']), /a\.jpg: the key is there twice/);
});

test('a table of base64 gives its pictures, by the names or the numbers of its columns', async () => {
  const rows = KEYS.map((key, i) => [
    String(i),
    i === 1 ? '"two\nlines ""quoted"""' : 'text',
    key,
    bytesOf(key).toString('base64'),
  ]);
  const named = join(folder, 'named.tsv');
  await writeFile(named, [['index', 'question', 'key', 'image'], ...rows].map((row) => `${row.join('\t')}\n`).join(''));
  await readsAll({ kind: 'tsv', file: named, columns: { key: 'key', image: 'image' } }, KEYS);
  const bare = join(folder, 'bare.tsv');
  await writeFile(bare, rows.map((row) => `${row.join('\t')}\n`).join(''));
  await readsAll({ kind: 'tsv', file: bare, columns: { key: 2, image: 3 } }, KEYS);
  const opening = (columns: { key: string; image: string }) => openPictureStore({ kind: 'tsv', file: named, columns });
  await assert.rejects(opening({ key: 'id', image: 'image' }), /line 1: there is no column "id"/);
  const wrong = await opening({ key: 'key', image: 'question' });
  await assert.rejects(wrong.read(KEYS[1]!), {
    code: 'data/picture',
    message: /named\.tsv, line 3: the picture is not base64/,
  });
});

test('a missing picture is told of with the nearest key, in every kind of store', async () => {
  const names = ['train/Caf\u0065\u0301.png', 'sub/b c.jpg', 'Big.JPG'];
  const root = join(folder, 'meant');
  for (const name of names) {
    await mkdir(join(root, name, '..'), { recursive: true });
    await writeFile(join(root, name), bytesOf(name));
  }
  const [zip, shard, table, tsv] = ['zip', 'tar', 'parquet', 'tsv'].map((kind) => join(folder, `meant.${kind}`)) as [
    string,
    string,
    string,
    string,
  ];
  await writeFile(zip, zipOf(names));
  await writeFile(shard, await tarOf(names));
  await writeFile(table, parquetOf(names));
  await writeFile(tsv, names.map((name) => `${name}\t${bytesOf(name).toString('base64')}\n`).join(''));
  const stores: PictureStoreConfig[] = [
    { kind: 'folder', folder: root },
    { kind: 'zip', file: zip },
    { kind: 'tar', files: [shard] },
    { kind: 'parquet', files: [table], image: 'image' },
    { kind: 'tsv', file: tsv, columns: { key: 0, image: 1 } },
  ];
  const meant: readonly (readonly [key: string, there: string, how: string, fix?: RegExp])[] = [
    ['train/Caf\u00e9.png', names[0]!, 'the same name in another Unicode form (NFD there, NFC in the record)'],
    ['sub\\b c.jpg', names[1]!, 'the same path with "/" for "\\"'],
    ['sub/b%20c.jpg', names[1]!, 'the same name without the escapes of a web address'],
    ['big.jpg', names[2]!, 'the same name in other case'],
    ['images/Big.JPG', names[2]!, 'the same name in another folder', /the form of its keys, to "\{base\}"/],
    ['b c.jpg', names[1]!, 'the same name in another folder', /the form of its keys, to "sub\/\{name\}"/],
    ['x/b c.jpg', names[1]!, 'the same name in another folder', /the form of its keys, to "sub\/\{base\}"/],
    // No form of keys makes these.
    ['C:\\data\\Big.JPG', names[2]!, 'the same name in another folder', /Rename the picture/],
    ['Caf\u00e9.png', names[0]!, 'the same name in another folder', /Rename the picture/],
    ['Big.png', names[2]!, 'the same name with another ending'],
  ];
  for (const config of stores) {
    const store = await openPictureStore(config);
    for (const [key, there, how, fix = /./] of meant) {
      assert.equal(await store.has(key), false, key);
      await assert.rejects(store.read(key), (error: Error & { code?: string; fix?: string }) => {
        assert.equal(error.code, 'data/picture');
        assert.ok(error.message.endsWith(`there is no such picture, but there is ${there}, ${how}.`), error.message);
        assert.match(error.fix ?? '', fix);
        return true;
      });
    }
    await assert.rejects(store.read('nothing.gif'), {
      message: /there is no such picture\.$/,
      fix: /Keys are such as /,
    });
    await store.close();
  }
});

/** An archive whose list says that the packed member b.png has `size` bytes. */
function declaring(size: number): Buffer {
  const zip = zipOf(['a.png', 'b.png']);
  zip.writeUInt32LE(size, zip.lastIndexOf('PK\x01\x02') + 24);
  return zip;
}

test('a picture that says it is larger than any is refused before memory is taken', async () => {
  const size = 2 ** 28 + 1;
  const refused = async (config: PictureStoreConfig, key: string): Promise<void> => {
    const store = await openPictureStore(config);
    await assert.rejects(store.read(key), {
      code: 'data/picture',
      message: /has 268435457 bytes, more than the 268435456/,
    });
    await store.close();
  };
  await writeFile(join(folder, 'bomb.zip'), declaring(size));
  await refused({ kind: 'zip', file: join(folder, 'bomb.zip') }, 'b.png');
  const head = (await tarOf(['a.png'])).subarray(512, 1024);
  head.write(`${size.toString(8).padStart(11, '0')} `, 124, 'latin1');
  head.write('        ', 148, 'latin1');
  head.write(
    `${head
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
    'latin1',
  );
  const shard = join(folder, 'bomb.tar');
  await writeFile(shard, head);
  await truncate(shard, 512 + size + 1024);
  await refused({ kind: 'tar', files: [shard] }, 'a.png');
  const file = join(folder, 'bomb');
  await writeFile(file, '');
  await truncate(file, size);
  const store = await openPictureStore({ kind: 'folder', folder });
  await assert.rejects(store.read('bomb'), { code: 'file/too-large' });
});

test('a member that holds more than its archive says ends there', async () => {
  await writeFile(join(folder, 'lie.zip'), declaring(10));
  const store = await openPictureStore({ kind: 'zip', file: join(folder, 'lie.zip') });
  await assert.rejects(store.read('b.png'), { code: 'data/picture', message: /b\.png: .*too many bytes/ });
  await store.close();
});

test('two members of one name are refused where they differ', async () => {
  const twice = join(folder, 'twice.zip');
  await writeFile(twice, zipOf(['a.jpg', 'a.jpg']));
  await (await openPictureStore({ kind: 'zip', file: twice })).close();
  const other = zipOf(['a.jpg', 'b.jpg']);
  const last = other.lastIndexOf('b.jpg');
  other.write('a.jpg', last);
  await writeFile(twice, other);
  await assert.rejects(openPictureStore({ kind: 'zip', file: twice }), {
    message: /a\.jpg: the member is there twice, with other content/,
  });
});

test('a pipe or a device in the place of an archive is refused at once', {
  skip: process.platform === 'win32',
}, async () => {
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const path of [pipe, '/dev/zero']) {
    const stores: PictureStoreConfig[] = [
      { kind: 'zip', file: path },
      { kind: 'tar', files: [path] },
      { kind: 'parquet', files: [path], image: 'image' },
      { kind: 'tsv', file: path, columns: { key: 0, image: 1 } },
    ];
    for (const config of stores) await assert.rejects(openPictureStore(config), { code: 'file/not-regular' });
  }
  const store = await openPictureStore({ kind: 'folder', folder });
  await assert.rejects(store.read('pipe'), { code: 'file/not-regular', message: /is a named pipe/ });
});

test('a missing picture is told of with the nearest key', async () => {
  const file = join(folder, 'near.zip');
  await writeFile(file, zipOf(KEYS));
  const store = await openPictureStore({ kind: 'zip', file });
  await assert.rejects(store.read('val/a.jpg'), {
    message: /there is no such picture, but there is train\/a\.jpg, the same name in another folder/,
    fix: /the form of its keys, to "train\/\{base\}"/,
  });
  await assert.rejects(store.read('z.jpg'), { fix: /Keys are such as train\/a\.jpg/ });
  await store.close();
});
