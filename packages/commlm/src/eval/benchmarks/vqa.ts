/** Questions with ten human answers: VQAv2, OK-VQA and TextVQA. */
import { CommError } from '../../config/errors.js';
import { asObject, ById, type Id, idField, listField, Place, readJson, stringField } from '../formats/files.js';
import { readPredictionList } from '../formats/predictions.js';
import { readTextVqaAnnotations, readVqaAnnotations, type VqaEntry } from '../formats/vqa.js';
import { scoreTextVqa } from '../metrics/textvqa.js';
import { scoreVqa, type VqaAnnotation, type VqaReader } from '../metrics/vqa.js';
import { addSums, type Benchmark, type PublishedBenchmark, share } from './benchmark.js';
import { type DataFolder, nameSome } from './data-folder.js';
import type { EvalItem, ItemScore, LoadedBenchmark, Scored } from './item.js';
import { answeredEntries, type FileRequest, type FileSamples, type FileScores, matchIds } from './score-file.js';

/** Digits of the picture's id in COCO's file names, and in those of the synthetic world. */
const COCO_DIGITS = 12;
const WORLD_DIGITS = 8;

interface Question {
  readonly id: Id;
  readonly imageId: Id;
  readonly text: string;
}

async function readQuestions(path: string, listName: 'questions' | 'data'): Promise<ReadonlyMap<Id, Question>> {
  const place = new Place(path);
  const questions = new ById<Question>('question');
  listField(asObject(await readJson(path), place), listName, place).forEach((value, i) => {
    const at = place.at(`${listName}[${i}]`);
    const question = asObject(value, at);
    const id = idField(question, 'question_id', at);
    const text = stringField(question, 'question', at);
    questions.add(id, { id, imageId: idField(question, 'image_id', at), text }, at);
  });
  return questions.values;
}

/** Every question has its annotation and the other way round. */
function requirePairs(
  questions: ReadonlyMap<Id, unknown>,
  annotations: ReadonlyMap<Id, unknown>,
  files: { readonly questions: string; readonly annotations: string },
): void {
  const lacking = (from: ReadonlyMap<Id, unknown>, ids: ReadonlyMap<Id, unknown>): string[] =>
    [...ids.keys()].filter((id) => !from.has(id)).map(String);
  const pairs = [
    [lacking(annotations, questions), files.annotations, 'annotation', files.questions],
    [lacking(questions, annotations), files.questions, 'question', files.annotations],
  ] as const;
  for (const [missing, path, noun, other] of pairs) {
    if (missing.length === 0) continue;
    throw new CommError(
      `${path}: ${missing.length} questions of ${other} have no ${noun} here: ${nameSome(missing)}.`,
      { code: 'eval/missing-id', fix: 'Both files must be of the same release and split.' },
    );
  }
}

/** Scores answers to items by their human answers. */
export function scoreVqaItems(
  annotations: ReadonlyMap<Id, VqaAnnotation<Id>>,
  items: readonly EvalItem[],
  answers: readonly string[],
  reader: VqaReader,
): Scored {
  const { perItem, accuracy, accuracyByAnswerType } = scoreVqa(
    items.map(({ id }) => annotations.get(id)!),
    new Map(items.map(({ id }, i) => [id, answers[i]!])),
    { reader },
  );
  const scores = perItem.map(({ id, accuracy: percent, normalized }): ItemScore => {
    return {
      parsed: normalized,
      target: annotations.get(id)!.answers,
      correct: percent === 100 ? true : percent === 0 ? false : null,
      score: percent / 100,
      figures: { accuracy: percent },
    };
  });
  const byType = Object.entries(accuracyByAnswerType).map(([type, figure]) => [`${type}.accuracy`, figure]);
  return { figures: { accuracy, ...Object.fromEntries(byType) }, items: scores };
}

/** Names of COCO's pictures by id; TextVQA's are the id itself. */
function pictureNames(id: Id): string[] {
  if (typeof id === 'string') return [`${id}.jpg`, `${id}.png`];
  const coco = String(id).padStart(COCO_DIGITS, '0');
  const world = String(id).padStart(WORLD_DIGITS, '0');
  return [`COCO_val2014_${coco}.jpg`, `${coco}.jpg`, `COCO_train2014_${coco}.jpg`, `${world}.png`, `${world}.jpg`];
}

function itemsOf(
  questions: readonly Question[],
  folder: DataFolder,
  kinds: ReadonlyMap<Id, VqaAnnotation<Id>>,
): EvalItem[] {
  const keys = folder.findPictures(questions.map(({ id, imageId }) => ({ id, names: pictureNames(imageId) })));
  return questions.map(({ id, text }, i) => {
    const kind = kinds.get(id)?.answerType;
    return {
      id,
      unit: id,
      picture: keys[i]!,
      words: { question: text },
      kind,
    };
  });
}

function loadVqa(sizes: Readonly<Record<string, number>>): Benchmark['load'] {
  return async (folder): Promise<LoadedBenchmark> => {
    folder.refuseSplits();
    const path = folder.need('questions');
    const annotationsPath = folder.need('annotations');
    const questions = await readQuestions(path, 'questions');
    folder.checkCount(path, questions.size, 'questions', sizes);
    const annotations = new Map((await readVqaAnnotations(annotationsPath)).map((entry) => [entry.id, entry]));
    requirePairs(questions, annotations, { questions: path, annotations: annotationsPath });
    return {
      items: itemsOf([...questions.values()], folder, annotations),
      score: (items, answers, reader) => scoreVqaItems(annotations, items, answers, reader as VqaReader),
    };
  };
}

