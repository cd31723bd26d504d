/** Resizing equals Pillow byte for byte. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digest, noisePicture, readGolden } from './golden.fixture.js';
import { resize, resizeBicubic } from './resize.js';

const golden = readGolden().resize;

for (const filter of ['nearest', 'bilinear', 'bicubic', 'lanczos'] as const) {
  const cases = golden.filter((entry) => entry.filter === filter);
  test(`${filter}: all ${cases.length} pictures equal Pillow's`, () => {
    assert.ok(cases.length > 120);
    for (const { from, seed, to, sha256 } of cases) {
      const image = resize(noisePicture(...from, seed), ...to, filter);
      assert.deepEqual([image.width, image.height], to);
      assert.equal(digest(image.data), sha256, `${from} -> ${to}`);
    }
  });
}

test('a picture that has the size already is not copied', () => {
  const image = noisePicture(9, 4, 1);
  assert.equal(resizeBicubic(image, 9, 4).data, image.data);
});

test('one colour stays that colour', () => {
  for (const value of [0, 1, 127, 254, 255]) {
    const image = { width: 13, height: 5, data: new Uint8Array(13 * 5 * 3).fill(value) };
    for (const filter of ['bilinear', 'bicubic', 'lanczos'] as const) {
      assert.ok(resize(image, 7, 29, filter).data.every((byte) => byte === value));
    }
  }
});

test('a size that is not whole and positive is refused', () => {
  for (const size of [0, -1, 1.5, Number.NaN]) {
    assert.throws(() => resizeBicubic(noisePicture(2, 2, 1), size, 2), RangeError);
  }
});
