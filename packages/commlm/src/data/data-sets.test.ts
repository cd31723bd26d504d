/** Data sets as they are opened: damaged files, missing ones, and pictures that are left out. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DataSetConfig } from '../config/data-sets.js';
import { CommError } from '../config/errors.js';
import { openDataSet } from './data-sets.js';
import type { DataSet, Mark, Sample } from './sample.js';
import { SAMPLE_FILES, type SampleFiles } from './sample-files.fixture.js';
import { Random } from './world/random.js';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'comm-sets-'));
});
after(() => rm(folder, { recursive: true, force: true }));

let numFolders = 0;

/** Writes files into a new folder, which is returned as a function from names to paths. */
async function writeFiles(files: Readonly<Record<string, string | Uint8Array>>): Promise<(name: string) => string> {
  const own = join(folder, String(numFolders++));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(own, name)), { recursive: true });
    await writeFile(join(own, name), content);
  }
  return (name) => join(own, name);
}

async function open({ files, config }: SampleFiles, more: Partial<DataSetConfig> = {}): Promise<DataSet> {
  const at = await writeFiles(files);
  return await openDataSet(DataSetConfig.parse({ ...config(at), ...more }), { name: 'set' });
}

function markText(mark: Mark): string {
  return mark.kind === 'boxes'
    ? `[${mark.boxes.map((box) => box.join(',')).join(';')}]`
    : `(${mark.points.map((point) => point.join(',')).join(';')})`;
}

const allSamples = (set: DataSet, draw: number): Sample[] =>
  Array.from({ length: set.length }, (_, i) => set.sample(i, draw));

function countPlaceholders({ question, answer }: Sample['turns'][number]): number {
  return `${question}${answer}`.match(/<boxes>|<points>/g)?.length ?? 0;
}

describe('every format', () => {
  for (const [name, sampleFiles] of Object.entries(SAMPLE_FILES)) {
    test(`${name} is read as published`, async () => {
      const set = await open(sampleFiles);
      const read = allSamples(set, 3).map(({ pictures, turns }) => {
        const { question, answer, marks } = turns[0]!;
        return [pictures[0]!.key, question, answer, marks.map(markText).join(' ')];
      });
      assert.deepEqual(read, sampleFiles.samples);
    });

    test(`${name} with built-in templates: ids differ, marks fit, the draw decides`, async () => {
      const { templates: _, ...config } = sampleFiles.config(await writeFiles(sampleFiles.files)) as Record<
        string,
        unknown
      >;
      const set = await openDataSet(DataSetConfig.parse(config), { name: 'set' });
      const ids = allSamples(set, 0).map(({ id }) => id);
      assert.equal(new Set(ids).size, ids.length);
      for (let draw = 0; draw < 8; draw++) {
        assert.deepEqual(allSamples(set, draw), allSamples(set, draw));
        for (const { turns, where } of allSamples(set, draw)) {
          assert.match(where, new RegExp(folder));
          for (const turn of turns) assert.equal(countPlaceholders(turn), turn.marks.length);
          assert.equal(
            turns.map(({ question }) => question.split('<image>').length - 1).join(),
            turns.map((_, i) => (i === 0 ? 1 : 0)).join(),
          );
        }
      }
    });
  }
});

test('damaged files never give anything but samples or an error that names its file', async () => {
  const random = new Random(1, 'damage');
  let faults = 0;
  for (const { files, config } of Object.values(SAMPLE_FILES)) {
    for (const [name, content] of Object.entries(files)) {
      for (let round = 0; round < 6; round++) {
        const at = await writeFiles({ ...files, [name]: damage(Buffer.from(content), random) });
        try {
          allSamples(await openDataSet(config(at), { name: 'set' }), 1);
        } catch (error) {
          faults++;
          assert.ok(error instanceof CommError, `${name}: ${(error as Error).stack}`);
          assert.match(error.code, /^(?:data\/(?:sample|empty-box)|file\/(?:not-text|bad-json|missing))$/);
          assert.match(error.message, new RegExp(dirname(at('x'))));
        }
      }
    }
  }
  assert.ok(faults > 100, `only ${faults} faults`);
});

