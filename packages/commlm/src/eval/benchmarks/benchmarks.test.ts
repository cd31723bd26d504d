/** Every benchmark from files laid out as they are published: what is asked, what is scored, and what is refused. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fillPrompt, PROMPT_SETS } from '../prompts.js';
import { addSums } from './benchmark.js';
import { type DataChoices, DataFolder } from './data-folder.js';
import { BENCHMARKS, findBenchmark } from './index.js';
import { type LoadedBenchmark, unitsOf } from './item.js';
import { PictureReader } from './pictures.js';

const root = mkdtempSync(join(tmpdir(), 'commlm-benchmarks-'));
after(() => rmSync(root, { recursive: true }));

type Files = Readonly<Record<string, unknown>>;
let numFolders = 0;

/** A folder of files: texts and bytes as they are, other values as JSON. */
function folderOf(files: Files): string {
  const folder = join(root, String(numFolders++));
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    const isRaw = typeof content === 'string' || content instanceof Uint8Array;
    writeFileSync(path, isRaw ? content : JSON.stringify(content));
  }
  return folder;
}

const jsonLines = (...values: object[]): string => values.map((value) => `${JSON.stringify(value)}\n`).join('');
const PIXEL = Buffer.from('not looked into');

const humans = (answer: string): object[] => Array.from({ length: 10 }, (_, i) => ({ answer_id: i + 1, answer }));
const vqaFiles = (prefix: string): Files => ({
  [`${prefix}OpenEnded_mscoco_val2014_questions.json`]: {
    questions: [
      { question_id: 1, image_id: 42, question: 'What color?' },
      { question_id: 2, image_id: 42, question: 'How many?' },
    ],
  },
  [`${prefix}mscoco_val2014_annotations.json`]: {
    annotations: [
      { question_id: 2, image_id: 42, question_type: 'how many', answer_type: 'number', answers: humans('2') },
      { question_id: 1, image_id: 42, question_type: 'what', answer_type: 'other', answers: humans('red') },
    ],
  },
  'val2014/COCO_val2014_000000000042.jpg': PIXEL,
});
const karpathy = (images: object[]): object => ({ images });
const sentences = (...texts: string[]): object[] => texts.map((raw) => ({ raw }));
const recLines = jsonLines(
  { img_path: 'a.jpg', expression: 'left man', bbox: [10, 10, 50, 50], width: 100, height: 50 },
  { img_path: 'a.jpg', expression: 'right man', bbox: [60, 10, 90, 50], width: 100, height: 50 },
);
const refs = [
  { ref_id: 1, ann_id: 11, image_id: 5, split: 'val', sentences: [{ sent: 'left man' }, { sent: 'man in red' }] },
  { ref_id: 2, ann_id: 12, image_id: 5, split: 'testA', sentences: [{ sent: 'right man' }] },
  { ref_id: 3, ann_id: 12, image_id: 5, split: 'train', sentences: [{ sent: 'man' }] },
];
const instances = {
  images: [{ id: 5, file_name: 'COCO_train2014_000000000005.jpg', width: 100, height: 50 }],
  annotations: [
    { id: 11, image_id: 5, bbox: [10, 10, 40, 40] },
    { id: 12, image_id: 5, bbox: [60, 10, 30, 40] },
  ],
};
const pope = (split: string): Files => ({
  [`coco_pope_${split}.json`]: jsonLines(
    { question_id: 1, image: 'COCO_val2014_1.jpg', text: 'Is there a dog in the image?', label: 'yes' },
    { question_id: 2, image: 'COCO_val2014_1.jpg', text: 'Is there a cat in the image?', label: 'no' },
  ),
});
const mmbenchTable = [
  'index\tquestion\thint\tA\tB\tC\tD\tanswer\tcategory\tl2-category\timage',
  `7\tWhat?\tLook.\tcat\tdog\t\t\tB\tkind\tcoarse\t${PIXEL.toString('base64')}`,
  `8\tWhere?\t\tleft\tright\t\t\tA\tplace\tfine\t${PIXEL.toString('base64')}`,
  '1000007\tWhat?\tLook.\tdog\tcat\t\t\tA\tkind\tcoarse\t7',
  '1000008\tWhere?\t\tright\tleft\t\t\tB\tplace\tfine\t8',
  '',
].join('\n');

interface Case {
  readonly files: Files;
  readonly ids: readonly unknown[];
  /** One right answer for each item. */
  readonly right: readonly string[];
  readonly main: readonly [name: string, value: number];
  readonly asks: string;
}

