/** Small files in every published format, made up for tests: contents, the config that reads them, and what is read. */
import type { DataSetConfig } from '../config/data-sets.js';

/** A data set as its files. */
export interface SampleFiles {
  readonly files: Readonly<Record<string, string | Buffer>>;
  /** `at` gives the path of one of the files. */
  readonly config: (at: (name: string) => string) => DataSetConfig;
  /** First turn of every sample with `[question]` for what a template holds, and its picture key. */
  readonly samples: readonly (readonly [picture: string, question: string, answer: string, marks: string])[];
}

const json = (value: unknown): string => JSON.stringify(value);
const lines = (...values: readonly unknown[]): string => values.map((value) => `${json(value)}\n`).join('');
const store = 'pictures';
/** Template that shows what it is filled with. */
const text = (words: string) => ({ templates: { kind: 'text', text: words } }) as const;
const ASK = text('<image> <question>');
const FIND = text('<image> <expr>');
const SAY = text('<image> <objs>');
const PLAIN = text('<image>');

const INSTANCES = {
  images: [
    { id: 7, file_name: 'COCO_train2014_000000000007.jpg', width: 100, height: 80 },
    { id: 9, file_name: 'COCO_train2014_000000000009.jpg', width: 60, height: 60 },
  ],
  annotations: [
    { id: 70, image_id: 7, category_id: 1, bbox: [10, 20, 30, 40], iscrowd: 0 },
    { id: 71, image_id: 7, category_id: 1, bbox: [50, 20, 51, 10.5], iscrowd: 0 },
    { id: 90, image_id: 9, category_id: 2, bbox: [0, 0, 60, 60], iscrowd: 0 },
    { id: 91, image_id: 9, category_id: 2, bbox: [0, 0, 60, 60], iscrowd: 1 },
  ],
  categories: [
    { id: 1, name: 'dog' },
    { id: 2, name: 'cat' },
  ],
};

const REFS = [
  {
    ref_id: 1,
    ann_id: 70,
    image_id: 7,
    category_id: 1,
    file_name: 'COCO_train2014_000000000007_70.jpg',
    split: 'train',
    sent_ids: [1, 2],
    sentences: [
      { sent: 'left dog', raw: 'Left dog', tokens: ['left', 'dog'], sent_id: 1 },
      { sent: 'dog on the left', raw: 'dog on the left', tokens: [], sent_id: 2 },
    ],
  },
  { ref_id: 2, ann_id: 90, image_id: 9, split: 'testA', sentences: [{ sent: 'the cat', sent_id: 3 }] },
];

const PROGRAM = [
  { inputs: [], function: 'scene', value_inputs: [] },
  { inputs: [0], function: 'filter_color', value_inputs: ['red'] },
  { inputs: [1], function: 'unique', value_inputs: [] },
  { inputs: [2], function: 'relate', value_inputs: ['left'] },
  { inputs: [3], function: 'count', value_inputs: [] },
];

const SCENE = {
  image_index: 3,
  image_filename: 'CLEVR_train_000003.png',
  objects: [
    { color: 'red', shape: 'cube', pixel_coords: [100, 50, 9.5] },
    { color: 'blue', shape: 'ball', pixel_coords: [20, 60, 8] },
  ],
  relationships: { left: [[1], []], right: [[], [0]] },
};

const VCR_LINE = {
  img_fn: 'movie/a.jpg',
  metadata_fn: 'movie/a.json',
  objects: ['person', 'person'],
  question: ['Why', 'is', [0], 'smiling', 'at', [0, 1], '?'],
  answer_choices: [
    ['No', 'reason', '.'],
    [[1], 'is', 'funny', '.'],
    ['It', 'rains', '.'],
    ['Who', 'knows', '.'],
  ],
  rationale_choices: [
    [[0], 'looks', 'at', [1], '.'],
    ['Wet', '.'],
    ['Dry', '.'],
    ['Cold', '.'],
  ],
  answer_label: 1,
  rationale_label: 0,
};
const VCR_BOXES = {
  boxes: [
    [1, 2, 30, 40, 0.99],
    [50, 2, 90, 40, 0.9],
  ],
  width: 100,
  height: 50,
};

