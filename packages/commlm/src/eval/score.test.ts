/** Files through `score`: every published layout is read, and every kind of damage is an error that names its place. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { CommError } from '../config/errors.js';
import { findBenchmark } from './benchmarks/index.js';
import { COGNITION, PERCEPTION } from './metrics/mme.js';
import { type ScoreRequest, scoreFiles } from './score.js';

const root = mkdtempSync(join(tmpdir(), 'commlm-score-'));
after(() => rmSync(root, { recursive: true }));

type Content = string | Uint8Array | object;

let numFolders = 0;

/** Writes files into a fresh folder: texts and bytes as they are, values as JSON. */
function folderOf(files: Readonly<Record<string, Content>>): string {
  const folder = join(root, String(numFolders++));
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) {
    const isRaw = typeof content === 'string' || content instanceof Uint8Array;
    writeFileSync(join(folder, name), isRaw ? content : JSON.stringify(content));
  }
  return folder;
}

const lines = (...values: object[]): string => values.map((value) => `${JSON.stringify(value)}\n`).join('');

interface Files {
  readonly predictions: Content;
  readonly annotations: Content;
  readonly names?: { readonly predictions?: string; readonly annotations?: string };
}

async function score(
  benchmark: string,
  files: Files,
  options: Partial<ScoreRequest> = {},
): ReturnType<typeof scoreFiles> {
  const predictions = files.names?.predictions ?? 'predictions.json';
  const annotations = files.names?.annotations ?? 'annotations.json';
  const folder = folderOf({ [predictions]: files.predictions, [annotations]: files.annotations });
  return scoreFiles(benchmark, {
    predictions: join(folder, predictions),
    annotations: join(folder, annotations),
    ...options,
  });
}

const COCO = {
  info: {},
  images: [{ id: 1 }, { id: 2 }, { id: 3 }],
  licenses: [],
  annotations: [
    { id: 1, image_id: 1, caption: 'A man rides a horse.' },
    { id: 2, image_id: 2, caption: 'Two dogs on a beach.' },
    { id: 3, image_id: 1, caption: 'A person on a horse.' },
    { id: 4, image_id: 3, caption: 'A red bus.' },
  ],
};
const CAPTIONS = [
  { image_id: 2, caption: 'two dogs on a beach' },
  { image_id: 1, caption: 'a man on a horse' },
  { image_id: 3, caption: 'a blue car' },
];

const human = (answer: string, i: number): object => ({ answer_id: i + 1, answer, answer_confidence: 'yes' });
const VQA = {
  annotations: [
    {
      question_id: 10,
      image_id: 1,
      question_type: 'is this',
      answer_type: 'yes/no',
      answers: Array.from({ length: 10 }, (_, i) => human('yes', i)),
    },
    {
      question_id: 11,
      image_id: 1,
      question_type: 'how many',
      answer_type: 'number',
      answers: Array.from({ length: 10 }, (_, i) => human(i < 3 ? 'two' : '3', i)),
    },
  ],
};
const ANSWERS = [
  { question_id: 11, answer: '2.' },
  { question_id: 10, answer: 'Yes' },
];

const POPE = lines(
  { question_id: 1, image: 'a.jpg', text: 'Is there a dog in the image?', label: 'yes' },
  { question_id: 2, image: 'a.jpg', text: 'Is there a cat in the image?', label: 'no' },
);
const POPE_ANSWERS = lines(
  { question: 'Is there a dog in the image?', answer: 'Yes.' },
  { question: 'Is there a cat in the image?', answer: 'no\n' },
);

const REC = lines(
  { img_path: 'a.jpg', expression: 'dog', bbox: [10, 10, 50, 50], width: 100, height: 50 },
  { img_path: 'b.jpg', expression: 'cat', bbox: [0, 0, 10, 10], width: 20, height: 20 },
);
const BOXES = lines({ answer: '[0.100,0.350,0.500,0.750]' }, { answer: 'there' });

const MMBENCH = [
  'index\tquestion\thint\tA\tB\tC\tD\tanswer\tcategory\tl2-category',
  '1\tWhat?\t\tcat\tdog\t\t\tB\tkind\tcoarse',
  '1000001\tWhat?\t\tdog\tcat\t\t\tA\tkind\tcoarse',
  '2\tWhere?\t\tleft\tright\tup\t\tC\tplace\tfine',
  '',
].join('\n');
const CHOICES = [
  { index: 1, prediction: 'B' },
  { index: 2, prediction: 'A dog on the left of a tree' },
  { index: 1000001, prediction: 'The answer is A.' },
];

const GQA = {
  '0001': { imageId: 'n1', answer: 'yes', isBalanced: true, types: { structural: 'verify' } },
  '0002': { imageId: 'n1', answer: 'dog', isBalanced: true, types: { structural: 'query' } },
  '0003': { imageId: 'n1', answer: 'cat', isBalanced: false, types: { structural: 'query' } },
};
const GQA_PREDICTIONS = [
  { questionId: '0001', prediction: 'Yes.' },
  { questionId: '0002', prediction: 'dog' },
];

const PROBLEMS = {
  '1': { question: 'q', choices: ['a', 'b'], answer: 1, image: 'image.png', split: 'test' },
  '2': { question: 'q', choices: ['a', 'b', 'c'], answer: 2, image: null, split: 'test' },
  '3': { question: 'q', choices: ['a', 'b'], answer: 0, image: null, split: 'train' },
};
const SCIENCE = lines({ question_id: '1', text: 'B' }, { question_id: '2', text: 'The answer is A.' });

const MMVP = [
  'Index,Question,Options,Correct Answer',
  '1,"Is it open, or not?",(a) Open (b) Closed,(a)',
  '2,"Is it ""open""?",(a) Open (b) Closed,(b)',
  '',
].join('\n');
const LETTERS = lines({ question_id: 1, text: '(a)' }, { question_id: 2, text: 'A' });

test('captions: COCO and Karpathy files give the same figures, in the order of the annotations', async () => {
  const coco = await score('coco-caption', { predictions: CAPTIONS, annotations: COCO });
  assert.equal(coco.count, 3);
  assert.equal(coco.reader, 'official');
  assert.deepEqual(Object.keys(coco.metrics), ['CIDEr', 'BLEU-1', 'BLEU-2', 'BLEU-3', 'BLEU-4', 'ROUGE-L']);
  assert.deepEqual(
    coco.perItem.map((item) => item['image_id']),
    [1, 2, 3],
  );
  const karpathy = {
    dataset: 'coco',
    images: [1, 2, 3].map((id) => ({
      cocoid: id,
      imgid: id + 70,
      filename: `${id}.jpg`,
      split: id === 0 ? 'train' : 'test',
      sentences: COCO.annotations.filter(({ image_id }) => image_id === id).map(({ caption }) => ({ raw: caption })),
    })),
  };
  const split = await score('coco-caption', { predictions: CAPTIONS, annotations: karpathy }, { split: 'test' });
  assert.deepEqual(split.metrics, coco.metrics);
  const named = CAPTIONS.map(({ image_id, caption }) => ({ image_id: `${image_id}.jpg`, caption }));
  const byName = await score('flickr30k', { predictions: named, annotations: karpathy }, { split: 'test' });
  assert.deepEqual(byName.metrics, coco.metrics);
});

