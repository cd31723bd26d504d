/** The data of the paper's stages at the size of a test: every annotation file in its published form, made-up pictures. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writePicture } from './pictures.js';

const SIZE = { width: 60, height: 40 };
const BOX = [6, 4, 30, 24] as const;
const OTHER = [30, 10, 54, 36] as const;

const COCO = 'train2014/COCO_train2014_000000000001.jpg';
const GENOME = 'VG_100K/1.jpg';
const VCR_PICTURE = 'lsmdc/1.jpg';

/** Files of one line a sample, by name. */
function shikraLines(): Record<string, object[]> {
  const region = (img_path: string, i: number): object => ({ img_path, expression: `thing ${i}`, bbox: BOX, ...SIZE });
  const chain = {
    img_path: '1.jpg',
    boxes: [BOX, OTHER],
    question: 'What is left of <boxes>?',
    question_boxes_seq: [[1]],
    answer: 'A cat.',
    cot_with_ans: 'The cat <boxes> is left. So the answer is a cat.',
    answer_boxes_seq: [[0]],
  };
  const vcr = {
    img_fn: VCR_PICTURE,
    boxes: [
      [...BOX, 0.9],
      [...OTHER, 0.8],
    ],
    objects: ['person', 'person'],
    ...SIZE,
    question: ['What', 'is', [0], 'doing', '?'],
    answer_choices: [
      [[0], 'sits', '.'],
      [[1], 'runs', '.'],
      ['Nothing', '.'],
      [[0, 1], 'talk', '.'],
    ],
    rationale_choices: [
      [[0], 'is', 'tired', '.'],
      ['It', 'rains', '.'],
      [[1], 'is', 'late', '.'],
      ['They', 'smile', '.'],
    ],
    answer_label: 0,
    rationale_label: 0,
  };
  const point = [18, 14];
  return {
    REC_ref3_train: [0, 1, 2].map((i) => region(COCO, i)),
    // A twentieth and a fifteenth of them have to be one at least.
    GC_genome196_train: Array.from({ length: 40 }, (_, i) => region(GENOME, i)),
    CAP_coco2014_train: [0, 1].map((i) => ({ img_path: COCO, caption: `A picture of thing ${i}.` })),
    CWB_flickr30k_train: [
      {
        image_id: '1',
        sentence: '<ph_st>A cat<ph_ed> beside <ph_st>a dog<ph_ed>.',
        boxes: [BOX, OTHER],
        boxes_seq: [[0], [1]],
      },
      { image_id: '1', sentence: '<ph_st>Animals<ph_ed> play.', boxes: [BOX, OTHER], boxes_seq: [[0, 1]] },
    ],
    v2_OpenEnded_mscoco_train2014_questions: [0, 1].map((i) => ({
      image_path: COCO,
      question: `What is thing ${i}?`,
      annotation: { multiple_choice_answer: `cat ${i}` },
    })),
    vqa_E_train: [0, 1].map((i) => ({
      file_path: COCO,
      question: `Is thing ${i} there?`,
      explanation: ['It stands there.', 0.9],
      multiple_answers: 'yes',
    })),
    vqa_X_train: [0, 1].map((i) => ({
      file_path: COCO,
      question: `Is thing ${i} there?`,
      justification: ['it stands there'],
      multiple_choice_answer: 'yes',
    })),
    vcr_train: [vcr, vcr],
    pointQA_local_train: [0, 1].map((i) => ({
      file_path: GENOME,
      question: `What colour is this ${i}?`,
      answer: 'red',
      bbox: BOX,
      point,
    })),
    pointQA_twice_train: [0, 1].map(() => ({
      file_path: GENOME,
      obj_question: 'How many of these cats are there?',
      super_question: 'How many of these animals are there?',
      general_question: 'How many of these are there?',
      answer: 2,
      bbox: BOX,
      point,
    })),
    v7w_pointing_train: [0, 1].map((i) => ({
      file_path: GENOME,
      question: `Which thing is ${i}?`,
      candidates: [BOX, OTHER, [0, 0, 10, 10], [40, 0, 60, 20]],
      point,
      answer: BOX,
    })),
    GPT4GEN_BoxCoT_train: [chain, chain],
    GPT4GEN_RD_BoxCoT_train: [chain, chain],
  };
}

/** LLaVA files, by name, with the picture that each shows. */
function llavaFiles(): Record<string, object[]> {
  const entry = (image: string, i: number): object => ({
    id: String(i),
    image,
    conversations: [
      { from: 'human', value: i % 2 === 0 ? '<image>\nWhat is it?' : 'What is it?\n<image>' },
      { from: 'gpt', value: `It is thing ${i}.` },
    ],
  });
  const files = { chat: '1.jpg', blip_laion_cc_sbu_558k: '1.jpg', llava_instruct_150k: '000000000001.jpg' };
  return Object.fromEntries(
    Object.entries(files).map(([name, image]) => [name, [0, 1, 2].map((i) => entry(image, i))]),
  );
}

/** Writes `data/` into a folder, as the recipes expect it. */
export async function writePaperData(folder: string): Promise<void> {
  const data = join(folder, 'data');
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(data, path)), { recursive: true });
    writeFileSync(join(data, path), text);
  };
  for (const [name, rows] of Object.entries(shikraLines())) {
    write(`shikra/${name}.jsonl`, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  }
  for (const [name, rows] of Object.entries(llavaFiles())) write(`llava/${name}.json`, JSON.stringify(rows));
  const pictures = [
    `coco/${COCO}`,
    `visual-genome/${GENOME}`,
    'flickr30k/images/1.jpg',
    'llava/cc3m/1.jpg',
    'llava/lcs558k/1.jpg',
    `vcr/vcr1images/${VCR_PICTURE}`,
  ];
  for (const [i, path] of pictures.entries()) {
    mkdirSync(dirname(join(data, path)), { recursive: true });
    await writePicture(join(data, path), SIZE.width, SIZE.height, 40 * i);
  }
}
