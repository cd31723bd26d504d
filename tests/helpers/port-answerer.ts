/** An Answerer whose model lives in another thread: requests and answers cross a MessagePort as they are. */
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { type Answer, type AnswerDelta, type Answerer, type AnswerOptions, CommError, type PlainRequest } from 'commlm';

/** An error by its fields. */
export interface PlainError {
  readonly message: string;
  readonly code?: string;
  readonly fix?: string | undefined;
}

export type ToWorker =
  | { readonly id: number; readonly type: 'stream'; readonly request: PlainRequest }
  | { readonly id: number; readonly type: 'batch'; readonly requests: readonly PlainRequest[] }
  | { readonly id: number; readonly type: 'abort' };

export type ToAsker = { readonly id: number } & (
  | { readonly delta: AnswerDelta }
  | { readonly answer: Answer }
  | { readonly results: readonly (Answer | { readonly error: PlainError })[] }
  | { readonly error: PlainError }
);

const toError = ({ message, code, fix }: PlainError): Error =>
  code === undefined ? new Error(message) : new CommError(message, { code, fix });

/** Messages of one call, in order. */
interface Call {
  readonly arrived: ToAsker[];
  wake: () => void;
}

export class PortAnswerer implements Answerer {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #calls = new Map<number, Call>();
  #nextId = 0;

  constructor(model: string) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const path = fileURLToPath(new URL('./answering-worker.js', import.meta.url));
    this.#worker = new Worker(path, { workerData: { port: port2, model }, transferList: [port2] });
    port1.on('message', (message: ToAsker) => {
      const call = this.#calls.get(message.id);
      call?.arrived.push(message);
      call?.wake();
    });
  }

  async *askStream(request: PlainRequest, options: AnswerOptions = {}): AsyncGenerator<AnswerDelta, Answer, void> {
    for await (const message of this.#call((id) => ({ id, type: 'stream', request }), options)) {
      if ('delta' in message) yield message.delta;
      if ('answer' in message) return message.answer;
    }
    throw new Error('the port closed');
  }

  async askBatch(requests: readonly PlainRequest[], options: AnswerOptions = {}): Promise<(Answer | CommError)[]> {
    for await (const message of this.#call((id) => ({ id, type: 'batch', requests }), options)) {
      if (!('results' in message)) continue;
      return message.results.map((one) => ('error' in one ? (toError(one.error) as CommError) : one));
    }
    throw new Error('the port closed');
  }

  async close(): Promise<void> {
    this.#port.postMessage('close');
    await new Promise((resolve) => this.#worker.once('exit', resolve));
  }

  async *#call(toMessage: (id: number) => ToWorker, { signal }: AnswerOptions): AsyncGenerator<ToAsker, void, void> {
    const id = this.#nextId++;
    const call: Call = { arrived: [], wake: () => {} };
    this.#calls.set(id, call);
    const abort = (): void => this.#port.postMessage({ id, type: 'abort' } satisfies ToWorker);
    signal?.addEventListener('abort', abort);
    this.#port.postMessage(toMessage(id));
    let isOver = false;
    try {
      while (!isOver) {
        if (call.arrived.length === 0) {
          await new Promise<void>((resolve) => {
            call.wake = resolve;
          });
        }
        const message = call.arrived.shift()!;
        isOver = !('delta' in message);
        if ('error' in message) throw toError(message.error);
        yield message;
      }
    } finally {
      if (!isOver) abort();
      signal?.removeEventListener('abort', abort);
      this.#calls.delete(id);
    }
  }
}
