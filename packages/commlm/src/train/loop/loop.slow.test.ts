/** The training loop: a run that was stopped and resumed ends with the bytes of one that was not. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { io, manualSeed, nn, type Tensor, TorchError, tensor } from '@commlm/torch';
import { expectRounded, roundingBound } from '@commlm/torch/testing';
import type { CommError } from '../../config/errors.js';
import type { LoopConfig } from '../../config/train.js';
import { lockFile } from '../../files/lock.js';
import { listCheckpoints } from './checkpoint.js';
import { runTraining } from './loop.js';
import { readMetrics } from './run-log.js';
import type { RecipeChange } from './run-state.js';
import type { BatchFacts, BatchSource, TrainingTask } from './training-task.js';

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
    io.writeSafetensors(join(folder, 'net.safetensors'), this.#net.stateDict());
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
    signal,
  });
  assert.equal(steps, config.steps);
  return { task, done };
}

const folders: string[] = [];
const folder = (): string => {
  const path = mkdtempSync(join(tmpdir(), 'commlm-loop-'));
  folders.push(path);
  return path;
};
after(() => {
  for (const path of folders) rmSync(path, { recursive: true, force: true });
});
const bytes = (out: string): Buffer => readFileSync(join(out, 'result', 'net.safetensors'));

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

test('a run goes on with a change that is named, which is recorded, and with none that is not', async () => {
  const out = folder();
  const before = { loop: { ...CONFIG, steps: 20 } };
  const after = { loop: { ...before.loop, lr: 0.002 } };
  const go = (recipe: typeof before, change?: RecipeChange) =>
    runTraining(
      new SumTask(),
      { ...recipe.loop, steps: change === undefined ? 20 : 30 },
      {
        ...{ out, recipe, resume: true, log: () => {} },
        change,
      },
    );
  await go(before);
  await assert.rejects(go(after), { code: 'train/recipe', message: /\(loop\.lr was 0\.01 and is 0\.002\)/ });
  const change = { before, fields: { 'loop.lr': 0.002 } };
  await go(after, change);
  // Named again after it took effect, or as the recipe that it has now.
  await go(after, change);
  await go(after);
  await assert.rejects(go(before), { code: 'train/recipe' });
  const { starts } = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8')) as { starts: { changes?: unknown }[] };
  assert.deepEqual(
    starts.map(({ changes }) => changes),
    [undefined, change.fields, change.fields, undefined],
  );
  const rates = readMetrics(out).map((line) => line['train/lr' as 'step']);
  assert.ok(
    rates.slice(2).every((rate) => rate <= 0.002),
    rates.join(),
  );
});

test('what a run keeps beside its checkpoints may be garbage: one sentence, or set aside', async () => {
  const out = folder();
  await train(rows([4]), { saveEvery: 2, logEvery: 1 }, out);
  const go = () => train(rows([4]), { saveEvery: 2, logEvery: 1 }, out);
  const runJson = readFileSync(join(out, 'run.json'));
  for (const garbage of ['', '{', 'null', '[]', '{"starts": 3}', '{"starts": [null]}', '{"starts": [{"step": "x"}]}']) {
    writeFileSync(join(out, 'run.json'), garbage);
    await assert.rejects(go(), (error: CommError) => {
      assert.match(error.code, /^(file\/bad-json|train\/run-json)$/, garbage);
      return error.fix !== undefined;
    });
  }
  writeFileSync(join(out, 'run.json'), runJson);
  for (const garbage of ['', '{', 'null', '\u0000\u0000']) {
    writeFileSync(join(out, 'recipe.json'), garbage);
    await assert.rejects(train(rows([4]), { lr: 0.5 }, out), { code: 'train/recipe' });
    await go();
  }
  const lines = readFileSync(join(out, 'metrics.jsonl'), 'utf8');
  for (const garbage of ['null', '5', '[]', '{"step": "1"}', '{"step": 1, "x": {}}', '\u0000\u0000', '{"step": 1']) {
    writeFileSync(join(out, 'metrics.jsonl'), `${garbage}\n${lines}{"step": 7`);
    const said = await go();
    assert.ok(
      said.some((line) => /lines that are no records \(1\); it is set aside as metrics\.jsonl\.damaged/.test(line)),
    );
    assert.equal(readFileSync(join(out, 'metrics.jsonl'), 'utf8'), lines);
  }
  assert.ok(existsSync(join(out, 'metrics.jsonl.damaged-7')));
});

test('bookkeeping is left out where it stands, not where a name of the user is alike', async () => {
  const out = folder();
  const go = (recipe: unknown, resume: boolean): Promise<unknown> =>
    runTraining(new SumTask(), CONFIG, { out, recipe, resume, log: () => {} });
  const recipe = (saveEvery: number, folder: string) => ({
    loop: { saveEvery },
    stage: { sets: { loop: { saveEvery: 1 }, features: { folder }, constructor: { folder } } },
  });
  await go(recipe(1, 'a'), false);
  await go(recipe(2, 'a'), true);
  await assert.rejects(go(recipe(2, 'b'), true), /another recipe/);
});

test('a loss that is not a number stops the run by name and leaves the last checkpoint', async () => {
  const out = folder();
  const options = { out, recipe: {}, resume: false, log: () => {} };
  await assert.rejects(runTraining(new SumTask({ poison: 15 }), CONFIG, options), (error: CommError) => {
    assert.match(error.message, /loss is NaN at step 16/);
    return /Add --resume --change loop\.lr=0\.005 to go on from checkpoint-10 at a lower rate\.$/.test(error.fix ?? '');
  });
  assert.match(listCheckpoints(out)[0] ?? '', /checkpoint-10$/);
  rmSync(out, { recursive: true });
  await assert.rejects(runTraining(new SumTask({ poison: 5 }), CONFIG, options), (error: CommError) =>
    /There is no checkpoint yet: begin anew, without --resume, with another --out and with --set loop\.lr=0\.005 for a lower rate\.$/.test(
      error.fix ?? '',
    ),
  );
  rmSync(out, { recursive: true });
});

test('nothing of a run is overwritten by a new one, or by one that goes on without its checkpoints', async () => {
  const out = folder();
  await run(out, 40, false).done;
  for (const path of listCheckpoints(out)) rmSync(path, { recursive: true });
  const content = (): Record<string, Buffer> =>
    Object.fromEntries(
      ['run.json', 'metrics.jsonl', 'recipe.json', 'result/net.safetensors'].map((name) => [
        name,
        readFileSync(join(out, name)),
      ]),
    );
  const before = content();
  await assert.rejects(run(out, 40, false).done, {
    code: 'train/exists',
    message: `${out} holds a run already (result).`,
    fix: 'Name another --out, or move this one elsewhere.',
  });
  await assert.rejects(run(out, 40, true).done, {
    code: 'train/no-sound-checkpoint',
    message: `${out} holds no checkpoint, though it holds a result.`,
  });
  assert.deepEqual(content(), before);
  rmSync(join(out, 'result'), { recursive: true });
  await assert.rejects(run(out, 40, false).done, { code: 'train/exists', message: /\(metrics\.jsonl\)/ });
  await assert.rejects(run(out, 40, true).done, { message: /though its metrics\.jsonl tells of step 40\.$/ });
  // Figures of steps before the first checkpoint: what was killed there goes on, from its start.
  writeFileSync(join(out, 'metrics.jsonl'), '{"step":10,"time":1}\n');
  await assert.rejects(run(out, 40, false).done, { fix: /^Add --resume/ });
  await run(out, 40, true).done;
  await assert.rejects(run(out, 40, false).done, { message: /\(checkpoint-40\)/, fix: /^Add --resume/ });
});

test('of two runs that begin in one place at a time, one is refused, and so is the next', async () => {
  const out = folder();
  const settled = await Promise.allSettled([run(out, 40, false).done, run(out, 40, false).done]);
  assert.deepEqual(
    settled.map((each) => (each.status === 'rejected' ? (each.reason as CommError).code : 'done')),
    ['done', 'file/busy'],
  );
  const weights = bytes(out);
  await assert.rejects(run(out, 40, false).done, { code: 'train/exists' });
  assert.deepEqual(bytes(out), weights);
});

test('the loss falls', async () => {
  const out = folder();
  await run(out, 40, false).done;
  const lines = readFileSync(join(out, 'metrics.jsonl'), 'utf8').trim().split('\n');
  const losses = lines.map((line) => (JSON.parse(line) as { 'train/loss': number })['train/loss']);
  assert.ok((losses.at(-1) as number) < 0.5 * losses[0]!, losses.join(' '));
  rmSync(out, { recursive: true });
});

interface Rows {
  readonly first: number;
  readonly count: number;
}

/** Fits y = sum(x) in f32; the rows of a batch follow from where it begins. */
class RowsTask implements TrainingTask<Rows> {
  readonly net = new nn.Linear(4, 1);
  readonly head = new nn.Linear(1, 1);
  readonly parts = new Map<string, nn.Module>([
    ['net', this.net],
    ['head', this.head],
  ]);
  readonly exported: string[] = [];
  /** Rows of batch i, one after the other in a cycle. */
  readonly #sizes: readonly number[];
  readonly #evaluations: number[];

