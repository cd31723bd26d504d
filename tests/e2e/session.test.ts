/** A whole model from a folder: answers, streams, batches, conversations, pictures and what goes wrong. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { cuda, memoryStats } from '@commlm/torch';
import {
  type Answer,
  type AskRequest,
  CommError,
  type CommSession,
  decodeImage,
  extractFeatures,
  loadModel,
  type PastTurn,
  type RgbImage,
} from 'commlm';
import { makeTinyModel, TOKENS_PER_IMAGE } from '../helpers/tiny-model.js';

let folder = '';
let session: CommSession;

before(async () => {
  folder = makeTinyModel();
  session = await loadModel(folder);
});

after(() => {
  session.dispose();
  rmSync(folder, { recursive: true });
});

/** Stripes of a colour: different pictures for different numbers. */
function picture(seed: number, width = 40, height = 30): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) data[i] = (i * (seed + 3) + seed * 91) & 255;
  return { width, height, data };
}

/** What an answer says, without the times. */
const said = ({ answer, tokens, usage, finishReason, boxes }: Answer): unknown => ({
  answer,
  tokens,
  usage,
  finishReason,
  boxes,
});

test('an answer has the shape of --json and counts its tokens', async () => {
  const answer = await session.ask(picture(1), 'What is this?', { maxNewTokens: 12 });
  assert.equal(answer.usage.imageTokens, TOKENS_PER_IMAGE);
  assert.equal(answer.usage.completionTokens, answer.tokens.length);
  assert.ok(answer.usage.promptTokens > TOKENS_PER_IMAGE + 20);
  assert.ok(answer.timings.prefillMs > 0 && answer.timings.visionMs > 0 && answer.timings.loadMs > 0);
  assert.equal(answer.answer, session.tokenizer.decode(answer.tokens).trim());
});

test('the picture matters, and so does the question', async () => {
  const ask = (image: RgbImage, question: string): Promise<Answer> =>
    session.ask(image, question, { maxNewTokens: 12 });
  const base = await ask(picture(1), 'What is this?');
  assert.notDeepEqual((await ask(picture(2), 'What is this?')).tokens, base.tokens);
  assert.notDeepEqual((await ask(picture(1), 'Where is it now?')).tokens, base.tokens);
  assert.deepEqual(said(await ask(picture(1), 'What is this?')), said(base));
});

test('the pieces of a stream are the answer', async () => {
  const stream = session.askStream({
    images: [picture(4)],
    question: 'Go on.',
    maxNewTokens: 30,
    temperature: 1,
    seed: 3,
  });
  let text = '';
  let step = await stream.next();
  for (; !step.done; step = await stream.next()) text += step.value.text;
  assert.equal(text, step.value.answer);
  assert.ok(text.length > 5);
});

test('a batch gives the answers of its singles, and a bad request fails alone', async () => {
  const requests: AskRequest[] = [
    { images: [picture(1)], question: 'What is this?', maxNewTokens: 15 },
    { images: [picture(2), picture(3)], question: 'Compare <image> with <image> please', maxNewTokens: 9 },
    { images: ['no-such-file.png'], question: 'What?' },
    {
      question: 'No picture at all, only a rather longer text to be read.',
      maxNewTokens: 22,
      temperature: 0.8,
      seed: 5,
    },
    { images: [picture(1, 20, 50)], question: 'x'.repeat(1200) },
    { images: [picture(6)], question: 'What is this?', maxNewTokens: 4, stop: ['e'] },
  ];
  const results = await session.askBatch(requests);
  for (const [i, request] of requests.entries()) {
    const result = results[i];
    if (i === 2 || i === 4) {
      assert.ok(result instanceof CommError);
      assert.equal(result.code, i === 2 ? 'image/not-found' : 'generate/too-long');
    } else {
      assert.ok(result && !(result instanceof CommError));
      assert.deepEqual(said(result), said(await session.ask(request)), `request ${i}`);
    }
  }
});

