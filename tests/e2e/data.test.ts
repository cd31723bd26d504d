/** `commlm data` on own data in LLaVA's format: what the model sees, faults with their place, the speed of loading. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { commlm } from '../helpers/cli.js';
import { writePicture, writeTruncated } from '../helpers/pictures.js';
import { makeTinyModel } from '../helpers/tiny-model.js';

let folder = '';
let model = '';

const row = (image: string | undefined, question: string, answer: string): object => ({
  ...(image === undefined ? {} : { image }),
  conversations: [
    { from: 'human', value: question },
    { from: 'gpt', value: answer },
  ],
});

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'commlm-data-'));
  model = makeTinyModel();
  mkdirSync(join(folder, 'images'));
  const whole = await writePicture(join(folder, 'images', 'a.png'), 60, 30);
  await writePicture(join(folder, 'images', 'b.jpg'), 30, 40, 90);
  writeTruncated(join(folder, 'images', 'cut.png'), whole, 0.5);
  const good = Array.from({ length: 40 }, (_, i) =>
    i % 3 === 2
      ? row(undefined, `Say ${i}.`, `${i}`)
      : row(i % 2 === 0 ? 'a.png' : 'b.jpg', '<image>\nWhere?', 'Answer: [0.100,0.400,0.400,0.600].'),
  );
  writeFileSync(join(folder, 'good.json'), JSON.stringify(good));
  const bad = [
    ...good.slice(0, 3),
    row('gone.png', '<image>\nWhat?', 'A.'),
    row('cut.png', '<image>\nWhat?', 'A.'),
    row('a.png', '<image> and <image>?', 'A.'),
    { image: 'a.png', conversations: [{ from: 'gpt', value: 'A.' }] },
  ];
  writeFileSync(join(folder, 'bad.json'), JSON.stringify(bad));
});

after(() => {
  rmSync(folder, { recursive: true });
  rmSync(model, { recursive: true });
});

const settings = (file: string): string[] =>
  [
    `stage.model=${model}`,
    `stage.data.sets.own.file=${join(folder, file)}`,
    `stage.data.stores.images.folder=${join(folder, 'images')}`,
    'loop.batchSize=4',
  ].flatMap((setting) => ['--set', setting]);

test('preview shows learned text, pictures as a run, boxes on pictures and a page', async () => {
  const out = join(folder, 'preview');
  const args = ['data', 'preview', 'tiny-own-data', ...settings('good.json'), '--only', 'own', '--count', '3'];
  const shown = await commlm([...args, '--out', out]);
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(
    shown.stdout,
    /USER: <im_start>\[picture 1: 16 tokens\]<im_end> Where\? ASSISTANT:⟦ Answer: \[0\.100,0\.400,0\.400,0\.600\]\.<\/s>⟧/,
  );
  assert.match(shown.stdout, /a\.png {2}60 x 30, 1 marks/);
  assert.match(shown.stdout, /USER: Say 2\. ASSISTANT:⟦ 2<\/s>⟧/);
  assert.ok(!shown.stdout.includes('\u001b['), 'no colour in a pipe');
  assert.ok(existsSync(join(out, 'own-0.png')));
  assert.match(readFileSync(join(out, 'index.html'), 'utf8'), /class="learned"> Answer: \[0\.100/);
  const { samples } = JSON.parse((await commlm([...args, '--json'])).stdout) as {
    samples: { pictures: { marks: { box: number[] }[] }[]; spans: { kind: string; numTokens: number }[] }[];
  };
  // A square of 60 with 15 above and below the picture.
  assert.deepEqual(samples[0]!.pictures[0]!.marks[0]!.box.map(Math.round), [6, 9, 24, 21]);
  assert.deepEqual(
    samples[0]!.spans.map(({ kind }) => kind),
    ['read', 'picture', 'read', 'learned'],
  );
});

test('validate is silent about good data and names each fault of bad ones', async () => {
  const good = await commlm(['data', 'validate', 'tiny-own-data', ...settings('good.json')]);
  assert.equal(good.code, 0, good.stderr);
  assert.match(good.stdout, /no faults in 40 samples/);
  const bad = await commlm(['data', 'validate', 'tiny-own-data', ...settings('bad.json')]);
  assert.equal(bad.code, 1);
  assert.match(bad.stdout, /picture {2}\S*bad\.json\D+4\D.*gone\.png/);
  assert.match(bad.stdout, /picture {2}\S*bad\.json\D+5\D.*cut\.png: The picture is (damaged|cut off)/);
  assert.match(bad.stdout, /image-count {2}\S*bad\.json\D+6: 2 <image> in the text, but 1 pictures/);
  assert.match(bad.stdout, /malformed {2}\S*bad\.json\D+7/);
  assert.match(bad.stdout, /2 picture, 1 image-count, 1 malformed in 7 samples/);
  const json = await commlm(['data', 'validate', 'tiny-own-data', ...settings('bad.json'), '--no-pictures', '--json']);
  assert.equal(json.code, 1);
  const { faults, kinds } = JSON.parse(json.stdout) as { faults: number; kinds: Record<string, number> };
  assert.deepEqual([faults, kinds['picture']], [3, 1], 'a picture that is only looked for is not decoded');
});

test('bench prints the speed of loading and compares it with a run', async () => {
  writeFileSync(join(folder, 'metrics.jsonl'), '{"step":1,"train/samples_per_second":2}\n');
  const args = ['data', 'bench', 'tiny-own-data', ...settings('good.json'), '--batches', '4', '--run', folder];
  const { code, stdout, stderr } = await commlm(args);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /data loading alone: [\d.]+ samples\/s/);
  assert.match(stdout, /training consumes: 2\.0 samples\/s; loading is [\d.]+ times as fast/);
});

test('the rows that comm-tiny learns from are shown as well', async () => {
  const world = [
    'data',
    'preview',
    'tiny-stage1',
    '--set',
    'comm.tokenizer=models/comm-tiny',
    '--count',
    '1',
    '--json',
  ];
  const { code, stdout, stderr } = await commlm(world);
  assert.equal(code, 0, stderr);
  const { rows } = JSON.parse(stdout) as { rows: { spans: { kind: string; text: string }[] }[] };
  assert.ok(rows[0]!.spans.some(({ kind, text }) => kind === 'learned' && /<\/s>/.test(text)));
});

test('a recipe without data sets, an unknown set and missing files are sentences', async () => {
  const none = await commlm(['data', 'validate', 'tiny-clip']);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /reads none/);
  const unknown = await commlm(['data', 'preview', 'tiny-own-data', ...settings('good.json'), '--only', 'rec']);
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /no data set "rec"/);
  const missing = await commlm(['data', 'preview', 'tiny-own-data']);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /data\/own/);
});