const captionCase = (name: string, id: object): Case => ({
  files: {
    [name]: karpathy([
      {
        ...id,
        imgid: 1,
        filename: 'a.jpg',
        split: 'test',
        sentences: sentences('a dog runs fast', 'one dog runs fast'),
      },
      { imgid: 2, filename: 'b.jpg', split: 'train', sentences: sentences('a cat') },
      { imgid: 3, filename: 'c.jpg', split: 'test', sentences: sentences('the cat sleeps on a bed') },
    ]),
    'images/a.jpg': PIXEL,
    'images/c.jpg': PIXEL,
  },
  ids: [Object.values(id)[0] ?? 1, 3],
  right: ['a dog runs fast', 'the cat sleeps on a bed'],
  main: ['BLEU-4', 1],
  asks: 'Describe the image.',
});
const vqaCase = (prefix: string): Case => ({
  files: vqaFiles(prefix),
  ids: [1, 2],
  right: ['red', '2'],
  main: ['accuracy', 100],
  asks: 'What color?',
});
const recCase = (dataSet: string, by: string, splits: readonly string[]): Case => ({
  files: {
    ...Object.fromEntries(splits.map((split) => [`REC_${dataSet}_${by}_${split}.jsonl`, recLines])),
    'train2014/a.jpg': PIXEL,
  },
  ids: splits.flatMap((split) => [`${split}/1`, `${split}/2`]),
  right: splits.flatMap(() => ['[0.100,0.350,0.500,0.750]', 'Answer: [0.600,0.350,0.900,0.750].']),
  main: ['accuracy', 1],
  asks: 'Can you point out left man in the image and provide the coordinates of its location?',
});

const CASES: Readonly<Record<string, Case>> = {
  refcoco: recCase('refcoco', 'unc', ['val', 'testA', 'testB']),
  'refcoco+': recCase('refcoco+', 'unc', ['val', 'testA', 'testB']),
  refcocog: recCase('refcocog', 'umd', ['val', 'test']),
  reg: {
    files: {
      'refcoco/refs(unc).p': refs,
      'refcoco/instances.json': instances,
      'train2014/COCO_train2014_000000000005.jpg': PIXEL,
    },
    ids: ['val/1', 'testA/2'],
    right: ['left man', 'right man'],
    main: ['BLEU-2', 1],
    asks: 'Please generate a distinguishing description for the region [0.100,0.350,0.500,0.750].',
  },
  pope: {
    files: { ...pope('random'), ...pope('popular'), ...pope('adversarial'), 'val2014/COCO_val2014_1.jpg': PIXEL },
    ids: ['random', 'popular', 'adversarial'].flatMap((split) => [`${split}/1`, `${split}/2`]),
    right: ['yes', 'no', 'yes', 'no', 'yes', 'no'],
    main: ['accuracy', 1],
    asks: 'Is there a dog in the image? please answer yes or no.',
  },
  'coco-caption': captionCase('dataset_coco.json', { cocoid: 9 }),
  flickr30k: captionCase('dataset_flickr30k.json', {}),
  vqav2: vqaCase('v2_'),
  okvqa: vqaCase(''),
  textvqa: {
    files: {
      'TextVQA_0.5.1_val.json': {
        data: [{ question_id: 1, image_id: 'ab', question: 'What does it say?', answers: Array(10).fill('stop') }],
      },
      'train_images/ab.jpg': PIXEL,
    },
    ids: [1],
    right: ['Stop'],
    main: ['accuracy', 100],
    asks: 'What does it say?',
  },
  gqa: {
    files: {
      'testdev_balanced_questions.json': {
        '01': { imageId: 'n1', question: 'Is it?', answer: 'yes', isBalanced: true, types: { structural: 'verify' } },
        '02': { imageId: 'n1', question: 'What?', answer: 'dog', isBalanced: true, types: { structural: 'query' } },
      },
      'images/n1.jpg': PIXEL,
    },
    ids: ['01', '02'],
    right: ['yes', 'dog'],
    main: ['accuracy', 100],
    asks: 'Is it?',
  },
  mme: {
    files: {
      'MME_Benchmark/count/1.txt':
        'Is it one? Please answer yes or no.\tYes\nIs it two? Please answer yes or no.\tNo\n',
      'MME_Benchmark/count/1.jpg': PIXEL,
      'MME_Benchmark/scene/questions_answers_YN/2.txt': 'Is it a lake?\tYes\nIs it a road?\tNo\n',
      'MME_Benchmark/scene/images/2.png': PIXEL,
    },
    ids: ['count/1', 'count/2', 'scene/1', 'scene/2'],
    right: ['Yes', 'No', 'yes', 'no'],
    main: ['score', 400],
    asks: 'Is it one? Please answer yes or no.',
  },
  mmbench: {
    files: { 'MMBench_DEV_EN.tsv': mmbenchTable },
    ids: [7, 1000007, 8, 1000008],
    right: ['B', 'A', 'A', 'B'],
    main: ['circular', 1],
    asks: 'Hint: Look.\nQuestion: What?\nOptions:\nA. cat\nB. dog\nPlease select the correct answer from the options above.',
  },
  scienceqa: {
    files: {
      'problems.json': {
        '1': { question: 'Which?', choices: ['a', 'b'], answer: 1, hint: '', image: 'image.png', split: 'test' },
        '2': { question: 'Why?', choices: ['a', 'b'], answer: 0, hint: 'Think.', image: null, split: 'test' },
        '3': { question: 'No.', choices: ['a', 'b'], answer: 0, hint: '', image: null, split: 'train' },
      },
      'pid_splits.json': { train: ['3'], test: ['1', '2'] },
      'images/test/1/image.png': PIXEL,
    },
    ids: ['1', '2'],
    right: ['B', 'A. a'],
    main: ['accuracy', 100],
    asks: 'Which?\nA. a\nB. b\nPlease select the correct answer from the options above.',
  },
  mmvp: {
    files: {
      'Questions.csv':
        'Index,Question,Options,Correct Answer\n1,"Open, or not?",(a) Open (b) Closed,(a)\n2,"Open, or not?",(a) Open (b) Closed,(b)\n',
      'MMVP Images/1.jpg': PIXEL,
      'MMVP Images/2.jpg': PIXEL,
    },
    ids: [1, 2],
    right: ['(a)', 'B'],
    main: ['pairAccuracy', 1],
    asks: 'Open, or not?\nA. Open\nB. Closed\nPlease select the correct answer from the options above.',
  },
};

