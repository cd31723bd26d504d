import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
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

test('a missing picture is told of with the nearest key', async () => {
  const file = join(folder, 'near.zip');
  await writeFile(file, zipOf(KEYS));
  const store = await openPictureStore({ kind: 'zip', file });
  await assert.rejects(store.read('val/a.jpg'), {
    message: /there is no such picture, but there is train\/a\.jpg, the same name in another folder/,
    fix: /the form of its keys: "train\/\{base\}" finds this one/,
  });
  await assert.rejects(store.read('z.jpg'), { fix: /Keys are such as train\/a\.jpg/ });
  await store.close();
});