/** Cuts, overwrites, removes or swaps some bytes. */
function damage(bytes: Buffer, random: Random): Buffer {
  const at = random.int(bytes.length);
  const kind = random.int(5);
  if (kind === 0) return bytes.subarray(0, at);
  if (kind === 1)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + random.int(6)))]);
  const copy = Buffer.from(bytes);
  if (kind === 2) copy[at] = random.int(256);
  else if (kind === 3) copy.write(random.pick(['null', '"x"', '[]', '{}', '-1', '1e9']), at);
  else copy.copy(copy, at, random.int(bytes.length), random.int(bytes.length));
  return copy;
}

describe('faults', () => {
  const faults: readonly (readonly [
    name: string,
    base: string,
    file: string,
    from: string | RegExp,
    to: string,
    message: RegExp,
  ])[] = [
    ['a cut array', 'llava', 'llava.json', /\]\}\]$/, '', /llava\.json, line 1: not valid JSON: the text ends early/],
    ['a cut line', 'pope', 'pope.jsonl', '"label"', '"lab', /pope\.jsonl, line 1, column \d+: not valid JSON/],
    [
      'a missing field',
      'pope',
      'pope.jsonl',
      '"label"',
      '"lable"',
      /pope\.jsonl, line 1: the field "label" is missing; found/,
    ],
    [
      'a wrong type',
      'llava',
      'llava.json',
      '"What?\\n<image>"',
      '5',
      /llava\.json, entry 1, conversations\[0\]: "value" must be a text/,
    ],
    [
      'a picture too few',
      'llava',
      'llava.json',
      'What?',
      'What? <image>',
      /entry 1: 2 <image> in the text, but 1 pictures/,
    ],
    [
      'roles out of order',
      'llava',
      'llava.json',
      '"gpt"',
      '"human"',
      /conversations\[1\]: "from" is "human" where "gpt" is due/,
    ],
    [
      'a box outside',
      'region lines',
      'gc.jsonl',
      '[1,2,3.5,4]',
      '[11,2,13,4]',
      /line 1: the box 11, 2, 13, 4 lies outside of the picture \(9 x 9\)/,
    ],
    ['corners the wrong way', 'region lines', 'gc.jsonl', '[1,2,3.5,4]', '[3,2,1,4]', /corners the wrong way round/],
    ['a box of text', 'region lines', 'gc.jsonl', '[1,2,3.5,4]', '[1,2,"3",4]', /4 numbers x1, y1, x2, y2 are needed/],
    [
      'a placeholder in plain text',
      'caption lines',
      'cap.jsonl',
      'A street.',
      'A <boxes>.',
      /the text has the placeholders <boxes>, but the coordinates are none/,
    ],
    [
      'an id that is twice there',
      'coco captions',
      'captions.json',
      '"id":9',
      '"id":7',
      /images\[1\]: image 7 is there already, at images\[0\]/,
    ],
    [
      'a missing image',
      'coco captions',
      'captions.json',
      '"image_id":9',
      '"image_id":8',
      /annotations\[0\]: there is no image 8/,
    ],
    [
      'a missing annotation',
      'vqa',
      'a.json',
      '42000',
      '42009',
      /questions\[0\]: question 42000 has no annotation in .*a\.json/,
    ],
    [
      'a duplicate key',
      'gqa q-bs',
      'graphs.json',
      '"2354":{',
      '"2354":{},"2354":{',
      /key "2354": the key is there twice/,
    ],
    ['a missing object', 'gqa q-bs', 'graphs.json', '"12":', '"99":', /key "201": object 12 is not in the scene graph/],
    ['words that are not there', 'gqa qb-l', 'gqa.json', '5:8', '5:88', /"5:88" is no place among 8 words/],
    [
      'a group without its box',
      'spot lines',
      'cwb.jsonl',
      '[[0,2],[1]]',
      '[[0,3],[1]]',
      /boxes_seq, group 1: 3 is not the index of one of 3 boxes/,
    ],
    [
      'too few groups',
      'spot lines',
      'cwb.jsonl',
      '[[0,2],[1]]',
      '[[0,2]]',
      /placeholders <boxes> <boxes>, but the coordinates are boxes\./,
    ],
    ['an unlabelled line', 'vcr q-a', 'vcr.jsonl', '"answer_label":1', '"answer_label":-1', /"answer_label" is -1/],
    [
      'a split that is not there',
      'karpathy',
      'dataset_coco.json',
      '"train"',
      '"dev"',
      /nothing is in the split train, restval/,
    ],
    [
      'an entity without end',
      'flickr entities',
      'Sentences/36979.txt',
      'cups]',
      'cups',
      /36979\.txt, line 1: a phrase is not/,
    ],
    [
      'a pickle of classes',
      'refcoco reg, pickled',
      'refs.p',
      /^[\s\S]*$/,
      '\u0080\u0002cos\nsystem\n.',
      /refs\.p: the pickle cannot be read: it holds an object of the class os\.system/,
    ],
    ['lines where an array is due', 'pope', 'pope.jsonl', /^[\s\S]*$/, '[{}]', /line 1: this is a JSON array/],
    [
      'an unknown part',
      'chat parts',
      'chat.jsonl',
      '"type":"text"',
      '"type":"audio"',
      /content\[1\]: the part "audio" is not known/,
    ],
    [
      'a picture that is an address',
      'chat parts',
      'chat.jsonl',
      '"url":"c.jpg"',
      '"url":"https://x/c.jpg"',
      /is an address/,
    ],
    ['boxes left over', 'chat ms-swift', 'swift.jsonl', '<bbox> and <bbox>', '<bbox>', /2 boxes, but 1 <bbox>/],
  ];
  for (const [name, base, file, from, to, message] of faults) {
    test(name, async () => {
      const { files, config } = SAMPLE_FILES[base]!;
      const before = files[file]!;
      const changed = String(before).replace(from, to);
      assert.notEqual(changed, String(before), 'the fault changes the file');
      const at = await writeFiles({ ...files, [file]: Buffer.from(changed, file.endsWith('.p') ? 'latin1' : 'utf8') });
      await assert.rejects(
        async () => allSamples(await openDataSet(config(at), { name: 'set' }), 0),
        (error: unknown) => {
          assert.ok(error instanceof CommError, String(error));
          assert.match(error.message, message);
          const [, kind] = [/<image>/, /lies outside/].map((mark) => mark.test(message.source));
          const code = message.source.includes('<image>')
            ? 'data/image-count'
            : kind
              ? 'data/empty-box'
              : 'data/sample';
          assert.equal(error.code, code);
          assert.ok(error.message.includes(dirname(at('x'))));
          return true;
        },
      );
    });
  }
});