const POINT = { file_path: 'a.jpg', bbox: [10, 20, 40, 60], point: [25, 40] };

const V7W = {
  dataset: 'v7w_pointing',
  images: [
    {
      image_id: 1,
      filename: 'v7w_1.jpg',
      split: 'train',
      qa_pairs: [
        { qa_id: 5, question: 'Which one is red?', answer: 11, multiple_choices: [12], image_id: 1, type: 'which' },
      ],
    },
  ],
  boxes: [
    { box_id: 11, image_id: 1, name: 'hat', x: 1, y: 2, width: 3, height: 4 },
    { box_id: 12, image_id: 1, name: 'cup', x: 5, y: 6, width: 8, height: 2 },
  ],
};

const GQA = {
  '201': {
    imageId: '2354',
    question: 'Is the dog left of the red cup?',
    answer: 'yes',
    fullAnswer: 'Yes, the dog is left of the cup.',
    semanticStr: 'select: cup (12)->verify rel: dog,left,s (13)->exist: ? (-)',
    annotations: { question: { '2': '13', '5:8': '12' }, fullAnswer: { '2': '13', '7': '12' }, answer: {} },
    cot: { value: 'The <ph_st>dog<ph_ed> stands left', boxes: [[1, 2, 3, 4]], seq: [[0]] },
  },
};
const GRAPHS = {
  '2354': {
    width: 50,
    height: 40,
    objects: { '12': { name: 'cup', x: 5, y: 6, w: 7, h: 8 }, '13': { name: 'dog', x: 0, y: 1, w: 2, h: 3 } },
  },
};
const gqa = (
  question: 'q' | 'qb',
  answer: 'a' | 'c' | 'bc' | 's' | 'bs' | 'l' | 'bl',
  asked: string,
  told: string,
  marks: string,
): SampleFiles => ({
  files: { 'gqa.json': json(GQA), 'graphs.json': json(GRAPHS) },
  config: (at) => ({
    kind: 'gqa',
    store,
    ...ASK,
    questions: at('gqa.json'),
    sceneGraphs: at('graphs.json'),
    question,
    answer,
  }),
  samples: [['2354.jpg', `<image> ${asked}`, told, marks]],
});
const GQA_Q = 'Is the dog left of the red cup?';

const vcr = (
  version: 'q-a' | 'q-ra' | 'qc-a' | 'qc-ra' | 'qc-rac' | 'qa-r' | 'qac-r',
  asked: string,
  told: string,
  marks: string,
): SampleFiles => ({
  files: { 'vcr.jsonl': lines({ ...VCR_LINE, boxes: VCR_BOXES.boxes }) },
  config: (at) => ({ kind: 'vcr', store, ...ASK, file: at('vcr.jsonl'), version }),
  samples: [['movie/a.jpg', `<image> ${asked}`, told, marks]],
});
const VCR_Q = 'Why is <boxes> smiling at <boxes>?';
const A = '[1,2,30,40]';
const B = '[50,2,90,40]';
const VCR_C = `(A) No reason. (B) <boxes> is funny. (C) It rains. (D) Who knows.`;

const GPT4GEN = lines({
  img_path: '36979.jpg',
  boxes: [
    [1, 2, 3, 4],
    [5, 6, 7, 8],
  ],
  question: 'What is <ph_st>the man<ph_ed> doing?',
  question_boxes_seq: [[0]],
  answer: 'reading',
  cot_with_ans: '<ph_st>The man<ph_ed> holds <ph_st>a book<ph_ed>. So the answer is reading.',
  answer_boxes_seq: [[0], [0, 1]],
});
const gpt4gen = (version: 'a' | 'c' | 'bc', told: string, marks: string): SampleFiles => ({
  files: { 'g.jsonl': GPT4GEN },
  config: (at) => ({ kind: 'gpt4gen', store, ...ASK, file: at('g.jsonl'), version }),
  samples: [['36979.jpg', '<image> What is the man <boxes> doing?', told, marks]],
});

