/** Conversions between frames go there and back, on pictures of all shapes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as frames from './frames.js';

const SIZES = [
  [640, 480],
  [480, 640],
  [333, 500],
  [1, 1000],
  [1001, 2],
  [512, 512],
] as const;

/** Roundings of a conversion there and back: subtract, divide, multiply, add. */
const NUM_ROUNDINGS = 4;

/** Equal but for the roundings of numbers up to `largest`. */
function close(actual: readonly number[], expected: readonly number[], largest = Math.max(1, ...expected)): void {
  const tolerance = NUM_ROUNDINGS * Number.EPSILON * largest;
  actual.forEach((value, i) => {
    assert.ok(Math.abs(value - expected[i]!) <= tolerance, `${actual} is not ${expected}`);
  });
}

test('there and back is the identity for boxes and points', () => {
  for (const [width, height] of SIZES) {
    for (const frame of [
      frames.paddedFrame(width, height),
      frames.stretchedFrame(width, height),
      frames.croppedFrame(width, height, { width: 300, height: 224 }, { left: 38, top: 0, size: 224 }),
    ]) {
      // Pixels of the picture and of the square lie within twice the longer side.
      const largest = 2 * Math.max(width, height);
      for (let i = 0; i < 50; i++) {
        const box = [0.1 * i, 0.3 * i, width - 0.2 * i, height - 0.1 * i] as const;
        close(frames.normalizedToPixel(frames.pixelToNormalized(box, frame), frame), box, largest);
        close(frames.squareToPixel(frames.pixelToSquare(box, frame), frame), box, largest);
        const point = [0.5 * i, 0.25 * i] as const;
        close(frames.normalizedPointToPixel(frames.pixelPointToNormalized(point, frame), frame), point, largest);
      }
    }
  }
});

test('the padded frame is that of Shikra: whole, floored offset, divided by the longer side', () => {
  const landscape = frames.paddedFrame(101, 50);
  assert.deepEqual([landscape.left, landscape.top], [0, -25]);
  close(frames.pixelToSquare([0, 0, 101, 50], landscape), [0, 25, 101, 75]);
  close(frames.pixelToNormalized([0, 0, 101, 50], landscape), [0, 25 / 101, 1, 75 / 101]);
  const portrait = frames.paddedFrame(50, 101);
  close(frames.pixelToNormalized([0, 0, 50, 101], portrait), [25 / 101, 0, 75 / 101, 1]);
});

test('every point of the picture is inside the square, every corner of a square picture is a corner', () => {
  for (const [width, height] of SIZES) {
    const frame = frames.paddedFrame(width, height);
    const box = frames.pixelToNormalized([0, 0, width, height], frame);
    assert.ok(box.every((value) => value >= 0 && value <= 1));
    if (width === height) assert.deepEqual(box, [0, 0, 1, 1]);
  }
});

test('clamping says whether it changed the box, and sorts corners', () => {
  const frame = frames.paddedFrame(100, 50);
  assert.deepEqual(frames.clampPixelBox([1, 2, 3, 4], frame), { box: [1, 2, 3, 4], clamped: false });
  assert.deepEqual(frames.clampPixelBox([-1, 2, 300, 49], frame), { box: [0, 2, 100, 49], clamped: true });
  assert.deepEqual(frames.clampPixelBox([30, 40, 10, 20], frame), { box: [10, 20, 30, 40], clamped: false });
  assert.deepEqual(frames.clampNormalizedBox([0, 0.5, 1.5, 0.9]), { box: [0, 0.5, 1, 0.9], clamped: true });
});

test('a point in the padding lies outside of the picture', () => {
  const frame = frames.paddedFrame(100, 50);
  const [, y] = frames.normalizedPointToPixel([0.5, 0], frame);
  assert.equal(y, -25);
});

// Mixing up frames must not compile.
const pixelBox: frames.PixelBox = [0, 0, 1, 1];
// @ts-expect-error a box in pixels is not a normalised box
const mixedUp: frames.NormalizedBox = pixelBox;
assert.ok(mixedUp);
