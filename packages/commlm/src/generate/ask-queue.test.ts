/** The queue on a made-up runtime: who is answered with whom, and what faults and aborts do to the others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Answer, DecodingSettings } from './answer.js';
import { AskQueue, MAX_TOGETHER } from './ask-queue.js';
import type { AnswerEvent, ModelRuntime, OpenAnswer, Question } from './runtime.js';

/** Gives each question back letter by letter, all rows of a batch side by side; some words are faults. */
class Echo implements Pick<ModelRuntime, 'open' | 'answer'> {
  /** Questions of each batch. */
  readonly groups: string[][] = [];

  open(question: Question): OpenAnswer {
    if (textOf(question) === 'cannot open') throw new Error('cannot open');
    return question as unknown as OpenAnswer;
  }

  async *answer(open: readonly OpenAnswer[]): AsyncGenerator<AnswerEvent, void, void> {
    const questions = open as unknown as readonly Question[];
    const texts = questions.map(textOf);
    this.groups.push(texts);
    if (texts.length > 1 && texts.includes('too much together')) throw new Error('no memory');
    const active = new Set(texts.keys());
    for (let step = 0; active.size > 0; step++) {
      await turn();
      if (step === 2 && texts.includes('breaks')) throw new Error('broken');
      for (const index of active) {
        const { signal } = questions[index]!;
        const letter = texts[index]![step];
        if (!signal?.aborted && letter !== undefined && texts[index] !== 'fails') {
          yield { index, delta: { text: letter } };
          continue;
        }
        active.delete(index);
        if (signal?.aborted) yield { index, error: signal.reason };
        else if (texts[index] === 'fails') yield { index, error: new Error('fails') };
        else yield { index, answer: { answer: texts[index] } as Answer };
      }
    }
  }
}

const textOf = ({ turns }: Question): string => turns.at(-1)!.question;

const toQuestion = (question: string, settings: DecodingSettings = {}): Question => ({
  turns: [{ question, images: [] }],
  system: undefined,
  settings,
  decodeMs: 0,
});

/** The pieces of an answer, or the message of what it ended with. */
async function ask(queue: AskQueue, text: string, settings?: DecodingSettings, signal?: AbortSignal): Promise<string> {
  const pieces: string[] = [];
  try {
    const stream = queue.ask(toQuestion(text, settings), signal);
    let step = await stream.next();
    for (; !step.done; step = await stream.next()) pieces.push(step.value.text);
    assert.equal(pieces.join(''), step.value.answer);
    return pieces.join('');
  } catch (error) {
    return `error: ${(error as Error).message}`;
  }
}

test('what is asked at the same time is one batch, what comes meanwhile the next one', async () => {
  const runtime = new Echo();
  const queue = new AskQueue(runtime);
  const first = ['a long first one', 'two'].map((text) => ask(queue, text));
  await turn();
  await turn();
  const later = ['three', 'four', 'five'].map((text) => ask(queue, text));
  assert.deepEqual(await Promise.all([...first, ...later]), ['a long first one', 'two', 'three', 'four', 'five']);
  assert.deepEqual(runtime.groups, [
    ['a long first one', 'two'],
    ['three', 'four', 'five'],
  ]);
  assert.equal(await ask(queue, 'after a rest'), 'after a rest');
});

test('only equal temperature and topP share a batch, the first that waits is never passed over', async () => {
  const runtime = new Echo();
  const queue = new AskQueue(runtime);
  const asked: [string, DecodingSettings][] = [
    ['a', {}],
    ['b', { temperature: 1, seed: 1 }],
    ['c', { temperature: 0, topP: 1, maxNewTokens: 3 }],
    ['d', { temperature: 1, topP: 0.5 }],
    ['e', { temperature: 1, seed: 2, stop: ['x'] }],
  ];
  await Promise.all(asked.map(([text, settings]) => ask(queue, text, settings)));
  assert.deepEqual(runtime.groups, [['a', 'c'], ['b', 'e'], ['d']]);
});

test('a batch has its bound', async () => {
  const runtime = new Echo();
  const queue = new AskQueue(runtime);
  await Promise.all(Array.from({ length: 2 * MAX_TOGETHER + 1 }, (_, i) => ask(queue, String(i))));
  assert.deepEqual(
    runtime.groups.map((group) => group.length),
    [MAX_TOGETHER, MAX_TOGETHER, 1],
  );
});

test('a question that fails, before or while it is answered, leaves the others alone', async () => {
  const queue = new AskQueue(new Echo());
  const answers = await Promise.all(['one', 'cannot open', 'two', 'fails', 'three'].map((text) => ask(queue, text)));
  assert.deepEqual(answers, ['one', 'error: cannot open', 'two', 'error: fails', 'three']);
  assert.equal(await ask(queue, 'cannot open'), 'error: cannot open');
  assert.equal(await ask(queue, 'four'), 'four');
});

test('what is too much together is answered one by one, in order', async () => {
  const runtime = new Echo();
  const queue = new AskQueue(runtime);
  const texts = ['one', 'too much together', 'two'];
  assert.deepEqual(await Promise.all(texts.map((text) => ask(queue, text))), texts);
  assert.deepEqual(runtime.groups, [texts, ['one'], ['too much together'], ['two']]);
});

test('a batch that breaks after it has shown something ends what it has shown, and the queue goes on', async () => {
  const queue = new AskQueue(new Echo());
  const answers = ['breaks', 'neighbour'].map((text) => ask(queue, text));
  await turn();
  await turn();
  answers.push(ask(queue, 'next'));
  assert.deepEqual(await Promise.all(answers), ['error: broken', 'error: broken', 'next']);
});

test('aborting ends a question alone, whether it waits or is being answered', async () => {
  const runtime = new Echo();
  const queue = new AskQueue(runtime);
  const [running, waiting, early] = [new AbortController(), new AbortController(), new AbortController()];
  early.abort(new Error('early'));
  const answers = [
    ask(queue, 'a long first one'),
    ask(queue, 'another long one', {}, running.signal),
    ask(queue, 'at no time', {}, early.signal),
  ];
  await turn();
  await turn();
  answers.push(ask(queue, 'waits', {}, waiting.signal), ask(queue, 'waits too'));
  await turn();
  waiting.abort(new Error('no more'));
  running.abort(new Error('enough'));
  // It does not wait for the batch that runs.
  assert.equal(await answers[3], 'error: no more');
  assert.deepEqual(runtime.groups.length, 1);
  assert.deepEqual(await Promise.all(answers), [
    'a long first one',
    'error: enough',
    'error: early',
    'error: no more',
    'waits too',
  ]);
  assert.deepEqual(runtime.groups[1], ['waits too']);
});

test('leaving the iteration ends a question, and a slow reader holds nobody up', async () => {
  const runtime = new Echo();
  const queue = new AskQueue(runtime);
  const slow = queue.ask(toQuestion('slow reader'));
  await slow.next();
  for await (const _ of queue.ask(toQuestion('a very long one that is left'))) break;
  assert.equal(await ask(queue, 'meanwhile'), 'meanwhile');
  let rest = '';
  for await (const { text } of slow) rest += text;
  assert.equal(rest, 'low reader');
});
