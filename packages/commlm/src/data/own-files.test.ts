/** People's own files: every key is used, a label, or refused; answers that are not learned; files in either form of JSON. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { DataSetConfig } from '../config/data-sets.js';
import { openDataSet } from './data-sets.js';
import type { DataSet, Sample } from './sample.js';

const folder = mkdtempSync(join(tmpdir(), 'comm-own-'));
after(() => rmSync(folder, { recursive: true }));

type Kind = 'llava' | 'chat' | 'caption-lines' | 'region-lines' | 'coco-instances' | 'vqa-lines';

function open(kind: Kind, content: unknown, more: object = {}, name = 'own.json'): Promise<DataSet> {
  const file = join(folder, name);
  const isRaw = typeof content === 'string' || content instanceof Uint8Array;
  writeFileSync(file, isRaw ? (content as string) : JSON.stringify(content));
  return openDataSet(DataSetConfig.parse({ kind, store: 's', file, ...more }), { name: 'own' });
}

async function first(kind: Kind, record: object, more: object = {}): Promise<Sample> {
  const isLine = kind !== 'llava' && kind !== 'chat';
  return (await open(kind, isLine ? record : [record], more)).sample(0, 0);
}

const talk = (...more: object[]): object[] => [
  { from: 'human', value: 'What?' },
  { from: 'gpt', value: 'A box.', ...more[0] },
];
const llava = (more: object): Promise<Sample> => first('llava', { id: 1, conversations: talk(), ...more });
const messages = (answer: object = {}, question: object = {}): object[] => [
  { role: 'user', content: 'What?', ...question },
  { role: 'assistant', content: 'A box.', ...answer },
];
const chat = (more: object, answer: object = {}): Promise<Sample> =>
  first('chat', { messages: messages(answer), ...more });

test('`images` is another word for `image`, in both formats', async () => {
  for (const more of [{ images: ['a.png'] }, { image: ['a.png'] }, { image: 'a.png' }, { images: 'a.png' }]) {
    for (const sample of [await llava(more), await chat(more)]) {
      assert.deepEqual(sample.pictures, [{ store: 's', key: 'a.png' }]);
      assert.equal(sample.turns[0]!.question, '<image>\nWhat?');
    }
  }
  assert.equal((await chat({ images: [{ path: 'b.png', bytes: null }] })).pictures[0]!.key, 'b.png');
  await assert.rejects(llava({ image: 'a.png', images: ['b.png'] }), /both in "image" and in "images"/);
  await assert.rejects(chat({ images: [{ path: 'b.png', bytes: 'iVBO' }] }), /a picture lies in the record as bytes/);
});

test('a system text is used, beside the messages or in front of them', async () => {
  assert.equal((await llava({ system: 'Answer in French.' })).system, 'Answer in French.');
  assert.equal((await chat({ system: 'Answer in French.' })).system, 'Answer in French.');
  assert.equal((await llava({ system: '' })).system, undefined);
  const spoken = await llava({ conversations: [{ from: 'system', value: 'Be brief.' }, ...talk()] });
  assert.equal(spoken.system, 'Be brief.');
  assert.equal(spoken.turns.length, 1);
  const first = { role: 'system', content: [{ type: 'text', text: 'Be brief.' }] };
  assert.equal((await chat({ messages: [first, ...messages()] })).system, 'Be brief.');
  await assert.rejects(chat({ system: 'x', messages: [first, ...messages()] }), /both in "system" and in the messages/);
  await assert.rejects(chat({ messages: [...messages(), { role: 'system', content: 'x' }] }), /the role is "system"/);
});

test('an answer with weight 0, or told not to be learned, is read only', async () => {
  for (const off of [{ weight: 0 }, { loss: false }, { train: false }, { weight: 1, loss: false }]) {
    assert.equal((await llava({ conversations: talk(off) })).turns[0]!.learned, false, JSON.stringify(off));
    assert.equal((await chat({}, off)).turns[0]!.learned, false, JSON.stringify(off));
  }
  for (const on of [{}, { weight: 1 }, { loss: true }, { train: true, weight: null }]) {
    assert.equal((await llava({ conversations: talk(on) })).turns[0]!.learned, undefined, JSON.stringify(on));
  }
  await assert.rejects(llava({ conversations: talk({ weight: 0.5 }) }), /"weight" is 0\.5/);
  const asks = { messages: messages({}, { train: true }) };
  await assert.rejects(first('chat', asks), /messages\[0\]: "train" asks to learn a question/);
});

test('a key that carries content and is not read is refused, wherever it stands', async () => {
  const refused = async (reading: Promise<unknown>, key: string): Promise<void> =>
    await assert.rejects(
      reading,
      (error: Error & { code?: string; fix?: string }) =>
        error.code === 'data/sample' &&
        error.message.includes(`the key "${key}"`) &&
        /ignoreKeys/.test(error.fix ?? ''),
      key,
    );
  for (const key of [
    'video',
    'videos',
    'audio',
    'tools',
    'rejected',
    'chosen',
    'bbox',
    'caption',
    'imgae',
    'objects',
  ]) {
    await refused(llava({ [key]: ['x'] }), key);
  }
  for (const key of ['video', 'tools', 'rejected_response', 'label', 'history'])
    await refused(chat({ [key]: 'x' }), key);
  for (const [key, value] of [
    ['weight', 0],
    ['weight', 0.3],
    ['loss', false],
    ['train', false],
  ] as const) {
    await refused(llava({ [key]: value }), key);
    await refused(chat({ [key]: value }), key);
  }
  for (const key of ['name', 'tool_calls', 'reasoning_content', 'function_call'])
    await refused(chat({}, { [key]: 'x' }), key);
  await refused(llava({ conversations: talk({ image: 'b.png' }) }), 'image');
  const parts = [{ type: 'image_url', image_url: { url: 'a.png', crop: [1, 2, 3, 4] } }];
  await refused(first('chat', { messages: messages({}, { content: parts }) }), 'crop');
  const objects = { ref: [], bbox: [], mask: ['x'] };
  await refused(chat({ images: ['a.png'], objects }), 'mask');
  for (const [key, value] of [
    ['images', ['b.png']],
    ['system', 'x'],
    ['weight', 0],
    ['video', 'v.mp4'],
    ['ignore', 1],
  ] as const) {
    await refused(first('caption-lines', { img_path: 'a.png', caption: 'A.', [key]: value }), key);
    await refused(
      first('region-lines', { img_path: 'a.png', expression: 'A.', bbox: [1, 2, 3, 4], [key]: value }, { task: 'rec' }),
      key,
    );
  }
});

/** The reading is refused for a key, and the fix says how to leave it aside. */
const refusesKey = async (reading: Promise<unknown>, key: string, about: object): Promise<void> =>
  await assert.rejects(
    reading,
    (error: Error & { code?: string; fix?: string }) =>
      error.code === 'data/sample' && error.message.includes(`the key "${key}"`) && /ignoreKeys/.test(error.fix ?? ''),
    JSON.stringify(about),
  );

