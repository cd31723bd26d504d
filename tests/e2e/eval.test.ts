/** `commlm eval` on a few scenes: seven benchmarks in one table, killed and resumed, and the same through an endpoint. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type CliResult, commlm } from '../helpers/cli.js';

const BENCHMARKS = ['pope', 'refcoco', 'reg', 'coco-caption', 'vqav2', 'mme', 'mmbench'];
const NUM_SCENES = 2;

let folder = '';
let data = '';
let whole: CliResult;

interface Results {
  readonly benchmarks: readonly { readonly benchmark: string; readonly figures: Readonly<Record<string, unknown>> }[];
}

interface Sample {
  readonly prompt: string;
  readonly picture: string;
  readonly answer: string;
}

const evaluate = (
  out: string,
  more: readonly string[] = [],
  onStart?: Parameters<typeof commlm>[1],
): Promise<CliResult> =>
  commlm(['eval', ...BENCHMARKS, '--data', data, '--out', out, '--batch-size', '16', ...more], onStart);

const readText = (...path: readonly string[]): string => readFileSync(join(folder, ...path), 'utf8');

const samplesOf = (out: string): Sample[] =>
  BENCHMARKS.flatMap((name) => readText(out, `samples_${name}.jsonl`).trimEnd().split('\n')).map(
    (line) => JSON.parse(line) as Sample,
  );

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'commlm-eval-'));
  data = join(folder, 'world');
  const world = await commlm(['world', data, '--split', 'test', '--count', String(NUM_SCENES)]);
  assert.equal(world.code, 0, world.stderr);
  whole = await evaluate(join(folder, 'whole'));
  assert.equal(whole.code, 0, whole.stderr);
});

after(() => rmSync(folder, { recursive: true }));

test('one table holds all seven, and the folder all that is behind it', () => {
  for (const name of BENCHMARKS) assert.match(whole.stdout, new RegExp(`^${name} `, 'm'));
  const { benchmarks } = JSON.parse(readText('whole', 'results.json')) as Results;
  assert.deepEqual(benchmarks.map(({ benchmark }) => benchmark).sort(), [...BENCHMARKS].sort());
  assert.match(whole.stderr, /Prompts shikra 1/);
});

test('killed twice and resumed, the same bytes are left', async () => {
  const out = join(folder, 'killed');
  const size = (name: string): number => readText('whole', name).length;
  let numKilled = 0;
  for (const name of ['answers_pope.jsonl', 'answers_vqav2.jsonl']) {
    const killed = await evaluate(out, [], {
      onStart: (child) => {
        const timer = setInterval(() => {
          const path = join(out, name);
          if (existsSync(path) && readFileSync(path).length > size(name) / 2) child.kill('SIGKILL');
        }, 1);
        child.on('close', () => clearInterval(timer));
      },
    });
    if (killed.signal === 'SIGKILL') numKilled++;
  }
  assert.equal(numKilled, 2);
  const resumed = await evaluate(out);
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.equal(resumed.stdout, whole.stdout);
  for (const name of readdirSync(join(folder, 'whole'))) {
    assert.equal(readText('killed', name), readText('whole', name), name);
  }
});

test('the same answers from an OpenAI-style server give the same figures', async () => {
  const keyOf = (prompt: string, picture: Uint8Array): string =>
    createHash('sha256').update(prompt).update(picture).digest('hex');
  const table = readText('world', 'mmbench.tsv').split('\n');
  const inTable = new Map(
    table.map((row) => [row.split('\t', 1)[0], Buffer.from(row.split('\t').at(-1) as string, 'base64')]),
  );
  const pictureOf = (key: string): Uint8Array =>
    key.includes('#') ? (inTable.get(key.split('#')[1] as string) as Uint8Array) : readFileSync(join(data, key));
  const known = new Map(
    samplesOf('whole').map(({ prompt, picture, answer }) => [keyOf(prompt, pictureOf(picture)), answer]),
  );
  let numRequests = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { messages } = JSON.parse(Buffer.concat(chunks).toString()) as {
        messages: [{ content: [{ image_url: { url: string } }, { text: string }] }];
      };
      const [{ image_url: image }, { text }] = messages[0].content;
      const picture = Buffer.from(image.url.split(',')[1] as string, 'base64');
      const answer = known.get(keyOf(text, picture));
      // Now and then too busy; a question that is not known would be left out.
      if (++numRequests % 50 === 7) response.writeHead(503, { 'retry-after': '0.01' }).end('busy');
      else if (answer === undefined) response.writeHead(400).end('not known');
      else response.end(JSON.stringify({ choices: [{ message: { content: answer }, finish_reason: 'stop' }] }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    const result = await evaluate(join(folder, 'endpoint'), [
      ...['--endpoint', url, '--endpoint-model', 'comm-tiny', '--prompts', 'shikra', '--json'],
    ]);
    assert.equal(result.code, 0, result.stderr);
    const figures = ({ benchmarks }: Results): unknown =>
      benchmarks.map(({ benchmark, figures }) => [benchmark, figures]);
    const ours = JSON.parse(readText('whole', 'results.json')) as Results;
    assert.deepEqual(figures(JSON.parse(result.stdout) as Results), figures(ours));
    assert.deepEqual(samplesOf('endpoint'), samplesOf('whole'));
  } finally {
    server.close();
  }
});

test('what a server leaves unanswered ends with exit code 1, and its words never steer the terminal', async () => {
  let answers = false;
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      const content = '\u001b[31m<think>\u009b2J no</think>\u001b]0;title\u0007 yes';
      const filtered = { message: { content: null }, finish_reason: '\u001b[2Jfilter' };
      response.end(JSON.stringify({ choices: [answers ? { message: { content }, finish_reason: 'stop' } : filtered] }));
      answers = true;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    const run = (): Promise<CliResult> =>
      commlm([
        ...['eval', 'pope', '--data', data, '--out', join(folder, 'filtered'), '--limit', '2', '--concurrency', '1'],
        ...['--endpoint', url, '--endpoint-model', 'm\u001b[2J'],
      ]);
    const first = await run();
    assert.equal(first.code, 1);
    assert.match(first.stderr, /INCOMPLETE: 1 of 6 questions have no answer: finish reason "\\u001b\[2Jfilter" \(1\)/);
    assert.match(first.stderr, /5 of 5 answers hold thinking, which was cut before reading/);
    const second = await run();
    assert.equal(second.code, 0, second.stderr);
    const compared = await commlm(['eval', 'compare', join(folder, 'filtered'), join(folder, 'filtered')]);
    assert.equal(compared.code, 0, compared.stderr);
    for (const { stdout, stderr } of [first, second, compared]) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
      assert.doesNotMatch(stdout + stderr, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
    }
  } finally {
    server.close();
  }
});

test('two runs are compared answer by answer, and a report is written anew', async () => {
  const other = join(folder, 'short');
  const args = ['--data', data, '--out', other, '--max-new-tokens', '1', '--batch-size', '16'];
  const shortened = await commlm(['eval', 'pope', 'refcoco', ...args]);
  assert.equal(shortened.code, 0, shortened.stderr);
  const compared = await commlm(['eval', 'compare', join(folder, 'whole'), other, '--show', '2']);
  assert.equal(compared.code, 0, compared.stderr);
  assert.match(compared.stdout, /^refcoco +accuracy /m);
  const { code, stdout } = await commlm(['eval', 'compare', join(folder, 'whole'), other, '--json']);
  assert.equal(code, 0);
  const { benchmarks } = JSON.parse(stdout) as {
    benchmarks: { benchmark: string; figures: { accuracy: { a: number; b: number } }; changes: { kind: string }[] }[];
  };
  assert.deepEqual(benchmarks.map(({ benchmark }) => benchmark).sort(), ['pope', 'refcoco']);
  // A single token is no box: whatever was right is lost.
  const refcoco = benchmarks.find(({ benchmark }) => benchmark === 'refcoco');
  const right = readText('whole', 'samples_refcoco.jsonl').split('"correct":true').length - 1;
  assert.ok(right > 0 && refcoco !== undefined && refcoco.figures.accuracy.a > 0);
  assert.equal(refcoco.figures.accuracy.b, 0);
  assert.equal(refcoco.changes.filter(({ kind }) => kind === 'lost').length, right);
  rmSync(join(other, 'report.html'));
  const report = await commlm(['eval', 'report', other]);
  assert.equal(report.code, 0, report.stderr);
  assert.match(readText('short', 'report.html'), /refcoco/);
});

test('options without effect and unknown names are usage errors', async () => {
  const faults: [string[], RegExp][] = [
    [['eval', 'popes', '--data', data, '--out', join(folder, 'x')], /no benchmark "popes"/],
    [['eval', 'pope', '--data', data, '--out', join(folder, 'x'), '--style', 'shift'], /--style has no effect/],
    [['eval', 'world', '--limit', '3'], /--limit has no effect/],
  ];
  for (const [args, message] of faults) {
    const { code, stderr } = await commlm(args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
  }
});