  constructor(sizes: readonly number[], evaluations: readonly number[] = []) {
    this.#sizes = sizes;
    this.#evaluations = [...evaluations];
  }

  openBatches(start: number): BatchSource<Rows> {
    let index = start;
    const before = (at: number): number =>
      Array.from({ length: at }, (_, i) => this.#sizes[i % this.#sizes.length]!).reduce((a, b) => a + b, 0);
    const next = async (): Promise<Rows> => {
      const at = index++;
      return { first: before(at), count: this.#sizes[at % this.#sizes.length]! };
    };
    return { waitedMs: 0, next, close: async () => {} };
  }

  loss({ first, count }: Rows): { loss: Tensor; metrics: Record<string, Tensor> } {
    const x = tensor(
      Float32Array.from({ length: 4 * count }, (_, i) => Math.sin(4 * first + i)),
      { shape: [count, 4] },
    );
    const y = this.head.forward(this.net.forward(x)).squeeze(1);
    return { loss: y.sub(x.sum(1)).pow(2).mean(), metrics: {} };
  }

  describe({ first, count }: Rows): BatchFacts {
    return { weight: count, tokens: count, samples: [`row ${first}`] };
  }

  async evaluate(): Promise<Record<string, number>> {
    return { score: this.#evaluations.shift() ?? 0 };
  }

  export(path: string): void {
    this.exported.push(path);
  }

  get weights(): number[] {
    return [...this.net.parameters(), ...this.head.parameters()].flatMap((p) => [
      ...(p.detach().toArray() as Float32Array),
    ]);
  }
}

async function train(task: TrainingTask<Rows>, changes: Partial<LoopConfig>, out = folder()): Promise<string[]> {
  const lines: string[] = [];
  const config = { ...CONFIG, steps: 6, ...changes };
  await runTraining(task, config, { out, recipe: { loop: config }, resume: true, log: (line) => lines.push(line) });
  return lines;
}

const rows = (sizes: readonly number[], evaluations?: readonly number[]): RowsTask => {
  manualSeed(3);
  return new RowsTask(sizes, evaluations);
};

test('uneven batches that add up are the one large batch, to rounding', async () => {
  const [large, small] = [rows([12]), rows([2, 7, 3])];
  await train(large, { batchSize: 12 });
  await train(small, { batchSize: 4, accumulate: 3 });
  // Six steps, each with a gradient that is a mean over 12 rows, through two layers there and back.
  expectRounded(small.weights, large.weights, { terms: 12, steps: 6 * 4 });
});

test('a task that runs its own backward gets the share of its batch', async () => {
  const [plain, own] = [rows([2, 6]), rows([2, 6])];
  const shares: number[] = [];
  const backward: NonNullable<TrainingTask<Rows>['backward']> = (batch, _step, scale) => {
    shares.push(scale);
    const losses = own.loss(batch);
    losses.loss.mul(scale).backward();
    return losses;
  };
  await train(plain, { accumulate: 2 });
  await train(Object.assign(own, { backward }), { accumulate: 2 });
  assert.deepEqual(shares.slice(0, 2), [0.25, 0.75]);
  assert.deepEqual(own.weights, plain.weights);
});

test('a part learns at its own rate; a factor that nothing takes is refused', async () => {
  const task = rows([4]);
  const before = task.weights;
  await train(task, { steps: 1, warmupRatio: 0, lr: 0.01, weightDecay: 0, lrFactors: { head: 0.1 } });
  const moved = task.weights.map((weight, i) => Math.abs(weight - before[i]!));
  // The first step is the rate itself, but for eps = 1e-8 over the gradient, and is rounded into a weight below 1.
  for (const [i, rate] of [
    [0, 0.01],
    [5, 0.001],
  ] as const)
    assert.ok(Math.abs(moved[i]! - rate) < roundingBound({ steps: 2 }) + rate * 1e-5, `${moved}`);
  await assert.rejects(train(rows([4]), { lrFactors: { haed: 0.1 } }), /lrFactors names "haed"/);
});

test('what is exported with an average is the average, and the weights come back', async () => {
  const [plain, task] = [rows([4]), rows([4])];
  let exported: number[] = [];
  task.export = () => {
    exported = task.weights;
  };
  await train(plain, {});
  await train(task, { ema: { decay: 0.9 } });
  assert.deepEqual(task.weights, plain.weights);
  assert.notDeepEqual(exported, plain.weights);
  // With a decay of next to nothing the average is the weights.
  const close = rows([4]);
  close.export = () => {
    exported = close.weights;
  };
  await train(close, { ema: { decay: 1e-9 } });
  expectRounded(exported, plain.weights, { steps: 6 });
});

test('updates beyond the norm are left out and counted, and too many in a row end the run', async () => {
  const task = rows([4]);
  const before = task.weights;
  const skipNorm = { above: 1e-9, inARow: 4 };
  await assert.rejects(train(task, { skipNorm }), /4 updates in a row were left out, the last at step 4/);
  assert.deepEqual(task.weights, before);
  const out = folder();
  await train(rows([4]), { skipNorm: { above: 1e9, inARow: 1 }, logEvery: 1 }, out);
  assert.match(readFileSync(join(out, 'metrics.jsonl'), 'utf8'), /"train\/skipped":0/);
});

test('the best evaluation keeps its checkpoint and its result', async () => {
  const [out, task] = [folder(), rows([4], [0.3, 0.9, 0.5, 0.7, 0.2, 0.1])];
  await train(task, { evalEvery: 1, saveEvery: 1, keepLast: 2, keepBest: { figure: 'score', better: 'higher' } }, out);
  assert.deepEqual(
    listCheckpoints(out).map((path) => Number(path.split('-').at(-1))),
    [6, 5, 2],
  );
  assert.deepEqual(
    task.exported.map((path) => /best|result/.exec(path.slice(out.length))?.[0]),
    ['best', 'best', 'result'],
  );
  const keepBest = { figure: 'scroe', better: 'higher' } as const;
  await assert.rejects(train(rows([4]), { evalEvery: 1, keepBest }), /"scroe", which the evaluation does not give/);
});

test('a bit that flipped in a checkpoint is found, and the lines behind the one before are cut off', async () => {
  const [out, whole] = [folder(), folder()];
  const changes = { saveEvery: 2, logEvery: 1 };
  await train(rows([4]), changes, whole);
  await train(rows([4]), changes, out);
  const path = join(out, 'checkpoint-6', 'state.safetensors');
  const bytes = readFileSync(path);
  bytes[bytes.length - 6000] = bytes[bytes.length - 6000]! ^ 1;
  writeFileSync(path, bytes);
  const lines = await train(rows([4]), changes, out);
  assert.ok(
    lines.some((line) => /checkpoint-6 is damaged .*checksum/.test(line)),
    lines.join('\n'),
  );
  assert.ok(lines.includes('resumed at step 4'));
  const trained = (folder: string) => readMetrics(folder).filter((line) => 'train/loss' in line);
  const steps = (folder: string): number[] => trained(folder).map(({ step }) => step);
  assert.deepEqual(steps(out), [1, 2, 3, 4, 5, 6]);
  const losses = (folder: string): unknown[] => trained(folder).map((line) => line['train/loss' as 'step']);
  assert.deepEqual(losses(out), losses(whole));
});

test('one process trains in a folder; the lock of one that is gone is taken over', async () => {
  const out = folder();
  const lock = lockFile(join(out, 'train.lock'), { doing: 'trains in', subject: out, otherwise: 'wait' });
  await assert.rejects(train(rows([4]), {}, out), /trains in/);
  lock[Symbol.dispose]();
  // The id of this process, begun at another time.
  writeFileSync(join(out, 'train.lock'), JSON.stringify({ pid: process.pid, host: hostname(), began: '0' }));
  await train(rows([4]), {}, out);
  assert.ok(!existsSync(join(out, 'train.lock')));
});

test('a full disk leaves the checkpoint before and says what to do', async () => {
  const [out, task] = [folder(), rows([4])];
  const extraState = (): ReadonlyMap<string, Tensor> => {
    if (listCheckpoints(out).length > 0)
      throw Object.assign(new Error('no space left'), { code: 'ENOSPC', syscall: 'write' });
    return new Map();
  };
  await assert.rejects(train(Object.assign(task, { extraState }), { saveEvery: 2 }, out), (error: CommError) => {
    assert.equal(error.code, 'train/disk-full');
    return /disk of .* is full; step 4/.test(error.message);
  });
  assert.deepEqual(
    readdirSync(out).filter((name) => name.startsWith('checkpoint')),
    ['checkpoint-2'],
  );
});

test('too little memory saves the last step', async () => {
  const [out, task] = [folder(), rows([4])];
  const plain = task.loss.bind(task);
  task.loss = (batch) => {
    if (batch.first >= 12) throw new TorchError('not enough memory', 'ERR_TORCH_OOM');
    return plain(batch);
  };
  await assert.rejects(train(task, {}, out), /not enough memory for step 4/);
  assert.match(listCheckpoints(out)[0] ?? '', /checkpoint-3$/);
});
