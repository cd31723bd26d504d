/** A thread that owns a model and answers through a port: the worker's half of an Answerer (port-answerer.ts). */
import { type MessagePort, workerData } from 'node:worker_threads';
import { CommError, loadModel } from 'commlm';
import type { PlainError, ToAsker, ToWorker } from './port-answerer.js';

const { port, model } = workerData as { port: MessagePort; model: string };
const session = await loadModel(model);
const running = new Map<number, AbortController>();
const send = (message: ToAsker): void => port.postMessage(message);

const plain = (error: unknown): PlainError =>
  error instanceof CommError
    ? { message: error.message, code: error.code, fix: error.fix }
    : { message: (error as Error).message };

async function answer(message: Exclude<ToWorker, { type: 'abort' }>): Promise<void> {
  const { id } = message;
  const stop = new AbortController();
  running.set(id, stop);
  try {
    if (message.type === 'batch') {
      const results = await session.askBatch(message.requests, { signal: stop.signal });
      send({ id, results: results.map((one) => (one instanceof CommError ? { error: plain(one) } : one)) });
    } else {
      const stream = session.askStream(message.request, { signal: stop.signal });
      let step = await stream.next();
      for (; !step.done; step = await stream.next()) send({ id, delta: step.value });
      send({ id, answer: step.value });
    }
  } catch (error) {
    send({ id, error: plain(error) });
  } finally {
    running.delete(id);
  }
}

port.on('message', (message: ToWorker | 'close') => {
  if (message === 'close') {
    session.dispose();
    port.close();
  } else if (message.type === 'abort') running.get(message.id)?.abort(new Error('aborted from afar'));
  else void answer(message);
});
