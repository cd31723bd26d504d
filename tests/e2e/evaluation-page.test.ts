/** The script of docs/evaluation.md, run as it stands, on a few scenes. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { commlm, ROOT } from '../helpers/cli.js';

const PAGE = readFileSync(join(ROOT, 'docs', 'evaluation.md'), 'utf8');
const scripts = [...PAGE.matchAll(/^```(?:js|ts)\n([\s\S]*?)^```/gm)].map(([, body]) => body!);

const folder = mkdtempSync(join(tmpdir(), 'commlm-evaluation-page-'));
after(() => rmSync(folder, { recursive: true }));

const run = promisify(execFile);
const benchmarksOf = (...path: string[]): unknown[] =>
  (JSON.parse(readFileSync(join(folder, 'out', ...path, 'results.json'), 'utf8')) as { benchmarks: unknown[] })
    .benchmarks;

test('the page as a library runs, and both ways to evaluate give the same figures', async () => {
  assert.equal(scripts.length, 1);
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(join(ROOT, 'packages', 'commlm'), join(folder, 'node_modules', 'commlm'), 'junction');
  const world = await commlm(['world', join(folder, 'out', 'world'), '--split', 'test', '--count', '4']);
  assert.equal(world.code, 0, world.stderr);
  writeFileSync(join(folder, 'page.mjs'), scripts[0]!);
  const { stdout } = await run(process.execPath, ['page.mjs'], {
    cwd: folder,
    env: { ...process.env, OMP_NUM_THREADS: '1' },
  });
  assert.match(stdout, /^\{ value: [\d.]+, low: [\d.]+, high: [\d.]+ \}$/m);
  assert.match(stdout, /difference: 0,/);
  // Half of POPE's answers are yes.
  assert.match(stdout, /^0\.5$/m);
  assert.match(stdout, /CIDEr/);
  assert.deepEqual(benchmarksOf('session'), benchmarksOf('tiny'));
  assert.equal(benchmarksOf('yes').length, 1);
});
