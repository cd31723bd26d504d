/** Faults of one kind are told once: how often, the first places, the fix behind them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FaultGroups } from './fault-groups.js';

const missing = Array.from({ length: 97 }, (_, i) => ({
  kind: 'picture',
  message: `data/own/train.json, entry ${i + 1}: There is no file data/own/images/p${i}.png.`,
  fix: 'Put it there.',
}));
const other = { kind: 'picture', message: 'data/own/train.json, entry 98: The picture is damaged (cut.png).' };

test('many faults of one kind are the first three with their number, and the fix last', () => {
  assert.deepEqual(new FaultGroups([...missing, other]).lines(3), [
    '97 x picture, the first 3; --all prints each:',
    ...missing.slice(0, 3).map(({ message }) => `picture  ${message}`),
    '    Put it there.',
    `picture  ${other.message}`,
  ]);
});

test('few faults are all there, and none is shown where none is asked for', () => {
  assert.deepEqual(new FaultGroups(missing.slice(0, 2)).lines(3), [
    '2 x picture:',
    ...missing.slice(0, 2).map(({ message }) => `picture  ${message}`),
    '    Put it there.',
  ]);
  assert.deepEqual(new FaultGroups([other]).lines(0), ['1 x picture:']);
});

test('faults that differ in words or in their fix are apart', () => {
  const boxes = ['the box 1, 2, 1, 4 has no area', 'the box 9, 9, 12, 12 lies outside'].map((text) => ({
    kind: 'empty-box',
    message: `a.json: annotations[2]: ${text}`,
  }));
  assert.equal(new FaultGroups([...boxes, { ...boxes[0]!, fix: 'Look at it.' }]).lines(3).length, 4);
});
