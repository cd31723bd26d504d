/** The loss curve: which figures are losses, smoothing, thinning. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { curvePoints, drawCurve } from './curve.js';

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

test('the picture says what its axes and lines are, in whole steps', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'commlm-curve-'));
  try {
    const textsOf = async (steps: readonly number[]): Promise<string[]> => {
      await drawCurve(
        folder,
        steps.map((step) => ({ step, time: 0, 'train/loss': 3 + step / 100 })),
      );
      const svg = readFileSync(join(folder, 'curve.svg'), 'utf8');
      return [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map((match) => match[1]!);
    };
    const two = await textsOf([10, 11]);
    for (const text of ['loss (log scale)', 'thin: as logged; thick: training losses smoothed', '10', '11']) {
      assert.ok(two.includes(text), `${text} in ${two.join(' | ')}`);
    }
    assert.ok(
      two.every((text) => !/^1[01]\.\d/.test(text)),
      two.join(' | '),
    );
    assert.ok((await textsOf([10, 20, 30, 40])).includes('30'));
    // Each of the few points of a line is marked.
    const marks = readFileSync(join(folder, 'curve.svg'), 'utf8').match(
      /class="mark-symbol role-mark layer_0[^"]*"[\s\S]*?<\/g>/,
    );
    assert.equal(marks?.[0].match(/<path/g)?.length, 4);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
