/**
 * A run as a whole, with a respondent that knows the answers: nothing is asked twice, shards and limits, blind questions.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { findBenchmark } from './benchmarks/index.js';
import type { EvalRequest } from './eval-request.js';
import { type EvalOutcome, evaluate } from './evaluate.js';
import { loadPrompts } from './prompts.js';
import type { Respondent } from './respondent.js';
import type { EvalResults } from './results.js';
import { tableLines, tableNotes } from './table.js';

const root = mkdtempSync(join(tmpdir(), 'commlm-evaluate-'));
after(() => rmSync(root, { recursive: true }));

const data = join(root, 'data');
const NUM_QUESTIONS = 10;
mkdirSync(join(data, 'images'), { recursive: true });
const PICTURES = ['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg', 'e.jpg'];
for (const name of PICTURES) writeFileSync(join(data, 'images', name), name);
for (const split of ['random', 'popular', 'adversarial']) {
  const lines = Array.from({ length: NUM_QUESTIONS }, (_, i) => ({
    ...{
      question_id: i + 1,
      image: PICTURES[i % 5],
      text: `Is there a ${split} thing ${i}?`,
      label: i % 2 ? 'no' : 'yes',
    },
  }));
  writeFileSync(join(data, `pope_${split}.jsonl`), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
}

/** Says yes to every question but those about things 1 and 4; to blind ones always. */
class Known implements Respondent {
  readonly asked: string[] = [];
  readonly #dieAfter: number;

  constructor(dieAfter = Number.POSITIVE_INFINITY) {
    this.#dieAfter = dieAfter;
  }