test('a label that names a picture, a video or a sound is refused where the record shows none', async () => {
  for (const [key, value] of [
    ['image_id', 'p1.png'],
    ['imageId', 5],
    ['image_ids', [5]],
    ['video_id', 'v.mp4'],
    ['audio_id', 7],
    ['url', 'http://x.org/p1.png?size=2'],
    ['link', 'p1.png'],
    ['id', 'v/1.MP4'],
    ['_image', 'p1.png'],
    ['source', 'data:image/png;base64,iVBO'],
  ] as const) {
    await refusesKey(llava({ [key]: value }), key, { key });
    await refusesKey(chat({ [key]: value }), key, { key });
    await refusesKey(first('chat', { images: ['a.png'], messages: messages({}, { [key]: value }) }), key, { key });
    // Beside the picture it tells where that is from.
    await llava({ image: 'a.png', [key]: value });
    await chat({ images: ['a.png'], [key]: value });
    await first('llava', { conversations: talk(), [key]: value }, { ignoreKeys: [key] });
  }
  const parts = [{ type: 'image_url', image_url: { url: 'a.png' } }];
  assert.equal((await first('chat', { image_id: 5, messages: messages({}, { content: parts }) })).pictures.length, 1);
});

test('content within a label is refused', async () => {
  for (const [label, inside, key] of [
    ['meta', { system: 'Say no.' }, 'system'],
    ['meta', { a: [{ b: { tools: ['x'] } }] }, 'tools'],
    ['info', { weight: 0 }, 'weight'],
    ['extra', { image: 'p2.png' }, 'image'],
    ['metadata', { images: ['a.png', 'p2.png'] }, 'images'],
    ['extra', [{ image: 'p2.png' }], 'image'],
  ] as const) {
    await refusesKey(llava({ image: 'a.png', [label]: inside }), key, { label, key });
    await refusesKey(chat({ images: ['a.png'], [label]: inside }), key, { label, key });
    await refusesKey(llava({ [label]: inside }), key, { label, key });
    await first('llava', { conversations: talk(), image: 'a.png', [label]: inside }, { ignoreKeys: [key] });
  }
  await refusesKey(llava({ meta: { image_id: 5 } }), 'image_id', {});
  const line = { img_path: 'a.png', caption: 'A.' };
  await refusesKey(first('caption-lines', { ...line, meta: { images: ['b.png'] } }), 'images', line);
  await refusesKey(first('caption-lines', { ...line, extra: { weight: 0 } }), 'weight', line);
  await first('caption-lines', { ...line, meta: { annotator: 3, train: true } });
  // More brackets than calls can be within each other.
  const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
  const set = await open('llava', `[{"conversations":${JSON.stringify(talk())},"meta":${deep}}]`);
  assert.equal(set.sample(0, 0).turns.length, 1);
});

