/** The seam of a server: a worker that owns the model answers over a port as the session beside us does, faults included. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  type Answer,
  type Answerer,
  answerFile,
  CommError,
  type CommSession,
  loadModel,
  type PlainRequest,
  type RgbImage,
} from 'commlm';
import { writePicture } from '../helpers/pictures.js';
import { PortAnswerer } from '../helpers/port-answerer.js';
import { makeTinyModel } from '../helpers/tiny-model.js';

let folder = '';
let model = '';
let path = '';
let session: CommSession;
let worker: PortAnswerer;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'commlm-answerer-'));
  model = makeTinyModel();
  path = await writePicture(join(folder, 'picture.png'), 40, 30);
  session = await loadModel(model);
  worker = new PortAnswerer(model);
});

after(async () => {
  session.dispose();
  await worker.close();
  rmSync(folder, { recursive: true });
  rmSync(model, { recursive: true });
});

function pixels(seed: number): RgbImage {
  return { width: 40, height: 30, data: Uint8Array.from({ length: 3600 }, (_, i) => (i * (seed + 3)) & 255) };
}

/** A picture as path, bytes and pixels, a history with one, and drawn tokens. */
const requests = (): PlainRequest[] => [
  { images: [path], question: 'What is this?', maxNewTokens: 12 },
  { images: [new Uint8Array(readFileSync(path))], question: 'And this?', maxNewTokens: 9, stop: ['e'] },
  { images: [pixels(1), pixels(2)], question: 'Compare <image> and <image>.', temperature: 0.8, seed: 4 },
  { question: 'No picture?', maxNewTokens: 5, system: 'Be brief.' },
  {
    history: [{ question: 'What is this?', answer: 'A thing.', images: [pixels(3)] }],
    question: 'Where?',
    maxNewTokens: 7,
  },
];

async function stream(answerer: Answerer, request: PlainRequest): Promise<{ text: string; answer: Answer }> {
  const pieces = answerer.askStream(request);
  let text = '';
  let step = await pieces.next();
  for (; !step.done; step = await pieces.next()) text += step.value.text;
  return { text, answer: step.value };
}

/** All of an answer but its times, which no two runs share. */
const said = ({ timings, ...rest }: Answer): unknown => rest;

test('answers over a port are those of the session, pieces included', async () => {
  for (const request of requests()) {
    const [here, there] = [await stream(session, request), await stream(worker, request)];
    assert.deepEqual(said(there.answer), said(here.answer));
    assert.equal(there.text, there.answer.answer);
    assert.deepEqual(structuredClone(here.answer), here.answer);
  }
});

test('a batch over a port keeps its order, and a bad request fails alone with its code', async () => {
  const asked = [...requests(), { images: ['no-such-file.png'], question: 'What?' }];
  const [here, there] = [await session.askBatch(asked), await worker.askBatch(asked)];
  const shown = (one: Answer | CommError): unknown =>
    one instanceof CommError ? [one.message, one.code, one.fix] : said(one);
  assert.deepEqual(there.map(shown), here.map(shown));
  assert.equal((there.at(-1) as CommError).code, 'image/not-found');
});

test('an abort crosses as a message and ends that answer alone', async () => {
  const long: PlainRequest = { images: [pixels(1)], question: 'Talk.', maxNewTokens: 400, temperature: 1 };
  const other = stream(worker, { ...long, maxNewTokens: 30 });
  const abort = new AbortController();
  const pieces = worker.askStream(long, { signal: abort.signal });
  await pieces.next();
  abort.abort();
  await assert.rejects(async () => {
    for (;;) if ((await pieces.next()).done) return;
  }, /aborted from afar/);
  const [, , , fourth] = requests();
  assert.deepEqual(said((await other).answer), said(await session.ask({ ...long, maxNewTokens: 30 })));
  assert.deepEqual(said((await stream(worker, fourth!)).answer), said(await session.ask(fourth!)));
});

test('a file of questions is answered by whoever is behind the seam', async () => {
  const input = join(folder, 'in.jsonl');
  const lines = ['One?', 'Two?', 'Three?'].map((question, id) => JSON.stringify({ id, image: path, question }));
  writeFileSync(input, lines.join('\n'));
  const settings = { maxNewTokens: 6, batchSize: 2, tokens: true };
  await answerFile(session, input, join(folder, 'here.jsonl'), settings);
  await answerFile(worker, input, join(folder, 'there.jsonl'), settings);
  const read = (name: string): unknown[] =>
    readFileSync(join(folder, name), 'utf8')
      .trim()
      .split('\n')
      .map((line) => said(JSON.parse(line) as Answer));
  assert.deepEqual(read('there.jsonl'), read('here.jsonl'));
});