test('captions: a subset must be asked for and is reported as one', async () => {
  const files = { predictions: CAPTIONS.slice(0, 2), annotations: COCO };
  await assert.rejects(score('coco-caption', files), /1 of 3 images have no prediction: 3/);
  const subset = await score('coco-caption', files, { subset: true });
  assert.equal(subset.count, 2);
  assert.match(subset.notes[0]!, /2 of 3 images/);
});

test('captions: METEOR without tables is named by its modules', async () => {
  const { metrics, notes, perItem } = await score(
    'coco-caption',
    { predictions: CAPTIONS, annotations: COCO },
    { meteor: true },
  );
  assert.ok((metrics['METEOR ex+st'] as number) > 0.3);
  assert.ok('METEOR ex+st' in perItem[0]!);
  assert.deepEqual(notes, ['METEOR modules: exact, stem.']);
});

test('captions: SPICE comes from an outside command, whose failures are errors', async () => {
  const folder = folderOf({
    'spice.mjs': `import { readFileSync, writeFileSync } from 'node:fs';
const [input, out, output, ...rest] = process.argv.slice(2);
if (out !== '-out' || rest.join() !== '-subset,-silent') process.exit(3);
const scores = JSON.parse(readFileSync(input)).map(({ image_id, test, refs }) => ({ image_id, scores: { All: { f: test.length / 100 + refs.length } } }));
writeFileSync(output, JSON.stringify(scores.reverse()));`,
    'broken.mjs': `console.error('no models'); process.exit(1);`,
    'silent.mjs': '',
  });
  const command = (name: string): string => `${JSON.stringify(process.execPath)} ${JSON.stringify(join(folder, name))}`;
  const files = { predictions: CAPTIONS, annotations: COCO };
  const { metrics, perItem, notes } = await score('coco-caption', files, { spiceCommand: command('spice.mjs') });
  assert.equal(perItem[1]?.['SPICE'], 'two dogs on a beach'.length / 100 + 1);
  assert.ok(Math.abs((metrics['SPICE'] as number) - (2.16 + 1.19 + 1.1) / 3) < 1e-9);
  assert.match(notes[0]!, /SPICE by: /);
  const failing = (name: string): Promise<unknown> => score('coco-caption', files, { spiceCommand: command(name) });
  await assert.rejects(failing('broken.mjs'), /exit code 1: no models/);
  await assert.rejects(failing('silent.mjs'), /did not write the scores/);
});

/** `pickle.dumps` of one region with protocols 0 and 2; the published files are of protocol 0. */
const PICKLES = [
  '(lp0\n(dp1\nVref_id\np2\nI5\nsVsplit\np3\nVval\np4\nsVsentences\np5\n(lp6\n(dp7\nVsent\np8\nVthe caf\\u00e9 man\np9\nsasa.',
  "(lp0\n(dp1\nS'ref_id'\np2\nI5\nsS'split'\np3\nS'val'\np4\nsS'sentences'\np5\n(lp6\n(dp7\nS'sent'\np8\nS'the caf\\xc3\\xa9 man'\np9\nsasa.",
  Buffer.from(
    '80025d71007d71012858060000007265665f696471024b05580500000073706c69747103580300000076616c7104580900000073656e74656e' +
      '63657371055d71067d7107580400000073656e747108580d00000074686520636166c3a9206d616e7109736175612e',
    'hex',
  ),
];

test('regions: JSON and pickled refs, without letters outside ASCII', async () => {
  const refs = [
    { ref_id: 5, split: 'val', sentences: [{ sent: 'the caf\u00e9 man' }, { sent: 'left man' }] },
    { ref_id: 6, split: 'testA', sentences: [{ sent: 'a dog' }] },
    { ref_id: 7, split: 'val', sentences: [{ sent: 'red car' }] },
  ];
  const predictions = [
    { ref_id: 5, sent: 'the caf man' },
    { ref_id: 7, sent: 'red car' },
  ];
  const json = await score('reg', { predictions, annotations: refs }, { split: 'val' });
  assert.equal(
    json.metrics['BLEU-2'],
    (await score('reg', { predictions, annotations: refs }, { split: 'val' })).metrics['BLEU-2'],
  );
  assert.ok((json.metrics['BLEU-1'] as number) > 0.99);
  for (const annotations of PICKLES) {
    const pickled = await score('reg', {
      predictions: [{ ref_id: 5, sent: 'the caf man' }],
      annotations,
      names: { annotations: 'refs(unc).p' },
    });
    assert.equal(pickled.count, 1);
    assert.ok((pickled.metrics['BLEU-1'] as number) > 0.99);
  }
});

test('VQA: readers, groups and per-question accuracy', async () => {
  const official = await score('vqav2', { predictions: ANSWERS, annotations: VQA });
  assert.deepEqual(official.metrics, {
    accuracy: 45,
    accuracyByAnswerType: { 'yes/no': 0, number: 90 },
    accuracyByQuestionType: { 'is this': 0, 'how many': 90 },
  });
  assert.deepEqual(official.perItem, [
    { question_id: 10, accuracy: 0, normalized: 'Yes' },
    { question_id: 11, accuracy: 90, normalized: '2' },
  ]);
  const always = await score('okvqa', { predictions: ANSWERS, annotations: VQA }, { reader: 'always' });
  assert.equal(always.metrics['accuracy'], 95);
  assert.equal(always.reader, 'always');
  const data = VQA.annotations.map(({ question_id, answers }) => ({
    question_id,
    answers: answers.map((answer) => (answer as { answer: string }).answer),
  }));
  const text = await score('textvqa', { predictions: ANSWERS, annotations: { data } });
  assert.deepEqual(text.metrics, { accuracy: 95 });
  assert.equal(text.reader, 'evalai');
});