const caseOf = (name: string): Case => CASES[name]!;

async function load(name: string, files: Files, choices: DataChoices = { subset: true }) {
  const benchmark = findBenchmark(name);
  assert.ok(benchmark);
  const folder = new DataFolder(folderOf(files), benchmark, choices);
  return { benchmark, folder, loaded: (await benchmark.load(folder)) as LoadedBenchmark };
}

/** Figures from the sums of all units must be those of the official scorer. */
function checkSums(name: string, loaded: LoadedBenchmark, answers: readonly string[]): void {
  const benchmark = findBenchmark(name) as (typeof BENCHMARKS)[number];
  const scored = loaded.score(loaded.items, answers, benchmark.readers[0]);
  const samples = scored.items.map((item, i) => ({ ...loaded.items[i]!, ...item }));
  const sums = new Map<string, number[]>();
  for (const { group, samples: unit } of unitsOf(samples)) {
    sums.set(group, addSums([sums.get(group) ?? [], benchmark.sums(unit)]));
  }
  for (const [figure, value] of Object.entries(benchmark.figures(sums))) {
    assert.ok(Math.abs(value - scored.figures[figure]!) < 0.005, `${name} ${figure}: ${value}`);
  }
}

for (const { name, prompt } of BENCHMARKS) {
  test(`${name}: published files are read, asked and scored`, async () => {
    const { files, ids, right, main, asks } = caseOf(name);
    const { folder, loaded, benchmark } = await load(name, files);
    assert.deepEqual(
      loaded.items.map(({ id }) => id),
      ids,
    );
    const shikra = PROMPT_SETS.get('shikra')?.prompts[prompt];
    assert.ok(shikra);
    assert.equal(fillPrompt(shikra, loaded.items[0]!), asks);
    const reader = new PictureReader(folder.root);
    for (const { picture } of loaded.items) {
      if (picture !== null) assert.deepEqual(Buffer.from(await reader.read(picture)), PIXEL);
    }
    const { figures, items } = loaded.score(loaded.items, right, benchmark.readers[0]);
    assert.ok(Math.abs(figures[main[0]]! - main[1]) < 1e-5, JSON.stringify(figures));
    assert.ok(items.every(({ correct }) => correct !== false));
    checkSums(name, loaded, right);
    checkSums(name, loaded, ['', ...right.slice(0, -1)]);
    assert.ok((await folder.facts()).every(({ sha256 }) => /^[0-9a-f]{64}$/.test(sha256)));
  });

  test(`${name}: nothing there, missing pictures and a part of the files are errors`, async () => {
    const { files } = caseOf(name);
    await assert.rejects(load(name, { 'readme.txt': '' }), (error: Error) => error.message.includes('looked for'));
    const pictures = Object.entries(files).filter(([path]) => /\.(jpg|png)$/.test(path));
    if (pictures.length > 0) {
      const without = Object.fromEntries(Object.entries(files).filter(([path]) => !/\.(jpg|png)$/.test(path)));
      await assert.rejects(load(name, without), /missing|not in/);
    }
    // MME has no two of its subtasks to compare with; it is never called published here.
    if (name !== 'mme') await assert.rejects(load(name, files, {}), /but the published file has/);
    const { folder } = await load(name, files);
    assert.equal(folder.published, false);
  });
}

