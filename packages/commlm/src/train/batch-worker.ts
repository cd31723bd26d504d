/** The thread behind BatchPool: loads one batch module and answers each index with its batch. */
import { parentPort, workerData } from 'node:worker_threads';
import type { CreateBatcher, RawBatch } from './batch-pool.js';

const { module, options } = workerData as { module: string; options: unknown };

function buffersOf(batch: RawBatch): ArrayBuffer[] {
  return Object.values(batch).flatMap((value) =>
    ArrayBuffer.isView(value) && value.buffer instanceof ArrayBuffer ? [value.buffer] : [],
  );
}

const { createBatcher } = (await import(module)) as { createBatcher: CreateBatcher<unknown> };
const batcher = await createBatcher(options);

parentPort?.on('message', (index: number) => {
  try {
    const batch = batcher(index);
    parentPort?.postMessage({ index, batch }, [...new Set(buffersOf(batch))]);
  } catch (error) {
    parentPort?.postMessage({ index, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
});
