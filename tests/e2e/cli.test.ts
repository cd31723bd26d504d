/** The command line as its users meet it: answers, one JSON document, sentences for errors, exit codes, clean outputs. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { io, scope } from '@commlm/torch';
import { expectRounded } from '@commlm/torch/testing';
import { decodeImage } from 'commlm';
import { type CliOptions, type CliResult, commlm } from '../helpers/cli.js';
import { DOG, FIND_DOG, writePicture, writePngBomb, writeTruncated } from '../helpers/pictures.js';
import { makeTinyModel } from '../helpers/tiny-model.js';

let folder = '';
let model = '';
let picture = '';

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'commlm-cli-'));
  model = makeTinyModel();
  picture = await writePicture(join(folder, 'landscape.png'), 60, 40);
});

after(() => {
  rmSync(folder, { recursive: true });
  rmSync(model, { recursive: true });
});

const ask = (args: readonly string[], options?: CliOptions): Promise<CliResult> =>
  commlm(['ask', '--model', model, '--max-new-tokens', '6', ...args], options);

/** An error is a sentence with a fix, no stack, and the right exit code. */
function assertError(result: CliResult, code: number, message: RegExp): void {
  assert.equal(result.code, code, result.stderr);
  assert.match(result.stderr, message);
  assert.match(result.stderr, /^error: /m);
  assert.doesNotMatch(result.stderr, /^\s+at /m);
}

interface AskJson {
  model: string;
  answer: string;
  boxes: unknown[];
  usage: { promptTokens: number; completionTokens: number; imageTokens: number };
  timings: Record<string, number>;
  tokens?: number[];
  picture?: string;
}

test('the help names every command and loads no libtorch', async () => {
  const { stdout, code } = await commlm([]);
  assert.equal(code, 0);
  const list = /^Commands:\n((?: {2}.*\n)+)/m.exec(stdout)?.[1] ?? '';
  const commands = [...list.matchAll(/^ {2}([a-z]+) /gm)].map((match) => match[1] as string);
  assert.ok(
    ['ask', 'chat', 'batch', 'features', 'inspect', 'bench'].every((name) => commands.includes(name)),
    stdout,
  );
  const maps = join(folder, 'maps.mjs');
  writeFileSync(
    maps,
    `import { readFileSync } from 'node:fs';
     process.on('exit', () => console.error(/libtorch|commtorch|sharp/.exec(readFileSync('/proc/self/maps', 'utf8'))?.[0] ?? 'none'));`,
  );
  for (const name of commands.filter((command) => command !== 'help')) {
    const help = await commlm([name, '--help'], { env: { NODE_OPTIONS: `--import ${maps}` } });
    assert.equal(help.code, 0, help.stderr);
    assert.match(help.stdout, new RegExp(`^Usage: commlm ${name}`));
    if (process.platform === 'linux') assert.equal(help.stderr.trim(), 'none', `${name} --help`);
  }
});

test('an option of the program stands once in its help, and none without a value has a default', async () => {
  const root = (await commlm(['--help'])).stdout;
  for (const option of ['--version', '--debug']) assert.equal(root.split(`${option} `).length, 2, root);
  for (const name of ['train', 'bench']) {
    assert.doesNotMatch((await commlm([name, '--help'])).stdout, /default: \[\]/, name);
  }
  assert.match((await commlm(['train', '--help'])).stdout, /--debug/);
});