  async *answer(questions: Parameters<Respondent['answer']>[0]): ReturnType<Respondent['answer']> {
    // Backwards, as an endpoint may.
    for (const index of questions.map((_, i) => i).reverse()) {
      const { id, text, blind } = questions[index]!;
      if (this.asked.length >= this.#dieAfter) throw new Error('killed');
      this.asked.push(`${id}${blind ? ' blind' : ''}`);
      const isNo = !blind && /thing [14]\?/.test(text);
      yield [{ index, answer: isNo ? 'The answer is no.' : 'The answer is yes.', finishReason: 'stop' }];
    }
  }
}

let numRuns = 0;
const newOut = (): string => join(root, `out-${numRuns++}`);

function run(respondent: Respondent, out: string, more: Partial<EvalRequest> = {}): Promise<EvalOutcome> {
  return evaluate({
    benchmarks: [findBenchmark('pope') as NonNullable<ReturnType<typeof findBenchmark>>],
    data,
    out,
    model: { kind: 'endpoint', name: 'known', url: 'http://localhost' },
    prompts: loadPrompts('shikra'),
    decoding: { temperature: 0, topP: 1, seed: 0 },
    maxNewTokens: 8,
    blind: false,
    readers: new Map(),
    choices: new Map(),
    commlm: '0',
    commit: null,
    openRespondent: async () => respondent,
    writeFile: writeFileSync,
    ...more,
  });
}

function resultsOf(outcome: EvalOutcome): EvalResults {
  assert.equal(outcome.kind, 'results');
  return (outcome as Extract<EvalOutcome, { kind: 'results' }>).results;
}

const filesOf = (out: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(out)
      .filter((name) => !name.startsWith('answers_'))
      .map((name) => [name, readFileSync(join(out, name), 'utf8')]),
  );

test('a killed run goes on without asking twice, and leaves the same bytes', async () => {
  const whole = newOut();
  const undisturbed = new Known();
  const [pope] = resultsOf(await run(undisturbed, whole)).benchmarks;
  assert.equal(undisturbed.asked.length, 3 * NUM_QUESTIONS);
  // Of ten, yes to all but 1 and 4: right are 0 2 6 8 and 1.
  assert.equal(pope?.figures['accuracy']?.value, 0.5);
  assert.deepEqual([pope?.count, pope?.partial, pope?.published], [30, false, false]);
  const { value, low, high } = pope?.figures['random.f1'] ?? { value: 0, low: 0, high: 0 };
  assert.ok((low as number) < value && value < (high as number));

  const out = newOut();
  const asked: string[] = [];
  for (const dieAfter of [4, 1, 7, 100]) {
    const respondent = new Known(dieAfter);
    await run(respondent, out).catch((error: Error) => assert.equal(error.message, 'killed'));
    asked.push(...respondent.asked);
  }
  assert.equal(asked.length, 3 * NUM_QUESTIONS);
  assert.equal(new Set(asked).size, asked.length);
  assert.deepEqual(filesOf(out), filesOf(whole));

  const again = new Known();
  assert.deepEqual(
    resultsOf(await run(again, out, { readers: new Map([['pope', 'lmms-eval']]) })).benchmarks[0]?.reader,
    'lmms-eval',
  );
  assert.deepEqual(again.asked, []);
});

test('shards add up to the whole', async () => {
  const whole = newOut();
  await run(new Known(), whole);
  const out = newOut();
  const asked: string[] = [];
  for (const index of [2, 0, 1, 3]) {
    const respondent = new Known();
    const outcome = await run(respondent, out, { shard: { index, count: 4 } });
    asked.push(...respondent.asked);
    assert.equal(outcome.kind, index === 3 ? 'results' : 'shard');
  }
  assert.equal(new Set(asked).size, 3 * NUM_QUESTIONS);
  assert.deepEqual(filesOf(out), filesOf(whole));
  await assert.rejects(run(new Known(), out), /is of 4 shards/);
});

test('a limit takes of every split, and is never a full run', async () => {
  const respondent = new Known();
  const results = resultsOf(await run(respondent, newOut(), { limit: 2 }));
  assert.equal(respondent.asked.length, 6);
  const [pope] = results.benchmarks;
  assert.deepEqual([pope?.count, pope?.total, pope?.partial], [6, 30, true]);
  assert.match(pope?.notes[0] ?? '', /6 of 30/);
  assert.equal(tableLines(results)[0]?.count, '6 of 30');
  assert.ok(tableNotes(results).some((line) => line.startsWith('PARTIAL: pope')));
});

test('a folder of another run is refused with what differs', async () => {
  const out = newOut();
  await run(new Known(), out);
  await assert.rejects(run(new Known(), out, { limit: 2 }), /limit was null and is 2/);
  await assert.rejects(run(new Known(), out, { maxNewTokens: 9 }), /maxNewTokens was 8 and is 9/);
  await assert.rejects(run(new Known(), out, { prompts: loadPrompts('llava') }), /prompts\.name was "shikra"/);
  const model = { kind: 'endpoint', name: 'other', url: 'http://localhost' } as const;
  await assert.rejects(run(new Known(), out, { model }), /model\.name was "known" and is "other"/);
  const foreign = newOut();
  mkdirSync(foreign);
  writeFileSync(join(foreign, 'results.json'), '{}');
  await assert.rejects(run(new Known(), foreign), /no record of answers/);
});

test('blind figures stand beside', async () => {
  const respondent = new Known();
  const out = newOut();
  const results = resultsOf(await run(respondent, out, { blind: true }));
  assert.equal(respondent.asked.length, 6 * NUM_QUESTIONS);
  assert.equal(results.benchmarks[0]?.blind?.['accuracy']?.value, 0.5);
  assert.equal(results.benchmarks[0]?.blind?.['yesRatio']?.value, 1);
  const [sample] = (filesOf(out)['samples_pope.jsonl'] as string).split('\n');
  assert.equal((JSON.parse(sample as string) as { blindAnswer: string }).blindAnswer, 'The answer is yes.');
});

test('figures of the paper stand beside published data alone', async () => {
  const results = resultsOf(await run(new Known(), newOut()));
  const paperOf = (published: boolean): string | undefined => {
    const benchmarks = results.benchmarks.map((each) => ({ ...each, published }));
    const lines = tableLines({ ...results, benchmarks });
    return lines.find(({ figure }) => figure === 'random.accuracy')?.paper['COMM-7B'];
  };
  assert.equal(paperOf(false), '');
  assert.equal(paperOf(true), '87.29');
});

/** Answers as its map says, else the right one; an answer that begins with `!` is the reason for none. */
class Saying implements Respondent {
  readonly asked: string[] = [];
  readonly #answers: Readonly<Record<string, string>>;