test('POPE: answers in order, by id, and by category', async () => {
  const inOrder = await score('pope', { predictions: POPE_ANSWERS, annotations: POPE });
  assert.deepEqual(inOrder.metrics, { accuracy: 0.5, precision: 0.5, recall: 1, f1: 2 / 3, yesRatio: 1 });
  assert.deepEqual(inOrder.perItem[1], { question_id: 2, parsed: 'yes', hit: false });
  const byId = lines({ question_id: 2, text: 'no' }, { question_id: 1, text: 'yes' });
  assert.equal((await score('pope', { predictions: byId, annotations: POPE })).metrics['accuracy'], 1);
  const categories = lines(
    { question_id: 1, text: 'a?', label: 'yes', category: 'random' },
    { question_id: 2, text: 'b?', label: 'no', category: 'popular' },
  );
  const split = await score('pope', { predictions: byId, annotations: categories });
  assert.equal(split.metrics['f1'], 0.5);
  assert.deepEqual(Object.keys(split.metrics).slice(-2), ['random', 'popular']);
});

test('MME: a folder of subtasks; a part is whole or absent', async () => {
  const content = 'a.jpg\tIs it?\tYes\tyes, it is\na.jpg\tIs it not?\tNo\tThe answer is no\n';
  const all = Object.fromEntries([...PERCEPTION, ...COGNITION].map((name) => [`${name}.txt`, content]));
  const full = await scoreFiles('mme', { predictions: folderOf(all) });
  assert.equal(full.metrics['perception'], 500);
  assert.equal(full.metrics['cognition'], 200);
  assert.deepEqual(full.metrics['OCR'], { acc: 50, accPlus: 0, score: 50 });
  const some = folderOf({ 'count.txt': content, 'color.txt': content });
  const named = await scoreFiles('mme', { predictions: some, subtasks: ['color', 'count'] });
  assert.deepEqual(Object.keys(named.metrics), ['count', 'color']);
  await assert.rejects(
    scoreFiles('mme', { predictions: some, subtasks: ['color', 'scene'] }),
    /There is no file .*scene\.txt/,
  );
  await assert.rejects(scoreFiles('mme', { predictions: some, subtasks: ['colour'] }), /no MME subtask "colour"/);
  const part = Object.fromEntries(PERCEPTION.map((name) => [`${name}.txt`, content]));
  const perception = await scoreFiles('mme', { predictions: folderOf(part) });
  assert.ok(!('cognition' in perception.metrics));
  assert.deepEqual(perception.notes, ['No figure for cognition: not all of its subtasks were scored.']);
});

test('MMBench: circular and vanilla, JSON and TSV predictions, both readers', async () => {
  const names = { annotations: 'dev.tsv' };
  const exact = await score('mmbench', { predictions: CHOICES, annotations: MMBENCH, names });
  assert.equal(exact.metrics['circular'], 0.5);
  assert.equal(exact.metrics['vanilla'], 0.5);
  assert.deepEqual(exact.metrics['circularByL2Category'], { coarse: 1, fine: 0 });
  assert.deepEqual(exact.perItem[2], { index: 2, parsed: null, hit: false });
  assert.deepEqual(exact.notes, [
    '2 questions in 3 rows.',
    '1 questions have fewer rows than options, so circular is no full CircularEval for them.',
  ]);
  const table = ['index\tprediction', ...CHOICES.map(({ index, prediction }) => `${index}\t${prediction}`)].join('\n');
  const old = await score(
    'mmbench',
    { predictions: table, annotations: MMBENCH, names: { ...names, predictions: 'out.tsv' } },
    { reader: '2023' },
  );
  assert.deepEqual(old.metrics['circular'], 0.5);
  assert.equal(old.perItem[2]?.['parsed'], 'A');
});

test('REC: boxes from text, IoU and failures', async () => {
  const { metrics, perItem } = await score('refcoco', { predictions: BOXES, annotations: REC });
  assert.deepEqual([metrics['accuracy'], metrics['failed']], [0.5, 1]);
  // Areas, overlap and quotient in float32: nine roundings.
  assert.ok(Math.abs((perItem[0]?.['iou'] as number) - 1) <= 9 * 2 ** -24);
  assert.deepEqual(perItem[1], { box: null, iou: 0, hit: false });
});

test('GQA: balanced questions, binary and open, four readers', async () => {
  const files = { predictions: GQA_PREDICTIONS, annotations: GQA };
  assert.deepEqual((await score('gqa', files)).metrics, { accuracy: 50, binary: 0, open: 100 });
  assert.equal((await score('gqa', files, { reader: 'llava' })).metrics['accuracy'], 100);
  assert.equal((await score('gqa', files, { reader: 'lmms-eval' })).metrics['accuracy'], 100);
  assert.equal((await score('gqa', files, { reader: 'shikra' })).metrics['accuracy'], 0);
});

test('ScienceQA: a split from its file or from the problems; missing ones are wrong', async () => {
  const names = { predictions: 'answers.jsonl' };
  const own = await score('scienceqa', { predictions: SCIENCE, annotations: PROBLEMS, names });
  assert.deepEqual(own.metrics, { accuracy: 50, imageAccuracy: 100 });
  const splitFile = join(folderOf({ 'pid_splits.json': { val: ['3', '1'] } }), 'pid_splits.json');
  const predictions = lines({ question_id: '1', text: 'B' });
  const val = await score('scienceqa', { predictions, annotations: PROBLEMS, names }, { split: 'val', splitFile });
  assert.equal(val.metrics['accuracy'], 50);
  assert.match(val.notes[0]!, /1 problems have no prediction/);
});

test('MMVP: pairs of rows of a quoted CSV', async () => {
  const names = { annotations: 'Questions.csv', predictions: 'answers.jsonl' };
  const { metrics } = await score('mmvp', { predictions: LETTERS, annotations: MMVP, names });
  assert.deepEqual(metrics, { accuracy: 0.5, pairAccuracy: 0 });
});

/** A kind of damage: the benchmark, what is wrong, and what the message must say. */
type Damage = readonly [
  name: string,
  benchmark: string,
  files: Files,
  message: RegExp,
  options?: Partial<ScoreRequest>,
];

const utf16 = Buffer.from('\ufeff[]', 'utf16le');
const captions = (predictions: Content): Files => ({ predictions, annotations: COCO });
const references = (annotations: Content): Files => ({ predictions: CAPTIONS, annotations });
const vqa = (predictions: Content, annotations: Content = VQA): Files => ({ predictions, annotations });
const pope = (predictions: Content, annotations: Content = POPE): Files => ({ predictions, annotations });
const rec = (predictions: Content, annotations: Content = REC): Files => ({ predictions, annotations });
const mmbench = (predictions: Content, annotations: Content = MMBENCH): Files => ({ predictions, annotations });
const gqa = (predictions: Content, annotations: Content = GQA): Files => ({ predictions, annotations });
const science = (predictions: Content, annotations: Content = PROBLEMS): Files => ({ predictions, annotations });
const mmvp = (predictions: Content, annotations: Content = MMVP): Files => ({ predictions, annotations });
const TEXT_VQA = { data: [10, 11].map((id) => ({ question_id: id, answers: Array.from({ length: 10 }, () => 'a') })) };
const REGIONS = [
  { ref_id: 5, sentences: [{ sent: 'left man' }] },
  { ref_id: 6, sentences: [{ sent: 'red car' }] },
];
const reg = (predictions: Content): Files => ({ predictions, annotations: REGIONS });
const first = VQA.annotations[0]!;

