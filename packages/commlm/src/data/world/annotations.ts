/**
 * A set of scenes as the annotation files of the public data sets: COCO, Flickr30k Entities, RefCOCO, VQAv2, POPE, MME,
 * MMBench, Visual7W, PointQA, LLaVA. Pure: pictures with scenes in, contents of files out.
 */

import { writeTurn } from '../world-turns.js';
import {
  captionsFor,
  distinguishingPhrase,
  expressionsFor,
  nameOf,
  phraseFor,
  pluralOf,
  readingOrder,
  withArticle,
} from './language.js';
import type { PixelBox, SceneObject } from './placement.js';
import { countOf, exactQuestion, LETTERS, type Turn, type TurnType, turnsFor } from './questions.js';
import { Random } from './random.js';
import type { Scene } from './scene.js';
import { COLOR_NAMES, NOUNS } from './vocabulary.js';

/** A picture of the set; `id` counts from 1. */
export interface PictureRecord {
  readonly id: number;
  readonly fileName: string;
  readonly scene: Scene;
}

/** How absent things are chosen: any, frequent ones, or ones that often stand beside what is there. */
export const POPE_SPLITS = ['random', 'popular', 'adversarial'] as const;
export type PopeSplit = (typeof POPE_SPLITS)[number];

const CATEGORY_IDS = new Map(NOUNS.map((noun, i) => [noun.name, i + 1]));
const CAPTIONS_PER_PICTURE = 5;
const HUMANS = 10;

function info(description: string) {
  return { description, url: '', version: '1.0', year: 2026, contributor: 'commlm', date_created: '' };
}

function imagesOf(pictures: readonly PictureRecord[]) {
  return pictures.map(({ id, fileName, scene }) => ({
    id,
    file_name: fileName,
    width: scene.width,
    height: scene.height,
    license: 0,
  }));
}

function cornerToSize([x1, y1, x2, y2]: PixelBox): [number, number, number, number] {
  return [x1, y1, round2(x2 - x1), round2(y2 - y1)];
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}

function annotationId(picture: PictureRecord, index: number): number {
  return picture.id * 10 + index;
}

/** COCO `instances.json`: boxes as x, y, width, height in pixels. */
export function cocoInstances(pictures: readonly PictureRecord[]) {
  return {
    info: info('Synthetic scenes: instances'),
    licenses: [],
    images: imagesOf(pictures),
    categories: NOUNS.map((noun, i) => ({ id: i + 1, name: noun.name, supercategory: noun.category })),
    annotations: pictures.flatMap((picture) =>
      picture.scene.objects.map((object, i) => {
        const bbox = cornerToSize(object.box);
        return {
          id: annotationId(picture, i),
          image_id: picture.id,
          category_id: CATEGORY_IDS.get(object.noun),
          bbox,
          area: round2(bbox[2] * bbox[3]),
          iscrowd: 0,
          segmentation: [],
          attributes: { style: object.style, visible: object.visible, ...(object.color && { color: object.color }) },
        };
      }),
    ),
  };
}

/** COCO `captions.json` with five captions a picture. */
export function cocoCaptions(pictures: readonly PictureRecord[]) {
  return {
    info: info('Synthetic scenes: captions'),
    licenses: [],
    images: imagesOf(pictures),
    annotations: pictures.flatMap(({ id, scene }) =>
      captionsFor(scene, scene.seed, CAPTIONS_PER_PICTURE).map((caption, i) => ({
        id: id * 10 + i,
        image_id: id,
        caption,
      })),
    ),
  };
}

/** REC: one line for every thing that can be told apart, `{img_path, expression, bbox, width, height}`. */
export function recLines(pictures: readonly PictureRecord[]) {
  return pictures.flatMap((picture) =>
    picture.scene.objects.flatMap((object, i) => {
      const [expression] = sentencesFor(picture, object, 1);
      if (expression === undefined) return [];
      const { width, height } = picture.scene;
      const ref_id = annotationId(picture, i);
      return [{ img_path: picture.fileName, expression, bbox: object.box, width, height, ref_id }];
    }),
  );
}

