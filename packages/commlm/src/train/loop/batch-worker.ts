/** The thread behind BatchPool: loads one batch module and answers each index with its batch. */
import { parentPort, workerData } from 'node:worker_threads';
import { CommError } from '../../config/errors.js';
import type { CreateBatcher, RawBatch, Reply, ReplyError } from './batch-pool.js';

const { module, options } = workerData as { module: string; options: unknown };

/** Buffers that go over to the trainer without a copy: those of the batch itself and of its lists. */
function buffersOf(batch: RawBatch): ArrayBuffer[] {
  const views = Object.values(batch).flatMap((value) => (Array.isArray(value) ? value : [value]));
  return views.flatMap((value: unknown) =>
    ArrayBuffer.isView(value) && value.buffer instanceof ArrayBuffer ? [value.buffer] : [],
  );
}

function describe(error: unknown): ReplyError {
  if (!(error instanceof Error)) return { message: String(error) };
  const { message, stack } = error;
  return error instanceof CommError ? { message, stack, code: error.code, fix: error.fix } : { message, stack };
}

const post = (reply: Reply, transfer: ArrayBuffer[] = []): void => parentPort?.postMessage(reply, transfer);

try {
  const { createBatcher } = (await import(module)) as { createBatcher: CreateBatcher<unknown> };
  const batcher = await createBatcher(options);
  parentPort?.on('message', async (index: number) => {
    try {
      const batch = await batcher(index);
      post({ index, batch }, [...new Set(buffersOf(batch))]);
    } catch (error) {
      post({ index, error: describe(error) });
    }
  });
} catch (error) {
  post({ error: describe(error) });
}