const DAMAGES: readonly Damage[] = [
  // The file as a whole.
  ['an empty file', 'coco-caption', captions(''), /predictions\.json: the file is empty/],
  ['blank lines alone', 'coco-caption', captions('\n \n'), /predictions\.json: the file is empty/],
  ['UTF-16', 'coco-caption', captions(utf16), /UTF-16/],
  [
    'Latin-1',
    'coco-caption',
    captions(Buffer.from('[\n{"caption":"caf\xe9"}]', 'latin1')),
    /line 2: .*not valid UTF-8/,
  ],
  ['gzip', 'coco-caption', captions(gzipSync('[]')), /gzip/],
  ['an Excel workbook', 'mmbench', mmbench(Buffer.from('PK\x03\x04rest')), /Excel/],
  ['zero bytes', 'coco-caption', captions('[\u0000]'), /zero bytes/],
  ['a web page', 'coco-caption', captions('<!doctype html>'), /HTML page/],
  ['a cut file', 'coco-caption', captions('[{"image_id": 1, "caption": "a'), /line 1, .*text does not end|ends early/],
  ['a cut list', 'vqav2', vqa('[\n{"question_id": 10, "answer": "a"},\n'), /line 3, .*ends early/],
  ['a trailing comma', 'vqav2', vqa('[\n{"question_id": 10, "answer": "a"},\n]'), /line 3, column 1: .*unexpected "]"/],
  ['single quotes', 'vqav2', vqa("[{'question_id': 10}]"), /line 1, column 3: .*field name/],
  ['two JSON values', 'vqav2', vqa('[]\n[]'), /line 2, column 1: .*after the end/],
  ['NaN', 'vqav2', vqa('[{"question_id": NaN, "answer": "a"}]'), /column 18: .*no number NaN/],
  ['JSON lines in the place of a list', 'vqav2', vqa(lines(...ANSWERS)), /line 2, .*after the end/],
  ['a list in the place of JSON lines', 'pope', pope([]), /line 1: this is a JSON array/],
  // The shape of predictions.
  ['an object in the place of the list', 'coco-caption', captions({ 1: 'a' }), /predictions\.json: a list is needed/],
  ['an empty list', 'coco-caption', captions([]), /list of predictions is empty/],
  ['an entry that is a text', 'coco-caption', captions(['a']), /entry 1: an object is needed, but this is a text/],
  ['an entry that is null', 'coco-caption', captions([null]), /entry 1: .*null/],
  ['no caption', 'coco-caption', captions([{ image_id: 1 }]), /entry 1: the field "caption" is missing/],
  ['no id', 'coco-caption', captions([{ caption: 'a' }]), /entry 1: the field "image_id" is missing/],
  [
    'a caption that is a list',
    'coco-caption',
    captions([{ image_id: 1, caption: ['a'] }]),
    /must be a text, but is a list/,
  ],
  ['a caption that is null', 'coco-caption', captions([{ image_id: 1, caption: null }]), /must be a text, but is null/],
  ['an id that is a fraction', 'coco-caption', captions([{ image_id: 1.5, caption: 'a' }]), /whole number .* is 1\.5/],
  [
    'an id beyond exact numbers',
    'coco-caption',
    captions('[{"image_id": 9007199254740993, "caption": "a"}]'),
    /whole number/,
  ],
  ['an id that is blank', 'coco-caption', captions([{ image_id: ' ', caption: 'a' }]), /whole number or a text/],
  [
    'two captions of an image',
    'coco-caption',
    captions([...CAPTIONS, CAPTIONS[0]]),
    /entry 4: image 2 is there already, at entry 1/,
  ],
  [
    'an image that is not known',
    'coco-caption',
    captions([...CAPTIONS, { image_id: 9, caption: 'a' }]),
    /entry 4: image 9 is not in/,
  ],
  ['an image left out', 'coco-caption', captions(CAPTIONS.slice(1)), /1 of 3 images have no prediction: 2/],
  [
    'ids as text',
    'coco-caption',
    captions(CAPTIONS.map((c) => ({ ...c, image_id: `${c.image_id}` }))),
    /image "2" is not in/,
  ],
  [
    'an answer that is a number',
    'vqav2',
    vqa([{ question_id: 10, answer: 2 }]),
    /"answer" must be a text, but is a number/,
  ],
  ['an answer that is a truth value', 'vqav2', vqa([{ question_id: 10, answer: true }]), /a boolean/],
  ['a question left out', 'okvqa', vqa(ANSWERS.slice(1)), /1 of 2 questions have no prediction: 11/],
  [
    'a question too many',
    'textvqa',
    vqa([...ANSWERS, { question_id: 12, answer: '' }], { data: [] }),
    /holds no annotations/,
  ],
  // Annotations.
  [
    'annotations without images',
    'coco-caption',
    references({ annotations: [] }),
    /annotations\.json: the field "images" is missing/,
  ],
  [
    'annotations of an unknown image',
    'coco-caption',
    references({ images: [{ id: 1 }], annotations: [{ id: 1, image_id: 2, caption: 'a' }] }),
    /annotations\[0\]: image 2 is not in "images"/,
  ],
  [
    'an image twice',
    'coco-caption',
    references({ ...COCO, images: [{ id: 1 }, { id: 1 }] }),
    /images\[1\]: image 1 is there already/,
  ],
  [
    'an annotation twice',
    'coco-caption',
    references({ ...COCO, annotations: [COCO.annotations[0], COCO.annotations[0]] }),
    /annotations\[1\]: annotation 1 is there already/,
  ],
  ['no captions at all', 'coco-caption', references({ images: [{ id: 1 }], annotations: [] }), /holds no captions/],
  ['a Karpathy file without --split', 'coco-caption', references({ images: [] }), /Karpathy file with splits/],
  [
    'a split that is not there',
    'coco-caption',
    references({ images: [{ cocoid: 1, split: 'val', sentences: [] }] }),
    /no image is in the split "test"/,
    { split: 'test' },
  ],
  ['--split for a file without', 'coco-caption', references(COCO), /has no splits/, { split: 'test' }],
  [
    'predictions in the place of annotations',
    'vqav2',
    vqa(ANSWERS, ANSWERS),
    /annotations\.json: an object is needed, but this is a list/,
  ],
  [
    'nine humans',
    'vqav2',
    vqa(ANSWERS, { annotations: [{ ...first, answers: [human('a', 0)] }] }),
    /annotations\[0\]: 1 human answers, but ten/,
  ],
  [
    'a question twice in the annotations',
    'vqav2',
    vqa(ANSWERS, { annotations: [first, first] }),
    /annotations\[1\]: question 10 is there already/,
  ],
  [
    'a human answer that is no text',
    'textvqa',
    vqa(ANSWERS, { data: [{ question_id: 1, answers: [1] }] }),
    /answers\[0\] must be a text/,
  ],
  // POPE.
  ['a line too few', 'pope', pope(POPE_ANSWERS.split('\n')[0] as string), /1 predictions, but .* has 2 entries/],
  ['a line too many', 'pope', pope(POPE_ANSWERS + POPE_ANSWERS), /4 predictions, but .* has 2 entries/],
  [
    'answers in another order',
    'pope',
    pope(POPE_ANSWERS.split('\n').reverse().join('\n').trim()),
    /line 1: the answer is to another question/,
  ],
  ['a broken line', 'pope', pope(`${POPE_ANSWERS}{"question"`), /line 3, column \d+: not valid JSON/],
  ['a blank line inside', 'pope', pope(POPE_ANSWERS.replace('\n', '\n\n')), /line 2: the line is blank/],
  ['a line that is a list', 'pope', pope(`${POPE_ANSWERS}[1]`), /line 3: an object is needed/],
  ['no answer', 'pope', pope(lines({ question: 'a' }, { question: 'b' })), /line 1: the field "answer" is missing/],
  [
    'a label that is neither',
    'pope',
    pope(POPE_ANSWERS, lines({ question_id: 1, text: 'a', label: 'maybe' })),
    /line 1: "label" must be "yes" or "no"/,
  ],
  [
    'a question id twice',
    'pope',
    pope(lines({ question_id: 1, text: 'a' }, { question_id: 1, text: 'a' })),
    /line 2: question 1 is there already/,
  ],
  // REC.
  ['fewer boxes than phrases', 'refcoco', rec(lines({ answer: 'a' })), /1 predictions, but .* has 2 entries/],
  [
    'a box given as numbers',
    'refcoco',
    rec(lines({ answer: [0, 0, 1, 1] }, { answer: '' })),
    /line 1: "answer" must be a text, but is a list/,
  ],
  [
    'three corners',
    'refcocog',
    rec(BOXES, lines({ bbox: [1, 2, 3], width: 9, height: 9 })),
    /line 1: "bbox" must be four numbers/,
  ],
  [
    'a box as x, y, width, height',
    'refcoco+',
    rec(BOXES, lines({ bbox: [50, 50, 10, 10], width: 99, height: 99 })),
    /wrong way round/,
  ],
  ['a picture without size', 'refcoco', rec(BOXES, lines({ bbox: [1, 2, 3, 4], width: 0, height: 9 })), /above zero/],
  // MMBench.
  [
    'no answer column',
    'mmbench',
    mmbench(CHOICES, 'index\tquestion\tA\tB\n1\tq\ta\tb\n'),
    /line 1: the column "answer" is missing/,
  ],
  [
    'a hidden answer',
    'mmbench',
    mmbench(CHOICES, 'index\tquestion\tA\tB\tanswer\n1\tq\ta\tb\t\n'),
    /line 2: the answer is hidden/,
  ],
  [
    'a row with a cell too few',
    'mmbench',
    mmbench(CHOICES, 'index\tquestion\tA\tB\tanswer\n1\tq\ta\tb\n'),
    /line 2: 4 cells, but the head line has 5/,
  ],
  [
    'an index that is no number',
    'mmbench',
    mmbench(CHOICES, 'index\tquestion\tA\tB\tanswer\nx\tq\ta\tb\tA\n'),
    /line 2: "index" must be a whole number/,
  ],
  [
    'a rotation without its question',
    'mmbench',
    mmbench(CHOICES, 'index\tquestion\tA\tB\tanswer\n1000001\tq\ta\tb\tA\n'),
    /row 1000001 is a rotation of 1, which is missing/,
  ],
  [
    'a quoted cell that does not end',
    'mmbench',
    mmbench(CHOICES, 'index\tquestion\tA\tB\tanswer\n1\t"q\ta\tb\tA\n'),
    /line 2: a quoted cell does not end/,
  ],
  [
    'a rotation without a prediction',
    'mmbench',
    mmbench(CHOICES.slice(0, 2)),
    /1 of 3 rows have no prediction: 1000001/,
  ],
  // GQA, ScienceQA, MMVP.
  ['an id as a number', 'gqa', gqa([{ questionId: 1, prediction: 'a' }]), /question 1 is not in/],
  ['a balanced question left out', 'gqa', gqa(GQA_PREDICTIONS.slice(1)), /1 of 2 questions have no prediction: "0001"/],
  ['a list of questions', 'gqa', gqa(GQA_PREDICTIONS, [GQA]), /annotations\.json: an object is needed/],
  [
    'a question without answer',
    'gqa',
    gqa(GQA_PREDICTIONS, { '1': { isBalanced: true } }),
    /question "1": the field "answer" is missing/,
  ],
  [
    'a problem of another split',
    'scienceqa',
    science(lines({ question_id: '3', text: 'A' })),
    /line 1: problem "3" is not in the split/,
  ],
  [
    'an answer beyond the choices',
    'scienceqa',
    science(SCIENCE, { '1': { choices: ['a'], answer: 1, split: 'test' } }),
    /problem "1": "answer" must be an index of its 1 choices/,
  ],
  ['a prediction twice', 'scienceqa', science(SCIENCE + SCIENCE), /line 3: problem "1" is there already/],
  [
    'an option that is neither',
    'mmvp',
    mmvp(LETTERS, MMVP.replace('(a)\n2', '(c)\n2')),
    /line 2: "Correct Answer" must be \(a\) or \(b\)/,
  ],
  [
    'an odd number of rows',
    'mmvp',
    mmvp(LETTERS, MMVP.split('\n').slice(0, 2).join('\n')),
    /1 questions, but they come in pairs/,
  ],
  ['rows in another order', 'mmvp', mmvp(LETTERS, MMVP.replace('\n1,', '\n3,')), /line 2: "Index" must be 1 here/],
  [
    'a question without letter',
    'mmvp',
    mmvp(LETTERS.split('\n')[0] as string),
    /1 of 2 questions have no prediction: 2/,
  ],
  // More damage of prediction files, benchmark by benchmark.
  [
    'a caption cut inside a character',
    'flickr30k',
    captions(Buffer.from('[{"image_id": 1, "caption": "caf\xc3', 'latin1')),
    /line 1: .*not valid UTF-8/,
  ],
  [
    'a caption with a raw line feed',
    'coco-caption',
    captions('[{"image_id": 1, "caption": "a\nb"}]'),
    /line 1, column 29: not valid JSON/,
  ],
  [
    'a wrong escape',
    'coco-caption',
    captions('[{"image_id": 1, "caption": "a\\x41"}]'),
    /line 1, column \d+: not valid JSON/,
  ],
  ['a comment', 'coco-caption', captions('[] // none'), /line 1, column 4: .*after the end/],
  [
    'a caption under another name',
    'coco-caption',
    captions([{ image_id: 1, text: 'a' }]),
    /entry 1: the field "caption" is missing; found image_id, text/,
  ],
  [
    'results inside an object',
    'coco-caption',
    captions({ results: CAPTIONS }),
    /predictions\.json: a list is needed, but this is an object/,
  ],
  ['a list of lists', 'coco-caption', captions([[1, 'a']]), /entry 1: an object is needed, but this is a list/],
  [
    'an id that is a truth value',
    'coco-caption',
    captions([{ image_id: true, caption: 'a' }]),
    /"image_id" must be a whole number or a text, but is a boolean/,
  ],
  [
    'an id that is null',
    'vqav2',
    vqa([{ question_id: null, answer: 'a' }]),
    /"question_id" must be a whole number or a text, but is null/,
  ],
  [
    'an id with an exponent',
    'vqav2',
    vqa('[{"question_id": 1e-3, "answer": "a"}]'),
    /"question_id" must be a whole number/,
  ],
  [
    'ids as text',
    'vqav2',
    vqa(ANSWERS.map((a) => ({ ...a, question_id: String(a.question_id) }))),
    /question "11" is not in/,
  ],
  [
    'the same question twice',
    'vqav2',
    vqa([...ANSWERS, ANSWERS[1]]),
    /entry 3: question 10 is there already, at entry 2/,
  ],
  [
    'an answer as a list of texts',
    'okvqa',
    vqa([{ question_id: 10, answer: ['yes'] }]),
    /"answer" must be a text, but is a list/,
  ],
  [
    'an answer under the name of the field of humans',
    'okvqa',
    vqa([{ question_id: 10, answers: 'yes' }]),
    /entry 1: the field "answer" is missing; found question_id, answers/,
  ],
  ['a number', 'vqav2', vqa('7'), /predictions\.json: a list is needed, but this is a number/],
  [
    'an answer that is null',
    'textvqa',
    { predictions: [{ question_id: 10, answer: null }], annotations: TEXT_VQA },
    /entry 1: "answer" must be a text, but is null/,
  ],
  [
    'a question that is not known',
    'textvqa',
    { predictions: [...ANSWERS, { question_id: 12, answer: '' }], annotations: TEXT_VQA },
    /entry 3: question 12 is not in/,
  ],
  ['no sentence', 'reg', reg([{ ref_id: 5, caption: 'a' }]), /entry 1: the field "sent" is missing/],
  [
    'a region twice',
    'reg',
    reg([
      { ref_id: 5, sent: 'a' },
      { ref_id: 5, sent: 'b' },
    ]),
    /entry 2: region 5 is there already/,
  ],
  [
    'a region that is not known',
    'reg',
    reg([
      { ref_id: 5, sent: 'a' },
      { ref_id: 9, sent: 'b' },
    ]),
    /entry 2: region 9 is not in/,
  ],
  ['a region left out', 'reg', reg([{ ref_id: 5, sent: 'a' }]), /1 of 2 regions have no prediction: 6/],
  [
    'an answer that is a number',
    'pope',
    pope(lines({ question: 'a', answer: 1 }, { question: 'b', answer: 'no' })),
    /line 1: "answer" must be a text, but is a number/,
  ],
  [
    'an answer that is null',
    'pope',
    pope(lines({ question_id: 1, text: null }, { question_id: 2, text: 'no' })),
    /line 1: "text" must be a text, but is null/,
  ],
  [
    'ids on some lines alone',
    'pope',
    pope(lines({ question_id: 1, text: 'no' }, { text: 'no' })),
    /line 1: the field "question" is missing/,
  ],
  [
    'an id that is not known',
    'pope',
    pope(lines({ question_id: 1, text: 'no' }, { question_id: 3, text: 'no' })),
    /line 2: question 3 is not in/,
  ],
  ['an id left out', 'pope', pope(lines({ question_id: 1, text: 'no' })), /1 of 2 questions have no prediction: 2/],
  ['two objects on a line', 'pope', pope(POPE_ANSWERS.replace('\n', '')), /line 1, column \d+: not valid JSON/],
  ['an indented object', 'pope', pope('{\n"question": "a",\n"answer": "b"\n}'), /line 1, column \d+: not valid JSON/],
  [
    'a line that is a text',
    'refcoco',
    rec(`"[0,0,1,1]"\n${lines({ answer: '' })}`),
    /line 1: an object is needed, but this is a text/,
  ],
  ['more boxes than phrases', 'refcoco', rec(BOXES + BOXES), /4 predictions, but .* has 2 entries/],
  [
    'boxes under another name',
    'refcoco+',
    rec(lines({ box: '[0,0,1,1]' }, { box: '' })),
    /line 1: the field "answer" is missing; found box/,
  ],
  ['a list of answers', 'refcocog', rec('[{"answer": "a"}]'), /line 1: this is a JSON array/],
  [
    'a row that is not known',
    'mmbench',
    mmbench([...CHOICES, { index: 9, prediction: 'A' }]),
    /entry 4: row 9 is not in/,
  ],
  ['a row twice', 'mmbench', mmbench([...CHOICES, CHOICES[0]]), /entry 4: row 1 is there already, at entry 1/],
  [
    'an index as text',
    'mmbench',
    mmbench([{ index: '1', prediction: 'A' }]),
    /entry 1: "index" must be a number, but is a text/,
  ],
  [
    'an index below zero',
    'mmbench',
    mmbench([{ index: -1, prediction: 'A' }]),
    /entry 1: "index" must be a whole number, but is -1/,
  ],
  [
    'a prediction that is null',
    'mmbench',
    mmbench([{ index: 1, prediction: null }]),
    /entry 1: "prediction" must be a text, but is null/,
  ],
  [
    'no prediction column',
    'mmbench',
    mmbench('index\tanswer\n1\tA\n'),
    /line 1: the column "prediction" is missing; found "index", "answer"/,
  ],
  [
    'commas in the place of tabs',
    'mmbench',
    mmbench('index,prediction\n1,A\n'),
    /line 1: the column "index" is missing/,
  ],
  ['a cell too many', 'mmbench', mmbench('index\tprediction\n1\tA\tB\n'), /line 2: 3 cells, but the head line has 2/],
  [
    'a column twice',
    'mmbench',
    mmbench('index\tprediction\tprediction\n1\tA\tB\n'),
    /line 1: the column "prediction" is there twice/,
  ],
  ['no id', 'gqa', gqa([{ prediction: 'a' }]), /entry 1: the field "questionId" is missing/],
  [
    'an answer under another name',
    'gqa',
    gqa([{ questionId: '0001', answer: 'a' }]),
    /entry 1: the field "prediction" is missing/,
  ],
  [
    'a question twice',
    'gqa',
    gqa([...GQA_PREDICTIONS, GQA_PREDICTIONS[0]]),
    /entry 3: question "0001" is there already, at entry 1/,
  ],
  [
    'a question that is not known',
    'gqa',
    gqa([...GQA_PREDICTIONS, { questionId: '0009', prediction: '' }]),
    /entry 3: question "0009" is not in/,
  ],
  ['predictions keyed by id', 'gqa', gqa({ '0001': 'yes' }), /a list is needed, but this is an object/],
  ['no text', 'scienceqa', science(lines({ question_id: '1', answer: 'A' })), /line 1: the field "text" is missing/],
  [
    'a text that is a number',
    'scienceqa',
    science(lines({ question_id: '1', text: 1 })),
    /line 1: "text" must be a text, but is a number/,
  ],
  [
    'a problem that is not known',
    'scienceqa',
    science(lines({ question_id: '77', text: 'A' })),
    /line 1: problem "77" is not in the split/,
  ],
  ['a letter twice', 'mmvp', mmvp(LETTERS + LETTERS), /line 3: question 1 is there already/],
  [
    'a row that is not known',
    'mmvp',
    mmvp(`${LETTERS}${lines({ question_id: 3, text: 'A' })}`),
    /line 3: question 3 is not in/,
  ],
  ['an id in words', 'mmvp', mmvp(lines({ question_id: 'one', text: 'A' })), /line 1: question "one" is not in/],
];