/** Every format. */
export const SAMPLE_FILES: Readonly<Record<string, SampleFiles>> = {
  'refcoco rec': {
    files: { 'refs.json': json(REFS), 'instances.json': json(INSTANCES) },
    config: (at) => ({
      kind: 'refcoco',
      store,
      ...FIND,
      refs: at('refs.json'),
      instances: at('instances.json'),
      splits: ['train'],
      task: 'rec',
    }),
    samples: [
      ['COCO_train2014_000000000007.jpg', '<image> left dog', 'Answer: <boxes> .', '[10,20,40,60]'],
      ['COCO_train2014_000000000007.jpg', '<image> dog on the left', 'Answer: <boxes> .', '[10,20,40,60]'],
    ],
  },
  'refcoco reg, pickled': {
    // pickle.dumps([{'ref_id': 2, 'ann_id': 90, 'split': 'testA', 'sentences': [{'sent': 'the cat'}]}], protocol=2)
    files: {
      'refs.p': Buffer.from(
        '80025d71007d71012858060000007265665f696471024b025806000000616e6e5f696471034b5a580500000073706c6974710458050000007465737441710558090000' +
          '0073656e74656e63657371065d71077d71085804000000' +
          '73656e747109580700000074686520636174710a736175612e',
        'hex',
      ),
      'instances.json': json(INSTANCES),
    },
    config: (at) => ({
      kind: 'refcoco',
      store,
      ...SAY,
      refs: at('refs.p'),
      instances: at('instances.json'),
      task: 'reg',
    }),
    samples: [['COCO_train2014_000000000009.jpg', '<image> <boxes>', 'the cat', '[0,0,60,60]']],
  },
  'region lines': {
    files: {
      'gc.jsonl': lines({ img_path: '1.jpg', expression: 'a red hat', bbox: [1, 2, 3.5, 4], width: 9, height: 9 }),
    },
    config: (at) => ({
      kind: 'region-lines',
      store,
      picture: 'VG_100K/{base}',
      ...SAY,
      file: at('gc.jsonl'),
      task: 'gc',
    }),
    samples: [['VG_100K/1.jpg', '<image> <boxes>', 'a red hat', '[1,2,3.5,4]']],
  },
  'visual genome': {
    files: {
      'regions.json': json([
        { id: 1, regions: [] },
        {
          id: 2,
          regions: [
            { region_id: 5, image_id: 2, phrase: 'a cup', x: 1, y: 2, width: 3, height: 4 },
            { region_id: 6, image_id: 2, phrase: 'the table', x: 0, y: -1, width: 99, height: 9 },
          ],
        },
      ]),
      'image_data.json': json([
        { image_id: 1, url: 'https://example.org/VG_100K_2/1.jpg', width: 20, height: 20 },
        { image_id: 2, url: 'https://example.org/VG_100K/2.jpg', width: 20, height: 20 },
      ]),
    },
    config: (at) => ({
      kind: 'visual-genome',
      store,
      ...FIND,
      regions: at('regions.json'),
      imageData: at('image_data.json'),
      task: 'rec',
    }),
    samples: [
      ['VG_100K/2.jpg', '<image> a cup', 'Answer: <boxes> .', '[1,2,4,6]'],
      ['VG_100K/2.jpg', '<image> the table', 'Answer: <boxes> .', '[0,0,20,8]'],
    ],
  },
  'coco instances rec': {
    files: { 'instances.json': json(INSTANCES) },
    config: (at) => ({ kind: 'coco-instances', store, ...FIND, file: at('instances.json'), task: 'rec' }),
    samples: [
      ['COCO_train2014_000000000007.jpg', '<image> dog', 'Answer: <boxes> .', '[10,20,40,60;50,20,100,30.5]'],
      ['COCO_train2014_000000000009.jpg', '<image> cat', 'Answer: <boxes> .', '[0,0,60,60]'],
    ],
  },
  'coco instances reg': {
    files: { 'instances.json': json(INSTANCES) },
    config: (at) => ({ kind: 'coco-instances', store, ...SAY, file: at('instances.json'), task: 'reg' }),
    samples: [
      ['COCO_train2014_000000000007.jpg', '<image> <boxes>', 'dog', '[10,20,40,60]'],
      ['COCO_train2014_000000000007.jpg', '<image> <boxes>', 'dog', '[50,20,100,30.5]'],
      ['COCO_train2014_000000000009.jpg', '<image> <boxes>', 'cat', '[0,0,60,60]'],
    ],
  },
  'coco captions': {
    files: {
      'captions.json': json({
        info: { year: 2014, contributor: 'x, [y]' },
        images: INSTANCES.images,
        licenses: [],
        annotations: [{ id: 1, image_id: 9, caption: 'A cat. ' }],
      }),
    },
    config: (at) => ({ kind: 'coco-captions', store, ...PLAIN, file: at('captions.json') }),
    samples: [['COCO_train2014_000000000009.jpg', '<image>', 'A cat.', '']],
  },
  karpathy: {
    files: {
      'dataset_coco.json': json({
        images: [
          { filepath: 'val2014', filename: 'a.jpg', split: 'test', sentences: [{ raw: 'no' }] },
          { filepath: 'train2014', filename: 'b.jpg', split: 'train', sentences: [{ raw: 'One.' }, { raw: 'Two.' }] },
        ],
        dataset: 'coco',
      }),
    },
    config: (at) => ({
      kind: 'karpathy',
      store,
      ...PLAIN,
      file: at('dataset_coco.json'),
      splits: ['train', 'restval'],
    }),
    samples: [
      ['train2014/b.jpg', '<image>', 'One.', ''],
      ['train2014/b.jpg', '<image>', 'Two.', ''],
    ],
  },
  'flickr token file': {
    files: { 'results.token': '10.jpg#0\tTwo men .\r\n10.jpg#1\tMen , two .\r\n' },
    config: (at) => ({ kind: 'flickr-captions', store, ...PLAIN, file: at('results.token') }),
    samples: [
      ['10.jpg', '<image>', 'Two men .', ''],
      ['10.jpg', '<image>', 'Men , two .', ''],
    ],
  },
  'caption lines': {
    files: { 'cap.jsonl': lines({ img_path: 'train2014/c.jpg', caption: 'A street.' }) },
    config: (at) => ({ kind: 'caption-lines', store, ...PLAIN, file: at('cap.jsonl') }),
    samples: [['train2014/c.jpg', '<image>', 'A street.', '']],
  },
  'flickr entities': {
    files: {
      'Sentences/36979.txt': 'A [/EN#1/people group of friends] in [/EN#2/scene a room] with [/EN#3/other cups] .\n',
      'Annotations/36979.xml':
        '<annotation>\n<filename>36979.jpg</filename>\n<size><width>50</width><height>40</height><depth>3</depth></size>\n' +
        '<object><name>1</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>\n' +
        '<object><name>2</name><scene>1</scene><nobndbox>1</nobndbox></object>\n' +
        '<object><name>3</name><bndbox><xmin>5</xmin><ymin>6</ymin><xmax>7</xmax><ymax>8</ymax></bndbox></object>\n' +
        '<object><name>3</name><name>1</name><bndbox><xmin>9</xmin><ymin>6</ymin><xmax>11</xmax><ymax>8</ymax></bndbox></object>\n' +
        '</annotation>\n',
      'train.txt': '36979\n',
    },
    config: (at) => ({ kind: 'flickr-entities', store, ...PLAIN, folder: at('.'), ids: at('train.txt') }),
    samples: [
      [
        '36979.jpg',
        '<image>',
        'A group of friends <boxes> in a room with cups <boxes> .',
        '[1,2,30,40;9,6,11,8] [5,6,7,8;9,6,11,8]',
      ],
    ],
  },
  'spot lines': {
    files: {
      'cwb.jsonl': lines({
        image_id: '36979',
        sentence: '<ph_st>Two men<ph_ed> and <ph_st>a dog<ph_ed> .',
        boxes: [
          [0, 0, 2, 1],
          [2, 2, 3, 3],
          [4, 4, 5, 5],
        ],
        boxes_seq: [[0, 2], [1]],
      }),
    },
    config: (at) => ({ kind: 'spot-lines', store, ...PLAIN, file: at('cwb.jsonl') }),
    samples: [['36979.jpg', '<image>', 'Two men <boxes> and a dog <boxes> .', '[0,0,2,1;4,4,5,5] [2,2,3,3]']],
  },
  vqa: {
    files: {
      'q.json': json({
        questions: [
          { image_id: 42, question: 'What is it?', question_id: 42000 },
          { image_id: 42, question: 'How many?', question_id: 42001 },
        ],
      }),
      'a.json': json({
        annotations: [
          {
            question_id: 42001,
            image_id: 42,
            answers: ['3', '2', '2'].map((answer) => ({ answer, raw_answer: answer })),
          },
          { question_id: 42000, image_id: 42, multiple_choice_answer: 'net', answers: [] },
        ],
      }),
    },
    config: (at) => ({
      kind: 'vqa',
      store,
      picture: 'train2014/COCO_train2014_{id:12}.jpg',
      ...ASK,
      questions: at('q.json'),
      annotations: at('a.json'),
    }),
    samples: [
      ['train2014/COCO_train2014_000000000042.jpg', '<image> What is it?', 'The answer is net.', ''],
      ['train2014/COCO_train2014_000000000042.jpg', '<image> How many?', 'The answer is 2.', ''],
    ],
  },
  'vqa lines': {
    files: {
      'v.jsonl': lines({ image_path: 'a.jpg', question: 'Is it?', annotation: { multiple_choice_answer: 'yes' } }),
    },
    config: (at) => ({ kind: 'vqa-lines', store, ...ASK, file: at('v.jsonl') }),
    samples: [['a.jpg', '<image> Is it?', 'The answer is yes.', '']],
  },
  'vqa-e': {
    files: {
      'e.json': json([{ img_id: 5, question: 'Why?', explanation: ['it rains', 0.9], multiple_answers: 'rain' }]),
    },
    config: (at) => ({ kind: 'vqa-e', store, picture: '{id}.jpg', ...ASK, file: at('e.json') }),
    samples: [['5.jpg', '<image> Why?', 'it rains. So the answer is rain.', '']],
  },
  'vqa-x': {
    files: {
      'x.jsonl': lines({
        file_path: 'x.jpg',
        question: 'Why?',
        justification: ['he jumps.'],
        multiple_choice_answer: 'yes',
      }),
    },
    config: (at) => ({ kind: 'vqa-x', store, ...ASK, file: at('x.jsonl') }),
    samples: [['x.jpg', '<image> Why?', 'he jumps. So the answer is yes.', '']],
  },
  pope: {
    files: { 'pope.jsonl': lines({ question_id: 1, image: 'p.jpg', text: 'Is there a dog?', label: 'no' }) },
    config: (at) => ({ kind: 'pope', store, ...ASK, file: at('pope.jsonl') }),
    samples: [['p.jpg', '<image> Is there a dog?', 'The answer is no .', '']],
  },
  'gqa q-a': gqa('q', 'a', GQA_Q, 'The answer is yes.', ''),
  'gqa qb-l': gqa(
    'qb',
    'l',
    'Is the dog <boxes> left of the red cup <boxes>?',
    'Yes, the dog is left of the cup.',
    '[0,1,2,4] [5,6,12,14]',
  ),
  'gqa q-bl': gqa('q', 'bl', GQA_Q, 'Yes, the dog <boxes> is left of the cup <boxes>.', '[0,1,2,4] [5,6,12,14]'),
  'gqa q-c': gqa('q', 'c', GQA_Q, 'The dog stands left. So the answer is yes.', ''),
  'gqa q-bc': gqa('q', 'bc', GQA_Q, 'The dog <boxes> stands left. So the answer is yes.', '[1,2,3,4]'),
  'gqa q-s': gqa('q', 's', GQA_Q, 'select: cup->verify rel: dog,left,s->exist: ? So the answer is yes.', ''),
  'gqa q-bs': gqa(
    'q',
    'bs',
    GQA_Q,
    'select: cup <boxes>->verify rel: dog,left,s <boxes>->exist: ? So the answer is yes.',
    '[5,6,12,14] [0,1,2,4]',
  ),
  'clevr q-bs': {
    files: {
      'q.json': json({
        info: {},
        questions: [
          {
            image_filename: 'CLEVR_train_000003.png',
            image_index: 3,
            question: 'How many?',
            answer: '1',
            program: PROGRAM,
          },
        ],
      }),
      's.json': json({ info: {}, scenes: [SCENE] }),
    },
    config: (at) => ({ kind: 'clevr', store, ...ASK, questions: at('q.json'), scenes: at('s.json'), answer: 'bs' }),
    samples: [
      [
        'CLEVR_train_000003.png',
        '<image> How many?',
        'scene[] <points> -> filter_color:red[0] <points> -> unique[1] <points> -> relate:left[2] <points> -> count[3] So the answer is 1.',
        '(100,50;20,60) (100,50) (100,50) (20,60)',
      ],
    ],
  },
  'clevr q-s': {
    files: {
      'q.json': json({
        questions: [
          { image_filename: 'c.png', image_index: 3, question: 'How many?', answer: '1', program: PROGRAM.slice(0, 2) },
        ],
      }),
    },
    config: (at) => ({ kind: 'clevr', store, ...ASK, questions: at('q.json'), answer: 's' }),
    samples: [['c.png', '<image> How many?', 'scene[] -> filter_color:red[0] So the answer is 1.', '']],
  },
  'vcr q-a': vcr('q-a', VCR_Q, '<boxes> is funny.', `${A} [1,2,30,40;50,2,90,40] ${B}`),
  'vcr q-ra': vcr(
    'q-ra',
    VCR_Q,
    '<boxes> looks at <boxes>. <boxes> is funny.',
    `${A} [1,2,30,40;50,2,90,40] ${A} ${B} ${B}`,
  ),
  'vcr qc-a': vcr('qc-a', `${VCR_Q} ${VCR_C}`, 'The answer is (B).', `${A} [1,2,30,40;50,2,90,40] ${B}`),
  'vcr qc-rac': vcr(
    'qc-rac',
    `${VCR_Q} ${VCR_C}`,
    '<boxes> looks at <boxes>. <boxes> is funny. So the answer is (B).',
    `${A} [1,2,30,40;50,2,90,40] ${B} ${A} ${B} ${B}`,
  ),
  'vcr qac-r': vcr(
    'qac-r',
    `${VCR_Q} <boxes> is funny. Why? (A) <boxes> looks at <boxes>. (B) Wet. (C) Dry. (D) Cold.`,
    'The answer is (A).',
    `${A} [1,2,30,40;50,2,90,40] ${B} ${A} ${B}`,
  ),
  'vcr with metadata': {
    files: { 'vcr.jsonl': lines(VCR_LINE), 'images/movie/a.json': json(VCR_BOXES) },
    config: (at) => ({ kind: 'vcr', store, ...ASK, file: at('vcr.jsonl'), metadata: at('images'), version: 'qa-r' }),
    samples: [
      [
        'movie/a.jpg',
        `<image> ${VCR_Q} <boxes> is funny. Why?`,
        '<boxes> looks at <boxes>.',
        `${A} [1,2,30,40;50,2,90,40] ${B} ${A} ${B}`,
      ],
    ],
  },
  'pointqa local box': {
    files: { 'p.jsonl': lines({ ...POINT, question: 'What color?', answer: 'red' }) },
    config: (at) => ({ kind: 'pointqa-local', store, ...ASK, file: at('p.jsonl'), place: 'b' }),
    samples: [['a.jpg', '<image> What color? <boxes>', 'The answer is red .', '[10,20,40,60]']],
  },
  'pointqa twice point': {
    files: {
      'p.jsonl': lines({
        ...POINT,
        obj_question: 'o?',
        super_question: 'How many?',
        general_question: 'g?',
        answer: 2,
      }),
    },
    config: (at) => ({ kind: 'pointqa-twice', store, ...ASK, file: at('p.jsonl'), question: 'sq', place: 'p' }),
    samples: [['a.jpg', '<image> How many? <points>', 'The answer is 2 .', '(25,40)']],
  },
  'visual7w lines': {
    files: {
      'v.jsonl': lines({
        file_path: 'v.jpg',
        question: 'Which?',
        candidates: [[1, 2, 4, 6]],
        point: [2, 3],
        answer: [1, 2, 4, 6],
      }),
    },
    config: (at) => ({ kind: 'visual7w', store, ...ASK, file: at('v.jsonl'), place: 'p' }),
    samples: [
      [
        'v.jpg',
        '<image> Which? Candidates: <boxes> answer in point format.',
        'The answer is <points> .',
        '[1,2,4,6] (2,3)',
      ],
    ],
  },
  'visual7w published': {
    files: {
      'dataset_v7w_pointing.json': json({
        ...V7W,
        images: [{ ...V7W.images[0], qa_pairs: [{ ...V7W.images[0]!.qa_pairs[0], multiple_choices: [] }] }],
      }),
    },
    config: (at) => ({
      kind: 'visual7w',
      store,
      ...ASK,
      file: at('dataset_v7w_pointing.json'),
      splits: ['train'],
      place: 'b',
    }),
    samples: [
      [
        'v7w_1.jpg',
        '<image> Which one is red? Candidates: <boxes> answer in box format.',
        'The answer is <boxes> .',
        '[1,2,4,6] [1,2,4,6]',
      ],
    ],
  },
  llava: {
    files: {
      'llava.json': json([
        {
          id: '1',
          image: 'l.jpg',
          conversations: [
            { from: 'human', value: 'What?\n<image>' },
            { from: 'gpt', value: 'A lake.' },
          ],
        },
        {
          id: '1',
          image: ['l.jpg'],
          conversations: [
            { from: 'human', value: 'Why?' },
            { from: 'gpt', value: 'So.' },
          ],
        },
      ]),
    },
    config: (at) => ({ kind: 'llava', store, picture: 'train2014/COCO_train2014_{name}', file: at('llava.json') }),
    samples: [
      ['train2014/COCO_train2014_l.jpg', 'What?\n<image>', 'A lake.', ''],
      ['train2014/COCO_train2014_l.jpg', '<image>\nWhy?', 'So.', ''],
    ],
  },
  'gpt4gen a': gpt4gen('a', 'The answer is reading.', '[1,2,3,4]'),
  'gpt4gen c': gpt4gen('c', 'The man holds a book. So the answer is reading.', '[1,2,3,4]'),
  'gpt4gen bc': gpt4gen(
    'bc',
    'The man <boxes> holds a book <boxes>. So the answer is reading.',
    '[1,2,3,4] [1,2,3,4] [1,2,3,4;5,6,7,8]',
  ),
  'chat parts': {
    files: {
      'chat.jsonl': lines({
        messages: [
          {
            role: 'user',
            content: [
              { type: 'image_url', image_url: { url: 'c.jpg' } },
              { type: 'text', text: 'What?' },
            ],
          },
          { role: 'assistant', content: 'A boat.' },
        ],
      }),
    },
    config: (at) => ({ kind: 'chat', store, file: at('chat.jsonl') }),
    samples: [['c.jpg', '<image>\nWhat?', 'A boat.', '']],
  },
  'chat ms-swift': {
    files: {
      'swift.jsonl': lines({
        messages: [
          { role: 'user', content: '<image>Find <ref-object>' },
          { role: 'assistant', content: '<bbox> and <bbox>' },
        ],
        images: ['s.jpg'],
        objects: {
          ref: ['the sheep'],
          bbox: [
            [1, 2, 3, 4],
            [5, 6],
          ],
        },
      }),
    },
    config: (at) => ({ kind: 'chat', store, file: at('swift.jsonl') }),
    samples: [['s.jpg', '<image>Find the sheep', '<boxes> and <points>', '[1,2,3,4] (5,6)']],
  },
};
