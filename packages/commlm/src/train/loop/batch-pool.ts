/**
 * Batches made by worker threads, in order and ahead of the trainer.
 *
 * A batch is a pure function of its index, so a resumed run asks for index k and gets what the first run got there.
 */
import { Worker } from 'node:worker_threads';
import { CommError } from '../../config/errors.js';

/** A batch as it crosses the thread boundary: numbers, strings, plain objects, typed arrays and lists of them. */
export type RawBatch = Record<string, unknown>;

/** What a worker module exports under the name `createBatcher`. */
export type CreateBatcher<Options> = (options: Options) => Promise<(index: number) => RawBatch | Promise<RawBatch>>;

/** An error as it crosses the thread boundary; with a code it was a CommError. */
export interface ReplyError {
  readonly message: string;
  readonly stack?: string | undefined;
  readonly code?: string | undefined;
  readonly fix?: string | undefined;
}

/** What a worker answers; without an index it could not even start. */
export interface Reply {
  readonly index?: number;
  readonly batch?: RawBatch;
  readonly error?: ReplyError;
}

function toError({ message, stack, code, fix }: ReplyError): Error {
  if (code !== undefined) return new CommError(message, { code, fix });
  const error = new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}

const ENTRY = new URL('./batch-worker.js', import.meta.url);

/** Makes batches `start, start + 1, …` ahead of time. */
export class BatchPool<Batch extends RawBatch> {
  /** Milliseconds that `next` has waited for a batch so far. */
  waitedMs = 0;
  readonly #workers: Worker[];
  readonly #ready = new Map<number, Batch | Error>();
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
      // What a thread sent cannot be read, as a buffer that it had handed over before.
      worker.on('messageerror', (error) => this.#fail(error));
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
      if (ready instanceof Error) throw ready;
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
      const worker = this.#workers[this.#asked % this.#workers.length]!;
      worker.postMessage(this.#asked++);
    }
  }

  #receive(reply: Reply): void {
    const { index, error } = reply;
    if (index === undefined) {
      this.#fail(toError(error ?? { message: 'A data thread gave no batch.' }));
      return;
    }
    // A batch that fails ahead of time fails when its turn comes, so that a run always ends at the same step.
    const made = error === undefined ? (reply.batch as Batch) : toError(error);
    const waiting = this.#waiting.get(index);
    if (waiting === undefined) {
      this.#ready.set(index, made);
      return;
    }
    this.#waiting.delete(index);
    if (made instanceof Error) waiting.reject(made);
    else waiting.resolve(made);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
