/** `commlm data bench`: how fast a recipe's data load when nothing else runs. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { CommError } from '../config/errors.js';
import type { MixtureBatch } from '../train/tasks/comm/mixture-batches.js';
import { mixtureOptions, type RecipeOptions, recipeOf } from './data-recipe.js';
import { interruptSignal } from './interrupt.js';
import { formatBytes, formatCount, print, printJson } from './output.js';
import { Progress } from './progress.js';

/** Options of `data bench`. */
export interface BenchOptions extends RecipeOptions {
  readonly batches: number;
  readonly workers?: number;
  readonly run?: string;
}

const RATE = 'train/samples_per_second';

/** Samples a second that the last line of a run's metrics tells. */
async function consumedBy(run: string): Promise<number> {
  const { readMetrics } = await import('../train/loop/run-log.js');
  const path = join(run, 'metrics.jsonl');
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) {
    throw new CommError(`There is no ${path}.`, { code: 'data/no-metrics', fix: 'Name the folder of a training run.' });
  }
  const rates = readMetrics(run).flatMap(({ [RATE]: rate }) => (rate === undefined ? [] : [rate]));
  if (rates.length === 0) throw new CommError(`${path} has no ${RATE}.`, { code: 'data/no-metrics' });
  return rates.at(-1)!;
}

/** Times the loading alone. */
export async function bench(name: string, options: BenchOptions): Promise<void> {
  const { batch, workers: own, ahead } = await mixtureOptions(name, await recipeOf(name, options.set));
  const { BatchPool } = await import('../train/loop/batch-pool.js');
  const consumed = options.run === undefined ? undefined : await consumedBy(options.run);
  const workers = options.workers ?? own;
  const pool = new BatchPool<MixtureBatch>(new URL('../train/tasks/comm/mixture-batches.js', import.meta.url), batch, {
    workers,
    ahead: Math.max(ahead, workers),
  });
  const progress = new Progress({ label: 'loading', total: options.batches, unit: 'batches' });
  const sums = { samples: 0, pictures: 0, bytes: 0, tokens: 0, skipped: 0 };
  const signal = interruptSignal();
  let started = 0;
  try {
    // The first round opens the files in every thread and is not counted.
    for (let i = -workers; i < options.batches; i++) {
      signal.throwIfAborted();
      const loaded = await pool.next();
      if (i < 0) {
        started = performance.now();
        continue;
      }
      sums.samples += loaded.numSamples;
      sums.pictures += loaded.pictures.length;
      sums.bytes += loaded.numBytes;
      sums.tokens += loaded.numFilled;
      sums.skipped += loaded.skipped.length;
      progress.update(i + 1);
    }
  } finally {
    await pool.close();
  }
  progress.finish();
  const seconds = (performance.now() - started) / 1000;
  const rates = {
    samplesPerSecond: sums.samples / seconds,
    picturesPerSecond: sums.pictures / seconds,
    bytesPerSecond: sums.bytes / seconds,
    tokensPerSecond: sums.tokens / seconds,
  };
  if (options.json === true) {
    printJson({
      recipe: name,
      workers,
      batches: options.batches,
      seconds,
      ...sums,
      ...rates,
      consumedSamplesPerSecond: consumed,
    });
    return;
  }
  print(
    `data loading alone: ${rates.samplesPerSecond.toFixed(1)} samples/s (${rates.picturesPerSecond.toFixed(1)} pictures/s, ` +
      `${formatBytes(rates.bytesPerSecond)}/s of picture files, ${formatCount(rates.tokensPerSecond)} tokens/s) with ${workers} threads`,
  );
  if (sums.skipped > 0) print(`${sums.skipped} samples were skipped`);
  if (consumed !== undefined) {
    print(
      `training consumes: ${consumed.toFixed(1)} samples/s; loading is ${(rates.samplesPerSecond / consumed).toFixed(1)} times as fast`,
    );
  }
}