const TEXTVQA_SIZES = { 'TextVQA_0.5.1_val.json': 5000 };

async function loadTextVqa(folder: DataFolder): Promise<LoadedBenchmark> {
  folder.refuseSplits();
  const path = folder.need('annotations');
  const questions = await readQuestions(path, 'data');
  folder.checkCount(path, questions.size, 'questions', TEXTVQA_SIZES);
  const annotations = new Map((await readTextVqaAnnotations(path)).map((entry) => [entry.id, entry]));
  return {
    items: itemsOf([...questions.values()], folder, annotations),
    score: (items, answers, reader) => scoreVqaItems(annotations, items, answers, reader as VqaReader),
  };
}

/** An entry of the annotations as `eval` has it; without the file of questions its words are not known. */
const fileItem = ({ id, imageId, answerType }: VqaEntry): EvalItem => ({
  id,
  unit: id,
  picture: imageId === undefined ? null : String(imageId),
  words: {},
  kind: answerType,
});

async function readAnswered(request: FileRequest, annotations: readonly VqaEntry[]) {
  const predictions = await readPredictionList(request.predictions, 'question_id', 'answer', 'question');
  matchIds(
    annotations.map(({ id }) => id),
    predictions,
    'question',
    request,
  );
  const answered = answeredEntries(annotations, ({ id }) => id, predictions.values, request);
  const { entries, texts, given } = answered;
  const samples = async (): Promise<FileSamples> => {
    const items = entries.map(fileItem);
    const byId = new Map(entries.map((entry) => [entry.id, entry]));
    return { items, answers: given, scored: scoreVqaItems(byId, items, texts, request.reader as VqaReader) };
  };
  return { ...answered, samples };
}

async function scoreVqaFile(request: FileRequest): Promise<FileScores> {
  const { entries, answers, facts, samples } = await readAnswered(
    request,
    await readVqaAnnotations(request.annotations),
  );
  const { perItem, ...metrics } = scoreVqa(entries, answers, { reader: request.reader as VqaReader });
  return {
    count: perItem.length,
    metrics,
    perItem: perItem.map(({ id, ...rest }) => ({ question_id: id, ...rest })),
    ...facts,
    samples,
  };
}

async function scoreTextVqaFile(request: FileRequest): Promise<FileScores> {
  const { entries, answers, facts, samples } = await readAnswered(
    request,
    await readTextVqaAnnotations(request.annotations),
  );
  const { accuracy, perItem } = scoreTextVqa(entries, answers);
  return {
    ...facts,
    count: perItem.length,
    metrics: { accuracy },
    perItem: perItem.map(({ id, ...rest }) => ({ question_id: id, ...rest })),
    samples,
  };
}

/** Count and sum of the accuracies; the answer types are not resampled on their own. */
const SHARED = {
  scale: 'percent' as const,
  sums: ((unit) => addSums(unit.map(({ figures }) => [1, figures['accuracy'] as number]))) satisfies Benchmark['sums'],
  figures: ((sums) => {
    const [count, total] = addSums(sums.values());
    return { accuracy: share(total, count) };
  }) satisfies Benchmark['figures'],
};

const COCO_PICTURES = { role: 'images', names: ['val2014', 'coco/val2014', 'images'] };

export const VQAV2: PublishedBenchmark = {
  ...SHARED,
  name: 'vqav2',
  summary: 'VQAv2 val, ten human answers a question',
  prompt: 'vqa',
  readers: ['official', 'always', 'evalai'],
  roles: [
    { role: 'questions', names: ['v2_OpenEnded_mscoco_val2014_questions.json', 'vqa_questions.json'] },
    { role: 'annotations', names: ['v2_mscoco_val2014_annotations.json', 'vqa_annotations.json'] },
    COCO_PICTURES,
  ],
  scoreFile: scoreVqaFile,
  load: loadVqa({ 'v2_OpenEnded_mscoco_val2014_questions.json': 214_354 }),
};

export const OKVQA: PublishedBenchmark = {
  ...SHARED,
  name: 'okvqa',
  summary: 'OK-VQA val, questions that need outside knowledge',
  prompt: 'vqa',
  readers: ['official', 'always', 'evalai'],
  roles: [
    {
      role: 'questions',
      names: ['OpenEnded_mscoco_val2014_questions.json', 'okvqa/OpenEnded_mscoco_val2014_questions.json'],
    },
    {
      role: 'annotations',
      names: ['mscoco_val2014_annotations.json', 'okvqa/mscoco_val2014_annotations.json'],
    },
    COCO_PICTURES,
  ],
  scoreFile: scoreVqaFile,
  load: loadVqa({ 'OpenEnded_mscoco_val2014_questions.json': 5046 }),
};

export const TEXTVQA: PublishedBenchmark = {
  ...SHARED,
  name: 'textvqa',
  summary: 'TextVQA val, questions about text in pictures',
  prompt: 'vqa',
  readers: ['evalai'],
  roles: [
    { role: 'annotations', names: ['TextVQA_0.5.1_val.json', 'textvqa/TextVQA_0.5.1_val.json'] },
    { role: 'images', names: ['train_images', 'textvqa/train_images', 'images'] },
  ],
  scoreFile: scoreTextVqaFile,
  load: loadTextVqa,
};
