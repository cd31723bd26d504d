/** Decoding equals Pillow where it can, and every bad file has its own one-sentence error. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { CommError } from '../config/errors.js';
import { decodeImage } from './decode.js';
import { digest, goldenPath, readGolden, readGoldenPictures } from './golden.fixture.js';

const folder = mkdtempSync(join(tmpdir(), 'commlm-decode-'));
after(() => rmSync(folder, { recursive: true }));

for (const { file, width, height, sha256 } of readGolden().decode) {
  test(`${file} equals Pillow`, async () => {
    const image = await decodeImage(goldenPath(file), { transparency: 'drop' });
    assert.deepEqual([image.width, image.height, image.data.length], [width, height, width * height * 3]);
    assert.equal(digest(image.data), sha256);
  });
}

for (const { name, base64, refused: isRefused, width, height, sha256 } of readGoldenPictures()) {
  const bytes = Buffer.from(base64, 'base64');
  if (isRefused) {
    test(`${name} is refused by name`, () =>
      assert.rejects(decodeImage(bytes), {
        code: 'image/not-a-picture',
        message: /^The picture is a TIFF .* not read/,
      }));
    continue;
  }
  test(`${name} is upright and equals Pillow`, async () => {
    const image = await decodeImage(bytes, { transparency: 'drop' });
    assert.deepEqual([image.width, image.height, digest(image.data)], [width, height, sha256]);
  });
}

test('transparent parts lie on white, a picture without any is what it was', async () => {
  // Red under three degrees of alpha, as 8 and 16 bits, with and without colour, and as a palette.
  const pixels = Buffer.from([200, 0, 0, 0, 200, 0, 0, 102, 200, 0, 0, 255]);
  const raw = sharp(pixels, { raw: { width: 3, height: 1, channels: 4 } });
  const wide = sharp(
    Uint16Array.from(pixels, (byte) => byte * 257),
    { raw: { width: 3, height: 1, channels: 4 } },
  );
  // 255 + (c - 255) * 102 / 255 = 153 + 0.4 c
  const expected = [255, 255, 255, 233, 153, 153, 200, 0, 0];
  for (const file of [
    raw.clone().png(),
    wide.toColourspace('rgb16').png(),
    raw.clone().webp({ lossless: true, exact: true }),
    raw.clone().tiff({ compression: 'lzw' }),
  ]) {
    const bytes = await file.toBuffer();
    assert.deepEqual([...(await decodeImage(bytes)).data], expected, (await sharp(bytes).metadata()).format);
    assert.deepEqual([...(await decodeImage(bytes, { transparency: 'drop' })).data.subarray(0, 3)], [200, 0, 0]);
  }
  const grey = sharp(Buffer.from([10, 0, 10, 255]), { raw: { width: 2, height: 1, channels: 2 } });
  assert.deepEqual([...(await decodeImage(await grey.png().toBuffer())).data], [255, 255, 255, 10, 10, 10]);
  const gif = sharp(Buffer.from([200, 0, 0, 0, 200, 0, 0, 255]), { raw: { width: 2, height: 1, channels: 4 } });
  assert.deepEqual([...(await decodeImage(await gif.gif().toBuffer())).data], [255, 255, 255, 200, 0, 0]);
  for (const file of ['rgb.png', 'palette.png', 'rgb.jpg', 'cmyk.jpg', 'rgb.webp']) {
    const [shown, dropped] = [
      await decodeImage(goldenPath(file)),
      await decodeImage(goldenPath(file), { transparency: 'drop' }),
    ];
    assert.deepEqual(shown.data, dropped.data, file);
  }
});

test('bytes, a data: URL and a path give the same pixels', async () => {
  const bytes = readFileSync(goldenPath('rgb.png'));
  const expected = await decodeImage(goldenPath('rgb.png'));
  assert.deepEqual(await decodeImage(bytes), expected);
  assert.deepEqual(await decodeImage(`data:image/png;base64,${bytes.toString('base64')}`), expected);
  assert.deepEqual(await decodeImage(`data:image/png;base64,${bytes.toString('base64url')}`), expected);
  const escaped = Array.from(bytes, (byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
  assert.deepEqual(await decodeImage(`data:image/png,${escaped}`), expected);
});

test('a picture comes upright, with its stored sizes beside it', async () => {
  const file = goldenPath('orientation.jpg');
  const { width, height, storedWidth, storedHeight, orientation } = await decodeImage(file);
  assert.deepEqual([width, height, storedWidth, storedHeight, orientation], [30, 40, 40, 30, 6]);
  const raw = await decodeImage(file, { rawOrientation: true });
  assert.deepEqual([raw.width, raw.height, raw.storedWidth, raw.orientation], [40, 30, 40, 6]);
  for (const kind of ['jpg', 'png', 'webp', 'tif']) {
    const stored = await decodeImage(orientedPicture(1, kind));
    for (const value of [2, 3, 4, 5, 6, 7, 8]) {
      const { data } = await decodeImage(orientedPicture(value, kind), { rawOrientation: true });
      assert.deepEqual(data, stored.data, `${kind} ${value}`);
    }
  }
});

/** A golden picture that is stored the same for every orientation. */
function orientedPicture(value: number, kind: string): Uint8Array {
  const found = readGoldenPictures().find(({ name }) => name === `orientation ${value}.${kind}`);
  return Buffer.from(found?.base64 ?? '', 'base64');
}

