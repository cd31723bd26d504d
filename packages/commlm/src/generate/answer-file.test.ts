/** Files of questions: order, bad lines, resuming after a cut, and outputs that belong to something else. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  linkSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { CommError } from '../config/errors.js';
import type { Answer, AskRequest, BatchAnswerer } from './answer.js';
import { answerFile } from './answer-file.js';
import { recordPath } from './answer-file-record.js';

let folder = '';
let input = '';
let output = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'commlm-batch-'));
  input = join(folder, 'in.jsonl');
  output = join(folder, 'out.jsonl');
});

/** Answers with the question in capitals; a question "fail" fails alone. Counts what it was asked. */
function shouter(): BatchAnswerer & { asked: string[]; groups: number[] } {
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

test('a run that goes on counts the failed lines of the one before', async () => {
  write({ id: 0, question: 'a' }, { id: 1, question: 'fail' }, '{"id": 2');
  await answerFile(shouter(), input, output);
  appendFileSync(input, '\n{"id":3,"question":"fail"}\n{"id":4,"question":"more"}\n');
  const summary = await answerFile(shouter(), input, output);
  assert.deepEqual(summary, { numLines: 5, numResumed: 3, numAnswered: 1, numFailed: 3 });
});

test('what failed is asked again on its own, mended, removed or added to, and nothing else', async () => {
  const good = (id: number) => ({ id, question: `question ${id}` });
  const start = async (): Promise<void> => {
    write(good(0), { id: 1, question: 'fail' }, good(2), '{"id": 3', good(4));
    rmSync(output, { force: true });
    assert.equal((await answerFile(shouter(), input, output)).numFailed, 2);
  };
  const redone = [
    ['mended', [good(0), { id: 1, question: 'question 1' }, good(2), good(3), good(4)], ['question 1', 'question 3']],
    ['removed', [good(0), good(2), good(4)], []],
    ['one of each, and one added', [good(0), good(1), good(2), good(4), good(5)], ['question 1', 'question 5']],
    ['nothing changed', [good(0), { id: 1, question: 'fail' }, good(2), '{"id": 3', good(4)], ['fail']],
  ] as const;
  for (const [name, items, asked] of redone) {
    await start();
    write(...items);
    const model = shouter();
    const summary = await answerFile(model, input, output, { redoFailed: true });
    assert.deepEqual(model.asked, asked, name);
    assert.equal(summary.numResumed, 3, name);
    const again = readFileSync(output);
    const record = readFileSync(recordPath(output), 'utf8');
    // The same as a run over the present input leaves.
    rmSync(output);
    await answerFile(shouter(), input, output);
    assert.deepEqual(
      [again.toString(), record],
      [readFileSync(output, 'utf8'), readFileSync(recordPath(output), 'utf8')],
    );
  }
});

test('a changed input says which line differs and what to do, and an answered line is never lost', async () => {
  write({ id: 0, question: 'a' }, { id: 1, question: 'fail' }, { id: 2, question: 'c' });
  await answerFile(shouter(), input, output);
  const before = readFileSync(output);
  for (const [items, message] of [
    [
      [
        { id: 0, question: 'a' },
        { id: 2, question: 'c' },
      ],
      /line 2 is no answer to the id 2, which line 2 of the input has/,
    ],
    [
      [
        { id: 0, question: 'a' },
        { id: 1, question: 'b' },
        { id: 2, question: 'c' },
      ],
      /line 2 of the input is another one/,
    ],
    [[{ id: 0, question: 'a' }], /the input has 1 lines, and this file more/],
  ] as const) {
    write(...items);
    await assert.rejects(answerFile(shouter(), input, output), (error) => {
      assert.ok(error instanceof CommError);
      assert.match(error.message, message);
      assert.match(error.fix ?? '', /--redo-failed/);
      return true;
    });
  }
  const redo = answerFile(shouter(), input, output, { redoFailed: true });
  await assert.rejects(redo, /its line 3 answers a question that the input has no longer/);
  assert.deepEqual(readFileSync(output), before);
});

test('a redo that is stopped keeps what it asked, and the same command goes on', async () => {
  write(...Array.from({ length: 6 }, (_, id) => ({ id, question: 'fail' })));
  await answerFile(shouter(), input, output);
  write(...questions(6));
  const abort = new AbortController();
  const run = answerFile(shouter(), input, output, {
    redoFailed: true,
    batchSize: 2,
    signal: abort.signal,
    onProgress: (done) => done === 4 && abort.abort(new Error('enough')),
  });
  await assert.rejects(run, /enough/);
  const model = shouter();
  const summary = await answerFile(model, input, output, { redoFailed: true });
  assert.deepEqual([summary.numResumed, model.asked.length], [4, 2]);
  assert.ok(lines(output).every((line) => 'answer' in line));
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

/** Source texts of the ids of a file of JSON lines that begin with them. */
const idsOf = (path: string): (string | undefined)[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => /^\{"id":(.*?),"(?:answer|error|model)"/s.exec(line)?.[1]);

test('ids come back as they were written, byte for byte', async () => {
  const ids = [
    ...[
      '9007199254740993',
      '9007199254740992',
      '1e400',
      '-0',
      '1.0',
      '1',
      '1E2',
      '"a"',
      '"\\u0041\\/\\ud800"',
      '"ä "',
      '""',
    ],
    ...['0.1000000000000000055511151231257827', '"a,\\"b\\":{"', '1'],
  ];
  write(...ids.map((id) => ` {"question" : "{\\"id\\": 5}" , "id" : ${id}  }\r`));
  const summary = await answerFile(shouter(), input, output);
  assert.equal(summary.numFailed, 0);
  assert.deepEqual(idsOf(output), ids);
  // And they are known again.
  assert.equal((await answerFile(shouter(), input, output)).numResumed, ids.length);
});

test('images is read as image is, and keys that are not read are errors of their lines', async () => {
  const seen: AskRequest[] = [];
  const model = shouter();
  const spy: BatchAnswerer = {
    askBatch: (requests) => {
      seen.push(...requests);
      return model.askBatch(requests);
    },
  };
  write(
    { id: 1, images: ['a.png', 'b.png'], question: 'one' },
    { id: 2, image: ['a.png'], question: 'two', system: 'Be brief.' },
    { id: 3, image: 'a.png', images: ['b.png'], question: 'both' },
    { id: 4, images: 'a.png', question: 'no list' },
    { id: 5, video: 'a.mp4', question: 'a key' },
    { id: 6, imges: ['a.png'], question: 'a slip' },
    '{"id": 7, "question": "one", "question": "two"}',
    { id: 8, question: 'x', system: 3 },
    { id: 9, image: 'a.png', question: 'x', max_new_tokens: 1 },
    { id: [10], question: 'x' },
  );
  await answerFile(spy, input, output, { system: 'Be kind.' });
  assert.deepEqual(
    seen.map(({ images, system }) => ({ images, system })),
    [
      { images: [join(folder, 'a.png'), join(folder, 'b.png')], system: 'Be kind.' },
      { images: [join(folder, 'a.png')], system: 'Be brief.' },
    ],
  );
  assert.deepEqual(lines(output).slice(2), [
    { id: 3, error: 'Line 3 has both "image" and "images".' },
    { id: 4, error: 'Line 4 has "images" that are not a list.' },
    {
      id: 5,
      error: 'Line 5 has a key "video" that is not known (known are id, image, images, question, system).',
    },
    { id: 6, error: 'Line 6 has a key "imges" that is not known (did you mean "images"?).' },
    { id: 7, error: 'Line 7 names "question" twice.' },
    { id: 8, error: 'Line 8 has a "system" that is not a text.' },
    {
      id: 9,
      error: 'Line 9 has a key "max_new_tokens" that is not known (known are id, image, images, question, system).',
    },
    { id: [10], error: 'Line 10 needs an "id" that is a text or a number.' },
  ]);
});

test('a begun output is not gone on with when anything that its answers depend on has changed', async () => {
  const picture = join(folder, 'a.png');
  const model = (files: string): BatchAnswerer => ({ ...shouter(), identity: () => ({ model: 'm', files }) });
  const start = (): void => {
    writeFileSync(picture, 'one picture');
    write(...Array.from({ length: 6 }, (_, id) => ({ id, image: 'a.png', question: `question ${id}` })));
  };
  start();
  await answerFile(model('x'), input, output, { batchSize: 2, temperature: 0.5 });
  const whole = readFileSync(output);
  const half = whole.subarray(0, whole.indexOf('{"id":3'));
  const changes: [words: RegExp, change: () => void, files?: string, options?: object][] = [
    [
      /line 2 of the input is another one/,
      () =>
        write(
          { id: 0, image: 'a.png', question: 'question 0' },
          ...lines(input)
            .slice(1)
            .map((line) => ({ ...line, question: 'new' })),
        ),
    ],
    [/line 1 of the input/, () => write(...lines(input).map(({ image: _, ...line }) => line))],
    [/picture .*a\.png \(line 1\) has changed/, () => writeFileSync(picture, 'ane picture')],
    [/picture .*a\.png/, () => rmSync(picture)],
    [/files have changed/, () => undefined, 'y'],
    [/temperature was 0.5 and is 0 now/, () => undefined, 'x', {}],
    [/maxNewTokens was null and is 5 now/, () => undefined, 'x', { temperature: 0.5, maxNewTokens: 5 }],
    [/seed was 0 and is 1 now/, () => undefined, 'x', { temperature: 0.5, seed: 1 }],
    [/system was null/, () => undefined, 'x', { temperature: 0.5, system: 'Be brief.' }],
    [/tokens was false/, () => undefined, 'x', { temperature: 0.5, tokens: true }],
    [/rawOrientation was false/, () => undefined, 'x', { temperature: 0.5, rawOrientation: true }],
    [/run.jsonl, which says what it answers, is not beside it/, () => rmSync(recordPath(output))],
  ];
  for (const content of [half, whole]) {
    for (const [message, change, files = 'x', options = { temperature: 0.5 }] of changes) {
      start();
      const record = readFileSync(recordPath(output));
      writeFileSync(output, content);
      change();
      const run = answerFile(model(files), input, output, { batchSize: 2, ...options });
      await assert.rejects(run, { name: 'CommError', code: 'batch/foreign-output', message });
      assert.deepEqual(readFileSync(output), content);
      writeFileSync(recordPath(output), record);
    }
  }
  // The same bytes at another time are the same picture, and lines behind those that were answered may change.
  start();
  utimesSync(picture, 1, 1);
  writeFileSync(output, half);
  const summary = await answerFile(model('x'), input, output, { batchSize: 2, temperature: 0.5 });
  assert.deepEqual([summary.numResumed, readFileSync(output)], [3, whole]);
  // Taking the output away is what the advice says.
  rmSync(output);
  assert.equal((await answerFile(model('y'), input, output)).numResumed, 0);
});

test('a file that is none of its own is never cut or overwritten, whatever it ends with', async () => {
  write({ id: 1, question: 'a' });
  for (const content of ['hello', '{"id":1,"answer":"x', '{"id":1,"answer":"x"}', '{"id":1,"answer":"x\n']) {
    writeFileSync(output, content);
    await assert.rejects(answerFile(shouter(), input, output), { code: 'batch/foreign-output' });
    assert.equal(readFileSync(output, 'utf8'), content);
  }
  rmSync(output);
  writeFileSync(recordPath(output), 'notes of mine');
  await assert.rejects(answerFile(shouter(), input, output), { code: 'batch/foreign-output' });
  assert.equal(readFileSync(recordPath(output), 'utf8'), 'notes of mine');
});

test('an output that is the input, by any name, and what is no file are refused', async () => {
  write({ id: 1, question: 'a' });
  const linked = join(folder, 'linked.jsonl');
  symlinkSync(input, linked);
  const hard = join(folder, 'hard.jsonl');
  linkSync(input, hard);
  for (const same of [input, linked, hard, join(folder, '.', 'in.jsonl')]) {
    await assert.rejects(answerFile(shouter(), input, same), { code: 'file/is-input', fix: 'Name another file.' });
  }
  if (process.platform === 'win32') return;
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const endless of [pipe, '/dev/zero']) {
    await assert.rejects(answerFile(shouter(), endless, output), { code: 'file/not-regular' });
  }
  await assert.rejects(answerFile(shouter(), input, pipe), /named pipe, not a file/);
  assert.equal((await answerFile(shouter(), input, '/dev/null')).numAnswered, 1);
});

test('a long line, one that is too long and one that is not UTF-8 are lines as others are', async () => {
  const question = 'x'.repeat(4 * 2 ** 20);
  writeFileSync(
    input,
    Buffer.concat([
      Buffer.from(`{"id":1,"question":"${question}"}\n{"id":2,"question":"`),
      Buffer.alloc(2 ** 26, 'y'),
      Buffer.from('"}\n'),
      Buffer.from([0x7b, 0x22, 0xff, 0x0a]),
      Buffer.from('{"id":4,"question":"z"}'),
    ]),
  );
  await answerFile(shouter(), input, output);
  assert.deepEqual(idsOf(output), ['1', 'null', 'null', '4']);
  assert.deepEqual(
    lines(output).map(({ error, answer }) => error ?? (answer as string).length),
    [question.length, 'Line 2 has more than 67108864 bytes.', 'Line 3 is not UTF-8 text.', 1],
  );
  writeFileSync(input, Buffer.from('\ufeff{"id":1,"question":"a"}', 'utf16le'));
  await assert.rejects(answerFile(shouter(), input, join(folder, 'b.jsonl')), { code: 'batch/encoding' });
});

test('missing input and unwritable output are clear errors', async () => {
  await assert.rejects(answerFile(shouter(), join(folder, 'none.jsonl'), output), /There is no file/);
  write(...questions(1));
  await assert.rejects(
    answerFile(shouter(), input, join(folder, 'no', 'out.jsonl')),
    /Cannot write .*its folder does not exist/,
  );
});

test('an output that is removed or replaced meanwhile is an error', async () => {
  write(...questions(3));
  for (const replace of [false, true]) {
    const model = shouter();
    const { askBatch } = model;
    model.askBatch = async (requests, options) => {
      rmSync(output, { force: true });
      if (replace) writeFileSync(output, 'theirs');
      return askBatch(requests, options);
    };
    await assert.rejects(answerFile(model, input, output), { code: 'file/output', message: /removed or replaced/ });
    if (replace) assert.equal(readFileSync(output, 'utf8'), 'theirs');
    rmSync(output, { force: true });
  }
});

test('an output with a second name is refused by both', { skip: process.platform === 'win32' }, async () => {
  write(...questions(1));
  writeFileSync(output, '');
  const other = join(folder, 'other.jsonl');
  linkSync(output, other);
  for (const path of [output, other]) {
    await assert.rejects(answerFile(shouter(), input, path), {
      code: 'file/output',
      exitCode: 2,
      message: /hard links/,
    });
  }
  rmSync(other);
  await answerFile(shouter(), input, output);
  assert.equal(lines(output).length, 1);
});