test('a missing file and a folder are named', async () => {
  const at = await writeFiles({ 'x/y.json': '[]' });
  const opening = (file: string) => openDataSet({ kind: 'llava', store: 's', file }, { name: 'set' });
  await assert.rejects(opening(at('absent.json')), {
    code: 'file/missing',
    message: /There is no file .*absent\.json/,
  });
  await assert.rejects(opening(at('x')), { code: 'file/not-regular', message: /is a folder, not a file/ });
});

test('pictures of other splits are left out, by name, by number or by id', async () => {
  const at = await writeFiles({ 'names.txt': 'COCO_train2014_000000000007.jpg\n', 'ids.json': '[9]' });
  const excluding = async (list: string): Promise<number> =>
    (await open(SAMPLE_FILES['coco instances reg']!, { excludeImages: at(list) })).length;
  assert.equal(await excluding('names.txt'), 1);
  assert.equal(await excluding('ids.json'), 2);
  const left = await open(SAMPLE_FILES['visual genome']!, { excludeImages: at('ids.json') });
  assert.equal(left.length, 2);
});

test('an unknown field and a wrong version are refused', () => {
  assert.throws(() => DataSetConfig.parse({ kind: 'llava', store: 's', file: 'f', split: 'train' }), /split/);
  assert.throws(() => DataSetConfig.parse({ kind: 'vcr', store: 's', file: 'f', version: 'q-b' }));
});

test('candidates come in another order at another draw', async () => {
  const { files, config } = SAMPLE_FILES['visual7w published']!;
  const whole = String(files['dataset_v7w_pointing.json']).replace('"multiple_choices":[]', '"multiple_choices":[12]');
  const at = await writeFiles({ 'dataset_v7w_pointing.json': whole });
  const set = await openDataSet(config(at), { name: 'set' });
  const orders = new Set(
    Array.from({ length: 20 }, (_, draw) => set.sample(0, draw).turns[0]!.marks.map(markText).join(' ')),
  );
  assert.deepEqual([...orders].sort(), ['[1,2,4,6] [5,6,13,8] [1,2,4,6]', '[5,6,13,8] [1,2,4,6] [1,2,4,6]']);
});
