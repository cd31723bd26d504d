/** Pictures as people have them on the command line: turned, named strangely, in the place of something else, and never overwritten. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { io, scope } from '@commlm/torch';
import { decodeImage } from 'commlm';
import sharp from 'sharp';
import { type CliOptions, type CliResult, commlm, ROOT } from '../helpers/cli.js';
import { DOG, FIND_DOG, writePicture } from '../helpers/pictures.js';
import { makeTinyModel } from '../helpers/tiny-model.js';

let folder = '';
let model = '';
let picture = '';
/** One picture stored upright, and stored sideways with a tag that says so. */
let upright = '';
let turned = '';

const { pictures } = JSON.parse(readFileSync(join(ROOT, 'tests/golden/images/pictures.json'), 'utf8')) as {
  pictures: { name: string; base64: string }[];
};

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'commlm-pictures-'));
  model = makeTinyModel();
  picture = await writePicture(join(folder, 'photo.png'), 60, 40);
  const file = (name: string): Buffer => Buffer.from(pictures.find((one) => one.name === name)?.base64 ?? '', 'base64');
  turned = join(folder, 'turned.png');
  upright = join(folder, 'upright.png');
  writeFileSync(turned, file('orientation 6.png'));
  writeFileSync(upright, file('orientation 1.png'));
});

after(() => {
  rmSync(folder, { recursive: true });
  rmSync(model, { recursive: true });
});

const settings = (): string[] => ['--model', model, '--max-new-tokens', '6'];
const ask = (args: readonly string[], options?: CliOptions): Promise<CliResult> =>
  commlm(['ask', ...settings(), ...args], options);

interface Said {
  readonly answer: string;
  readonly tokens: number[];
}

async function tokensOf(args: readonly string[]): Promise<number[]> {
  const { stdout, stderr } = await ask([...args, '--json', '--tokens']);
  assert.ok(stdout.startsWith('{'), stderr);
  return (JSON.parse(stdout) as Said).tokens;
}

test('ask, batch and features see a turned picture upright, and as it is stored with --raw-orientation', async () => {
  const question = 'What is in the image?';
  const asStored = await tokensOf([upright, question]);
  const seen = await tokensOf([turned, question]);
  assert.notDeepEqual(seen, asStored);
  assert.deepEqual(await tokensOf([turned, question, '--raw-orientation']), asStored);

  const input = join(folder, 'turned.jsonl');
  writeFileSync(input, JSON.stringify({ id: 1, images: ['turned.png'], question }));
  for (const [flags, expected] of [
    [[], seen],
    [['--raw-orientation'], asStored],
  ] as const) {
    const output = join(folder, `turned${flags.length}.out.jsonl`);
    const result = await commlm(['batch', input, output, ...settings(), '--tokens', ...flags]);
    assert.equal(result.code, 0, result.stderr);
    assert.deepEqual((JSON.parse(readFileSync(output, 'utf8')) as Said).tokens, expected);
  }

  const levels = async (path: string, ...flags: string[]): Promise<number[]> => {
    const out = join(folder, 'levels.safetensors');
    const result = await commlm(['features', path, '--encoder', model, '--levels', '2', '--out', out, ...flags]);
    assert.equal(result.code, 0, result.stderr);
    using file = io.openSafetensors(out);
    return scope(() => Array.from(file.tensor('level.2').toArray() as Float32Array));
  };
  const plain = await levels(upright);
  assert.notDeepEqual(await levels(turned), plain);
  assert.deepEqual(await levels(turned, '--raw-orientation'), plain);
});

test('a drawing of a turned picture is upright and says nothing of a turn', async () => {
  const drawn = join(folder, 'drawn.png');
  const sideways = join(folder, 'sideways.png');
  await sharp(DOG).resize(400, 300, { fit: 'fill' }).rotate(270).withMetadata({ orientation: 6 }).toFile(sideways);
  assert.equal((await commlm(['ask', sideways, FIND_DOG, '--draw', drawn])).code, 0);
  const { width, height, orientation } = await decodeImage(drawn);
  const seen = await decodeImage(sideways);
  assert.deepEqual([width, height, orientation], [seen.width, seen.height, 1]);
  assert.notEqual(seen.width, seen.storedWidth);
});

test('an output that is an input is refused by whatever name, and the input stays', async () => {
  const home = mkdtempSync(join(folder, 'outputs-'));
  const source = join(home, 'in.png');
  copyFileSync(picture, source);
  const bytes = readFileSync(source);
  const soft = join(home, 'soft.png');
  const hard = join(home, 'hard.png');
  symlinkSync(source, soft);
  linkSync(source, hard);
  mkdirSync(join(home, 'sub'));
  const refused = async (args: readonly string[], options?: CliOptions): Promise<void> => {
    const { code, stderr } = await commlm(args, options);
    assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
    assert.match(stderr, /Cannot write .*input/);
    assert.match(stderr, /Name another file\./);
    assert.deepEqual(readFileSync(source), bytes);
  };
  for (const target of [source, soft, hard, join(home, 'sub', '..', 'in.png')]) {
    await refused(['ask', ...settings(), source, 'What?', '--draw', target]);
  }
  await refused(['ask', ...settings(), source, 'What?', '--draw', 'in.png'], { cwd: home });
  await refused(['ask', ...settings(), pathToFileURL(source).href, 'What?', '--draw', soft]);
  await refused(['ask', ...settings(), picture, source, 'What differs?', '--draw', source]);
  await refused(['ask', ...settings(), home, 'What?', '--draw', home]);
  await refused(['features', source, '--encoder', model, '--draw', soft]);
  await refused(['features', source, '--encoder', model, '--out', join(model, 'model.safetensors')]);
  const chat = await commlm(['chat', ...settings(), source], { input: `What?\n/draw ${hard}\n/reset\n/quit\n` });
  assert.match(chat.stderr, /Cannot write .*hard\.png: it is the same file/);
  assert.deepEqual(readFileSync(source), bytes);
  await refused(['batch', source, soft, ...settings()]);
  const same = join(home, 'same-model');
  symlinkSync(model, same);
  await refused(['convert', model, same]);
});