  constructor(answers: Readonly<Record<string, string>> = {}) {
    this.#answers = answers;
  }

  async *answer(questions: Parameters<Respondent['answer']>[0]): ReturnType<Respondent['answer']> {
    for (const [index, { id, text, picture, blind }] of questions.entries()) {
      await picture?.();
      this.asked.push(`${id}${blind ? ' blind' : ''}`);
      const right = /thing [13579]\?/.test(text) ? 'No' : 'Yes';
      const said = this.#answers[`${id}${blind ? ' blind' : ''}`] ?? right;
      if (said.startsWith('!')) yield [{ index, answer: '', finishReason: 'none', unanswered: said.slice(1) }];
      else yield [{ index, answer: said, finishReason: 'stop' }];
    }
  }
}

test('questions without an answer are counted, left out, and asked again by the next run', async () => {
  const out = newOut();
  const first = new Saying({
    'random/1': '!finish reason "content_filter"',
    'random/2': '!no content',
    'popular/3': '!no content',
  });
  const results = resultsOf(await run(first, out));
  const [pope] = results.benchmarks;
  assert.deepEqual(pope?.unanswered, {
    count: 3,
    reasons: { 'finish reason "content_filter"': 1, 'no content': 2 },
    alsoLeftOut: 0,
  });
  assert.deepEqual([pope?.count, pope?.total, pope?.partial, pope?.published], [27, 30, true, false]);
  assert.equal(pope?.figures['accuracy']?.value, 1);
  assert.match(
    pope?.notes.join(' ') ?? '',
    /INCOMPLETE: 3 of 30 questions have no answer: .*content_filter" \(1\), no content \(2\)/,
  );
  assert.equal(tableLines(results)[0]?.count, '27 of 30');
  const second = new Saying();
  const whole = resultsOf(await run(second, out)).benchmarks[0];
  assert.deepEqual(second.asked, ['random/1', 'random/2', 'popular/3']);
  assert.deepEqual([whole?.unanswered, whole?.count, whole?.partial], [null, 30, false]);
  // As if nothing had happened.
  const undisturbed = newOut();
  await run(new Saying(), undisturbed);
  assert.deepEqual(filesOf(out), filesOf(undisturbed));
});

test('where nothing is answered there are no figures, and of many questions not all are asked', async () => {
  const nothing = Object.fromEntries(
    ['random', 'popular', 'adversarial'].flatMap((split) =>
      Array.from({ length: NUM_QUESTIONS }, (_, i) => [`${split}/${i + 1}`, '!refusal']),
    ),
  );
  const asking = new Saying(nothing);
  await assert.rejects(run(asking, newOut()), /The first 16 questions all stay without an answer: refusal/);
  assert.equal(asking.asked.length, 16);
  const results = resultsOf(await run(new Saying(nothing), newOut(), { limit: 5 }));
  assert.deepEqual([results.benchmarks[0]?.figures, results.benchmarks[0]?.count], [{}, 0]);
  assert.ok(tableNotes(results).some((line) => line.startsWith('NO FIGURES: pope')));
});

test('a filter that refuses many questions for good keeps nobody from the others', async () => {
  const refused = Object.fromEntries(
    Array.from({ length: 20 }, (_, i) => [`${i < 10 ? 'random' : 'popular'}/${(i % 10) + 1}`, '!refusal']),
  );
  const out = newOut();
  // The last split alone can be answered. The first run ends before it, the second asks for what was not asked.
  await assert.rejects(run(new Saying(refused), out), /The first 16 questions/);
  const second = new Saying(refused);
  assert.equal(resultsOf(await run(second, out)).benchmarks[0]?.unanswered?.count, 20);
  assert.deepEqual(second.asked.slice(0, 5), ['popular/7', 'popular/8', 'popular/9', 'popular/10', 'adversarial/1']);
  const again = new Saying(refused);
  assert.equal(resultsOf(await run(again, out)).benchmarks[0]?.unanswered?.count, 20);
  assert.equal(again.asked.length, 20);
});

test('a question counts in neither column when its grey picture has no answer', async () => {
  const [pope] = resultsOf(
    await run(new Saying({ 'random/1 blind': '!refusal' }), newOut(), { blind: true }),
  ).benchmarks;
  assert.deepEqual(pope?.unanswered, { count: 1, reasons: { 'grey picture: refusal': 1 }, alsoLeftOut: 0 });
  assert.equal(pope?.count, 29);
});

test('thinking is cut before reading; the answers of the record stay, and nothing is asked anew to read them whole', async () => {
  const out = newOut();
  const think = (i: number): string => `<think>no, No, not</think>${i % 2 === 0 ? 'Yes' : 'No'}`;
  const thoughts = Object.fromEntries(Array.from({ length: NUM_QUESTIONS }, (_, i) => [`random/${i + 1}`, think(i)]));
  const saying = new Saying({ ...thoughts, 'popular/1': '<think>yes', 'popular/2': 'maybe so</think>No' });
  const more = { prompts: loadPrompts('llava') };
  const [pope] = resultsOf(await run(saying, out, more)).benchmarks;
  assert.equal(pope?.figures['accuracy']?.value, 1);
  assert.deepEqual(pope?.thinking, { count: 11, cut: true });
  assert.deepEqual(pope?.unanswered?.reasons, { 'unfinished thinking': 1 });
  assert.match(pope?.notes.join(' ') ?? '', /11 of 29 answers hold thinking, which was cut before reading/);
  const again = new Saying();
  const [kept] = resultsOf(await run(again, out, { ...more, keepThinking: true })).benchmarks;
  assert.deepEqual(again.asked, []);
  assert.deepEqual(kept?.thinking, { count: 12, cut: false });
  assert.equal(kept?.figures['random.accuracy']?.value, 0.5);
});

test('a picture that changed under its name is named, and one that did not is not', async () => {
  const [out, changing] = [newOut(), join(root, 'changing')];
  cpSync(data, changing, { recursive: true });
  await run(new Saying(), out, { data: changing });
  await run(new Saying(), out, { data: changing });
  writeFileSync(join(changing, 'images', 'c.jpg'), 'C.jpg');
  await assert.rejects(
    run(new Saying(), out, { data: changing }),
    /the picture images\/c\.jpg of question "random\/3" has changed/,
  );
  // Questions that changed are seen by the hash of their file.
  const path = join(changing, 'pope_random.jsonl');
  writeFileSync(path, readFileSync(path, 'utf8').replace('thing 0', 'thing zero'));
  await assert.rejects(run(new Saying(), out, { data: changing }), /data\.0\.sha256 was/);
});

test('two questions with one id are refused before anything is asked', async () => {
  const doubled = join(root, 'doubled');
  cpSync(data, doubled, { recursive: true });
  const lines = readFileSync(join(data, 'pope_random.jsonl'), 'utf8').split('\n');
  writeFileSync(join(doubled, 'pope_random.jsonl'), [...lines.slice(0, -2), lines[0], ''].join('\n'));
  const known = new Known();
  await assert.rejects(run(known, newOut(), { data: doubled }), {
    code: 'eval/double-id',
    message: 'pope: two questions have the id "random/1".',
  });
  assert.equal(known.asked.length, 0);
});

test('one process at a time asks for a folder', async () => {
  const out = newOut();
  let started = (): void => {};
  const hasStarted = new Promise<void>((resolve) => {
    started = resolve;
  });
  let finish = (): void => {};
  const mayFinish = new Promise<void>((resolve) => {
    finish = resolve;
  });
  class Waiting extends Saying {
    override async *answer(questions: Parameters<Respondent['answer']>[0]): ReturnType<Respondent['answer']> {
      started();
      await mayFinish;
      yield* super.answer(questions);
    }
  }
  const first = run(new Waiting(), out);
  await hasStarted;
  const second = new Saying();
  await assert.rejects(run(second, out), (error: { code?: string; message: string }) => {
    assert.equal(error.code, 'file/busy');
    assert.match(error.message, /evaluates into/);
    return true;
  });
  assert.deepEqual(second.asked, []);
  finish();
  assert.equal(resultsOf(await first).benchmarks[0]?.count, 30);
  assert.ok(!readdirSync(out).some((name) => name.endsWith('.lock')));
  // What a killed process left behind holds nobody up.
  writeFileSync(join(out, 'eval.lock'), JSON.stringify({ pid: 2 ** 30, host: hostname(), began: null, token: '' }));
  assert.equal((await run(new Saying(), out)).kind, 'results');
});

test('what is not given has the defaults of the command line, and what is wrong is named', async () => {
  const out = newOut();
  const request = { benchmarks: ['pope'], data, out, openRespondent: async () => new Known() };
  const results = resultsOf(await evaluate(request));
  assert.equal(results.benchmarks[0]?.figures['accuracy']?.value, 0.5);
  assert.deepEqual(results.run.model, { kind: 'other', name: 'respondent' });
  assert.deepEqual(results.run.prompts, { name: 'shikra', version: 1 });
  assert.deepEqual(results.run.decoding, { temperature: 0, topP: 1, seed: 0 });
  assert.deepEqual([results.benchmarks[0]?.maxNewTokens, results.run.blind, results.run.limit], [128, false, null]);
  assert.match(results.run.commlm, /^\d+\.\d+\.\d+/);
  const endpoint = { kind: 'endpoint', name: 'a', url: 'http://localhost' } as const;
  const remote = resultsOf(await evaluate({ ...request, out: newOut(), model: endpoint }));
  assert.equal(remote.run.prompts?.name, 'general');

  const refused: readonly [slip: object, message: RegExp][] = [
    [{ benchmarks: [findBenchmark('pop')] }, /^benchmarks is a list, but it must be a list of names, as in \['pope'\]/],
    [{ benchmarks: ['pop'] }, /^There is no benchmark "pop"; did you mean "pope"\?$/],
    [{ data: undefined }, /^The request of an evaluation has no "data"\.$/],
    [{ limit: 0 }, /^limit is 0, but it must be a whole number above 0\.$/],
    [{ out: newOut(), openRespondent: async () => null }, /^openRespondent gave nothing that has a method answer\.$/],
    [
      { out: newOut(), openRespondent: async () => ({ answer: async () => 'yes' }) },
      /^The answer of the respondent is no async iterable of groups of replies\.$/,
    ],
    [{ readers: { pope: 'official' } }, /^readers is an object .*, but it must be a Map by the names of benchmarks\.$/],
  ];
  for (const [slip, message] of refused) {
    await assert.rejects(evaluate({ ...request, ...slip } as EvalRequest), { name: 'CommError', message, exitCode: 2 });
  }
});

test('scenes of the train split are said to be no test, once for all benchmarks', async () => {
  const folder = join(root, 'scenes');
  cpSync(data, folder, { recursive: true });
  const notesOf = async (manifest: string): Promise<readonly string[]> => {
    writeFileSync(join(folder, 'world.json'), manifest);
    const results = resultsOf(await run(new Known(), newOut(), { data: folder }));
    const [note] = results.benchmarks[0]!.notes.filter((line) => /train split/.test(line));
    const { benchmarks } = results;
    const twice = { ...results, benchmarks: [benchmarks[0]!, { ...benchmarks[0]!, benchmark: 'again' }] };
    const lines = tableNotes(twice).filter((line) => /train split/.test(line));
    assert.deepEqual(lines, note === undefined ? [] : [`pope, again: ${note}`]);
    return note === undefined ? [] : [note];
  };
  assert.match((await notesOf('{"split": "train"}'))[0] ?? '', /no test of those; .*--split test/);
  assert.deepEqual(await notesOf('{"split": "test"}'), []);
  assert.deepEqual(await notesOf('no JSON'), []);
});