/** Up to `n` different expressions for one thing, chosen by the picture's seed. */
function sentencesFor({ scene }: PictureRecord, object: SceneObject, n: number): string[] {
  const expressions = expressionsFor(scene, object);
  const rng = new Random(scene.seed, `sentences/${object.z}`);
  const plain = expressions.filter(({ by }) => by === 'name');
  const first = plain.length > 0 && rng.chance(0.6) ? [rng.pick(plain)] : [];
  const rest = rng.shuffle(expressions);
  return [...new Set([...first, ...rest].map(({ text }) => `the ${text}`))].slice(0, n);
}

/** The refs of the RefCOCO family as JSON: up to three sentences a region. */
export function regionReferences(pictures: readonly PictureRecord[]) {
  return pictures.flatMap((picture) =>
    picture.scene.objects.flatMap((object, i) => {
      const main = distinguishingPhrase(picture.scene, object);
      if (!main) return [];
      const sentences = [...new Set([main, ...sentencesFor(picture, object, 2)])].map((sent, k) => ({
        sent_id: annotationId(picture, i) * 10 + k,
        sent,
        raw: sent,
        tokens: sent.split(' '),
      }));
      const id = annotationId(picture, i);
      return [
        {
          ref_id: id,
          ann_id: id,
          image_id: picture.id,
          category_id: CATEGORY_IDS.get(object.noun),
          file_name: picture.fileName,
          split: picture.scene.split,
          bbox: cornerToSize(object.box),
          sent_ids: sentences.map(({ sent_id }) => sent_id),
          sentences,
        },
      ];
    }),
  );
}

const VQA_TYPES: readonly TurnType[] = ['existence', 'object', 'color', 'count', 'position', 'relation'];
const VQA_PER_PICTURE = 5;

interface VqaItem {
  picture: PictureRecord;
  questionId: number;
  turn: Turn & { short: string };
}

function vqaItems(pictures: readonly PictureRecord[]): VqaItem[] {
  return pictures.flatMap((picture) =>
    turnsFor(picture.scene, picture.scene.seed, { types: VQA_TYPES, max: VQA_PER_PICTURE })
      .filter((turn): turn is Turn & { short: string } => turn.short !== undefined && turn.boxes === undefined)
      .map((turn, i) => ({ picture, questionId: picture.id * 100 + i, turn })),
  );
}

function answerType(short: string): 'yes/no' | 'number' | 'other' {
  if (short === 'yes' || short === 'no') return 'yes/no';
  return /^\d+$/.test(short) ? 'number' : 'other';
}

/** VQAv2's questions and annotations; the ten humans agree, for the scene is known. */
export function vqaFiles(pictures: readonly PictureRecord[]) {
  const items = vqaItems(pictures);
  const head = {
    info: info('Synthetic scenes: questions'),
    data_type: 'synthetic',
    data_subtype: 'world',
    license: {},
  };
  return {
    questions: {
      ...head,
      task_type: 'Open-Ended',
      questions: items.map(({ picture, questionId, turn }) => ({
        image_id: picture.id,
        question: turn.question,
        question_id: questionId,
      })),
    },
    annotations: {
      ...head,
      annotations: items.map(({ picture, questionId, turn }) => ({
        question_id: questionId,
        image_id: picture.id,
        question_type: turn.type,
        answer_type: answerType(turn.short),
        multiple_choice_answer: turn.short,
        answers: Array.from({ length: HUMANS }, (_, i) => ({
          answer_id: i + 1,
          answer: turn.short,
          answer_confidence: 'yes',
        })),
      })),
    },
  };
}

function nounsIn(scene: Scene): string[] {
  return [...new Set(scene.objects.map(({ noun }) => noun))];
}

