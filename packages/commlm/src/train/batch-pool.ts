/**
 * Batches made by worker threads, in order and ahead of the trainer.
 *
 * A batch is a pure function of its index, so a resumed run asks for index k and gets what the first run got there.
 */
import { Worker } from 'node:worker_threads';

/** A batch as it crosses the thread boundary: numbers, strings and typed arrays. */
export type RawBatch = Record<string, unknown>;

/** What a worker module exports under the name `createBatcher`. */
export type CreateBatcher<Options> = (options: Options) => Promise<(index: number) => RawBatch>;

interface Reply {
  readonly index: number;
  readonly batch?: RawBatch;
  readonly error?: string;
}

const ENTRY = new URL('./batch-worker.js', import.meta.url);

/** Makes batches `start, start + 1, …` ahead of time. */
export class BatchPool<Batch extends RawBatch> {
  /** Milliseconds that `next` has waited for a batch so far. */
  waitedMs = 0;
  readonly #workers: Worker[];
  readonly #ready = new Map<number, Batch>();
  readonly #waiting = new Map<number, { resolve: (batch: Batch) => void; reject: (error: Error) => void }>();
  readonly #ahead: number;
  #failure: Error | undefined;
  #asked: number;
  #next: number;

  /** @param module URL of the worker module that exports `createBatcher`. */
  constructor(
    module: URL,
    options: unknown,
    { start = 0, workers = 1, ahead = 4 }: { start?: number; workers?: number; ahead?: number } = {},
  ) {
    this.#asked = start;
    this.#next = start;
    this.#ahead = ahead;
    this.#workers = Array.from({ length: workers }, () => {
      const worker = new Worker(ENTRY, { workerData: { module: module.href, options } });
      worker.on('message', (reply: Reply) => this.#receive(reply));
      worker.on('error', (error) => this.#fail(error as Error));
      worker.unref();
      return worker;
    });
    this.#ask();
  }

  /** The next batch in order. */
  async next(): Promise<Batch> {
    if (this.#failure !== undefined) throw this.#failure;
    const index = this.#next++;
    this.#ask();
    const ready = this.#ready.get(index);
    if (ready !== undefined) {
      this.#ready.delete(index);
      return ready;
    }
    const since = performance.now();
    for (const worker of this.#workers) worker.ref();
    try {
      return await new Promise<Batch>((resolve, reject) => this.#waiting.set(index, { resolve, reject }));
    } finally {
      for (const worker of this.#workers) worker.unref();
      this.waitedMs += performance.now() - since;
    }
  }

  /** Ends the workers. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #ask(): void {
    while (this.#asked < this.#next + this.#ahead) {
      const worker = this.#workers[this.#asked % this.#workers.length] as Worker;
      worker.postMessage(this.#asked++);
    }
  }

  #receive(reply: Reply): void {
    if (reply.error !== undefined) {
      this.#fail(new Error(reply.error));
      return;
    }
    const batch = reply.batch as Batch;
    const waiting = this.#waiting.get(reply.index);
    if (waiting === undefined) {
      this.#ready.set(reply.index, batch);
    } else {
      this.#waiting.delete(reply.index);
      waiting.resolve(batch);
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
