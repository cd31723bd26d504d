/** One scale in all tables: rates in percent from fractions and from percent, and what is no rate as it is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BENCHMARKS } from './benchmarks/index.js';
import { shownFigure } from './shown-figure.js';

test('three right of four are 75.00 % on every scale', () => {
  assert.deepEqual(shownFigure('fraction', 'accuracy', 0.75), { text: '75.00', unit: '%' });
  assert.deepEqual(shownFigure('percent', 'accuracy', 75), { text: '75.00', unit: '%' });
  assert.deepEqual(shownFigure('fraction', 'testA.accuracy', 0.75), { text: '75.00', unit: '%' });
});

test('CIDEr is times 100 as in papers, points and counts are what they are', () => {
  assert.deepEqual(shownFigure('fraction', 'CIDEr', 1.234), { text: '123.40', unit: 'x 100' });
  assert.deepEqual(shownFigure('percent', 'color.score', 150), { text: '150.00', unit: 'points' });
  assert.deepEqual(shownFigure('percent', 'color.acc', 75), { text: '75.00', unit: '%' });
  assert.deepEqual(shownFigure('fraction', 'failed', 3), { text: '3', unit: '' });
});

test('the scale of each benchmark is that of its tool', () => {
  const percent = BENCHMARKS.filter(({ scale }) => scale === 'percent').map(({ name }) => name);
  assert.deepEqual(percent, ['vqav2', 'okvqa', 'textvqa', 'gqa', 'mme', 'scienceqa']);
});
