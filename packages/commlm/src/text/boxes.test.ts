/** Boxes and points as text: the reference's rounding, its strict parser, and the lenient search in answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  fillPlaceholders,
  findBoxes,
  formatBoxes,
  formatFixed,
  formatPoints,
  parseBoxes,
  parsePoints,
  type TextBox,
} from './boxes.js';

test('numbers round half to even on their exact binary value, as Python prints them', () => {
  // Values and texts by Python: '%.3f' % x.
  const python: [number, string][] = [
    [0.0625, '0.062'],
    [0.1875, '0.188'],
    [0.3125, '0.312'],
    [0.4375, '0.438'],
    [0.5625, '0.562'],
    [0.6875, '0.688'],
    [0.8125, '0.812'],
    [0.9375, '0.938'],
    [0.0005, '0.001'],
    [0.0015, '0.002'],
    [0.0025, '0.003'],
    [0.2745, '0.275'],
    [0.5015, '0.501'],
    [0.9995, '1.000'],
    [0.9994999, '0.999'],
    [0, '0.000'],
    [1, '1.000'],
  ];
  for (const [value, text] of python) assert.equal(formatFixed(value), text, String(value));
  assert.equal(formatFixed(0.5, 1), '0.5');
  assert.equal(formatFixed(0.25, 1), '0.2');
  assert.equal(formatFixed(0.75, 1), '0.8');
  assert.equal(formatFixed(1.0625), '1.062');
});

test('boxes and points have the text form of the reference', () => {
  assert.equal(formatBoxes([[0.274, 0.0741, 0.7139, 0.998]]), '[0.274,0.074,0.714,0.998]');
  assert.equal(
    formatBoxes([
      [0, 0.5, 1, 1],
      [-0.3, -0, 2, 0.25],
    ]),
    '[0.000,0.500,1.000,1.000;0.000,0.000,1.000,0.250]',
  );
  assert.equal(formatPoints([[0.5, 0.25]]), '[0.500,0.250]');
  assert.equal(formatPoints([[0.5, 0.25]], { precision: 2, brackets: 'round' }), '(0.50,0.25)');
  assert.throws(() => formatBoxes([[Number.NaN, 0, 1, 1]]), { code: 'text/box-number' });
  assert.throws(() => formatBoxes([], { precision: 0 }), { code: 'text/box-precision' });
});

test('what is written is read back, to half of the last digit', () => {
  let state = 5;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  for (let i = 0; i < 500; i++) {
    const boxes = Array.from({ length: 1 + (i % 3) }, (): TextBox => [random(), random(), random(), random()]);
    for (const brackets of ['square', 'round'] as const) {
      const parsed = parseBoxes(`The dog ${formatBoxes(boxes, { brackets })}.`, brackets);
      assert.equal(parsed.length, 1);
      assert.equal(parsed[0]?.length, boxes.length);
      parsed[0]?.forEach((box, b) => {
        box.forEach((value, c) => {
          assert.ok(Math.abs(value - (boxes[b]?.[c] as number)) <= 0.0005 + 1e-12);
        });
      });
    }
  }
});

test('the strict parser takes brackets of the exact form and no others', () => {
  assert.deepEqual(parseBoxes('a [0.1,0.2,0.3,0.4] b [0,1,0.,1.5;0.1,0.2,0.3,0.4]'), [
    [[0.1, 0.2, 0.3, 0.4]],
    [
      [0, 1, 0, 1.5],
      [0.1, 0.2, 0.3, 0.4],
    ],
  ]);
  for (const text of [
    '[0.1, 0.2,0.3,0.4]',
    '[10.1,0.2,0.3,0.4]',
    '[0.1,0.2,0.3]',
    '[.1,0.2,0.3,0.4]',
    '[0.1,0.2,0.3,0.4;]',
    '[-0.1,0.2,0.3,0.4]',
    '0.1,0.2,0.3,0.4',
  ]) {
    assert.deepEqual(parseBoxes(text), [], text);
  }
  assert.deepEqual(parsePoints('at [0.500,0.250;0.1,0.2]'), [
    [
      [0.5, 0.25],
      [0.1, 0.2],
    ],
  ]);
  assert.deepEqual(parsePoints('[0.1,0.2,0.3,0.4]'), []);
});

test('placeholders are filled in order, braces and dollars are letters', () => {
  assert.equal(
    fillPlaceholders('{0} <boxes> $& {} <points> <boxes>', {
      boxes: [
        [[0, 0, 1, 1]],
        [
          [0, 0, 0.5, 0.5],
          [0.5, 0.5, 1, 1],
        ],
      ],
      points: [[[0.5, 0.5]]],
    }),
    '{0} [0.000,0.000,1.000,1.000] $& {} [0.500,0.500] [0.000,0.000,0.500,0.500;0.500,0.500,1.000,1.000]',
  );
  assert.throws(() => fillPlaceholders('<boxes> <boxes>', { boxes: [[[0, 0, 1, 1]]] }), {
    code: 'text/placeholder-count',
  });
  assert.throws(() => fillPlaceholders('none', { points: [[[0, 0]]] }), { code: 'text/placeholder-count' });
});

test('boxes of an answer come with the phrase before them', () => {
  const labels = (answer: string): (string | undefined)[] => findBoxes(answer).map(({ label }) => label);
  const box = '[0.100,0.200,0.300,0.400]';
  assert.deepEqual(labels(`A small dog ${box} sits next to a red car ${box}, and two cats ${box}.`), [
    'small dog',
    'red car',
    'cats',
  ]);
  assert.deepEqual(labels(`Answer: ${box}.`), [undefined]);
  assert.deepEqual(labels(`The answer is ${box} .`), [undefined]);
  assert.deepEqual(labels(`The umbrella is at ${box}. Trees ${box}`), ['umbrella', 'Trees']);
  assert.deepEqual(labels(`a dog [0.1,0.1,0.2,0.2;0.3,0.3,0.4,0.4]`), ['dog', 'dog']);
  assert.deepEqual(labels('no box [0.1,0.2]'), []);
});

test('lenient boxes keep their numbers and their place', () => {
  const answer = 'x [ 0.1 , .2, 10,0.4 ]!';
  assert.deepEqual(findBoxes(answer), [{ label: 'x', box: [0.1, 0.2, 10, 0.4], start: 2, end: 22 }]);
  assert.equal(answer.slice(2, 22), '[ 0.1 , .2, 10,0.4 ]');
});
