/**
 * A run that saves each step and keeps one checkpoint is killed again and again while others export from it: every export
 * is whole, nothing in the run is renamed or lost, and the run goes on. `ROUNDS=30` for the long version.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const CHILD = fileURLToPath(new URL('../helpers/train-child.js', import.meta.url));
const ROUNDS = Number(process.env['ROUNDS'] ?? 4);

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(...args: string[]): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
  const child = spawn(process.execPath, [CHILD, ...args], { env: { ...process.env, OMP_NUM_THREADS: '1' } });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return { child, ended: new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr }))) };
}

test(`${ROUNDS} kills while others export, saving each step and keeping one`, {
  timeout: 1000 * 60 * 20,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'commlm-race-'));
  const out = join(folder, 'run');
  let reached = 0;
  const rows: string[] = [];
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const run = start(out, 'every');
      await new Promise((resolve) => run.child.stdout?.once('data', resolve));
      const exports = ['a', 'b'].map((name) => start(out, 'export', join(folder, `${round}-${name}`)).ended);
      const done = await Promise.all(exports);
      run.child.kill('SIGKILL');
      const { stdout, stderr } = await run.ended;
      const steps = done.map((each) => {
        assert.equal(each.code, 0, `round ${round}: ${each.stderr}`);
        assert.equal(each.stderr, '', `round ${round}`);
        return Number(each.stdout);
      });
      for (const name of ['a', 'b']) assert.ok(existsSync(join(folder, `${round}-${name}`, 'table.bin')));
      const from = Number(/resumed at step (\d+)/.exec(stderr)?.[1] ?? 0);
      assert.ok(from >= reached, `round ${round} began at ${from}, after ${reached}: ${stderr}`);
      assert.doesNotMatch(stderr, /damaged/);
      assert.deepEqual(
        readdirSync(out).filter((name) => name.includes('damaged')),
        [],
      );
      // A step is told before it is saved.
      reached = Number(stdout.trim().split('\n').at(-1)) - 1;
      rows.push(`${round}: from step ${from} to ${reached + 1}, exported ${steps.join(' and ')}`);
      for (const name of ['a', 'b']) rmSync(join(folder, `${round}-${name}`), { recursive: true });
    }
    for (const row of rows) t.diagnostic(row);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
