/** The training loop: a run that was stopped and resumed ends with the bytes of one that was not. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { io, manualSeed, nn, type Tensor, tensor } from '@commlm/torch';
import { listCheckpoints } from './checkpoint.js';
import { type BatchSource, type LoopConfig, runTraining, type TrainingTask } from './loop.js';

const CONFIG: LoopConfig = {
  steps: 40,
  batchSize: 8,
  lr: 0.01,
  betas: [0.9, 0.99],
  weightDecay: 0.01,
  warmupRatio: 0.1,
  minLrRatio: 0,
  clipNorm: 1,
  seed: 5,
  saveEvery: 10,
  logEvery: 10,
  evalEvery: 100,
  keepLast: 2,
};

interface Points extends Record<string, unknown> {
  readonly x: Float32Array;
}

/** Fits y = sum(x) with a small bf16 network. */
class SumTask implements TrainingTask<Points> {
  readonly parts: ReadonlyMap<string, nn.Module>;
  readonly seen: number[] = [];
  readonly #net = new nn.Sequential(new nn.Linear(4, 8), new nn.Linear(8, 1));
  readonly #poison: number;

  constructor({ poison = Number.POSITIVE_INFINITY }: { poison?: number } = {}) {
    this.#poison = poison;
    this.#net.to('bf16');
    this.parts = new Map([['net', this.#net]]);
  }

  openBatches(start: number): BatchSource<Points> {
    let index = start;
    return {
      waitedMs: 0,
      next: async () => {
        // Always ready, as with fast workers: the loop itself has to let an abort arrive.
        this.seen.push(index);
        const at = index++;
        return {
          x: Float32Array.from({ length: 32 }, (_, i) => Math.sin(at * 32 + i) + (at >= this.#poison ? NaN : 0)),
        };
      },
      close: async () => {},
    };
  }

  loss({ x }: Points): { loss: Tensor; metrics: Record<string, Tensor> } {
    const x_BD = tensor(x, { shape: [8, 4] });
    const loss = this.#net.forward(x_BD.to('bf16')).to('f32').squeeze(1).sub(x_BD.sum(1)).pow(2).mean();
    return { loss, metrics: {} };
  }

  export(folder: string): void {
    io.writeSafetensors(`${folder}.safetensors`, this.#net.stateDict());
  }
}

function run(
  out: string,
  steps: number,
  resume: boolean,
  signal?: AbortSignal,
): { task: SumTask; done: Promise<unknown> } {
  manualSeed(CONFIG.seed);
  const task = new SumTask();
  const config = { ...CONFIG };
  const done = runTraining(task, config, {
    out,
    recipe: { config },
    resume,
    log: () => {},
    ...(signal === undefined ? {} : { signal }),
  });
  assert.equal(steps, config.steps);
  return { task, done };
}

const folder = (): string => mkdtempSync(join(tmpdir(), 'commlm-loop-'));
const bytes = (out: string): Buffer => readFileSync(join(out, 'result.safetensors'));

test('a stopped and resumed run equals an uninterrupted one, bit for bit', async () => {
  const [whole, parts] = [folder(), folder()];
  await run(whole, 40, false).done;
  const stop = new AbortController();
  const first = run(parts, 40, false, stop.signal);
  // Looks once a turn of the event loop, which the loop has to grant at each step.
  const watch = (): void => {
    if (first.task.seen.length >= 7) stop.abort();
    else setImmediate(watch);
  };
  watch();
  await first.done;
  assert.ok(first.task.seen.length < 40, 'the first run stopped');
  const second = run(parts, 40, true);
  await second.done;
  assert.deepEqual(bytes(parts), bytes(whole));
  assert.ok(second.task.seen[0] !== undefined && second.task.seen[0] > 0, 'the second run went on');
  for (const out of [whole, parts]) rmSync(out, { recursive: true });
});

test('a damaged newest checkpoint falls back to the one before', async () => {
  const [whole, damaged] = [folder(), folder()];
  await run(whole, 40, false).done;
  await run(damaged, 40, false).done;
  const [newest, before] = listCheckpoints(damaged);
  assert.match(newest ?? '', /checkpoint-40$/);
  assert.match(before ?? '', /checkpoint-30$/);
  writeFileSync(join(newest as string, 'state.safetensors'), 'not a checkpoint');
  const again = run(damaged, 40, true);
  await again.done;
  assert.equal(again.task.seen[0], 30);
  assert.deepEqual(bytes(damaged), bytes(whole));
  for (const out of [whole, damaged]) rmSync(out, { recursive: true });
});

test('another recipe cannot go on with a run, and only the newest checkpoints are kept', async () => {
  const out = folder();
  await run(out, 40, false).done;
  assert.equal(listCheckpoints(out).length, CONFIG.keepLast);
  const options = { out, recipe: { other: true }, resume: true, log: () => {} };
  await assert.rejects(runTraining(new SumTask(), CONFIG, options), /another recipe/);
  rmSync(out, { recursive: true });
});

test('a loss that is not a number stops the run by name and leaves the last checkpoint', async () => {
  const out = folder();
  const options = { out, recipe: {}, resume: false, log: () => {} };
  await assert.rejects(runTraining(new SumTask({ poison: 15 }), CONFIG, options), /loss is NaN at step 16/);
  assert.match(listCheckpoints(out)[0] ?? '', /checkpoint-10$/);
  rmSync(out, { recursive: true });
});

test('the loss falls', async () => {
  const out = folder();
  await run(out, 40, false).done;
  const lines = readFileSync(join(out, 'metrics.jsonl'), 'utf8').trim().split('\n');
  const losses = lines.map((line) => (JSON.parse(line) as { 'train/loss': number })['train/loss']);
  assert.ok((losses.at(-1) as number) < 0.5 * (losses[0] as number), losses.join(' '));
  rmSync(out, { recursive: true });
});
