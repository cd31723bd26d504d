/** `commlm data` on own data in LLaVA's format: what the model sees, faults with their place, the speed of loading. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
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
    `comm.model=${model}`,
    `comm.data.sets.own.file=${join(folder, file)}`,
    `comm.data.stores.images.folder=${join(folder, 'images')}`,
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
  assert.match(shown.stdout, /a\.png {2}60 x 30, 1 mark\b/);
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

test('a fault of many samples is told once with the first three, and all of it with --all or --json', async () => {
  const rows = Array.from({ length: 9 }, (_, i) => row(`gone${i}.png`, '<image>\nWhat?', 'A.'));
  writeFileSync(join(folder, 'gone.json'), JSON.stringify(rows));
  const args = ['data', 'validate', 'tiny-own-data', ...settings('gone.json')];
  const told = await commlm(args);
  assert.equal(told.code, 1, told.stderr);
  assert.match(told.stdout, /^9 x picture, the first 3; --all prints each:\n(picture .*\n){3} {4}\S/);
  assert.match(told.stdout, /9 picture in 9 samples/);
  assert.equal((await commlm([...args, '--all'])).stdout.match(/^picture /gm)?.length, 9);
  const { problems } = JSON.parse((await commlm([...args, '--json'])).stdout) as { problems: unknown[] };
  assert.equal(problems.length, 9);
  const shown = await commlm(['data', 'preview', 'tiny-own-data', ...settings('gone.json'), '--count', '2']);
  assert.equal(shown.code, 1, shown.stdout);
  assert.match(
    shown.stderr,
    /Each of the 2 samples that were drawn has a fault \(picture\).*\nfix: .*data validate tiny-own-data/,
  );
});

/** A COCO file with a sound thing of each of two kinds, and those that published files have besides. */
function writeInstances(file: string, more: readonly object[] = []): void {
  const boxes: readonly (readonly [bbox: number[], more?: object])[] = [
    [[10, 5, 20, 20]],
    [[30, 5, 20, 20]],
    [[10, 10, 0, 12]],
    [[80, 5, 20, 20]],
    [[5, -904, 20, 24]],
    [[0, 0, 60, 30], { iscrowd: true }],
    [[0, 0, 60, 30], { iscrowd: '1' }],
  ];
  const annotations = boxes.map(([bbox, flags], i) => ({ id: i, image_id: 1, category_id: i, bbox, ...flags }));
  const images = [{ id: 1, file_name: 'a.png', width: 60, height: 30 }];
  const categories = boxes.map((_, id) => ({ id, name: `thing ${id}` }));
  writeFileSync(file, JSON.stringify({ images, annotations: [...annotations, ...more], categories }));
}

const instances = (file: string): string[] => {
  const sets = { own: { kind: 'coco-instances', file, store: 'images', task: 'rec' } };
  return [
    ...settings('good.json').slice(0, 2),
    '--set',
    `comm.data.sets=${JSON.stringify(sets)}`,
    ...settings('').slice(4),
  ];
};

test('boxes that show nothing are counted by validate and left out by train, crowds always', async () => {
  const file = join(folder, 'instances.json');
  writeInstances(file);
  const checked = await commlm(['data', 'validate', 'tiny-own-data', ...instances(file)]);
  assert.equal(checked.code, 1, checked.stderr);
  assert.match(checked.stdout, /annotations\[2\]: the box 10, 10, 10, 22 has no area/);
  assert.match(checked.stdout, /annotations\[3\]: the box 80, 5, 100, 25 lies outside of the picture \(60 x 30\)/);
  assert.match(checked.stdout, /annotations\[4\]: the box 5, -904, 25, -880 lies outside/);
  assert.match(checked.stdout, /own: 2 crowd regions left out/);
  assert.match(checked.stdout, /3 empty-box in 5 samples\ntraining leaves out empty-box \(comm\.data\.skip\)/);
  const train = ['train', 'tiny-own-data', ...instances(file), '--set', 'loop.steps=2', '--out'];
  const trained = await commlm([...train, join(folder, 'left-out')]);
  assert.equal(trained.code, 0, trained.stderr);
  assert.match(trained.stderr, /left out in all: 3 samples \(3 empty-box\)/);
  const strict = await commlm([...train, join(folder, 'strict'), '--set', 'comm.data.skip.empty-box=error']);
  assert.equal(strict.code, 1);
  assert.match(strict.stderr, /annotations\[[234]\]: the box .* (?:has no area|lies outside)/);
});