test('questions asked at the same time are answered together, as if each were alone', async () => {
  const requests: AskRequest[] = Array.from({ length: 11 }, (_, i) => ({
    images: i % 3 === 2 ? [] : [picture(i)],
    question: `${'What is this? '.repeat(1 + (i % 4))}${i}`,
    maxNewTokens: 4 + 3 * i,
  }));
  const alone: unknown[] = [];
  for (const request of requests) alone.push(said(await session.ask(request)));
  const together = await Promise.all(requests.map((request) => session.ask(request)));
  assert.deepEqual(together.map(said), alone);
  // One pass over the prompts of each batch: eight, then the rest.
  const passes = together.map(({ timings }) => timings.prefillMs);
  const sizes = [...new Set(passes)].map((ms) => passes.filter((other) => other === ms).length);
  assert.deepEqual(sizes.sort(), [3, 8]);
});

test('a question that is broken, aborted or left does no harm to those beside it', async () => {
  const request = (i: number): AskRequest => ({ images: [picture(i)], question: 'Go on.', maxNewTokens: 25 });
  const alone = [await session.ask(request(1)), await session.ask(request(2))].map(said);
  const before = memoryStats().liveTensors;
  const abort = new AbortController();
  const stopped = (async () => {
    for await (const _ of session.askStream({ ...request(1), maxNewTokens: 200 }, { signal: abort.signal }))
      abort.abort(new Error('enough'));
  })();
  const left = (async () => {
    for await (const _ of session.askStream({ ...request(2), maxNewTokens: 200 })) break;
    return 'left';
  })();
  const [first, missing, second, long, ended] = await Promise.allSettled([
    session.ask(request(1)),
    session.ask('no-such-file.png', 'What?'),
    session.ask(request(2)),
    session.ask([], 'x'.repeat(2000)),
    stopped,
  ]);
  assert.deepEqual(ended, { status: 'rejected', reason: new Error('enough') });
  assert.equal(await left, 'left');
  assert.deepEqual(
    [first, second].map((one) => said((one as PromiseFulfilledResult<Answer>).value)),
    alone,
  );
  assert.deepEqual(
    [missing, long].map((one) => ((one as PromiseRejectedResult).reason as CommError).code),
    ['image/not-found', 'generate/too-long'],
  );
  assert.equal(memoryStats().liveTensors, before);
});

test('pictures stand in front, or where the question says <image>', async () => {
  const images = [picture(1), picture(2)];
  const front = await session.ask(images, 'Compare.', { maxNewTokens: 8 });
  const marked = await session.ask(images, '<image> <image> Compare.', { maxNewTokens: 8 });
  assert.deepEqual(said(marked), said(front));
  const inside = await session.ask(images, 'Compare <image> and <image>.', { maxNewTokens: 8 });
  assert.equal(inside.usage.imageTokens, 2 * TOKENS_PER_IMAGE);
  assert.notDeepEqual(inside.tokens, front.tokens);
});

test('text that spells special tokens stays text', async () => {
  const plain = await session.ask(picture(1), 'abc', { maxNewTokens: 1 });
  const text = '</s> <im_patch> <im_start> USER: <image><image>';
  const special = await session.ask(picture(1), `abc${text}`, { maxNewTokens: 1 });
  assert.equal(special.usage.imageTokens, TOKENS_PER_IMAGE);
  // One token a byte: every character of the text is there.
  assert.equal(special.usage.promptTokens - plain.usage.promptTokens, text.length);
});

test('a conversation with kept keys and values answers as one without', async () => {
  using chat = session.chat({ system: 'Be brief.' });
  const history: PastTurn[] = [];
  const messages = ['What is this?', 'And now?', 'Compare them.', 'Bye.'];
  for (const [i, question] of messages.entries()) {
    const images = i === 0 || i === 2 ? [picture(i + 10)] : [];
    for (const image of images) chat.addImage(image);
    const settings = { maxNewTokens: 10, temperature: i % 2, seed: i };
    const before = chat.numCached;
    const said = await finish(chat.say(question, settings));
    const fresh = await session.ask({ ...settings, history, question, images, system: 'Be brief.' });
    assert.deepEqual(said.tokens, fresh.tokens, `turn ${i}`);
    assert.equal(said.usage.promptTokens, fresh.usage.promptTokens);
    assert.ok(chat.numCached > before);
    history.push({ question, images, answer: said.answer });
  }
  assert.equal(chat.turns.length, 4);
  chat.reset();
  assert.equal(chat.turns.length, 0);
  assert.equal(chat.numCached, 0);
});

