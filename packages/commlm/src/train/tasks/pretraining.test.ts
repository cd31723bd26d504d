/** The pieces of tower pre-training: assignments, spread, crops, covers, packed masks, digit weights. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randn, scope, tensor } from '@commlm/torch';
import { expectRounded } from '@commlm/torch/testing';
import { randomCrop, samePlaces } from '../pictures/crops.js';
import { normalisePictures } from '../pictures/pixels.js';
import { patchCover } from './clip-batches.js';
import { packedMask } from './comm/packed-mask.js';
import { koleo, sinkhorn } from './dino-task.js';

test('sinkhorn assigns every row once and uses the prototypes evenly', () => {
  scope(() => {
    const q = sinkhorn(randn([64, 16]), 0.5, 40);
    expectRounded(q.sum(1), Array(64).fill(1), { terms: 16, steps: 2 });
    // Even shares are what the 40 rounds come near to, by more than rounding.
    for (const column of q.mean(0).tolist() as number[]) assert.ok(Math.abs(column - 1 / 16) < 1e-3);
  });
});

test('koleo is smaller for directions that lie apart', () => {
  scope(() => {
    const together = tensor([
      [1, 0],
      [1, 0.01],
      [0.99, 0.02],
    ]);
    const apart = tensor([
      [1, 0],
      [-0.5, 0.87],
      [-0.5, -0.87],
    ]);
    assert.ok(koleo(apart).item() < koleo(together).item());
  });
});

test('a crop of the whole picture is the picture, perhaps mirrored', () => {
  const source = Uint8Array.from({ length: 8 * 8 * 3 }, (_, i) => (i * 7) % 256);
  const out = new Uint8Array(source.length);
  // 0.5 keeps aspect and colours, and decides against the mirror.
  randomCrop({ width: 8, height: 8, data: source }, { side: 8, scale: [1, 1], colour: 0 }, () => 0.5, out, 0);
  assert.deepEqual(out, source);
});

test('patches of two windows meet where they show the same place', () => {
  const whole = { left: 0, top: 0, width: 40, height: 40, mirror: false };
  const every = Array.from({ length: 16 }, (_, place) => place);
  assert.deepEqual(
    samePlaces(whole, whole, 4),
    every.map((place) => [place, place]),
  );
  assert.deepEqual(
    samePlaces(whole, { ...whole, mirror: true }, 4),
    every.map((place) => [place, place - (place % 4) + 3 - (place % 4)]),
  );
  assert.deepEqual(samePlaces({ ...whole, mirror: true }, { ...whole, mirror: true }, 4), samePlaces(whole, whole, 4));
  // The right lower quarter: each of its patches is half as large as one of the whole.
  const quarter = { left: 20, top: 20, width: 20, height: 20, mirror: false };
  assert.deepEqual(samePlaces(quarter, whole, 2), [
    [0, 3],
    [1, 3],
    [2, 3],
    [3, 3],
  ]);
  assert.deepEqual(samePlaces(whole, { ...quarter, left: 60 }, 4), []);
});

test('the cover of a box sums to one and lies where the box lies', () => {
  const cover = patchCover([0.5, 0, 1, 0.25], 4);
  expectRounded(
    cover.reduce((sum, share) => sum + share, 0),
    1,
    { terms: 16 },
  );
  assert.deepEqual([...cover.slice(0, 4)], [0, 0, 0.5, 0.5]);
  const half = patchCover([0.125, 0, 0.375, 0.25], 4);
  assert.deepEqual([...half.slice(0, 4)], [0.5, 0.5, 0, 0]);
});

test('packed questions see the prefix and themselves, and never each other', () => {
  scope(() => {
    const segments = tensor(Int32Array.from([0, 0, 1, 1, 2, -1]), { shape: [1, 6] });
    const open = packedMask(segments, 'f32').eq(0).squeeze().tolist() as boolean[][];
    const picture = open.map((row) => row.map((seen) => (seen ? '#' : '.')).join('')).join('\n');
    assert.equal(picture, ['#.....', '##....', '###...', '####..', '##..#.', '##...#'].join('\n'));
  });
});

test('pictures are normalised as (x / 255 - mean) / std, channels first', () => {
  scope(() => {
    const bytes = Uint8Array.from([0, 51, 255, 102, 0, 0, 0, 0, 0, 0, 0, 0]);
    const image = { mean: [0.5, 0.2, 0], std: [0.5, 0.1, 0.25] } as {
      mean: [number, number, number];
      std: [number, number, number];
    };
    const pixels = normalisePictures(bytes, 1, 2, image, 'f32');
    assert.deepEqual(pixels.shape, [1, 3, 2, 2]);
    const [[red, green, blue]] = pixels.tolist() as number[][][][] as [number[][][]];
    // Three steps; the largest value met is 4.
    const near = (value: number | undefined, wanted: number): void =>
      expectRounded(value as number, wanted, { steps: 3, scale: 4 });
    near(red?.[0]?.[0], -1);
    near(green?.[0]?.[0], 0);
    near(blue?.[0]?.[0], 4);
    near(red?.[0]?.[1], (0.4 - 0.5) / 0.5);
  });
});
