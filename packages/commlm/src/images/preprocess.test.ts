/** Prepared pictures equal the reference processors bit for bit; processor configs are read or refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageConfig } from '../config/model.js';
import { normalizedToPixel } from './frames.js';
import { digest, noisePicture, readGolden } from './golden.fixture.js';
import { cut, padToSquare, preprocess, shortSideSize } from './preprocess.js';

test('all prepared pictures equal the reference', () => {
  const cases = readGolden().prepare;
  assert.equal(cases.length, 15);
  for (const { from, seed, config, sha256 } of cases) {
    const { pixels } = preprocess(noisePicture(...from, seed), config);
    assert.equal(pixels.length, 3 * 56 * 56);
    assert.equal(digest(new Uint8Array(pixels.buffer)), sha256, `${from} ${config.fit}`);
  }
});

test('padding centres with a floored offset in the colour given', () => {
  const { image, frame } = padToSquare({ width: 1, height: 4, data: new Uint8Array(12).fill(7) }, [1, 2, 3]);
  assert.deepEqual([image.width, image.height, frame.left, frame.top], [4, 4, -1, 0]);
  const row = [1, 2, 3, 7, 7, 7, 1, 2, 3, 1, 2, 3];
  assert.deepEqual([...image.data], [...row, ...row, ...row, ...row]);
  const square = noisePicture(3, 3, 1);
  assert.equal(padToSquare(square).image, square);
});

test('a window may reach over every edge', () => {
  const image = { width: 2, height: 1, data: Uint8Array.of(1, 1, 1, 2, 2, 2) };
  assert.deepEqual([...cut(image, 1, 0, 1, 1).data], [2, 2, 2]);
  assert.deepEqual([...cut(image, -1, 0, 4, 1, [9, 9, 9]).data], [9, 9, 9, 1, 1, 1, 2, 2, 2, 9, 9, 9]);
  assert.deepEqual([...cut(image, 5, 5, 1, 1).data], [0, 0, 0]);
});

test('the short side rule cuts to whole numbers', () => {
  assert.deepEqual(shortSideSize({ width: 640, height: 427 }, 224), { width: 335, height: 224 });
  assert.deepEqual(shortSideSize({ width: 427, height: 640 }, 224), { width: 224, height: 335 });
  assert.deepEqual(shortSideSize({ width: 50, height: 50 }, 224), { width: 224, height: 224 });
});

test('the frame of a cut lies inside the picture, that of padding around it', () => {
  const config: ImageConfig = {
    size: 56,
    fit: 'crop',
    shortSide: 56,
    padColor: null,
    resample: 'bicubic',
    mean: [0, 0, 0],
    std: [1, 1, 1],
  };
  const cropped = preprocess(noisePicture(112, 56, 1), config).frame;
  assert.deepEqual(normalizedToPixel([0, 0, 1, 1], cropped), [28, 0, 84, 56]);
  const padded = preprocess(noisePicture(112, 56, 1), { ...config, fit: 'pad', shortSide: null, padColor: [0, 0, 0] });
  assert.deepEqual(normalizedToPixel([0, 0, 1, 1], padded.frame), [0, -28, 112, 84]);
  const stretched = preprocess(noisePicture(112, 56, 1), { ...config, fit: 'stretch', shortSide: null }).frame;
  assert.deepEqual(normalizedToPixel([0, 0, 1, 1], stretched), [0, 0, 112, 56]);
});

test('slivers are refused before they take memory, other shapes are not', () => {
  const { config } = readGolden().prepare[0] as { config: ImageConfig };
  const sliver = (width: number, height: number) => ({ width, height, data: new Uint8Array(width * height * 3) });
  for (const fit of ['pad', 'crop'] as const) {
    for (const [width, height] of [
      [1, 40_000],
      [60_000, 2],
    ] as const) {
      assert.throws(() => preprocess(sliver(width, height), { ...config, size: 56, fit }), {
        code: 'image/sliver',
        message: `A picture of ${width} x ${height} pixels is too long and thin to be prepared.`,
      });
    }
    assert.equal(preprocess(sliver(3, 1000), { ...config, size: 56, fit }).pixels.length, 3 * 56 * 56);
  }
});
