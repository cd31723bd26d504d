/** `commlm batch` killed without warning at random moments ends with the same answers as an undisturbed run. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type CliResult, commlm } from '../helpers/cli.js';
import { writePicture } from '../helpers/pictures.js';
import { makeTinyModel } from '../helpers/tiny-model.js';

const NUM_QUESTIONS = 90;
/** Rounds of two processes with one output; `COMMLM_ROUNDS=20` for more. */
const NUM_ROUNDS = Number(process.env['COMMLM_ROUNDS'] ?? 2);

let folder = '';
let model = '';
let input = '';

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'commlm-batch-'));
  model = makeTinyModel();
  for (const hue of [0, 90, 180]) await writePicture(join(folder, `${hue}.png`), 40 + hue, 60, hue);
  input = join(folder, 'in.jsonl');
  const lines = Array.from({ length: NUM_QUESTIONS }, (_, i) => {
    if (i === 20) return 'not json';
    if (i === 41) return JSON.stringify({ id: i, image: 'missing.png', question: 'What?' });
    // Pictures lie beside the input file.
    return JSON.stringify({ id: `q${i}`, image: `${(i % 3) * 90}.png`, question: `Question ${i % 17}?` });
  });
  writeFileSync(input, lines.join('\n'));
});

after(() => {
  rmSync(folder, { recursive: true });
  rmSync(model, { recursive: true });
});

const run = (output: string, killAt?: number): Promise<CliResult> =>
  commlm(['batch', input, output, '--model', model, '--max-new-tokens', '12', '--batch-size', '4', '--json'], {
    onStart: (child) => {
      if (killAt === undefined) return;
      const timer = setInterval(() => {
        if (existsSync(output) && statSync(output).size >= killAt) child.kill('SIGKILL');
      }, 1);
      child.on('close', () => clearInterval(timer));
    },
  });

/** The lines without their times, which no two runs share. */
const answers = (path: string): unknown[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => ({ ...(JSON.parse(line) as object), timings: undefined }));

test('killed and resumed, the answers are those of an undisturbed run', async () => {
  const whole = join(folder, 'whole.jsonl');
  const undisturbed = await run(whole);
  // Two of the lines cannot be answered.
  assert.equal(undisturbed.code, 1, undisturbed.stderr);
  assert.match(undisturbed.stderr, /2 failed lines, which hold an "error" in \S+; mend them and add --redo-failed\./);
  assert.deepEqual(JSON.parse(undisturbed.stdout), {
    output: whole,
    numLines: NUM_QUESTIONS,
    numResumed: 0,
    numAnswered: NUM_QUESTIONS - 2,
    numFailed: 2,
  });
  const expected = answers(whole);
  assert.equal(expected.length, NUM_QUESTIONS);
  assert.match((expected[20] as { error: string }).error, /Line 21 is not valid JSON/);
  assert.match((expected[41] as { error: string }).error, /missing\.png/);

  const output = join(folder, 'killed.jsonl');
  const size = statSync(whole).size;
  let numKilled = 0;
  for (const share of [0.05, 0.3, 0.6, 0.9]) {
    if ((await run(output, share * size)).signal === 'SIGKILL') numKilled++;
  }
  assert.ok(numKilled >= 2, `only ${numKilled} runs were killed in time`);
  const last = await run(output);
  assert.equal(last.code, 1, last.stderr);
  assert.deepEqual(answers(output), expected);

  const again = await run(output);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /2 failed lines, .*--redo-failed/);
  const { numAnswered, numFailed } = JSON.parse(again.stdout) as { numAnswered: number; numFailed: number };
  assert.deepEqual([numAnswered, numFailed], [0, 2], 'those of the earlier run');
  assert.deepEqual(answers(output), expected);
});

test('Ctrl-C ends a batch with exit code 130 and whole lines', async () => {
  const output = join(folder, 'interrupted.jsonl');
  const result = await commlm(
    ['batch', input, output, '--model', model, '--max-new-tokens', '40', '--batch-size', '2'],
    {
      onStart: (child) => {
        const timer = setInterval(() => {
          if (!existsSync(output) || statSync(output).size < 500) return;
          child.kill('SIGINT');
          clearInterval(timer);
        }, 1);
      },
    },
  );
  assert.equal(result.code, 130, result.stderr);
  assert.ok(readFileSync(output, 'utf8').endsWith('\n'));
  assert.ok(answers(output).length < NUM_QUESTIONS);
});

test('of two processes with one output one writes, and nothing is lost or mixed', async () => {
  const expected = answers(join(folder, 'whole.jsonl'));
  const linked = join(folder, 'linked.jsonl');
  for (let round = 0; round < NUM_ROUNDS; round++) {
    const output = join(folder, `round-${round}.jsonl`);
    if (round % 2 === 1) {
      writeFileSync(output, '');
      rmSync(linked, { force: true });
      symlinkSync(output, linked);
    }
    const results = await Promise.all([run(output), run(round % 2 === 1 ? linked : output)]);
    for (const { code, stderr } of results) {
      assert.ok(code === 1 && /writes answers to|2 failed lines/.test(stderr), `${code}: ${stderr}`);
    }
    assert.ok(results.some(({ stderr }) => stderr.includes('2 failed lines')));
    assert.deepEqual(answers(output), expected);
    assert.ok(!existsSync(`${output}.lock`));
  }
});

test('other questions, settings and pictures are not taken for those of a half-done output', async () => {
  const output = join(folder, 'stale.jsonl');
  const half = readFileSync(join(folder, 'whole.jsonl'), 'utf8').split('\n').slice(0, 45).join('\n');
  const base = ['batch', input, output, '--model', model, '--max-new-tokens', '12', '--batch-size', '4'];
  const begin = (): void => {
    writeFileSync(output, `${half}\n`);
    writeFileSync(`${output}.run.jsonl`, readFileSync(join(folder, 'whole.jsonl.run.jsonl')));
  };
  const refused = async (args: string[], words: RegExp): Promise<void> => {
    begin();
    const { code, stderr } = await commlm(args);
    assert.equal(code, 1, stderr);
    assert.match(stderr, words);
    assert.equal(readFileSync(output, 'utf8'), `${half}\n`);
  };
  await refused([...base, '--temperature', '0.7'], /temperature was 0 and is 0.7 now/);
  await refused([...base, '--dtype', 'bf16'], /dtype was "auto" and is "bf16" now/);
  await refused([...base, '--system', 'Be brief.'], /system was null/);
  await refused(
    base.map((arg) => (arg === '12' ? '13' : arg)),
    /maxNewTokens was 12 and is 13 now/,
  );
  const changed = join(folder, 'changed.jsonl');
  writeFileSync(changed, readFileSync(input, 'utf8').replaceAll('Question', 'Other'));
  await refused(
    base.map((arg) => (arg === input ? changed : arg)),
    /line 1 of the input is another one/,
  );
  const config = join(model, 'config.json');
  const text = readFileSync(config, 'utf8');
  writeFileSync(config, `${text}\n`);
  await refused(base, /model's files have changed/);
  writeFileSync(config, text);
  begin();
  const result = await commlm(base);
  assert.equal(result.code, 1, result.stderr);
  assert.match(result.stderr, /2 failed lines/);
  assert.deepEqual(answers(output), answers(join(folder, 'whole.jsonl')));
});