/** The annotations above; where they are given the damage is in the predictions. */
const INTACT: readonly Content[] = [COCO, VQA, TEXT_VQA, REGIONS, POPE, REC, MMBENCH, GQA, PROBLEMS, MMVP];
const ofPredictions = DAMAGES.filter(([, , files, , options]) => !options && INTACT.includes(files.annotations));
assert.ok(ofPredictions.length >= 50);
assert.equal(new Set(DAMAGES.map(([name, benchmark]) => `${benchmark}: ${name}`)).size, DAMAGES.length);

for (const [name, benchmark, files, message, options] of DAMAGES) {
  test(`${benchmark}: ${name} is an error`, async () => {
    const names =
      benchmark === 'mmbench' && !Array.isArray(files.predictions) ? { predictions: 'predictions.tsv' } : {};
    await assert.rejects(score(benchmark, { names, ...files }, options), (error) => {
      assert.ok(error instanceof CommError, String(error));
      assert.match(error.message, message);
      assert.match(error.message, /predictions\.|annotations\./);
      return true;
    });
  });
}

const MME_DAMAGES: ReadonlyArray<readonly [name: string, files: Record<string, string>, message: RegExp]> = [
  ['no files', {}, /holds no <subtask>\.txt/],
  ['an unknown subtask', { 'colour.txt': 'a' }, /colour\.txt is not the name of an MME subtask/],
  ['a part of perception', { 'color.txt': 'a' }, /perception part lacks existence\.txt/],
];