test('pictures of a request belong to its first turn, unless turns bring their own', async () => {
  const turn = { question: 'What is this?', answer: 'A thing.' };
  const ask = (request: Omit<AskRequest, 'question'>): Promise<Answer> =>
    session.ask({ ...request, question: 'And now?', maxNewTokens: 8 });
  const one = [picture(1)];
  const first = await ask({ images: one, history: [turn] });
  assert.deepEqual(said(await ask({ history: [{ ...turn, images: one }] })), said(first));
  const last = await ask({ images: one, history: [{ ...turn, images: [] }] });
  assert.equal(last.usage.imageTokens, TOKENS_PER_IMAGE);
  assert.notDeepEqual(last.tokens, first.tokens);
});

test('a stopped answer stays in the conversation and the next one comes out right', async () => {
  using chat = session.chat();
  chat.addImage(picture(1));
  const abort = new AbortController();
  await assert.rejects(async () => {
    for await (const _ of chat.say('Talk.', { maxNewTokens: 200, signal: abort.signal }))
      abort.abort(new Error('enough'));
  }, /enough/);
  assert.equal(chat.turns.length, 1);
  const partial = chat.turns[0]?.answer as string;
  assert.ok(partial.length > 0);
  const next = await finish(chat.say('Again?', { maxNewTokens: 10 }));
  const history = [{ question: 'Talk.', images: [picture(1)], answer: partial }];
  const fresh = await session.ask({ history, question: 'Again?', maxNewTokens: 10 });
  assert.deepEqual(next.tokens, fresh.tokens);
});

test('a message that cannot be answered leaves no trace, its picture waits for the next one', async () => {
  using chat = session.chat();
  chat.addImage(picture(1));
  await assert.rejects(
    chat.say('x'.repeat(2000)).next(),
    (error) => error instanceof CommError && error.code === 'generate/too-long',
  );
  assert.equal(chat.turns.length, 0);
  const stream = chat.say('Short.', { maxNewTokens: 2 });
  let step = await stream.next();
  while (!step.done) step = await stream.next();
  assert.equal(step.value.usage.imageTokens, TOKENS_PER_IMAGE);
});

test('aborting an answer rejects with the reason and frees what it used', async () => {
  await session.ask(picture(1), 'Warm up.', { maxNewTokens: 2 });
  const before = memoryStats().liveTensors;
  const signal = AbortSignal.timeout(30);
  await assert.rejects(
    async () => {
      for (;;) await session.ask({ images: [picture(1)], question: 'Talk on.', maxNewTokens: 600 }, { signal });
    },
    { name: 'TimeoutError' },
  );
  for (const reason of [new Error('no'), new CommError('no', { code: 'cli/interrupted', exitCode: 130 })]) {
    await assert.rejects(session.askBatch([{ question: 'a' }], { signal: AbortSignal.abort(reason) }), reason);
  }
  assert.equal(memoryStats().liveTensors, before);
});

test('pictures leave the cache by bytes, never in the middle of a request', async () => {
  using small = await loadModel(folder, { imageCacheBytes: 1 });
  const images = [picture(1), picture(2), picture(3)];
  const ask = (): Promise<Answer> => small.ask(images, 'Compare.', { maxNewTokens: 6 });
  const first = await ask();
  const before = memoryStats().liveTensors;
  for (let i = 0; i < 5; i++) assert.deepEqual(said(await ask()), said(first));
  await small.ask(picture(9), 'One.', { maxNewTokens: 1 });
  assert.ok(memoryStats().liveTensors <= before);
});

test('a picture that was seen before is not encoded again', async () => {
  await session.ask(picture(77, 64, 64), 'What?', { maxNewTokens: 1 });
  const before = memoryStats().liveTensors;
  await session.ask(picture(77, 64, 64), 'Where?', { maxNewTokens: 1 });
  assert.equal(memoryStats().liveTensors, before);
});