test('splits are chosen by name', async () => {
  const { loaded } = await load('refcoco', caseOf('refcoco').files, { subset: true, splits: ['testA'] });
  assert.deepEqual(
    loaded.items.map(({ group }) => group),
    ['testA', 'testA'],
  );
  await assert.rejects(load('pope', caseOf('pope').files, { splits: ['rare'] }), /no split "rare"/);
  await assert.rejects(load('vqav2', caseOf('vqav2').files, { splits: ['val'] }), /no splits/);
});

test('sentences of refs are expressions when there are no lines', async () => {
  const { loaded } = await load('refcoco', caseOf('reg').files);
  assert.deepEqual(
    loaded.items.map(({ words }) => words['expr']),
    ['left man', 'man in red', 'right man'],
  );
});

test('the files of a user are named by role', async () => {
  const files = caseOf('vqav2').files;
  const own = folderOf({
    'q.json': files['v2_OpenEnded_mscoco_val2014_questions.json'],
    'pictures/000000000042.jpg': PIXEL,
  });
  const choices = {
    files: new Map([
      ['questions', join(own, 'q.json')],
      ['images', join(own, 'pictures')],
    ]),
  };
  const { folder, loaded } = await load('vqav2', files, choices);
  assert.equal(folder.published, false);
  assert.equal(folder.partial, false);
  assert.equal(loaded.items[0]?.picture, join(own, 'pictures/000000000042.jpg'));
  await assert.rejects(load('vqav2', files, { files: new Map([['question', 'q']]) }), /no file called "question"/);
  await assert.rejects(load('vqav2', files, { files: new Map([['questions', 'q']]) }), /There is no file q/);
});

test('ids that are double, missing or strange are named', async () => {
  const faults: [string, Files, RegExp][] = [
    [
      'vqav2',
      { 'vqa_questions.json': { questions: [{ question_id: 1, image_id: 42, question: 'x' }] } },
      /1 questions of .* have no question here: 2/,
    ],
    [
      'vqav2',
      { 'vqa_questions.json': { questions: Array(2).fill({ question_id: 1, image_id: 42, question: 'x' }) } },
      /question 1 is there already/,
    ],
    ['reg', { 'refcoco/instances.json': { ...instances, annotations: [] } }, /ann_id is not in/],
    ['reg', { 'refcoco/instances.json': { ...instances, images: [] } }, /its picture is not in/],
    ['mmbench', { 'MMBench_DEV_EN.tsv': mmbenchTable.replace('\t7\n', '\t9\n') }, /row 9, which has none/],
    ['mmbench', { 'MMBench_DEV_EN.tsv': mmbenchTable.replace('\t7\n', '\t!!\n') }, /is not base64/],
    ['mme', { 'MME_Benchmark/count/1.txt': 'Is it one?\tYes\n' }, /1 questions, but each picture has two/],
    ['mme', { 'MME_Benchmark/count/1.txt': 'Is it one?\tMaybe\nx\tNo\n' }, /must be Yes or No/],
    ['mmvp', { 'Questions.csv': 'Index,Question,Options,Correct Answer\n1,q,x,(a)\n2,q,y,(b)\n' }, /"Options" must be/],
  ];
  for (const [name, changed, message] of faults) {
    const files = { ...caseOf(name).files, ...changed };
    const own = 'vqa_questions.json' in changed;
    const kept = own
      ? Object.fromEntries(Object.entries(files).filter(([path]) => !path.startsWith('v2_Open')))
      : files;
    await assert.rejects(load(name, kept), (error: Error) => message.test(error.message) || assert.fail(error.message));
  }
});

test('POPE: the random split is whole in both of its published sizes', async () => {
  const files = (numRandom: number): Files => {
    const linesOf = (count: number): string =>
      jsonLines(
        ...Array.from({ length: count }, (_, i) => {
          return { question_id: i + 1, image: 'a.jpg', text: `Is there a thing ${i}?`, label: i % 2 ? 'no' : 'yes' };
        }),
      );
    return {
      'val2014/a.jpg': PIXEL,
      'coco_pope_random.json': linesOf(numRandom),
      'coco_pope_popular.json': linesOf(3000),
      'coco_pope_adversarial.json': linesOf(3000),
    };
  };
  for (const count of [3000, 2910]) {
    const { folder, loaded } = await load('pope', files(count), {});
    assert.deepEqual([loaded.items.length, folder.published, folder.partial], [count + 6000, true, false]);
  }
  for (const count of [2909, 2911, 2999]) {
    await assert.rejects(load('pope', files(count), {}), new RegExp(`${count} questions, but .* has 3000 or 2910`));
  }
});

test('MMBench: rows and rotations with the same picture are known to be about one', async () => {
  const { loaded } = await load('mmbench', caseOf('mmbench').files);
  assert.equal(new Set(loaded.items.map(({ picture }) => picture)).size, 1);
});