for (const [name, files, message] of MME_DAMAGES) {
  test(`mme: ${name} is an error`, async () => {
    await assert.rejects(scoreFiles('mme', { predictions: folderOf(files) }), message);
  });
}

const MME_LINES: ReadonlyArray<readonly [name: string, content: string, message: RegExp]> = [
  ['three fields', 'a.jpg\tq\tYes\n', /count\.txt, line 1: 3 fields, but four/],
  ['a line feed in an answer', 'a.jpg\tq\tYes\tyes\nindeed\n', /count\.txt, line 2: 1 fields/],
  ['a label that is neither', 'a.jpg\tq\tMaybe\tyes\n', /line 1: the label must be Yes or No/],
  ['an odd number of lines', 'a.jpg\tq\tYes\tyes\n', /1 lines, but each image needs two/],
  ['lines of two images', 'a.jpg\tq\tYes\tyes\nb.jpg\tq\tNo\tno\n', /line 2: the image is "b\.jpg"/],
];

for (const [name, content, message] of MME_LINES) {
  test(`mme: ${name} is an error`, async () => {
    const files = Object.fromEntries(
      PERCEPTION.map((task) => [`${task}.txt`, 'a.jpg\tq\tYes\tyes\na.jpg\tq\tNo\tno\n']),
    );
    await assert.rejects(scoreFiles('mme', { predictions: folderOf({ ...files, 'count.txt': content }) }), message);
  });
}

