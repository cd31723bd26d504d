/**
 * A training run in a process of its own, to be killed: `node train-child.js <out>` trains a small network with a large
 * table behind it, so that a checkpoint takes a while to be written, and says each step on stdout. With `every` in the place
 * of `mode` each step is saved and one checkpoint kept; with `export` and a folder the newest one is exported there.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { manualSeed, nn, rand, type Tensor, tensor } from '@commlm/torch';
import { exportCheckpoint, type LoopConfig, runTraining, type TrainingTask } from 'commlm';

export const CHILD_STEPS = 300;

const CONFIG: LoopConfig = {
  steps: CHILD_STEPS,
  batchSize: 4,
  accumulate: 2,
  lr: 0.01,
  betas: [0.9, 0.99],
  weightDecay: 0.01,
  warmupRatio: 0.1,
  minLrRatio: 0,
  clipNorm: 1,
  ema: { decay: 0.9 },
  seed: 5,
  saveEvery: 15,
  logEvery: 10,
  evalEvery: 1000,
  keepLast: 2,
};

/** Rows of the table; with its averages and masters a checkpoint has 18 bytes for each of its numbers. */
const ROWS = 20_000;
const WIDTH = 32;

class TableTask implements TrainingTask<{ readonly index: number }> {
  readonly #table = new nn.Embedding(ROWS, WIDTH).to('bf16');
  readonly #head = new nn.Linear(WIDTH, 1).to('bf16');
  readonly parts = new Map<string, nn.Module>([
    ['table', this.#table],
    ['head', this.#head],
  ]);

  openBatches(start: number) {
    let index = start;
    return { waitedMs: 0, next: async () => ({ index: index++ }), close: async () => {} };
  }

  loss({ index }: { readonly index: number }): { loss: Tensor; metrics: Record<string, Tensor> } {
    const ids = BigInt64Array.from({ length: 4 }, (_, i) => BigInt((index * 7919 + i * 104729) % ROWS));
    // Noise from the default generator: without its state no resume is exact.
    const wanted = rand([4]);
    const error = this.#head
      .forward(this.#table.forward(tensor(ids)))
      .to('f32')
      .squeeze(1)
      .sub(wanted);
    return { loss: error.pow(2).mean(), metrics: {} };
  }

  export(folder: string): void {
    const bytes = [...this.#table.parameters(), ...this.#head.parameters()].map((p) => p.detach().toBytes());
    writeFileSync(join(folder, 'table.bin'), Buffer.concat(bytes));
  }
}

const [out, mode, to] = process.argv.slice(2);
if (out !== undefined) {
  manualSeed(CONFIG.seed);
  const config = mode === undefined ? CONFIG : { ...CONFIG, steps: 100_000, saveEvery: 1, keepLast: 1 };
  const log = (line: string): void => void process.stderr.write(`${line}\n`);
  const options = { out, recipe: { loop: config } };
  if (to !== undefined) {
    const { step } = await exportCheckpoint(new TableTask(), config, { ...options, to, log });
    process.stdout.write(`${step}\n`);
  } else {
    await runTraining(new TableTask(), config, {
      ...{ ...options, resume: true, log: mode === undefined ? () => {} : log },
      onStep: (step) => process.stdout.write(`${step}\n`),
    });
  }
}