test('records of public sets with their usual keys are read', async () => {
  for (const more of [
    { id: '000000033471', image: '000000033471.jpg' },
    { id: 'wgByO4Y_0', model: '' },
    { id: 'QWJhYvA_0', source: 'sharegpt', url: 'https://chat.example.org/share/0a1b', language: 'en' },
    {
      id: 'coco/5.png',
      image: 'coco/5.png',
      image_id: 5,
      coco_url: 'http://x.org/5.jpg',
      flickr_url: 'http://y/5.jpg',
    },
    { id: 7, image: 'vg/VG_100K/7.jpg', url: 'https://x.org/VG_100K/7.jpg', metadata: { image: '7.jpg', image_id: 7 } },
    { id: 1, scores: { loss: 2.5, weight: 3 }, tags: ['system', 'image'], toxic: false, redacted: false },
    { id: 1, image: null, meta: { images: [], system: '', split: 'train', weight: 1 } },
  ]) {
    await llava(more);
    await chat(more);
  }
});

test('`false` switches off, whatever the switch is called', async () => {
  for (const key of ['weight', 'sample_weight', 'loss_weight', 'loss_mask', 'lossMask', 'learn', 'trainable', 'mask']) {
    await refusesKey(llava({ [key]: false }), key, { key });
    await refusesKey(chat({ [key]: false }), key, { key });
  }
  for (const key of ['loss_mask', 'learn', 'trainable', 'mask', 'train_on_turn', 'is_valid', 'compute_loss']) {
    await refusesKey(llava({ conversations: talk({ [key]: false }) }), key, { key });
    await refusesKey(chat({}, { [key]: false }), key, { key });
  }
  for (const key of ['weight', 'loss_mask', 'trainable', 'learn']) {
    await refusesKey(first('caption-lines', { img_path: 'a.png', caption: 'A.', [key]: false }), key, { key });
  }
  await llava({ trainable: true, learn: 1, multi_turn: false, ignore: false });
  assert.equal((await chat({}, { weight: false })).turns[0]!.learned, false);
});