test('refs: a damaged pickle and one with objects are refused', async () => {
  const names = { annotations: 'refs(unc).p' };
  const predictions = [{ ref_id: 1, sent: 'a' }];
  for (const [annotations, message] of [
    [Buffer.from([0x80, 2, 0x5d]), /refs\(unc\)\.p: the pickle cannot be read/],
    [Buffer.from('\x80\x02cos\nsystem\nq\x00.', 'latin1'), /class os\.system/],
  ] as const) {
    await assert.rejects(score('reg', { predictions, annotations, names }), message);
  }
});

test('missing files, folders, benchmarks and readers are usage errors or name the path', async () => {
  const folder = folderOf({ 'a.json': '[]' });
  const request = { predictions: join(folder, 'none.json'), annotations: join(folder, 'a.json') };
  await assert.rejects(
    scoreFiles('pope', { ...request, annotations: join(folder, 'b.json') }),
    /There is no file .*b\.json/,
  );
  await assert.rejects(scoreFiles('vqav2', { ...request, annotations: folder }), /is a folder/);
  await assert.rejects(scoreFiles('mme', request), /there is no such folder/);
  await assert.rejects(
    scoreFiles('mme', { predictions: join(folder, 'a.json') }),
    /this is a file, a folder is needed/,
  );
  const isUsage = (error: unknown): boolean => error instanceof CommError && error.exitCode === 2;
  await assert.rejects(scoreFiles('coco', request), isUsage);
  await assert.rejects(scoreFiles('constructor', request), isUsage);
  await assert.rejects(scoreFiles('pope', { ...request, reader: 'judge' }), isUsage);
  await assert.rejects(scoreFiles('pope', { predictions: request.predictions }), isUsage);
});

