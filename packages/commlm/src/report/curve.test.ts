/** The loss curve: which figures are losses, smoothing, thinning. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { curvePoints } from './curve.js';

test('losses are drawn, training smoothed in the logarithm and an evaluation as it is', () => {
  const lines = [
    { step: 1, time: 0, 'train/loss': 1, 'train/lr': 0.1, 'train/grad_norm': 3 },
    { step: 2, time: 0, 'train/loss': 4, 'train/name_loss': 2 },
    { step: 2, time: 0, 'eval/held/loss': 8 },
    { step: 4, time: 0, 'eval/held/loss': 2 },
  ];
  const points = curvePoints(lines);
  assert.deepEqual([...new Set(points.map(({ loss }) => loss))], ['train/loss', 'train/name_loss', 'eval/held/loss']);
  const smooth = (loss: string): number[] => points.filter((point) => point.loss === loss).map((point) => point.smooth);
  // ln 4 weighs 0.3 of the 0.51 that both weigh.
  assert.ok(Math.abs((smooth('train/loss')[1] as number) - 4 ** (0.3 / 0.51)) < 1e-12);
  assert.ok(Math.abs((smooth('eval/held/loss')[1] as number) - 2) < 1e-12);
});

test('a long run is thinned, its last point is kept', () => {
  const lines = Array.from({ length: 4321 }, (_, step) => ({ step, time: 0, 'train/loss': 2 }));
  const points = curvePoints(lines);
  assert.ok(points.length <= 1001 && points.length > 800);
  assert.equal(points.at(-1)?.step, 4320);
});