/**
 * POPE: for every picture as many questions about absent things as about present ones (at most three of each).
 * Popular negatives are the most frequent nouns of this set, adversarial ones stand most often beside what is there.
 */
export function popeLines(pictures: readonly PictureRecord[], split: PopeSplit) {
  const names = NOUNS.map(({ name }) => name);
  const frequency = new Map<string, number>();
  const together = new Map<string, number>();
  const add = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
  for (const { scene } of pictures) {
    const present = nounsIn(scene);
    for (const a of present) {
      add(frequency, a);
      for (const b of present) if (a !== b) add(together, `${a}/${b}`);
    }
  }
  let questionId = 0;
  return pictures.flatMap(({ fileName, scene }) => {
    const rng = new Random(scene.seed, `pope/${split}`);
    const present = nounsIn(scene);
    // The shuffle breaks ties between equally frequent nouns.
    const absent = rng.shuffle(names.filter((name) => !present.includes(name)));
    const beside = (name: string) => present.reduce((sum, there) => sum + (together.get(`${there}/${name}`) ?? 0), 0);
    const rank = split === 'popular' ? (name: string) => frequency.get(name) ?? 0 : beside;
    if (split !== 'random') absent.sort((a, b) => rank(b) - rank(a));
    const asked = rng.shuffle(present).slice(0, 3);
    return asked.flatMap((name, i) =>
      (
        [
          ['yes', name],
          ['no', absent[i]!],
        ] as const
      ).map(([label, noun]) => ({
        question_id: ++questionId,
        image: fileName,
        text: `Is there ${withArticle(noun)} in the image?`,
        label,
      })),
    );
  });
}

/** Flickr30k Entities: for every picture five lines of `[/EN#id/type phrase]` and one XML of boxes. */
export function flickrEntities(pictures: readonly PictureRecord[]) {
  return pictures.map((picture) => {
    const { id, fileName, scene } = picture;
    const ordered = readingOrder(scene);
    const marked = ordered.map((object) => {
      const entity = annotationId(picture, object.z);
      return `[/EN#${entity}/${object.category === 'animal' ? 'animals' : 'other'} ${phraseFor(object)}]`;
    });
    const list =
      marked.length > 1 ? `${marked.slice(0, -1).join(' , ')} and ${marked[marked.length - 1]}` : marked.join('');
    const reversed = [...marked].reverse();
    const lines = [
      `${list} .`,
      `The picture shows ${list} .`,
      `There is ${list} .`,
      `An image with ${list} .`,
      `Here we see ${reversed.length > 1 ? `${reversed.slice(0, -1).join(' , ')} and ${reversed[reversed.length - 1]}` : list} .`,
    ];
    const objects = ordered.map((object) => {
      const [x1, y1, x2, y2] = object.box.map(Math.round) as [number, number, number, number];
      return (
        `  <object>\n    <name>${annotationId(picture, object.z)}</name>\n    <bndbox>\n      <xmin>${x1}</xmin>\n` +
        `      <ymin>${y1}</ymin>\n      <xmax>${x2}</xmax>\n      <ymax>${y2}</ymax>\n    </bndbox>\n  </object>\n`
      );
    });
    const size = `  <size>\n    <width>${scene.width}</width>\n    <height>${scene.height}</height>\n    <depth>3</depth>\n  </size>\n`;
    const xml = `<annotation>\n  <filename>${fileName}</filename>\n${size}${objects.join('')}</annotation>\n`;
    return { name: String(id), sentences: `${lines.join('\n')}\n`, xml };
  });
}

function centreOf([x1, y1, x2, y2]: PixelBox): [number, number] {
  return [round2((x1 + x2) / 2), round2((y1 + y2) / 2)];
}

