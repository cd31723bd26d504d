// Files of questions: order, bad lines, resuming after a cut, and outputs that belong to something else.
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { CommError } from '../config/errors.js';
import type { Answer, AskRequest } from './answer.js';
import { type Answerer, answerFile } from './batch.js';

let folder = '';
let input = '';
let output = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'commlm-batch-'));
  input = join(folder, 'in.jsonl');
  output = join(folder, 'out.jsonl');
});

/** Answers with the question in capitals; a question "fail" fails alone. Counts what it was asked. */
function shouter(): Answerer & { asked: string[]; groups: number[] } {
  const asked: string[] = [];
  const groups: number[] = [];
  const answer = ({ question }: AskRequest): Answer | CommError => {
    asked.push(question);
    if (question === 'fail') return new CommError('This one fails.', { code: 'test/fail' });
    return {
      model: 'test',
      answer: question.toUpperCase(),
      boxes: [],
      usage: { promptTokens: 1, completionTokens: 1, imageTokens: 0 },
      timings: { loadMs: 0, visionMs: 0, prefillMs: 0, decodeMs: 0 },
      finishReason: 'stop',
      tokens: [1, 2],
    };
  };
  return {
    asked,
    groups,
    askBatch: async (requests) => {
      groups.push(requests.length);
      return requests.map(answer);
    },
  };
}

const lines = (path: string): Record<string, unknown>[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

const write = (...items: unknown[]): void =>
  writeFileSync(input, items.map((item) => (typeof item === 'string' ? item : JSON.stringify(item))).join('\n'));

const questions = (count: number): { id: number; question: string }[] =>
  Array.from({ length: count }, (_, id) => ({ id, question: `question ${id} line\u2028break` }));

test('answers come in order with their ids, tokens only when asked for', async () => {
  write(...questions(5));
  const summary = await answerFile(shouter(), input, output, { batchSize: 2 });
  assert.deepEqual(summary, { numLines: 5, numResumed: 0, numAnswered: 5, numFailed: 0 });
  assert.deepEqual(
    lines(output).map((line) => line.id),
    [0, 1, 2, 3, 4],
  );
  assert.equal(lines(output)[3]?.answer, 'QUESTION 3 LINE\u2028BREAK');
  assert.equal('tokens' in (lines(output)[0] ?? {}), false);
  await answerFile(shouter(), input, join(folder, 'with-tokens.jsonl'), { tokens: true });
  assert.deepEqual(lines(join(folder, 'with-tokens.jsonl'))[0]?.tokens, [1, 2]);
});

test('bad lines get an error with the line number and the rest goes on', async () => {
  write(
    '{"id": 1,',
    [1],
    { id: 2 },
    { question: 'x' },
    { id: 'a', question: 'q', image: 3 },
    '',
    { id: 3, question: 'fail' },
    { id: 4, question: 'ok' },
  );
  const summary = await answerFile(shouter(), input, output);
  assert.deepEqual(summary, { numLines: 7, numResumed: 0, numAnswered: 1, numFailed: 6 });
  assert.deepEqual(lines(output), [
    { id: null, error: 'Line 1 is not valid JSON.' },
    { id: null, error: 'Line 2 is not a JSON object.' },
    { id: 2, error: 'Line 3 needs a "question" that is a text.' },
    { id: null, error: 'Line 4 needs an "id" that is a text or a number.' },
    { id: 'a', error: 'Line 5 has an "image" that is not a path or a list of paths.' },
    { id: 3, error: 'This one fails.' },
    { ...lines(output)[6], id: 4, answer: 'OK' },
  ]);
});

test('cut at any byte, the file is completed to the same bytes and nothing whole is asked twice', async () => {
  write(...questions(7), 'broken', { id: 9, question: 'last' });
  await answerFile(shouter(), input, output, { batchSize: 3 });
  const whole = readFileSync(output);
  for (let size = 0; size <= whole.length; size += 37) {
    writeFileSync(output, whole);
    truncateSync(output, size);
    const model = shouter();
    const numWhole = whole.subarray(0, size).filter((byte) => byte === 0x0a).length;
    const summary = await answerFile(model, input, output, { batchSize: 3 });
    assert.deepEqual(readFileSync(output), whole, `cut at ${size}`);
    assert.equal(summary.numResumed, numWhole);
    // Only the group that was cut is computed again.
    assert.ok(model.asked.length <= 8 - numWhole + 3, `asked ${model.asked.length} after ${numWhole}`);
  }
});

test('groups start at the same places in a resumed run', async () => {
  write(...questions(10));
  await answerFile(shouter(), input, output, { batchSize: 4 });
  const text = readFileSync(output, 'utf8').split('\n').slice(0, 6).join('\n');
  writeFileSync(output, `${text}\n`);
  const model = shouter();
  await answerFile(model, input, output, { batchSize: 4 });
  assert.deepEqual(model.groups, [4, 2]);
  assert.equal(model.asked[0]?.startsWith('question 4'), true);
});

test('an output of another input is refused and left alone', async () => {
  write({ id: 1, question: 'a' });
  for (const content of [
    '{"id":2,"answer":"x"}\n',
    'notes of mine\n',
    '{"id":1,"answer":"x"}\n{"id":2,"answer":"x"}\n',
  ]) {
    writeFileSync(output, content);
    await assert.rejects(
      answerFile(shouter(), input, output),
      (error) => error instanceof CommError && error.code === 'batch/foreign-output',
    );
    assert.equal(readFileSync(output, 'utf8'), content);
  }
});

test('more questions appended to the input are answered in a later run', async () => {
  write(...questions(2));
  await answerFile(shouter(), input, output);
  appendFileSync(input, '\n{"id":2,"question":"more"}\n');
  const summary = await answerFile(shouter(), input, output);
  assert.deepEqual(summary, { numLines: 3, numResumed: 2, numAnswered: 1, numFailed: 0 });
});

test('an aborted run keeps what it wrote', async () => {
  write(...questions(6));
  const abort = new AbortController();
  const run = answerFile(shouter(), input, output, {
    batchSize: 2,
    signal: abort.signal,
    onProgress: (done) => done === 4 && abort.abort(new Error('enough')),
  });
  await assert.rejects(run, /enough/);
  assert.equal(lines(output).length, 4);
});

test('missing input and unwritable output are clear errors', async () => {
  await assert.rejects(answerFile(shouter(), join(folder, 'none.jsonl'), output), /There is no file/);
  write(...questions(1));
  await assert.rejects(
    answerFile(shouter(), input, join(folder, 'no', 'out.jsonl')),
    /Cannot write .*its folder does not exist/,
  );
});