test('--version is the package version', async () => {
  const { stdout } = await commlm(['--version']);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

test('ask prints the answer, and nothing else, on stdout', async () => {
  const json = JSON.parse((await ask([picture, 'What is this?', '--json'])).stdout) as AskJson;
  const { stdout, code } = await ask([picture, 'What is this?']);
  assert.equal(code, 0);
  assert.equal(stdout, `${json.answer}\n`);
});

test('ask --json is one document with the documented fields', async () => {
  const { stdout, stderr, code } = await ask([picture, 'What is this?', '--json', '--tokens']);
  assert.equal(code, 0, stderr);
  const answer = JSON.parse(stdout) as AskJson;
  assert.deepEqual(Object.keys(answer).sort(), [
    'answer',
    'boxes',
    'finishReason',
    'model',
    'timings',
    'tokens',
    'usage',
  ]);
  assert.deepEqual(Object.keys(answer.timings).sort(), ['decodeMs', 'loadMs', 'prefillMs', 'visionMs']);
  assert.equal(answer.usage.completionTokens, 6);
  assert.equal(answer.tokens?.length, 6);
});

test('a picture may come from stdin', async () => {
  const byName = JSON.parse((await ask([picture, 'What?', '--json'])).stdout) as AskJson;
  const piped = JSON.parse((await ask(['-', 'What?', '--json'], { input: readFileSync(picture) })).stdout) as AskJson;
  assert.equal(piped.answer, byName.answer);
});

test('several pictures are one question, a folder is one answer for each', async () => {
  const pictures = join(folder, 'pictures');
  mkdirSync(pictures);
  for (const name of ['b.png', 'a.jpg', 'c.webp']) copyFileSync(DOG, join(pictures, name));
  writeFileSync(join(pictures, 'broken.png'), 'no picture');
  writeFileSync(join(pictures, 'notes.txt'), 'not looked at');
  const together = JSON.parse((await ask([picture, join(pictures, 'a.jpg'), 'Compare.', '--json'])).stdout) as AskJson;
  assert.equal(together.usage.imageTokens, 32);
  const each = await commlm(['ask', pictures, FIND_DOG, '--json', '--draw', join(folder, 'drawn')]);
  assertError(each, 1, /1 of 4 pictures could not be answered/);
  const answers = JSON.parse(each.stdout) as (AskJson & { error?: string })[];
  assert.deepEqual(
    answers.map((answer) => answer.picture?.split('/').at(-1)),
    ['a.jpg', 'b.png', 'broken.png', 'c.webp'],
  );
  assert.match(answers[2]?.error ?? '', /not a picture/);
  assert.deepEqual(readdirSync(join(folder, 'drawn')).sort(), ['a.png', 'b.png', 'c.png']);
  assertError(await ask([pictures, picture, 'What?']), 2, /cannot be mixed/);
});

test('--draw writes a picture of the same size', async () => {
  const out = join(folder, 'boxes.png');
  const { code, stderr } = await commlm(['ask', DOG, FIND_DOG, '--draw', out]);
  assert.equal(code, 0, stderr);
  const { width, height } = await decodeImage(out);
  const asked = await decodeImage(DOG);
  assert.deepEqual([width, height], [asked.width, asked.height]);
});

test('a seed repeats a sampled answer', async () => {
  const sample = async (seed: string): Promise<string> =>
    (await ask([picture, 'What?', '--temperature', '1.5', '--seed', seed])).stdout;
  assert.equal(await sample('4'), await sample('4'));
  assert.notEqual(await sample('4'), await sample('5'));
});

test('broken pictures are one sentence each', async () => {
  const file = (name: string): string => join(folder, name);
  const jpeg = await writePicture(file('whole.jpg'), 200, 200);
  writeFileSync(file('text.png'), 'this is no picture');
  writeFileSync(file('empty.png'), '');
  const cases: [path: string, message: RegExp][] = [
    [file('none.png'), /There is no file/],
    [file('text.png'), /not a picture/],
    [file('empty.png'), /empty/],
    [writeTruncated(file('cut.jpg'), jpeg, 0.5), /cut off/],
    [writePngBomb(file('bomb.png'), 30_000, 30_000), /30000 x 30000 pixels/],
  ];
  for (const [path, message] of cases) {
    const result = await ask([path, 'What?', '--json']);
    assertError(result, 1, message);
    const { error } = JSON.parse(result.stdout) as { error: { code: string; message: string } };
    assert.match(error.message, message);
    assert.match(error.code, /^image\//);
  }
});

test('unknown and damaged models are one sentence each', async () => {
  const broken = makeTinyModel({ broken: true });
  const cut = makeTinyModel();
  writeTruncated(join(cut, 'model.safetensors'), join(cut, 'model.safetensors'), 0.5);
  const noJson = makeTinyModel();
  writeFileSync(join(noJson, 'config.json'), '{');
  const cases: [name: string, message: RegExp][] = [
    [join(folder, 'no-model'), /There is no model folder/],
    [folder, /no config\.json/],
    [picture, /is a file/],
    [broken, /NaN/],
    [cut, /model\.safetensors/],
    [noJson, /not valid JSON/],
  ];
  for (const [name, message] of cases) {
    assertError(await commlm(['ask', picture, 'What?', '--model', name]), 1, message);
  }
  for (const path of [broken, cut, noJson]) rmSync(path, { recursive: true });
});

test('wrong usage is exit code 2 and says what is right', async () => {
  const cases: [args: string[], message: RegExp][] = [
    [['aks', picture, 'What?'], /no command "aks"[\s\S]*commlm ask/],
    [['ask'], /lacks an argument: it takes </],
    [['ask', picture], /picture and a question/],
    [['ask', picture, ' '], /question is empty/],
    [
      ['ask', 'Is there a dog?', picture],
      /"Is there a dog\?" is no picture[\s\S]*The picture comes first; put the question/,
    ],
    [['ask', picture, 'Is', 'there', 'a', 'dog'], /"Is" is no picture[\s\S]*in quotes: commlm ask .* "Is there a dog"/],
    [['ask', picture, 'What?', '--temperatur', '1'], /unknown option[\s\S]*--temperature/i],
    [['ask', picture, 'What?', '--temperature', '-1'], /number from 0/],
    [['ask', picture, 'What?', '--top-p', '0'], /number above 0/],
    [['ask', picture, 'What?', '--max-new-tokens', 'many'], /whole number/],
    [['ask', picture, 'What?', '--dtype', 'f7'], /f32/],
    [['ask', picture, 'What?', '--device', 'tpu'], /cpu/],
    [['ask', picture, 'What?', '--tokens'], /--json/],
    [['ask', picture, 'What?', '--draw', 'boxes.gif'], /must end in/],
    [['bench', 'vitt'], /no suite "vitt"[\s\S]*"vit"/],
    [['ask', picture, 'What?', '--max-tokens', '3'], /unknown option[\s\S]*--max-new-tokens/i],
    [['data'], /needs one of its commands: preview, validate, bench\.\nfix: .*commlm data preview/],
    [['data', 'previw'], /unknown command[\s\S]*preview/i],
    [['pull'], /No model is named\.\nfix: .*llava-1\.5-7b-hf \(14\.1 GB, Llama 2 licence\)/],
    [['features', picture], /nothing to write/i],
    [['features', picture, '--levels', '3-1', '--out', 'x.safetensors'], /upwards/],
    [['batch', picture, picture], /is an input/],
    [['batch', picture], /lacks an argument: it takes </],
  ];
  for (const [args, message] of cases) assertError(await commlm(args), 2, message);
});

test('--debug shows where an error came from', async () => {
  const { stderr } = await commlm(['ask', join(folder, 'none.png'), 'What?', '--debug']);
  assert.match(stderr, /^\s+at /m);
});

test('outputs that cannot be written are refused before any work, and nothing stays half-written', async () => {
  assertError(await ask([picture, 'What?', '--draw', join(folder, 'no', 'such', 'out.png')]), 1, /there is no folder/);
  if (process.getuid?.() === 0) return; // root may write anywhere
  const locked = join(folder, 'locked');
  mkdirSync(locked);
  chmodSync(locked, 0o500);
  assertError(await ask([picture, 'What?', '--draw', join(locked, 'out.png')]), 1, /no permission/);
  chmodSync(locked, 0o700);
  assert.deepEqual(readdirSync(locked), []);
});

test('a full disk is named and leaves nothing behind', { skip: !existsSync('/dev/full') }, async () => {
  const questions = join(folder, 'full.jsonl');
  writeFileSync(questions, `${JSON.stringify({ id: 1, image: picture, question: 'What?' })}\n`);
  const result = await commlm(['batch', questions, '/dev/full', '--model', model, '--max-new-tokens', '2']);
  assertError(result, 1, /disk is full/);
});

test('features are the levels asked for, and the painting is a picture', async () => {
  const [out, draw] = [join(folder, 'levels.safetensors'), join(folder, 'levels.png')];
  const run = await commlm([
    'features',
    picture,
    '--encoder',
    model,
    '--levels',
    '0-3',
    '--out',
    out,
    '--draw',
    draw,
    '--json',
  ]);
  assert.equal(run.code, 0, run.stderr);
  assert.deepEqual((JSON.parse(run.stdout) as { shape: number[] }).shape, [1, 16, 48]);
  scope(() => {
    using file = io.openSafetensors(out);
    assert.deepEqual([...file.keys].sort(), ['level.0', 'level.1', 'level.2', 'level.3']);
    assert.deepEqual(file.info('level.2'), { dtype: 'f32', shape: [1, 16, 48] });
  });
  assert.ok((await decodeImage(draw)).width > 300);
  const special = await commlm([
    'features',
    picture,
    '--encoder',
    model,
    '--levels=-1',
    '--keep-special',
    '--out',
    out,
  ]);
  assert.equal(special.code, 0, special.stderr);
  scope(() => {
    using file = io.openSafetensors(out);
    assert.deepEqual(file.info('level.3').shape, [1, 17, 48]);
  });
  assertError(
    await commlm(['features', picture, '--encoder', model, '--levels', '9', '--out', out]),
    1,
    /Level 9 does not exist/,
  );
  assertError(
    await commlm(['features', picture, '--encoder', model, '--branch', 'mae', '--out', out]),
    2,
    /no encoder "mae"/,
  );
});

test('inspect counts parameters and shows the level weights', async () => {
  const { stdout, code } = await commlm(['inspect', model, '--json']);
  assert.equal(code, 0);
  const report = JSON.parse(stdout) as {
    numParameters: number;
    memory: Record<string, number>;
    parts: { numParameters: number }[];
    levelWeights: { symbol: string; levels: number[]; weights: number[] }[];
  };
  assert.equal(report.memory.f32, report.numParameters * 4);
  assert.equal(
    report.parts.reduce((sum, part) => sum + part.numParameters, 0),
    report.numParameters,
  );
  assert.deepEqual(
    report.levelWeights.map(({ symbol, levels }) => [symbol, levels]),
    [
      ['alpha', [1, 2, 3]],
      ['beta', [2, 3]],
    ],
  );
  for (const { weights } of report.levelWeights) {
    const sum = weights.reduce((a, b) => a + b, 0);
    expectRounded(sum, 1, { terms: weights.length, steps: 2 });
  }
  assert.match((await commlm(['inspect', model])).stdout, /alpha[\s\S]*####/);
});

test('chat answers line by line, survives slips, and knows its commands', async () => {
  const drawn = join(folder, 'chat.png');
  const lines = [
    'What is this?',
    '/nonsense',
    '/image nowhere.png',
    `/image ${picture}`,
    'And this?',
    `/draw ${drawn}`,
    '/reset',
    '/help',
    '/quit',
  ];
  const { stdout, stderr, code } = await commlm(['chat', picture, '--model', model, '--max-new-tokens', '3'], {
    input: `${lines.join('\n')}\n`,
  });
  assert.equal(code, 0, stderr);
  assert.match(
    stderr,
    /no command \/nonsense[\s\S]*There is no file nowhere\.png[\s\S]*nothing drawn: the last answer has no boxes/,
  );
  assert.match(stdout, /\/reset {3}/);
  assert.equal(existsSync(drawn), false);
});

test('Ctrl-C ends an answer with exit code 130', async () => {
  const result = await commlm(
    ['ask', picture, 'Talk on.', '--model', model, '--max-new-tokens', '800', '--temperature', '2'],
    { onStart: (child) => child.stdout?.once('data', () => child.kill('SIGINT')) },
  );
  assert.equal(result.code, 130, result.stderr);
});

test('a reader that goes away is no failure', async () => {
  const { code } = await commlm(['inspect', model], { onStart: (child) => child.stdout?.destroy() });
  assert.equal(code, 0);
});