/** Visual7W pointing: which of four boxes answers the question. Scenes with fewer things get boxes of the background. */
export function visual7wPointing(pictures: readonly PictureRecord[]) {
  const boxes: {
    box_id: number;
    image_id: number;
    name: string;
    x: number;
    y: number;
    width: number;
    height: number;
  }[] = [];
  const images = pictures.map((picture) => {
    const { scene, id } = picture;
    const rng = new Random(scene.seed, 'v7w');
    const own = scene.objects.map((object) => ({ name: nameOf(object), box: object.box }));
    for (let tries = 0; own.length < 4 && tries < 200; tries++) {
      const width = scene.width * rng.range(0.15, 0.35);
      const height = scene.height * rng.range(0.15, 0.35);
      const x = rng.range(0, scene.width - width);
      const y = rng.range(0, scene.height - height);
      const box = [x, y, x + width, y + height].map(round2) as unknown as PixelBox;
      if (own.every((other) => overlap(other.box, box) < 0.3)) own.push({ name: 'background', box });
    }
    const ids = own.map(({ name, box }, i) => {
      const [x, y, width, height] = cornerToSize(box);
      const box_id = annotationId(picture, i);
      boxes.push({ box_id, image_id: id, name, x, y, width, height });
      return box_id;
    });
    const qa_pairs = scene.objects.flatMap((object, i) => {
      const expression = expressionsFor(scene, object)[0];
      if (!expression || own.length < 4) return [];
      return [
        {
          qa_id: annotationId(picture, i),
          question: `Which box shows the ${expression.text}?`,
          answer: ids[i],
          multiple_choices: rng.shuffle(ids.filter((_, k) => k !== i)).slice(0, 3),
          type: 'which',
          image_id: id,
        },
      ];
    });
    return { image_id: id, filename: picture.fileName, split: scene.split, qa_pairs };
  });
  return { dataset: 'synthetic-world-v7w', images, boxes };
}

/** Share of the smaller box that lies in the other. */
function overlap(a: PixelBox, b: PixelBox): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const area = (box: PixelBox) => (box[2] - box[0]) * (box[3] - box[1]);
  return width <= 0 || height <= 0 ? 0 : (width * height) / Math.min(area(a), area(b));
}

/** PointQA local: what is at this box or point. */
export function pointQaLocal(pictures: readonly PictureRecord[]) {
  return pictures.flatMap(({ fileName, scene }) =>
    scene.objects.flatMap((object) => {
      const about = { file_path: fileName, bbox: object.box, point: centreOf(object.box) };
      const name = { ...about, question: 'What is this object?', answer: object.noun };
      return object.color ? [name, { ...about, question: 'What color is this?', answer: object.color }] : [name];
    }),
  );
}

/** PointQA twice: how many of what is pointed at are there, asked in three degrees of openness. */
export function pointQaTwice(pictures: readonly PictureRecord[]) {
  return pictures.flatMap(({ fileName, scene }) =>
    scene.objects.map((object) => ({
      file_path: fileName,
      obj_question: `How many of these ${pluralOf(object.noun)} are there?`,
      super_question: `How many of these ${object.category === 'animal' ? 'animals' : 'objects'} are there?`,
      general_question: 'How many of these are there?',
      answer: scene.objects.filter(({ noun }) => noun === object.noun).length,
      bbox: object.box,
      point: centreOf(object.box),
    })),
  );
}