test('labels, empty values and keys of `ignoreKeys` stay aside', async () => {
  const labels = { question_id: 5, source: 'x', meta: { a: 1 }, model: 'y', width: 4, height: 3, _row: 7, task: 'vqa' };
  const sample = await llava({
    ...labels,
    image: 'a.png',
    video: null,
    tools: [],
    rejected: '',
    weight: 1,
    train: true,
  });
  assert.deepEqual(sample.pictures, [{ store: 's', key: 'a.png', size: { width: 4, height: 3 } }]);
  await chat({ id: 3, tools: null }, { id: 'm1', name: null, tool_calls: null, refusal: null });
  const more = { ignoreKeys: ['video', 'mood', 'name'] };
  await first('llava', { conversations: talk({ mood: 'glad' }), video: 'v.mp4', mood: 'x' }, more);
  await first('chat', { messages: messages({ name: 'Ann' }) }, more);
});

test('sizes of several pictures are read as InternVL writes them', async () => {
  const record = {
    image: ['a.png', 'b.png'],
    width_list: [4, 8],
    height_list: [3, 6],
    conversations: [{ from: 'human', value: '<image><image>?' }, talk()[1]!],
  };
  const { pictures } = await first('llava', record);
  assert.deepEqual(
    pictures.map(({ size }) => size),
    [
      { width: 4, height: 3 },
      { width: 8, height: 6 },
    ],
  );
  await assert.rejects(first('llava', { ...record, width_list: [4] }), /tell 1 and 2 sizes for 2 pictures/);
});

test('crowds are left out and counted, whatever stands for yes', async () => {
  const thing = (id: number, more: object): object => ({
    id,
    image_id: 1,
    category_id: id,
    bbox: [1, 1, 5, 5],
    ...more,
  });
  const coco = (things: object[]): object => ({
    images: [{ id: 1, file_name: 'a.png', width: 20, height: 20 }],
    annotations: things,
    categories: Array.from({ length: 9 }, (_, i) => ({ id: i + 1, name: `thing ${i + 1}` })),
  });
  for (const yes of [1, true, '1', 1.0, 'true']) {
    for (const task of ['rec', 'reg']) {
      const set = await open(
        'coco-instances',
        coco([thing(1, { iscrowd: yes }), thing(2, {}), thing(3, { ignore: yes })]),
        { task },
      );
      assert.deepEqual([set.length, set.leftOut], [1, { 'crowd region': 2 }]);
      assert.equal(set.sample(0, 0).where.split(', ').at(-1), 'annotations[1]');
    }
  }
  for (const no of [0, false, '0', null, undefined]) {
    assert.equal((await open('coco-instances', coco([thing(1, { iscrowd: no })]), { task: 'rec' })).length, 1);
  }
  // One that says neither is told of when it is read, and hides none of the others.
  const odd = await open(
    'coco-instances',
    coco([thing(1, { iscrowd: 'x' }), thing(2, {}), { id: 3, bbox: [1, 1, 2, 2] }]),
    { task: 'rec' },
  );
  assert.equal(odd.length, 3);
  assert.throws(() => odd.sample(0, 0), { code: 'data/sample', message: /"iscrowd" is "x"/ });
  assert.throws(() => odd.sample(2, 0), {
    code: 'data/sample',
    message: /annotations\[2\]: the field "image_id" is missing/,
  });
  odd.sample(1, 0);
});

test('an annotation id that is there twice is refused where it is there again', async () => {
  const thing = (id: unknown, category: number): object => ({
    id,
    image_id: 1,
    category_id: category,
    bbox: [1, 1, 5, 5],
  });
  const content = {
    images: [{ id: 1, file_name: 'a.png', width: 20, height: 20 }],
    annotations: [thing(5, 1), thing(6, 1), thing(5, 1), thing(undefined, 2), thing(undefined, 2)],
    categories: [1, 2].map((id) => ({ id, name: `thing ${id}` })),
  };
  const rec = await open('coco-instances', content, { task: 'rec' });
  const fault = { code: 'data/sample', message: /annotations\[2\]: annotation 5 is there already/ };
  assert.deepEqual([rec.length, rec.sample(0, 0).turns[0]!.marks[0]!.kind], [3, 'boxes']);
  assert.throws(() => rec.sample(1, 0), fault);
  rec.sample(2, 0);
  const reg = await open('coco-instances', content, { task: 'reg' });
  assert.equal(reg.length, 5);
  assert.throws(() => reg.sample(2, 0), fault);
});

