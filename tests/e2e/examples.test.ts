/**
 * Every question about a picture that the README, the help texts and `npm start` advertise is asked of the embedded model, and
 * its answer is right: a box at the thing, or the text. What is advertised and has no known answer here fails.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { commlm, ROOT } from '../helpers/cli.js';

type Box = readonly [number, number, number, number];

/** The things of examples/traffic.jpg in pixels, as the generator placed them. */
const DOG: Box = [297, 31, 544, 286];
const LEFT_CAR: Box = [32, 43, 321, 212];
const LEAST_IOU = 0.75;

/** What is right, by question: a box, or the text. */
const ANSWERS: Readonly<Record<string, Box | RegExp>> = {
  'Find the dog in the image.': DOG,
  'Find the car on the left.': LEFT_CAR,
  'Is there a dog in the image?': /\byes\b/,
  'Is there a cat in the image? please answer yes or no.': /\bno\b/,
  'How many cars are there?': /\b2\b/,
  'How many cars are there': /\b2\b/,
  'What is in the second picture?': /\belephant\b/i,
  'What is in the image?': /\bdog\b/,
};

/** A line of the shell that asks, without prompt, pipe and comment. */
interface Asked {
  readonly source: string;
  readonly words: readonly string[];
}

const wordsOf = (line: string): string[] =>
  (line.replace(/\s+#.*$/, '').match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replace(/^"|"$/g, ''));

function askedIn(source: string, text: string): Asked[] {
  return text.split('\n').flatMap((line) => {
    const [, asked] = /(?:commlm ask|npm start --) ([^|`>]+)/.exec(line) ?? [];
    // A usage line is no example, nor is a question to another model.
    if (asked === undefined || /^\[options\]|^--|PICTURE|--model/.test(asked)) return [];
    return [{ source, words: wordsOf(asked) }];
  });
}

let folder = '';

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'commlm-examples-'));
  symlinkSync(join(ROOT, 'examples'), join(folder, 'examples'));
  const example = (name: string, as: string): void => copyFileSync(join(ROOT, 'examples', name), join(folder, as));
  example('traffic.jpg', 'photo.jpg');
  example('puppy.png', 'first.jpg');
  example('elephant.png', 'second.jpg');
  mkdirSync(join(folder, 'photos'));
  example('puppy.png', join('photos', 'a.png'));
  example('dog.png', join('photos', 'b.png'));
});

after(() => rmSync(folder, { recursive: true }));

interface Printed {
  readonly answer: string;
  readonly boxes: readonly { readonly box: Box }[];
}

function iou(a: Box, b: Box): number {
  const width = Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0]));
  const height = Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  const area = ([x1, y1, x2, y2]: Box): number => (x2 - x1) * (y2 - y1);
  return (width * height) / (area(a) + area(b) - width * height);
}

function checkAnswer(place: string, question: string, { answer, boxes }: Printed): void {
  const right = ANSWERS[question];
  assert.ok(right !== undefined, `${place}: nothing here says what is right`);
  if (right instanceof RegExp) assert.match(answer, right, place);
  else {
    assert.equal(boxes.length, 1, `${place}: ${answer}`);
    assert.ok(iou(boxes[0]!.box, right) > LEAST_IOU, `${place}: ${answer}`);
  }
}

async function checkAsked({ source, words }: Asked): Promise<void> {
  const first = words.findIndex((word) => word.startsWith('--'));
  const plain = first < 0 ? [...words] : words.slice(0, first);
  const options = (first < 0 ? [] : words.slice(first)).filter((word) => word !== '--json');
  const place = `${source}: ${words.join(' ')}`;
  const numPictures = Math.max(
    1,
    plain.findIndex((word) => !existsSync(join(folder, word)) && word !== '-'),
  );
  const question = plain.slice(numPictures).join(' ');
  const pictures = plain.slice(0, numPictures);
  for (const picture of pictures) {
    assert.ok(picture === '-' || existsSync(join(folder, picture)), `${place}: nothing stands for ${picture}`);
  }
  const input = pictures.includes('-') ? readFileSync(join(folder, 'photo.jpg')) : '';
  const { code, stdout, stderr } = await commlm(['ask', ...pictures, question, ...options, '--json'], {
    ...{ cwd: folder, input },
  });
  assert.equal(code, 0, `${place}: ${stderr}`);
  const printed = JSON.parse(stdout) as Printed | Printed[];
  for (const each of [printed].flat()) checkAnswer(place, question, each);
  const drawing = options[options.indexOf('--draw') + 1];
  if (options.includes('--draw')) assert.ok(existsSync(join(folder, drawing!)), `${place}: nothing drawn`);
}

test('what the README, the help texts and npm start advertise is answered right', async () => {
  const helps = await Promise.all([[], ['ask'], ['chat']].map((names) => commlm([...names, '--help'])));
  const start = spawnSync(process.execPath, [join(ROOT, 'tools', 'start.mjs'), '--help'], { encoding: 'utf8' });
  assert.equal(start.status, 0, start.stderr);
  const asked = [
    ...askedIn('README.md', readFileSync(join(ROOT, 'README.md'), 'utf8')),
    ...helps.flatMap(({ stdout }) => askedIn('help', stdout)),
    ...askedIn('npm start -- --help', start.stdout),
    ...askedIn(
      'npm start',
      readFileSync(join(ROOT, 'tools', 'start.mjs'), 'utf8')
        .split('Try next')[1]!
        .replaceAll(`\${basename(DEMO.picture)}`, 'music.png'),
    ),
  ];
  assert.ok(asked.length >= 10, `only ${asked.length} examples found`);
  for (const each of asked) await checkAsked(each);
});

test('an answer without boxes draws nothing, and says so', async () => {
  const args = ['ask', 'photo.jpg', 'Where is the dog?', '--draw', 'none.png'];
  const told = await commlm(args, { cwd: folder });
  assert.equal(told.code, 0, told.stderr);
  assert.match(told.stdout, /right/);
  assert.match(told.stderr, /nothing drawn: the answer has no boxes/);
  assert.ok(!existsSync(join(folder, 'none.png')));
  const json = await commlm([...args, '--json'], { cwd: folder });
  assert.equal((JSON.parse(json.stdout) as { drawn: null }).drawn, null);
  const drawn = await commlm(['ask', 'photo.jpg', 'Find the dog in the image.', '--draw', 'some.png', '--json'], {
    cwd: folder,
  });
  assert.equal((JSON.parse(drawn.stdout) as { drawn: string }).drawn, 'some.png');
});

test('the model says what it knows, and marks a question about something else', async () => {
  const question = ['ask', 'photo.jpg', 'Find the helicopter in the image.'];
  const asked = await commlm(question, { cwd: folder });
  assert.match(
    asked.stderr.split('\n')[0]!,
    /^comm-tiny knows 48 drawn things .* no photographs; .*commlm pull \S+ \(/,
  );
  assert.match(asked.stderr, /never asked about "helicopter"/);
  assert.ok(!asked.stderr.includes('stored as'), 'the number format of a small model is no news');
  const json = await commlm([...question, '--json'], { cwd: folder });
  assert.equal(json.stderr, '', '--json leaves stderr to faults');
  assert.match((JSON.parse(json.stdout) as { hint: string }).hint, /helicopter/);
  const known = await commlm(['ask', 'photo.jpg', 'What is in the image?'], { cwd: folder });
  assert.doesNotMatch(known.stderr, /never asked/);
});

test('npm start says what is wrong with its arguments before it sets anything up', () => {
  const start = (...args: string[]) =>
    spawnSync(process.execPath, [join(ROOT, 'tools', 'start.mjs'), ...args], {
      ...{ encoding: 'utf8', cwd: ROOT, env: { ...process.env, INIT_CWD: folder } },
    });
  for (const [args, message] of [
    [['photo.jpg'], /A question is missing\.[\s\S]*npm start -- photo\.jpg "/],
    [
      ['What is it?', 'photo.jpg'],
      /"What is it\?" is no picture\.[\s\S]*The picture comes first: npm start -- photo\.jpg/,
    ],
    [['gone.jpg', 'What?'], /There is no file gone\.jpg\./],
    [['https://example.org/a.jpg', 'What?'], /is a web address, and pictures are not fetched from the web\./],
    [['ftp://example.org/a.jpg', 'What?'], /is an address that is not read as a picture\./],
  ] as const) {
    const { status, stderr } = start(...args);
    assert.equal(status, 2);
    assert.match(stderr, message);
  }
  const asked = start('photo.jpg', 'How', 'many', 'cars', 'are', 'there');
  assert.equal(asked.status, 0, asked.stderr);
  assert.match(asked.stdout, /question {2}How many cars are there\n[\s\S]*The answer is 2\./);
});

test('addresses are refused with the same sentence by start and ask', async () => {
  for (const address of ['https://example.org/a.jpg', 'ftp://example.org/a.jpg']) {
    const asked = await commlm(['ask', address, 'What?'], { cwd: folder });
    const started = spawnSync(process.execPath, [join(ROOT, 'tools', 'start.mjs'), address, 'What?'], {
      encoding: 'utf8',
    });
    assert.equal(started.stderr.split('\n')[0], asked.stderr.split('\n')[0]);
  }
});
