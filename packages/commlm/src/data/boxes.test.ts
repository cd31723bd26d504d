/** What is a box, what is none, and what shows nothing of its picture. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asBox, asPoint, asSize, fitMark, sizeOf } from './boxes.js';
import { Place } from './place.js';
import type { Mark } from './sample.js';

const place = new Place('own.jsonl', 'line 1', 'data/sample');
const fails = (read: () => unknown, message: RegExp): void => assert.throws(read, { code: 'data/sample', message });

test('boxes by corners and by size are the same box', () => {
  assert.deepEqual(asBox([10, 20, 40, 60], 'corners', place), [10, 20, 40, 60]);
  assert.deepEqual(asBox([10, 20, 30, 40], 'size', place), [10, 20, 40, 60]);
  fails(() => asBox([40, 20, 10, 60], 'corners', place), /corners the wrong way round/);
  fails(() => asBox([10, 20, -30, 40], 'size', place), /a size below zero/);
});

test('what are no four numbers is shown as it is', () => {
  fails(() => asBox([1, 2, 3], 'corners', place), /4 numbers x1, y1, x2, y2 are needed, but this is \[1, 2, 3\]/);
  fails(() => asBox([1, 2, '3', 4], 'corners', place), /but this is \[1, 2, "3", 4\]/);
  fails(() => asBox([1, 2, null, 4], 'size', place), /but this is \[1, 2, null, 4\]/);
  fails(() => asBox([[1, 2, 3, 4]], 'corners', place), /but this is \[\[1,2,3,4\]\]/);
  // JSON.parse makes it of 1e400.
  fails(() => asBox([1, 2, Number.POSITIVE_INFINITY, 4], 'corners', place), /but this is \[1, 2, Infinity, 4\]/);
});

test('fractions are told apart from pixels', () => {
  const fractions = [
    [0.1, 0.2, 0.5, 0.6],
    [0, 0, 1, 0.99],
    [0.25, 0, 1, 1],
    // A bit outside of its picture.
    [-0.01, 0.3, 0.4, 1.02],
    [0.5, 0.5, 0.5, 0.7],
    // All of its picture.
    [0, 0, 1, 1],
  ];
  for (const box of fractions) {
    fails(() => asBox(box, 'corners', place), /the numbers .* look like fractions, not pixels/);
  }
  fails(() => asBox([0.7, 0.8, 0.3, 0.2], 'size', place), /look like fractions/);
  fails(() => asBox([0, 0, 1.0, 1.0], 'size', place), /look like fractions/);
  fails(() => asPoint([0.5, 0.25], place), /look like fractions/);
  // Pixels at the very corner, and a box of a pixel and a half.
  for (const box of [
    [0, 1, 1, 2],
    [1, 1, 2, 2],
    [0, 0, 1, 2],
    [0, 0, 1.5, 1.5],
    [0.5, 0.5, 2, 3],
  ])
    assert.deepEqual(asBox(box, 'corners', place), box);
  assert.deepEqual(asBox([17, 40, 1, 1], 'size', place), [17, 40, 18, 41]);
  assert.deepEqual(asBox([1, 1, 1, 1], 'size', place), [1, 1, 2, 2]);
  assert.deepEqual(asPoint([1, 0], place), [1, 0]);
  assert.deepEqual(asPoint([12.5, 0.5], place), [12.5, 0.5]);
});

test('the size of a picture is two numbers, or unknown', () => {
  assert.deepEqual(sizeOf({ width: 96, height: 64 }, place), { width: 96, height: 64 });
  assert.equal(sizeOf({}, place), undefined);
  assert.equal(sizeOf({ width: null, height: null }, place), undefined);
  assert.equal(asSize(0, 0, place), undefined);
  for (const [width, height] of [
    [96, undefined],
    [0, 64],
    [-1, -1],
    ['96', '64'],
    [96, Number.NaN],
  ] as const) {
    fails(() => sizeOf({ width, height }, place), /the size of the picture is/);
  }
});

test('a box that shows nothing of its picture is told apart, the others are cut to it', () => {
  const picture = { width: 100, height: 80 };
  const fit = (mark: Mark, size: typeof picture | null = picture): Mark =>
    fitMark(mark, size ?? undefined, (problem, fix) => Object.assign(new Error(problem), { fix }));
  const box = (...numbers: [number, number, number, number]): Mark => ({ kind: 'boxes', picture: 0, boxes: [numbers] });
  assert.deepEqual(fit(box(-10, 60, 30, 100)), box(0, 60, 30, 80));
  assert.deepEqual(fit(box(-10, 60, 30, 100), null), box(0, 60, 30, 100));
  assert.throws(() => fit(box(10, 10, 10, 40)), { message: 'the box 10, 10, 10, 40 has no area.' });
  assert.throws(() => fit(box(100, 0, 130, 30)), {
    message: /lies outside of the picture \(100 x 80\)/,
    fix: /thousandths/,
  });
  assert.throws(() => fit(box(0, -904, 30, -880)), {
    message: /lies outside of the picture/,
    fix: /comm\.data\.skip\.empty-box/,
  });
  assert.throws(() => fit(box(-30, -30, -1, -1), null), { message: /lies outside of the picture\.$/ });
  // Thousandths of the sides: 86 of 490 by 44 of 580 pixels are on the picture.
  assert.throws(() => fit(box(10, 20, 500, 600)), {
    message: /lies nearly all outside of the picture/,
    fix: /thousandths/,
  });
  const point = (x: number, y: number): Mark => ({ kind: 'points', picture: 0, points: [[x, y]] });
  assert.deepEqual(fit(point(100, 80)), point(100, 80));
  for (const [x, y] of [
    [101, 5],
    [5, -1],
  ] as const)
    assert.throws(() => fit(point(x, y)), { message: /the point/ });
});