test('boxes that show nothing are one kind of fault in every task', async () => {
  const coco = {
    images: [{ id: 1, file_name: 'a.png', width: 96, height: 64 }],
    annotations: [
      [10, 10, 0, 30],
      [120, 10, 30, 30],
      [10, -904, 30, 24],
      [10, 10, 30, 30],
    ].map((bbox, i) => ({ id: i, image_id: 1, category_id: i + 1, bbox })),
    categories: [1, 2, 3, 4].map((id) => ({ id, name: `thing ${id}` })),
  };
  for (const task of ['rec', 'reg']) {
    const set = await open('coco-instances', coco, { task });
    for (const i of [0, 1, 2]) assert.throws(() => set.sample(i, 0), { code: 'data/empty-box' }, `${task} ${i}`);
    assert.deepEqual(set.sample(3, 0).turns[0]!.marks, [{ kind: 'boxes', picture: 0, boxes: [[10, 10, 40, 40]] }]);
  }
});

test('arrays and lines are read by what they are, not by the name of the file', async () => {
  const records = [1, 2, 3].map((id) => ({ id, conversations: talk() }));
  const array = JSON.stringify(records);
  const lines = records.map((record) => `${JSON.stringify(record)}\n`).join('');
  const read = [
    [array, 'a.json'],
    [array, 'a.jsonl'],
    [lines, 'l.json'],
    [lines, 'l.jsonl'],
    [`\ufeff${array}`, 'b.jsonl'],
    [`\ufeff${lines}`, 'b.json'],
    [lines.replaceAll('\n', '\r\n'), 'w.json'],
  ] as const;
  for (const [content, name] of read) assert.equal((await open('llava', content, {}, name)).length, 3, name);
  assert.equal((await open('llava', JSON.stringify(records[0]), {}, 'one.json')).length, 1);
});

