/** A run killed at ten random moments and in the middle of checkpoint writes ends with the bytes of an undisturbed one. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CHILD_STEPS } from '../helpers/train-child.js';

const CHILD = fileURLToPath(new URL('../helpers/train-child.js', import.meta.url));
const NUM_KILLS = 10;

let folder = '';

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'commlm-train-kill-'));
});

after(() => rmSync(folder, { recursive: true }));

interface Run {
  readonly signal: NodeJS.Signals | null;
  readonly steps: readonly number[];
}

/** Starts or resumes the run; `watch` may kill it. */
function start(out: string, watch: (child: ChildProcess, steps: readonly number[]) => void = () => {}): Promise<Run> {
  const child = spawn(process.execPath, [CHILD, out], { env: { ...process.env, OMP_NUM_THREADS: '1' } });
  const steps: number[] = [];
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    steps.push(...text.trim().split('\n').map(Number));
    watch(child, steps);
  });
  watch(child, steps);
  return new Promise((resolve, reject) => {
    child.on('close', (code, signal) => {
      if (code === 0 || signal === 'SIGKILL') resolve({ signal, steps });
      else reject(new Error(`the run ended with ${code ?? signal}: ${stderr}`));
    });
  });
}

/** Random steps in order, other ones in every run of the test; a failure names them. */
const moments = (): number[] =>
  Array.from({ length: NUM_KILLS }, () => 1 + Math.floor(Math.random() * (CHILD_STEPS - 1))).sort((a, b) => a - b);

const bytes = (out: string): Buffer => readFileSync(join(out, 'result', 'table.bin'));
const loggedSteps = (out: string): number[] =>
  readFileSync(join(out, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { step: number }).step);
const losses = (out: string): number[] =>
  readFileSync(join(out, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { 'train/loss': number })['train/loss']);

test('killed at ten random moments, a run ends with the same bytes and the same log', async () => {
  const [whole, killed] = [join(folder, 'whole'), join(folder, 'killed')];
  assert.equal((await start(whole)).steps.at(-1), CHILD_STEPS);
  const at = moments();
  for (const moment of at) {
    await start(killed, (child, steps) => {
      if ((steps.at(-1) ?? 0) >= moment) child.kill('SIGKILL');
    });
  }
  const last = await start(killed);
  assert.ok(last.steps[0] !== undefined && last.steps[0] > 0, 'the last run went on');
  assert.deepEqual(bytes(killed), bytes(whole), `killed at steps ${at}`);
  assert.deepEqual(loggedSteps(killed), loggedSteps(whole), `killed at steps ${at}`);
  assert.deepEqual(losses(killed), losses(whole), `killed at steps ${at}`);
});

test('killed while a checkpoint is being written, a run ends with the same bytes', async () => {
  const [whole, killed] = [join(folder, 'whole'), join(folder, 'killed-in-write')];
  let numCaught = 0;
  for (let i = 0; i < 3; i++) {
    let timer: NodeJS.Timeout | undefined;
    await start(killed, (child, steps) => {
      // Not the first one that is seen: the run has to come further each time.
      if (timer !== undefined || steps.length < 20) return;
      timer = setInterval(() => {
        if (readdirSync(killed).some((name) => /^checkpoint-\d+\.part$/.test(name))) child.kill('SIGKILL');
      }, 1);
    });
    clearInterval(timer);
    if (readdirSync(killed).some((name) => /^checkpoint-\d+\.part$/.test(name))) numCaught++;
  }
  assert.ok(numCaught > 0, 'no run was killed in the middle of a write');
  await start(killed);
  assert.deepEqual(bytes(killed), bytes(whole));
});