test('a malformed record stops a training, and hides nothing from validate', async () => {
  const file = join(folder, 'malformed.json');
  writeInstances(file, [
    { id: 8, image_id: 1, category_id: 0, bbox: [0.1, 0.2, 0.3, 0.4] },
    { id: 9, bbox: [1, 2, 3, 4] },
  ]);
  const checked = await commlm(['data', 'validate', 'tiny-own-data', ...instances(file), '--json']);
  const { kinds, sets } = JSON.parse(checked.stdout) as {
    kinds: Record<string, number>;
    sets: Record<string, { leftOut: object }>;
  };
  assert.deepEqual(kinds, { malformed: 2, 'empty-box': 3 });
  assert.deepEqual(sets['own']!.leftOut, { 'crowd region': 2 });
  const args = ['train', 'tiny-own-data', ...instances(file), '--set', 'loop.steps=2', '--out', join(folder, 'stops')];
  const stopped = await commlm(args);
  assert.equal(stopped.code, 1);
  assert.match(stopped.stderr, /look like fractions|"image_id" is missing/);
});

test('thousandths taken for pixels end a training', async () => {
  const file = join(folder, 'thousandths.jsonl');
  const line = (i: number): object => ({
    ...{ img_path: 'a.png', expression: `thing ${i}`, width: 60, height: 30 },
    bbox: i % 4 === 0 ? [10, 5, 50, 25] : [100 + i, 200, 500, 700],
  });
  writeFileSync(file, Array.from({ length: 80 }, (_, i) => `${JSON.stringify(line(i))}\n`).join(''));
  const sets = { own: { kind: 'region-lines', file, store: 'images', task: 'rec' } };
  const args = [
    ...settings('').slice(0, 2),
    '--set',
    `comm.data.sets=${JSON.stringify(sets)}`,
    ...settings('').slice(4),
  ];
  const checked = await commlm(['data', 'validate', 'tiny-own-data', ...args]);
  assert.match(checked.stdout, /thousandths of its sides/);
  assert.match(checked.stdout, /60 empty-box in 80 samples/);
  assert.match(checked.stdout, /the coordinates may not be pixels/);
  const out = join(folder, 'thousandths');
  const trained = await commlm(['train', 'tiny-own-data', ...args, '--set', 'loop.steps=20', '--out', out]);
  assert.equal(trained.code, 1, trained.stderr);
  assert.match(trained.stderr, /\d+ of \d+ samples of the set "own" have boxes that show nothing of their pictures/);
});

test('a run goes on with the data that it began with, or says what changed', async () => {
  const file = 'resumed.json';
  const write = (answer: string): void =>
    writeFileSync(
      join(folder, file),
      JSON.stringify(
        Array.from({ length: 6 }, (_, i) => row(i % 2 === 0 ? 'a.png' : 'b.jpg', '<image>\nWhat?', answer)),
      ),
    );
  write('A box.');
  const out = join(folder, 'resumed');
  const args = ['train', 'tiny-own-data', ...settings(file), '--set', 'loop.steps=2', '--out', out];
  const begun = await commlm(args);
  assert.equal(begun.code, 0, begun.stderr);
  const recorded = (): {
    data: Record<string, { bytes: number; sha256: string }>;
    starts: { changedData?: string[] }[];
  } => JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'));
  const before = recorded().data[join(folder, file)]!;
  const content = readFileSync(join(folder, file));
  assert.deepEqual(before, { bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') });

  const same = await commlm([...args, '--resume']);
  assert.equal(same.code, 0, same.stderr);
  write('A cat.');
  const refused = await commlm([...args, '--resume']);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /The data of the run in .* changed: .*resumed\.json has other content of the same size/);
  assert.match(refused.stderr, /--resume --changed-data/);
  // What the sentence advises works.
  const wanted = await commlm([...args, '--resume', '--changed-data']);
  assert.equal(wanted.code, 0, wanted.stderr);
  assert.match(wanted.stderr, /goes on with other data: .*resumed\.json has other content/);
  assert.notEqual(recorded().data[join(folder, file)]!.sha256, before.sha256);
  assert.equal(recorded().starts.at(-1)!.changedData!.length, 1);
  assert.equal((await commlm([...args, '--resume'])).code, 0, 'the new data are those of the run now');
  const idle = await commlm([...args.slice(0, -1), join(folder, 'new'), '--changed-data']);
  assert.equal(idle.code, 2, 'an option without effect');
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
  const world = ['data', 'preview', 'tiny-stage1', '--set', 'comm.model=models/comm-tiny', '--count', '1', '--json'];
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
  // In a folder of its own: the recipe's default place is below the working folder, where a user may have data.
  const missing = await commlm(['data', 'preview', 'tiny-own-data', ...settings('').slice(0, 2)], { cwd: folder });
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /data\/own\/train\.json/);
});
