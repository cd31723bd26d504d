/** Principal components as colours: known directions, ranges, signs, and where the tiles lie. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manualSeed, op, randn, scope, type Tensor, tensor } from '@commlm/torch';
import { paintLevels, principalColors, tilesPerRow } from './paint.js';

const svd = op('aten::linalg_svd');

test('the first component is the direction of largest variance, stretched over 0..1', () =>
  scope(() => {
    // Patches on a line along (3, 4) with a little spread across it.
    const rows = [-2, -1, 0, 1, 2].map((t, i) => [3 * t - 0.04 * (i % 2), 4 * t + 0.03 * (i % 2), 0.001 * i]);
    const colors = principalColors(tensor(rows));
    const red = [0, 1, 2, 3, 4].map((patch) => colors[patch * 3]!);
    // The line is 20 long and 0.05 across: its direction can turn by no more than that share.
    for (const [i, value] of red.entries()) assert.ok(Math.abs(value - i / 4) < 0.05 / 20, `patch ${i}: ${value}`);
    for (const value of colors) assert.ok(value >= 0 && value <= 1);
  }));

test('the negated features give the mirrored colours of the same directions', () =>
  scope(() => {
    manualSeed(3);
    const patches = randn([20, 6]);
    const colors = principalColors(patches);
    const mirrored = principalColors(patches.neg());
    // A direction is as exact as f32 divided by the gap between its singular value and the next one, relatively.
    const [, values] = svd(patches.sub(patches.mean(0, true)), false) as Tensor[];
    const singular = [...((values as Tensor).toArray() as Float32Array)];
    const gap = Math.min(...[0, 1, 2].map((k) => singular[k]! - singular[k + 1]!));
    const bound = 2 ** -23 * Math.sqrt(20 * 6) * (singular[0]! / gap);
    assert.ok(bound < 1e-3, `the directions are told apart: ${bound}`);
    for (const [i, value] of colors.entries()) assert.ok(Math.abs(value + mirrored[i]! - 1) < 2 * bound);
  }));

test('fewer patches or channels than three leave channels dark, equal patches give no NaN', () =>
  scope(() => {
    assert.deepEqual(
      [
        ...principalColors(
          tensor([
            [1, 2, 3],
            [3, 2, 1],
          ]),
        ),
      ].filter(Number.isNaN),
      [],
    );
    const single = principalColors(tensor([[0], [1], [2]]));
    assert.deepEqual(
      [...single].map((v) => Math.round(v * 2)),
      [0, 0, 0, 1, 0, 0, 2, 0, 0],
    );
    assert.ok(
      principalColors(
        tensor([
          [1, 1, 1, 1],
          [1, 1, 1, 1],
          [1, 1, 1, 1],
          [1, 1, 1, 1],
        ]),
      ).every(Number.isFinite),
    );
  }));

test('tiles lie row by row, below their labels where there are some', async () => {
  manualSeed(5);
  const levels = Array.from({ length: 5 }, () => randn([1, 8, 16]));
  const { width, height, data } = await paintLevels(levels, [2, 4]);
  assert.equal(tilesPerRow(5), 3);
  assert.deepEqual([width, height], [3 * 160 + 4 * 8, 2 * 80 + 3 * 8]);
  assert.equal(data.length, width * height * 3);
  const at = (x: number, y: number): number[] => [...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];
  assert.deepEqual(at(0, 0), [255, 255, 255]);
  // The sixth place stays empty, the fifth is painted.
  assert.deepEqual(at(3 * 168 - 50, 88 + 40), [255, 255, 255]);
  const colors = principalColors(levels[4]!.select(0, 0));
  assert.deepEqual(
    at(168 + 8 + 5, 88 + 8 + 5),
    [0, 1, 2].map((c) => Math.round(colors[c]! * 255)),
  );
  const labelled = await paintLevels(levels, [2, 4], ['clip level 1', '', '', '', '']);
  assert.deepEqual([labelled.width, labelled.height], [width, height + 2 * 18]);
  const row = (painting: { data: Uint8Array }, y: number, from = 0, to = width): Uint8Array =>
    painting.data.subarray((y * width + from) * 3, (y * width + to) * 3);
  // The same tiles, moved down by the line of text; letters above the first of them alone.
  assert.deepEqual([...row(labelled, 8 + 18 + 3)], [...row({ data }, 8 + 3)]);
  const dark = (from: number, to: number): number =>
    Array.from(
      { length: 18 },
      (_, y) => [...row(labelled, 8 + y, from, to)].filter((value) => value < 128).length,
    ).reduce((sum, count) => sum + count);
  assert.ok(dark(8, 168) > 100);
  assert.equal(dark(176, width), 0);
  for (const level of levels) level.dispose();
});