/** MME's perception tasks that the world can ask: `image<TAB>question<TAB>Yes|No`, two consecutive lines a picture. */
export function mmeTasks(
  pictures: readonly PictureRecord[],
): Record<'existence' | 'count' | 'position' | 'color', string> {
  const lines = { existence: [] as string[], count: [] as string[], position: [] as string[], color: [] as string[] };
  for (const { fileName, scene } of pictures) {
    const rng = new Random(scene.seed, 'mme');
    const object = rng.pick(scene.objects);
    const pair = (task: keyof typeof lines, yes: string, no: string) => {
      const both = [
        `${fileName}\t${yes} Please answer yes or no.\tYes`,
        `${fileName}\t${no} Please answer yes or no.\tNo`,
      ];
      lines[task].push(...rng.shuffle(both));
    };
    const present = nounsIn(scene);
    const absent = rng.pick(NOUNS.filter(({ name }) => !present.includes(name))).name;
    pair(
      'existence',
      `Is there ${withArticle(object.noun)} in this image?`,
      `Is there ${withArticle(absent)} in this image?`,
    );
    const number = countOf(scene, { noun: object.noun });
    const other = number > 1 && rng.chance(0.5) ? number - 1 : number + 1;
    pair('count', exactQuestion(object.noun, number), exactQuestion(object.noun, other));
    const sided = turnsFor(scene, scene.seed, { types: ['relation'], max: 6 }).find(
      (turn) => turn.short === 'left' || turn.short === 'right',
    );
    if (sided?.objects) {
      const [a, b] = sided.objects.map((index) => scene.objects[index]!) as [SceneObject, SceneObject];
      const asks = (side: string) => `Is the ${uniqueWords(scene, a)} to the ${side} of the ${uniqueWords(scene, b)}?`;
      pair('position', asks(sided.short as string), asks(sided.short === 'left' ? 'right' : 'left'));
    }
    const shape = scene.objects.find((item) => item.color && countOf(scene, { noun: item.noun }) === 1);
    if (shape?.color) {
      const wrong = rng.pick(COLOR_NAMES.filter((name) => name !== shape.color));
      pair('color', `Is the ${shape.noun} ${shape.color}?`, `Is the ${shape.noun} ${wrong}?`);
    }
  }
  const text = (task: keyof typeof lines) => lines[task].map((line) => `${line}\n`).join('');
  return { existence: text('existence'), count: text('count'), position: text('position'), color: text('color') };
}

function uniqueWords(scene: Scene, object: SceneObject): string {
  return scene.objects.filter(({ noun }) => noun === object.noun).length === 1 ? object.noun : nameOf(object);
}

/**
 * MMBench rows for one picture: a question with four choices and its three rotations (index + k * 1e6), without the
 * picture, which the caller appends in base64.
 */
export function mmbenchRows({ id, scene }: PictureRecord): { index: number; cells: string[] }[] {
  const rng = new Random(scene.seed, 'mmbench');
  const present = nounsIn(scene);
  const noun = rng.pick(present);
  const wrong = rng.shuffle(NOUNS.filter(({ name }) => !present.includes(name))).slice(0, 3);
  const choices = rng.shuffle([noun, ...wrong.map(({ name }) => name)]);
  const category = ['object_localization', 'finegrained_perception'];
  return LETTERS.map((_, turn) => {
    const rotated = choices.map((_choice, i) => choices[(i + turn) % choices.length]!);
    const answer = LETTERS[rotated.indexOf(noun)]!;
    const index = id + turn * 1_000_000;
    const options = rotated.map((choice) => withArticle(choice));
    const question = 'Which of these things is in the picture?';
    return { index, cells: [String(index), question, '', ...options, answer, ...category, scene.split] };
  });
}

/** Head of the MMBench table; the picture is the last column. */
export const MMBENCH_COLUMNS = [
  'index',
  'question',
  'hint',
  ...LETTERS,
  'answer',
  'category',
  'l2-category',
  'split',
  'image',
] as const;

/** LLaVA conversations: every picture with up to six turns, coordinates in the frame of the padded square. */
export function llavaConversations(pictures: readonly PictureRecord[]) {
  return pictures.map(({ id, fileName, scene }) => ({
    id: String(id),
    image: fileName,
    conversations: turnsFor(scene, scene.seed).flatMap((turn, i) => {
      const { question, answer } = writeTurn(turn, scene);
      return [
        { from: 'human', value: i === 0 ? `<image>\n${question}` : question },
        { from: 'gpt', value: answer },
      ];
    }),
  }));
}
