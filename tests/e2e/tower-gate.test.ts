/** The gate of towers as a user runs it: an untrained tower is turned away, a constant one is called collapsed, truth of others reads little. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ROOT } from '../helpers/cli.js';
import { makeTinyModel } from '../helpers/tiny-model.js';

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

interface Level {
  readonly scores: Readonly<Record<string, number>>;
  readonly rank: number;
  readonly spread: number;
}
interface Result {
  readonly tower: { readonly known: readonly Level[]; readonly shift: readonly Level[] };
  readonly untrained: { readonly known: readonly Level[] };
  readonly verdict: { readonly passed: boolean; readonly demands: readonly { readonly collapsed: boolean }[] };
}

/** The second tower of a tiny random model before the gate. */
function judge(constant: boolean, ...options: string[]): { code: number | null; stdout: string; result: Result } {
  const folder = makeTinyModel({ constant });
  folders.push(folder);
  const json = join(folder, 'gate.json');
  const script = join(ROOT, 'tools', 'world', 'probe.mjs');
  const args = [script, folder, '--branch', 'dinov2', '--scenes', '300', '--json', json, ...options];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    env: { ...process.env, OMP_NUM_THREADS: '1' },
  });
  assert.equal(stderr, '');
  return { code: status, stdout, result: JSON.parse(readFileSync(json, 'utf8')) as Result };
}

test('an untrained tower does not pass, and reads what is in the pixels alone', () => {
  const { code, stdout, result } = judge(false);
  assert.equal(code, 1);
  assert.match(stdout, /gate NOT passed \(4 demands, 300 scenes, \d+ s\)/);
  assert.equal(result.verdict.passed, false);
  assert.deepEqual([result.tower.known.length, result.tower.shift.length], [4, 4]);
  assert.ok(result.verdict.demands.every(({ collapsed }) => !collapsed));
  const colour = result.tower.known[0]!.scores['colour']!;
  const [misplaced] = judge(false, '--misplaced').result.tower.known;
  // Of ten colours, with the truth of other rows.
  assert.ok(colour > 0.6 && misplaced!.scores['colour']! < 0.35, `${colour} and ${misplaced!.scores['colour']}`);
});

test('a tower that says the same of everything is collapsed', () => {
  const { code, stdout, result } = judge(true);
  assert.equal(code, 1);
  for (const level of result.tower.known) {
    assert.deepEqual([level.rank, level.spread], [0, 0]);
    // There are four rows to guess from.
    assert.ok(Math.abs(level.scores['row']! - 0.25) < 0.05);
  }
  assert.ok(result.verdict.demands.every(({ collapsed }) => collapsed));
  assert.match(stdout, /that level has collapsed/);
});