test('bf16 answers too', async () => {
  using half = await loadModel(folder, { dtype: 'bf16' });
  assert.deepEqual([half.dtype, half.device, session.dtype], ['bf16', 'cpu', 'f32']);
  const answer = await half.ask(picture(1), 'What is this?', { maxNewTokens: 5 });
  assert.equal(answer.tokens.length, answer.usage.completionTokens);
});

test('weights with a NaN, closed models and empty questions are refused', async () => {
  const broken = makeTinyModel({ broken: true });
  await assert.rejects(loadModel(broken), (error) => error instanceof CommError && error.code === 'weights/not-finite');
  rmSync(broken, { recursive: true });
  const closed = await loadModel(folder);
  closed.dispose();
  closed.dispose();
  await assert.rejects(
    closed.ask([], 'Hello?'),
    (error) => error instanceof CommError && error.code === 'generate/closed',
  );
  await assert.rejects(
    session.ask([], ' '),
    (error) => error instanceof CommError && error.code === 'generate/empty-question',
  );
});

/** The whole answer of a stream. */
async function finish<T>(stream: AsyncGenerator<unknown, T, void>): Promise<T> {
  let step = await stream.next();
  while (!step.done) step = await stream.next();
  return step.value;
}

const closed = { name: 'CommError', code: 'generate/closed' };
const LONG = { maxNewTokens: 200, temperature: 1, seed: 1 };

test('closing a model ends everything that waits for it, each with the same error', async () => {
  const model = await loadModel(folder);
  const chat = model.chat();
  const waiting = [
    model.ask(picture(1), 'What is this?', LONG),
    model.ask(picture(2), 'And this?', LONG),
    model.askBatch([
      { images: [picture(3)], question: 'What?', ...LONG },
      { question: 'Why?', ...LONG },
    ]),
    finish(chat.say('Hello.', LONG)),
    model.ask('no-such-file.png', 'What?'),
  ].map((promise) =>
    promise.then(
      () => undefined,
      (error: unknown) => error,
    ),
  );
  await new Promise((resolve) => setTimeout(resolve, 20));
  model.dispose();
  model.dispose();
  const errors = await Promise.all(waiting);
  assert.equal((errors.pop() as CommError).code, 'image/not-found');
  for (const error of errors)
    assert.deepEqual(
      error,
      new CommError('This model was closed.', { code: 'generate/closed', fix: 'Load it again.' }),
    );
  await assert.rejects(model.ask(picture(1), 'What is this?'), closed);
  await assert.rejects(model.askBatch([]), closed);
  await assert.rejects(finish(model.askStream({ question: 'What?' })), closed);
  await assert.rejects(finish(chat.say('Hello?')), closed);
  assert.throws(() => model.chat(), closed);
  chat.dispose();
});

test('closing a model or a conversation in the middle of its own stream is an error of the stream', async () => {
  const model = await loadModel(folder);
  const stream = model.askStream({ images: [picture(1)], question: 'What is this?', ...LONG });
  await stream.next();
  model.dispose();
  await assert.rejects(finish(stream), closed);
  const chat = session.chat();
  const answer = chat.say('Go on.', LONG);
  await answer.next();
  assert.throws(() => chat.reset(), { name: 'CommError', code: 'generate/busy' });
  chat.dispose();
  await assert.rejects(finish(answer), closed);
  await assert.rejects(finish(chat.say('Hello?')), closed);
});

