/** A picture may be given in many ways; what is none is refused with one sentence, at once. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { CommError } from '../config/errors.js';
import { decodeImage } from './decode.js';
import { encodePicture } from './draw.js';
import { goldenPath } from './golden.fixture.js';
import { checkPixels } from './pixels.js';
import { preprocess } from './preprocess.js';

const folder = mkdtempSync(join(tmpdir(), 'commlm-source-'));
after(() => rmSync(folder, { recursive: true }));
const file = goldenPath('rgb.png');
const bytes = readFileSync(file);

function buffer(): ArrayBuffer {
  return Uint8Array.from(bytes).buffer;
}

test('a file is the same picture as a path, a URL, a Blob, a File, and as memory of any kind', async () => {
  const expected = await decodeImage(file);
  const shared = new SharedArrayBuffer(bytes.length);
  new Uint8Array(shared).set(bytes);
  const inMiddle = new Uint8Array(bytes.length + 20);
  inMiddle.set(bytes, 10);
  const sources: unknown[] = [
    pathToFileURL(file),
    pathToFileURL(file).href,
    new URL(`data:image/png;base64,${bytes.toString('base64')}`),
    buffer(),
    shared,
    new Uint8Array(shared),
    new Uint8ClampedArray(buffer()),
    new DataView(inMiddle.buffer, 10, bytes.length),
    inMiddle.subarray(10, 10 + bytes.length),
    new Blob([bytes]),
    new File([bytes], 'a.png'),
  ];
  for (const source of sources) assert.deepEqual(await decodeImage(source as Uint8Array), expected);
});

test('memory that its owner hands on or overwrites while it is decoded is no longer needed', async () => {
  const expected = await decodeImage(file);
  const given = buffer();
  const decoding = decodeImage(given);
  structuredClone(given, { transfer: [given] });
  assert.deepEqual(await decoding, expected);
});

async function refused(source: unknown, code: string, words: RegExp): Promise<void> {
  await assert.rejects(decodeImage(source as string), (error: unknown) => {
    assert.ok(error instanceof CommError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

test('what is no picture file is refused', async () => {
  await refused(undefined, 'image/source', /undefined/);
  await refused(null, 'image/source', /null/);
  await refused(7, 'image/source', /a number/);
  await refused('', 'image/source', /empty/);
  await refused('a\0.png', 'image/source', /zero byte/);
  await refused({}, 'image/source', /an object \(Object\)/);
  await refused(Object.create(null), 'image/source', /without a class/);
  await refused([file], 'image/source', /a list/);
  await refused(Promise.resolve(file), 'image/source', /await it/);
  await refused(new Float32Array(4), 'image/source', /Float32Array/);
  await refused(new Uint16Array(4), 'image/source', /Uint16Array/);
  await refused(() => file, 'image/source', /a function/);
  await refused(new URL('https://example.org/a.png'), 'image/url', /web address/);
  await refused('HTTP://example.org/a.png', 'image/url', /web address/);
  await refused('file://elsewhere/a.png', 'image/url', /this machine/);
  await refused(new URL('ftp://example.org/a.png'), 'image/url', /is not read/);
  await refused(URL.createObjectURL(new Blob([bytes])), 'image/url', /is not read/);
  await refused(new Blob([]), 'image/empty', /empty/);
  const gone = new ArrayBuffer(8);
  const views = [gone, new Uint8Array(gone), new DataView(gone)];
  structuredClone(gone, { transfer: [gone] });
  for (const view of views) await refused(view, 'image/source', /detached/);
  await refused('\ud800.png', 'image/not-found', /no file/);
});

test('a pipe, a device and links to them are refused at once', { skip: process.platform === 'win32' }, async () => {
  const pipe = join(folder, 'pipe.png');
  execFileSync('mkfifo', [pipe]);
  const linked = join(folder, 'zero.png');
  symlinkSync('/dev/zero', linked);
  for (const path of [pipe, linked, '/dev/zero', '/dev/urandom'])
    await refused(path, 'image/not-regular', /not a file/);
  const circle = join(folder, 'circle.png');
  symlinkSync(circle, circle);
  await refused(circle, 'image/no-access', /circle/);
});

test('what lies in the place of a picture is named, whatever the file is called', async () => {
  const stands: [string | Uint8Array, string, RegExp][] = [
    ['version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n', 'file/stand-in', /Git LFS pointer/],
    ['<!DOCTYPE html><html><body>Sign in</body></html>', 'file/stand-in', /HTML page/],
    ['{"error":"Repository not found"}', 'file/stand-in', /Repository not found/],
    [
      `<svg xmlns="http://www.w3.org/2000/svg"><g id="a"/>${'<use href="#a"/>'.repeat(99)}</svg>`,
      'image/not-a-picture',
      /SVG/,
    ],
    [
      `<?xml version="1.0"?>\n<!-- a -->\n<svg:svg xmlns:svg="http://www.w3.org/2000/svg"/>`,
      'image/not-a-picture',
      /SVG/,
    ],
    [gzipSync('<svg xmlns="http://www.w3.org/2000/svg"/>'), 'image/not-a-picture', /gzip/],
    [Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1'), 'image/not-a-picture', /HEIC/],
    [Buffer.from('BM\x46\0\0\0\0\0\0\0\x36\0\0\0', 'latin1'), 'image/not-a-picture', /BMP/],
    ['%PDF-1.7\n', 'image/not-a-picture', /PDF/],
    ['just words', 'image/not-a-picture', /known format/],
  ];
  for (const [content, code, words] of stands) {
    const path = join(folder, 'photo.png');
    writeFileSync(path, content);
    await refused(path, code, words);
    await refused(readFileSync(path), code, words);
  }
});

test('pixels from outside are checked before they are read', async () => {
  const data = new Uint8Array(4 * 3 * 3);
  assert.equal(checkPixels({ width: 4, height: 3, data }).data, data);
  checkPixels({ width: 4, height: 3, data: new Uint8ClampedArray(36) as unknown as Uint8Array });
  const bad: [unknown, RegExp][] = [
    [{ width: 0, height: 3, data }, /the width 0/],
    [{ width: 4, height: -3, data }, /the height -3/],
    [{ width: 4.5, height: 3, data }, /the width 4.5/],
    [{ width: Number.NaN, height: 3, data }, /NaN/],
    [{ width: '4', height: 3, data }, /the width 4/],
    [{ width: 2 ** 53, height: 3, data }, /the width/],
    [{ width: 3, height: 3, data }, /not 27/],
    [{ width: 4, height: 3, data: new Uint8Array(48) }, /4 channels/],
    [{ width: 4, height: 3, data: new Uint8Array(12) }, /1 channels/],
    [{ width: 4, height: 3, data: new Float32Array(36).fill(Number.NaN) }, /Float32Array/],
    [{ width: 4, height: 3, data: new Uint16Array(36) }, /Uint16Array/],
    [{ width: 4, height: 3, data: Array.from(data) }, /a list/],
    [{ width: 4, height: 3, data: undefined }, /undefined/],
    [null, /null/],
  ];
  for (const [image, words] of bad) {
    const expected = { code: 'image/pixels', message: words };
    assert.throws(() => checkPixels(image as never), expected);
    await assert.rejects(encodePicture(image as never), expected);
    assert.throws(() => preprocess(image as never, {} as never), expected);
  }
});
