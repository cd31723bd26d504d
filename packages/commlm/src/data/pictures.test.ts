import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { crc32, deflateRawSync, gzipSync } from 'node:zlib';
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