test('a folder of pictures that share a name gives a drawing for each', async () => {
  const home = mkdtempSync(join(folder, 'shared-'));
  for (const name of ['a.png', 'a.webp', 'b.jpg']) copyFileSync(DOG, join(home, name));
  const out = join(folder, 'drawings');
  const result = await commlm(['ask', home, FIND_DOG, '--draw', out]);
  assert.equal(result.code, 0, result.stderr);
  assert.deepEqual(readdirSync(out).sort(), ['a.png.png', 'a.webp.png', 'b.png']);
});

test('a pipe, a device and a drawing end at once with a sentence', { skip: process.platform === 'win32' }, async () => {
  const pipe = join(folder, 'pipe.png');
  execFileSync('mkfifo', [pipe]);
  const zero = join(folder, 'zero.png');
  symlinkSync('/dev/zero', zero);
  const bomb = join(folder, 'bomb.png');
  const uses = (of: string): string => `<g id="${of}x">${`<use href="#${of}"/>`.repeat(30)}</g>`;
  writeFileSync(
    bomb,
    `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><g id="a"><rect width="1" height="1"/></g>${['a', 'ax', 'axx', 'axxx', 'axxxx'].map(uses).join('')}</svg>`,
  );
  for (const [path, words] of [
    [pipe, /named pipe/],
    [zero, /device/],
    ['/dev/urandom', /device/],
    [bomb, /SVG drawing/],
  ] as const) {
    for (const args of [
      ['ask', ...settings(), path, 'What?'],
      ['features', path, '--encoder', model, '--draw', join(folder, 'x.png')],
      ['chat', ...settings(), path],
    ]) {
      const { code, stderr } = await commlm(args);
      assert.equal(code, 1, stderr);
      assert.match(stderr, words);
    }
  }
  const input = join(folder, 'pipes.jsonl');
  writeFileSync(input, [pipe, zero, bomb].map((image, id) => JSON.stringify({ id, image, question: 'x' })).join('\n'));
  const output = join(folder, 'pipes.out.jsonl');
  assert.equal((await commlm(['batch', input, output, ...settings()])).code, 1);
  assert.match(readFileSync(output, 'utf8'), /named pipe.*\n.*device.*\n.*SVG/);
  const fromPipe = await commlm(['batch', pipe, output, ...settings()]);
  assert.match(fromPipe.stderr, /named pipe/);
});

test('no control character of a name or an answer reaches the terminal', {
  skip: process.platform === 'win32',
}, async () => {
  const hostile = join(folder, 'hostile');
  mkdirSync(hostile);
  const name = 'a\u001b]0;owned\u0007\u009b31m\u202e.png';
  copyFileSync(picture, join(hostile, name));
  writeFileSync(join(hostile, `b${name}`), 'no picture');
  // Escapes, and what turns the direction of text; line feeds and tabs may stay.
  const isHostile = /[^\P{Cc}\n\t]|\u202e/u;
  const runs = [
    ask([hostile, 'What?', '--draw', join(folder, 'hostile-drawings')]),
    ask([join(hostile, `b${name}`), 'What?']),
    ask([join(hostile, `missing${name}`), 'What?']),
    ask([join(hostile, name), 'What?', '--draw', join(hostile, `nowhere${name}`, 'x.png')]),
    commlm(['chat', ...settings()], { input: `/image ${join(hostile, `missing${name}`)}\n/\u001b[2J\n/quit\n` }),
    commlm(['features', join(hostile, name), '--encoder', model, '--draw', join(hostile, `f${name}`)]),
    commlm(['batch', join(hostile, `missing${name}`), join(folder, 'x.jsonl'), ...settings()]),
    commlm([`\u001b[2Jask`]),
    commlm(['ask', `--\u001b[2J`]),
  ];
  // Answers are exact where stdout is no terminal, and this model writes anything: names stand in front of them.
  for (const { stdout, stderr } of await Promise.all(runs)) {
    assert.doesNotMatch(stderr, isHostile);
    assert.ok(!stdout.includes('\u001b]0;owned'), stdout);
  }
  // JSON escapes by itself, and keeps the name.
  const { stdout } = await ask([hostile, 'What?', '--json']);
  assert.doesNotMatch(stdout, isHostile);
  assert.ok((JSON.parse(stdout) as { picture: string }[]).some((one) => one.picture.endsWith(name)));
  assert.ok(existsSync(join(hostile, name)));
});
