/** Two samples of every task, learned by heart through the loaders of the real data sets and asked for again; runs/overfit.mjs does more of them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../helpers/cli.js';

test('samples of every task are learned by heart and repeated', () => {
  const out = mkdtempSync(join(tmpdir(), 'commlm-overfit-'));
  try {
    const args = ['--samples', '2', '--steps', '80', '--batch', '8', '--bound', '0.85', '--out', join(out, 'run')];
    const env = { ...process.env, OMP_NUM_THREADS: '1' };
    const script = join(ROOT, 'runs', 'overfit.mjs');
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], {
      cwd: ROOT,
      env,
      encoding: 'utf8',
    });
    assert.equal(status, 0, `${stdout}\n${stderr}`);
    const [, start, end] = /loss ([\d.]+) -> ([\d.]+)/.exec(stdout) ?? [];
    assert.ok(Number(end) < 0.15 && Number(end) < Number(start) / 5, stdout);
  } finally {
    rmSync(out, { recursive: true });
  }
});