test('what the types forbid is a CommError', async () => {
  const ask = session.ask.bind(session) as (...args: unknown[]) => Promise<unknown>;
  const refusals: [args: unknown[], code: string, words: RegExp][] = [
    [[], 'generate/request', /undefined/],
    [[null], 'generate/request', /null/],
    [['photo.jpg'], 'generate/request', /a text alone/],
    [[{ images: [picture(1)] }], 'generate/request', /no question/],
    [[picture(1), undefined, {}], 'generate/request', /no question/],
    [[picture(1), 7], 'generate/request', /question is 7/],
    [[picture(1), ' '], 'generate/empty-question', /empty/],
    [[{ image: picture(1), question: 'What?' }], 'generate/request', /"image" that is not known/],
    [[{ images: 'photo.jpg', question: 'What?' }], 'generate/request', /images is "photo.jpg"/],
    [[{ question: 'What?', history: [{ question: 'Who?' }] }], 'generate/request', /history/],
    [[picture(1), 'What?', { stop: 'dog' }], 'generate/request', /stop is "dog"/],
    [[picture(1), 'What?', { temperature: '1' }], 'generate/request', /temperature is "1"/],
    [[picture(1), 'What?', { maxNewTokens: Number.NaN }], 'generate/max-new-tokens', /NaN/],
    [[picture(1), 'What?', { system: 5 }], 'generate/request', /system is 5/],
    [[picture(1), 'What?', { signal: {} }], 'generate/request', /signal/],
    [[{ question: 'What?', signal: AbortSignal.abort() }], 'generate/request', /signal/],
    [[{ question: 'What?' }, { sginal: 1 }], 'generate/request', /"sginal" that is not known/],
    [[picture(1), 'What?', { maxTokens: 5 }], 'generate/request', /"maxTokens" that is not known/],
    [[{ question: 'What?', history: [{ question: 'a', answer: 'b', image: 1 }] }], 'generate/request', /history/],
    [[null, 'What?'], 'image/source', /null/],
    [[[undefined], 'What?'], 'image/source', /undefined/],
    [[Promise.resolve('photo.jpg'), 'What?'], 'image/source', /await it/],
    [[{ ...picture(1), width: 41 }, 'What?'], 'image/pixels', /not 3690/],
  ];
  for (const [args, code, message] of refusals)
    await assert.rejects(ask(...args), { name: 'CommError', code, message });
  await assert.rejects(session.askBatch(null as never), { name: 'CommError', code: 'generate/request' });
  assert.equal(((await session.askBatch([null as never]))[0] as CommError).code, 'generate/request');
  assert.throws(() => session.chat({ system: 5 as never }), { name: 'CommError', code: 'generate/request' });
  await assert.rejects(finish(session.chat().say(null as never)), { name: 'CommError', code: 'generate/request' });
  for (const [model, options] of [
    [5],
    [null],
    [folder, null],
    [folder, { dtype: 'f99' }],
    [folder, { device: 'moon' }],
    [folder, { dtyp: 'f32' }],
  ]) {
    await assert.rejects(loadModel(model as string, options as never), { name: 'CommError', code: 'generate/request' });
  }
  assert.equal(typeof ((await ask(picture(1), 'A \ud800 and a \0.', { maxNewTokens: 1 })) as Answer).answer, 'string');
});

test('a picture is seen upright unless it is asked for as stored', async () => {
  const { readFileSync } = await import('node:fs');
  const { pictures } = JSON.parse(readFileSync('tests/golden/images/pictures.json', 'utf8')) as {
    pictures: { name: string; base64: string }[];
  };
  const file = (name: string): Uint8Array =>
    Uint8Array.from(Buffer.from(pictures.find((one) => one.name === name)?.base64 ?? '', 'base64'));
  const turned = file('orientation 6.png');
  const ask = async (image: Uint8Array | RgbImage, settings = {}): Promise<unknown> =>
    said(await session.ask(image as Uint8Array, 'What is this?', { maxNewTokens: 12, ...settings }));
  const upright = await ask(await decodeImage(turned));
  const stored = await ask(file('orientation 1.png'));
  assert.notDeepEqual(upright, stored);
  assert.deepEqual(await ask(turned), upright);
  assert.deepEqual(await ask(turned, { rawOrientation: true }), stored);
  assert.deepEqual(await ask(new Blob([turned as Uint8Array<ArrayBuffer>]) as never), upright);
  assert.deepEqual(await ask(turned.buffer as never), upright);
});

test('a device that is not there is a sentence', {
  skip: cuda.deviceCount() > 0 ? 'CUDA is here' : false,
}, async () => {
  const missing = { name: 'CommError', code: 'device/missing', message: /CUDA/, fix: /commlm doctor/ };
  await assert.rejects(loadModel(folder, { device: 'cuda' }), missing);
  await assert.rejects(extractFeatures(picture(1), { encoder: folder, device: 'cuda' }), missing);
});