test('every benchmark of the interface can be scored', () => {
  const names = 'coco-caption flickr30k vqav2 okvqa textvqa pope mme mmbench refcoco reg gqa scienceqa mmvp';
  for (const name of names.split(' ')) assert.ok(findBenchmark(name), name);
});

test('pipes, devices and stand-ins of files are refused at once, as predictions and as annotations', async () => {
  const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n';
  const folder = folderOf({
    'ok.jsonl': POPE,
    'lfs.jsonl': pointer,
    'page.jsonl': '<!DOCTYPE html><html>login</html>',
  });
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  symlinkSync('/dev/zero', join(folder, 'link'));
  const ok = join(folder, 'ok.jsonl');
  for (const [path, message] of [
    [pipe, /pipe/],
    ['/dev/zero', /device/],
    ['/dev/urandom', /device/],
    [join(folder, 'link'), /device/],
    [join(folder, 'lfs.jsonl'), /Git LFS pointer/],
    [join(folder, 'page.jsonl'), /HTML page/],
  ] as const) {
    await assert.rejects(scoreFiles('pope', { predictions: path, annotations: ok }), message);
    await assert.rejects(scoreFiles('pope', { predictions: ok, annotations: path }), message);
  }
});

const thought = (answer: string): string => `<think>Is it there? No, not at all. No.</think>\n\n${answer}`;
const UNFINISHED = '<think>Is it there? yes B A dog [0.1,0.2,0.3,0.4]';

test('thinking is cut before reading, by each benchmark, and said', async () => {
  const cases: ReadonlyArray<readonly [name: string, files: Files, options?: object]> = [
    [
      'coco-caption',
      { predictions: CAPTIONS.map((each) => ({ ...each, caption: thought(each.caption) })), annotations: COCO },
    ],
    ['vqav2', { predictions: ANSWERS.map((each) => ({ ...each, answer: thought(each.answer) })), annotations: VQA }],
    [
      'pope',
      { predictions: POPE_ANSWERS.replaceAll('"answer":"', '"answer":"<think>no, No</think>'), annotations: POPE },
    ],
    ['refcoco', { predictions: BOXES.replace('"answer":"[', '"answer":"<think>[0,0,1,1]</think>['), annotations: REC }],
    [
      'mmbench',
      {
        predictions: CHOICES.map((each) => ({ ...each, prediction: thought(each.prediction) })),
        annotations: MMBENCH,
        names: { annotations: 'a.tsv' },
      },
    ],
    [
      'gqa',
      {
        predictions: GQA_PREDICTIONS.map((each) => ({ ...each, prediction: thought(each.prediction) })),
        annotations: GQA,
      },
    ],
  ];
  const plain: Readonly<Record<string, Files>> = {
    'coco-caption': { predictions: CAPTIONS, annotations: COCO },
    vqav2: { predictions: ANSWERS, annotations: VQA },
    // Where thinking is cut, so is the white space around the answer.
    pope: { predictions: POPE_ANSWERS.replace('no\\n', 'no'), annotations: POPE },
    refcoco: { predictions: BOXES, annotations: REC },
    mmbench: { predictions: CHOICES, annotations: MMBENCH, names: { annotations: 'a.tsv' } },
    gqa: { predictions: GQA_PREDICTIONS, annotations: GQA },
  };
  for (const [name, files] of cases) {
    const cut = await score(name, files);
    const bare = await score(name, plain[name]!);
    assert.deepEqual(cut.metrics, bare.metrics, name);
    assert.ok((cut.thinking?.count ?? 0) > 0 && cut.thinking?.cut === true, name);
    assert.match(cut.notes.join(' '), /hold thinking, which was cut/);
    const kept = await score(name, files, { keepThinking: true });
    // The reader of MMBench looks at the last words alone, behind the thinking.
    if (name !== 'mmbench') assert.notDeepEqual(kept.metrics, bare.metrics, name);
    assert.match(kept.notes.join(' '), /which was read with the answer/);
    assert.equal(bare.thinking, undefined);
  }
});

test('thinking that does not end is no answer: counted, and left out with what counts together with it', async () => {
  const pope = await score('pope', {
    predictions: lines({ question_id: 1, text: UNFINISHED }, { question_id: 2, text: 'No' }),
    annotations: POPE,
  });
  assert.deepEqual([pope.count, pope.metrics['accuracy']], [1, 1]);
  assert.deepEqual(pope.unanswered, { count: 1, reasons: { 'unfinished thinking': 1 }, alsoLeftOut: 0 });
  assert.match(pope.notes.join(' '), /INCOMPLETE: 1 of 2 predictions are no answers: unfinished thinking \(1\)/);
  assert.deepEqual(pope.perItem, [{ question_id: 2, parsed: 'no', hit: true }]);
  const mmbench = await score('mmbench', {
    predictions: CHOICES.map((each) => (each.index === 1 ? { ...each, prediction: UNFINISHED } : each)),
    annotations: MMBENCH,
    names: { annotations: 'a.tsv' },
  });
  assert.deepEqual([mmbench.count, mmbench.unanswered?.alsoLeftOut], [1, 1]);
  const none = { predictions: lines({ answer: UNFINISHED }, { answer: '<think></think>' }), annotations: REC };
  await assert.rejects(score('refcoco', none), /none of the 2 predictions holds an answer behind its thinking/);
});

test('REC: boxes in thousandths and pixels, and a note where numbers leave the frame', async () => {
  const thousandths = lines({ answer: '[100, 200, 500, 1000]' }, { answer: '<|box_start|>(0,0),(500,500)<|box_end|>' });
  const pixels = lines({ answer: '{"bbox_2d": [10, 10, 50, 50]}' }, { answer: '[0, 0, 10, 10]' });
  for (const reader of ['shikra', 'lmms-eval']) {
    for (const [predictions, coordinates] of [
      [thousandths, 'thousand'],
      [pixels, 'pixel'],
    ] as const) {
      const right = await score('refcoco', { predictions, annotations: REC }, { reader, coordinates });
      assert.deepEqual([right.metrics, right.notes], [{ accuracy: 1, meanIoU: 1, failed: 0 }, []]);
      const wrong = await score('refcoco', { predictions, annotations: REC }, { reader });
      assert.equal(wrong.metrics['accuracy'], 0);
      assert.match(wrong.notes.join(' '), /2 of 2 answers hold numbers above 1: .*--coordinates thousand or pixel/);
    }
  }
  const unit = { predictions: BOXES, annotations: REC };
  assert.deepEqual(await score('refcoco', unit, { coordinates: 'unit' }), await score('refcoco', unit));
  await assert.rejects(
    score('pope', { predictions: POPE_ANSWERS, annotations: POPE }, { coordinates: 'pixel' }),
    /no effect/,
  );
});