async function refused(source: string | Uint8Array, code: string): Promise<void> {
  await assert.rejects(decodeImage(source), (error: unknown) => {
    assert.ok(error instanceof CommError, String(error));
    assert.equal(error.code, code, error.message);
    assert.doesNotMatch(error.message, /\n/);
    assert.match(error.message, /[.)]$/);
    if (!['image/empty', 'image/url', 'image/data-url', 'image/is-directory', 'image/not-found'].includes(code)) {
      assert.match(error.fix ?? '', /\.$/, error.message);
    }
    return true;
  });
}

test('what is no picture is refused with a code of its own', async () => {
  await refused(join(folder, 'nowhere.png'), 'image/not-found');
  await refused(join(goldenPath('rgb.png'), 'below-a-file.png'), 'image/not-found');
  await refused(folder, 'image/is-directory');
  await refused('https://example.org/a.png', 'image/url');
  await refused('data:image/png;base64', 'image/data-url');
  await refused('data:image/png;base64,@@@@', 'image/data-url');
  await refused('data:image/png,%zz', 'image/data-url');
  await refused('data:image/png;base64,', 'image/empty');
  await refused(new Uint8Array(0), 'image/empty');
  await refused(Buffer.from('hello, I am no picture'), 'image/not-a-picture');
  await refused(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), 'image/not-a-picture');
  await refused(Buffer.from('%PDF-1.4 nothing'), 'image/not-a-picture');
});

test('a file that ends early is refused, however early', async () => {
  for (const file of ['rgb.jpg', 'progressive.jpg', 'cmyk.jpg', 'rgb.png', 'palette.png', 'rgb.webp', 'animated.gif']) {
    const bytes = readFileSync(goldenPath(file));
    for (const share of [0.35, 0.6, 0.85]) {
      const path = join(folder, `${share}-${file}`);
      writeFileSync(path, bytes);
      truncateSync(path, Math.floor(bytes.length * share));
      // The first frame of an animation may be whole in a part of the file.
      const whole = file === 'animated.gif' ? await decodeImage(path).catch(() => undefined) : undefined;
      if (whole === undefined) {
        await assert.rejects(decodeImage(path), (error: CommError) => {
          assert.ok(error instanceof CommError);
          assert.match(error.code, /^image\/(truncated|damaged|not-a-picture)$/);
          return true;
        });
      }
    }
  }
  const jpeg = readFileSync(goldenPath('rgb.jpg'));
  await refused(jpeg.subarray(0, Math.floor(jpeg.length * 0.8)), 'image/truncated');
  for (const file of ['rgb.png', 'rgb.webp']) {
    const bytes = readFileSync(goldenPath(file));
    await refused(bytes.subarray(0, Math.floor(bytes.length * 0.6)), 'image/truncated');
  }
});

test('a file that is whole and damaged is told from one that ends early', async () => {
  const png = Buffer.from(readFileSync(goldenPath('rgb.png')));
  const body = png.indexOf('IDAT') + 4;
  png.fill(0xff, body, body + 40);
  await assert.rejects(decodeImage(png), (error: CommError) => {
    assert.equal(error.code, 'image/damaged', error.message);
    assert.doesNotMatch(error.message, /vips/);
    assert.match(error.fix ?? '', /again/);
    return true;
  });
});

test('a pixel bomb is refused by its header: its body, which ends early, is not reached', async () => {
  await refused(blankPng(30_000, 30_000), 'image/too-large');
  const image = await decodeImage(blankPng(20, 10), { maxPixels: 200 });
  assert.deepEqual([image.width, image.height], [20, 10]);
  await assert.rejects(decodeImage(blankPng(20, 10), { maxPixels: 199 }), { code: 'image/too-large' });
});

/** A black one-bit PNG; its few bytes claim any size. */
function blankPng(width: number, height: number): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 1;
  const rows = width * height > 1000 ? Buffer.alloc(100) : Buffer.alloc((Math.ceil(width / 8) + 1) * height);
  const chunk = (kind: string, body: Uint8Array): Buffer => {
    const named = Buffer.concat([Buffer.from(kind), body]);
    const edges = Buffer.alloc(8);
    edges.writeUInt32BE(body.length, 0);
    edges.writeUInt32BE(crc32(named), 4);
    return Buffer.concat([edges.subarray(0, 4), named, edges.subarray(4)]);
  };
  const magic = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    magic,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