test('what is neither an array nor lines is named, with a way to make it one', async () => {
  const record = { id: 1, conversations: talk() };
  const refused = async (
    content: string | Uint8Array,
    message: RegExp,
    fix: RegExp,
    kind: Kind = 'llava',
    more: object = {},
  ) =>
    await assert.rejects(open(kind, content, more), (error: Error & { fix?: string }) => {
      assert.match(error.message, message);
      assert.match(error.fix ?? '', fix);
      return true;
    });
  const pretty = JSON.stringify(record, null, 2);
  await refused(pretty, /line 1: an object goes over several lines/, /jq -c \. /);
  await refused(`${pretty}\n${pretty}\n`, /line 1: an object goes over several lines/, /jq -c \. /);
  const lines = `${JSON.stringify({ images: [] })}\n${JSON.stringify({ images: [] })}\n`;
  await refused(
    lines,
    /line 2: a second object begins/,
    /JSON lines: put them into an array, as `jq -s \. /,
    'coco-instances',
    { task: 'rec' },
  );
  await refused('[{"img_path":"a"}]', /line 1: this is a JSON array/, /jq -c '\.\[\]' /, 'caption-lines');
  await refused(gzipSync(pretty), /this is gzip data, not text/, /Unpack it/);
  await refused(Buffer.from('28b52ffd0400', 'hex'), /this is Zstandard data/, /Unpack it/);
  await refused(Buffer.from(`\ufeff${pretty}`, 'utf16le'), /the text is UTF-16/, /UTF-8/);
  await refused(
    'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n',
    /is a Git LFS pointer/,
    /git lfs pull/,
  );
  await refused('<!DOCTYPE html><html><body>404</body></html>', /is an HTML page/, /download it again/);
  await refused('{"error":"Repository not found"}', /is an error message of a web server/, /download it again/);
});

test('numbers that JSON does not have are the fault of their record alone', async () => {
  const regions = (box: string): string => `{"img_path":"a.png","expression":"x","bbox":${box}}\n`;
  const set = await open(
    'region-lines',
    ['[1,2,NaN,4]', '[1,2,3,4]', '[-Infinity,2,3,4]', '[1,2,1e400,4]'].map(regions).join(''),
    { task: 'rec' },
  );
  assert.throws(() => set.sample(0, 0), {
    code: 'data/sample',
    message: /line 1, column \d+: not valid JSON: JSON has no number NaN/,
    fix: /Python/,
  });
  assert.throws(() => set.sample(2, 0), { message: /line 3, .*JSON has no number -Infinity/ });
  assert.throws(() => set.sample(3, 0), { message: /line 4, bbox: 4 numbers .* \[1, 2, Infinity, 4\]/ });
  set.sample(1, 0);
});

test('a record with a key twice is refused: the first of the two would be lost', async () => {
  const turns = JSON.stringify(talk());
  for (const [record, key] of [
    [`{"image":"p0.png","image":"p1.png","conversations":${turns}}`, 'image'],
    [`{"conversations":${turns.replace('"value":"A box."', '"value":"a","value":"b"')}}`, 'value'],
  ] as const) {
    for (const text of [`[${record}]`, `${record}\n`]) {
      const set = await open('llava', text);
      assert.throws(() => set.sample(0, 0), { code: 'data/sample', message: new RegExp(`"${key}" is there twice`) });
    }
  }
});

test('a system text that shows a picture or coordinates is refused', async () => {
  for (const system of ['<image> is shown.', 'See <boxes>.', '<points>']) {
    const fault = { code: 'data/sample', message: /the system text holds </ };
    await assert.rejects(llava({ image: 'a.png', system }), fault);
    await assert.rejects(llava({ conversations: [{ from: 'system', value: system }, ...talk()] }), fault);
    await assert.rejects(chat({ images: ['a.png'], system }), fault);
    await assert.rejects(chat({ messages: [{ role: 'system', content: system }, ...messages()] }), fault);
  }
  assert.equal((await llava({ image: 'a.png', system: 'An image is shown.' })).system, 'An image is shown.');
});

test('what a published set says is not for learning is refused in each of its parts', async () => {
  const OFF = [{ weight: 0 }, { ignore: true }, { ignore: 1 }, { loss: false }];
  const coco = (image: object, category: object): object => ({
    images: [
      { id: 1, file_name: 'a.png', width: 20, height: 20, license: 3, coco_url: 'http://x.org/a.png', ...image },
    ],
    annotations: [{ id: 1, image_id: 1, category_id: 1, bbox: [1, 1, 5, 5], iscrowd: 0, area: 25 }],
    categories: [{ id: 1, name: 'cat', supercategory: 'animal', ...category }],
  });
  const refcoco = async (sentence: object, image: object = {}): Promise<DataSet> => {
    const instances = join(folder, 'instances.json');
    const refs = join(folder, 'refs.json');
    writeFileSync(instances, JSON.stringify(coco(image, {})));
    const sentences = [{ sent: 'the cat', raw: 'The cat', sent_id: 3, tokens: ['the', 'cat'], ...sentence }];
    writeFileSync(refs, JSON.stringify([{ ref_id: 1, ann_id: 1, image_id: 1, split: 'train', sentences }]));
    return await openDataSet(DataSetConfig.parse({ kind: 'refcoco', task: 'rec', store: 's', refs, instances }), {
      name: 'own',
    });
  };
  const vqa = async (annotation: object, answer: object = {}): Promise<Sample> => {
    const questions = join(folder, 'questions.json');
    const annotations = join(folder, 'annotations.json');
    writeFileSync(questions, JSON.stringify({ questions: [{ question_id: 5, image_id: 1, question: 'What?' }] }));
    const answers = [{ answer: 'net', answer_confidence: 'yes', answer_id: 1, ...answer }];
    const record = { question_id: 5, image_id: 1, question_type: 'what', answer_type: 'other', answers, ...annotation };
    writeFileSync(annotations, JSON.stringify({ annotations: [record] }));
    const config = { kind: 'vqa', store: 's', picture: '{id}.png', questions, annotations };
    return (await openDataSet(DataSetConfig.parse(config), { name: 'own' })).sample(0, 0);
  };
  const karpathy = (sentence: object, image: object = {}): Promise<Sample> => {
    const sentences = [{ raw: 'A cat.', tokens: ['a', 'cat'], imgid: 0, sentid: 1, ...sentence }];
    const entry = { filename: 'a.png', imgid: 0, sentids: [1], split: 'train', cocoid: 9, sentences, ...image };
    return readOne('karpathy', { images: [entry], dataset: 'coco' });
  };
  const genome = (picture: object): Promise<Sample> => {
    const regions = [{ region_id: 5, image_id: 2, phrase: 'a cup', x: 1, y: 2, width: 3, height: 4 }];
    return readOne('visual-genome', [{ id: 2, regions, ...picture }], 'regions', { task: 'rec' });
  };
  const readOne = async (kind: string, content: object, field = 'file', more: object = {}): Promise<Sample> => {
    const path = join(folder, `${kind}.json`);
    writeFileSync(path, JSON.stringify(content));
    const config = DataSetConfig.parse({ kind, store: 's', [field]: path, ...more });
    return (await openDataSet(config, { name: 'own' })).sample(0, 0);
  };
  const instances = async (image: object, category: object): Promise<Sample> =>
    (await open('coco-instances', coco(image, category), { task: 'rec' })).sample(0, 0);
  const captions = (image: object): Promise<Sample> =>
    readOne('coco-captions', {
      images: [{ id: 1, file_name: 'a.png', ...image }],
      annotations: [{ id: 1, image_id: 1, caption: 'A cat.' }],
    });
  const parts: Readonly<Record<string, (more: object) => Promise<unknown>>> = {
    'annotation of vqa': vqa,
    'answer of vqa': (more) => vqa({}, more),
    'sentence of refcoco': async (more) => (await refcoco(more)).sample(0, 0),
    'image of refcoco': async (more) => (await refcoco({}, more)).sample(0, 0),
    'sentence of karpathy': karpathy,
    'image of karpathy': (more) => karpathy({}, more),
    'picture of visual-genome': genome,
    'image of coco-instances': (more) => instances(more, {}),
    'category of coco-instances': (more) => instances({}, more),
    'image of coco-captions': captions,
  };
  for (const [name, read] of Object.entries(parts)) {
    await read({});
    await read({ ignore: 0, weight: 1 });
    for (const off of OFF) await refusesKey(read(off), Object.keys(off)[0]!, { name, off });
  }
});

test('expressions about crowds are left out and counted, like the crowds themselves', async () => {
  for (const crowd of [{ iscrowd: 1 }, { ignore: true }]) {
    const instances = join(folder, 'instances.json');
    const refs = join(folder, 'refs.json');
    const thing = { image_id: 1, category_id: 1, bbox: [1, 1, 5, 5] };
    const annotations = [
      { id: 1, ...thing, ...crowd },
      { id: 2, ...thing, iscrowd: 0 },
    ];
    writeFileSync(instances, JSON.stringify({ images: [{ id: 1, file_name: 'a.png' }], annotations }));
    const ref = (id: number, ...said: string[]): object => ({
      ref_id: id,
      ann_id: id,
      sentences: said.map((sent) => ({ sent })),
    });
    writeFileSync(refs, JSON.stringify([ref(1, 'all', 'the crowd'), ref(2, 'the cat')]));
    const config = DataSetConfig.parse({ kind: 'refcoco', task: 'reg', store: 's', refs, instances });
    const set = await openDataSet(config, { name: 'own' });
    assert.deepEqual([set.length, set.leftOut], [1, { 'crowd region': 2 }]);
    assert.equal(set.sample(0, 0).turns[0]!.answer, 'the cat');
  }
});
