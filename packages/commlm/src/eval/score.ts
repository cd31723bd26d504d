/** Scores prediction files made by anything against the published annotation files. */
import { CommError } from '../config/errors.js';
import { coordinatesOf, type FrameName, frameNotes, rewriteBox } from './coordinates.js';
import { readCaptionReferences } from './formats/captions.js';
import { type ById, type Id, requireSameIds } from './formats/files.js';
import { readGqaPredictions, readGqaQuestions } from './formats/gqa.js';
import { loadMeteor } from './formats/meteor-data.js';
import { readMmbenchPredictions, readMmbenchRows } from './formats/mmbench.js';
import { readMmeFolder } from './formats/mme.js';
import { readMmvpAnswers, readMmvpQuestions } from './formats/mmvp.js';
import { readPopeAnswers, readPopeQuestions } from './formats/pope.js';
import { readPredictionList } from './formats/predictions.js';
import { readRecAnswers, readRecTargets } from './formats/refcoco.js';
import { readRegionReferences } from './formats/refs.js';
import { readScienceQaPredictions, readScienceQaProblems } from './formats/scienceqa.js';
import { readTextVqaAnnotations, readVqaAnnotations } from './formats/vqa.js';
import { scoreTokenizedCaptions, tokenizeCaptions } from './metrics/captions.js';
import { type GqaReader, scoreGqa } from './metrics/gqa.js';
import { MeteorScorer } from './metrics/meteor.js';
import { type MmbenchReader, type MmbenchRow, ROTATION_STEP, scoreMmbench } from './metrics/mmbench.js';
import {
  COGNITION,
  type MmeFigures,
  type MmeReader,
  type MmeSubtask,
  PERCEPTION,
  scoreMmeSubtask,
} from './metrics/mme.js';
import { scoreMmvp } from './metrics/mmvp.js';
import { type PopeFigures, type PopeReader, scorePope } from './metrics/pope.js';
import { type RecReader, scoreRec } from './metrics/rec.js';
import { type ScienceQaReader, scoreScienceQa } from './metrics/scienceqa.js';
import { scoreSpice } from './metrics/spice.js';
import { scoreTextVqa } from './metrics/textvqa.js';
import { scoreVqa, type VqaReader } from './metrics/vqa.js';
import type { Unanswered } from './results.js';
import { type ReadPredictions, readPredictions } from './score-reading.js';

/** What `score` is asked for; paths are of files. */
export interface ScoreRequest {
  readonly predictions: string;
  readonly annotations?: string;
  /** How answers are read; the first of the benchmark's readers when left out. */
  readonly reader?: string;
  readonly split?: string;
  /** MME: score these subtasks alone; no sum is called perception or cognition then, unless all of a part are named. */
  readonly subtasks?: readonly string[];
  /** ScienceQA's `pid_splits.json`. */
  readonly splitFile?: string;
  /** Captions: score the predicted images alone and say so. */
  readonly subset?: boolean;
  /** Captions: add METEOR; without its tables that is METEOR of the exact and stem modules, named so. */
  readonly meteor?: boolean;
  /** Captions: where the METEOR release lies; implies `meteor`. */
  readonly meteorData?: string;
  /** Captions: add SPICE by this command of its release, which gets the file names behind it. */
  readonly spiceCommand?: string;
  /** Read thinking (`<think>...</think>`) as a part of the answer in place of cutting it. */
  readonly keepThinking?: boolean;
  /** Boxes: the frame of the answers, by default `unit`, the fractions that the reader expects. */
  readonly coordinates?: FrameName;
  /** Gets a line before something that takes long. */
  readonly notify?: (line: string) => void;
}

/** A figure, or figures by group. Null stands for a figure that does not exist, such as the mean of nothing. */
export type MetricValue = number | null | Readonly<Record<string, number>>;

/** What `score --json` prints. */
export interface ScoreResult {
  readonly benchmark: string;
  readonly reader: string;
  readonly count: number;
  readonly metrics: Readonly<Record<string, MetricValue>>;
  /** What a reader of the figures must know, such as the modules of METEOR. */
  readonly notes: readonly string[];
  /** Predictions that are no answers and left out; absent when all were scored. */
  readonly unanswered?: Unanswered;
  /** Predictions with thinking, and whether it was cut; absent when there is none. */
  readonly thinking?: { readonly count: number; readonly cut: boolean };
  readonly perItem: ReadonlyArray<Readonly<Record<string, unknown>>>;
}

type Scored = Omit<ScoreResult, 'benchmark' | 'reader' | 'notes'> & { readonly notes?: readonly string[] };

interface Benchmark {
  readonly summary: string;
  readonly readers: readonly [string, ...string[]];
  readonly needsAnnotations: boolean;
  readonly score: (
    request: ScoreRequest & { readonly annotations: string; readonly reader: string },
  ) => Promise<Scored>;
}

type Request = Parameters<Benchmark['score']>[0];

/** Ids of the predictions must be those of the annotations, each once. */
function matchIds<Value>(ids: Iterable<Id>, predictions: ById<Value>, noun: string, request: Request): void {
  requireSameIds(new Set(ids), predictions, noun, request);
}

/** The answers of a file, in the order of what they answer. */
function readAnswers(texts: readonly string[], request: Request, unitOf?: (place: number) => number): ReadPredictions {
  return readPredictions(texts, { keepThinking: request.keepThinking === true, path: request.predictions }, unitOf);
}

/** What a result says about predictions that were cut or left out. */
function factsOf({ unanswered, numThinking, notes }: ReadPredictions, request: Request) {
  return {
    notes,
    ...(unanswered === null ? {} : { unanswered }),
    ...(numThinking === 0 ? {} : { thinking: { count: numThinking, cut: request.keepThinking !== true } }),
  };
}

/** Entries of the annotations with their answers by id. */
function answeredEntries<Entry, Key extends Id>(
  entries: readonly Entry[],
  keyOf: (entry: Entry) => Key,
  predictions: ReadonlyMap<Id, string>,
  request: Request,
  unitOf?: (place: number) => number,
) {
  const texts = entries.map((entry) => predictions.get(keyOf(entry))!);
  const read = readAnswers(texts, request, unitOf);
  const kept = read.places.map((i) => entries[i]!);
  const answers = new Map(kept.map((entry, k) => [keyOf(entry), read.texts[k]!]));
  return { entries: kept, answers, facts: factsOf(read, request) };
}

/** Scores captions of images or regions, with METEOR and SPICE where they were asked for. */
async function scoreCaptionSet(
  references: ReadonlyMap<Id, readonly string[]>,
  predictions: ReadonlyMap<Id, string>,
  idName: string,
  request: Request,
): Promise<Scored> {
  const { entries, answers, facts } = answeredEntries([...references], ([id]) => id, predictions, request);
  const tokenized = tokenizeCaptions(new Map(entries), answers);
  const meteor = await openMeteor(request);
  const { perItem, bleuCounts: _counts, ...metrics } = scoreTokenizedCaptions(tokenized, meteor);
  const spice =
    request.spiceCommand === undefined
      ? undefined
      : await scoreSpice(request.spiceCommand, tokenized.references, tokenized.candidates);
  return {
    count: perItem.length,
    metrics: {
      ...(metrics as Readonly<Record<string, number>>),
      ...(spice === undefined ? {} : { SPICE: spice.corpus }),
    },
    perItem: perItem.map(({ id, ...figures }, i) => ({
      [idName]: id,
      ...figures,
      ...(spice === undefined ? {} : { SPICE: spice.perCaption[i] }),
    })),
    ...facts,
    notes: [
      ...facts.notes,
      ...(meteor === undefined ? [] : [`METEOR modules: ${meteor.modules.join(', ')}.`]),
      ...(spice === undefined ? [] : [`SPICE by: ${request.spiceCommand}`]),
    ],
  };
}

async function openMeteor(request: Request): Promise<MeteorScorer | undefined> {
  if (request.meteorData !== undefined) return loadMeteor(request.meteorData, request.notify);
  return request.meteor ? new MeteorScorer() : undefined;
}

async function scoreCaptionFiles(request: Request): Promise<Scored> {
  const predictions = await readPredictionList(request.predictions, 'image_id', 'caption', 'image');
  const all = await readCaptionReferences(request.annotations, {
    ...(request.split === undefined ? {} : { split: request.split }),
    fileNameIds: [...predictions.values.keys()].every((id) => typeof id === 'string'),
  });
  const references = request.subset ? new Map([...all].filter(([id]) => predictions.values.has(id))) : all;
  matchIds(references.keys(), predictions, 'image', request);
  const scored = await scoreCaptionSet(references, predictions.values, 'image_id', request);
  if (references.size === all.size) return scored;
  const part = `Scored ${references.size} of ${all.size} images; not comparable with the full set.`;
  return { ...scored, notes: [part, ...(scored.notes ?? [])] };
}

async function scoreRegionFiles(request: Request): Promise<Scored> {
  const references = await readRegionReferences(
    request.annotations,
    request.split === undefined ? {} : { split: request.split },
  );
  const predictions = await readPredictionList(request.predictions, 'ref_id', 'sent', 'region');
  matchIds(references.keys(), predictions, 'region', request);
  return scoreCaptionSet(references, predictions.values, 'ref_id', request);
}

async function scoreVqaFiles(request: Request): Promise<Scored> {
  const annotations = await readVqaAnnotations(request.annotations);
  const predictions = await readPredictionList(request.predictions, 'question_id', 'answer', 'question');
  matchIds(
    annotations.map(({ id }) => id),
    predictions,
    'question',
    request,
  );
  const { entries, answers, facts } = answeredEntries(annotations, ({ id }) => id, predictions.values, request);
  const { perItem, ...metrics } = scoreVqa(entries, answers, { reader: request.reader as VqaReader });
  return {
    count: perItem.length,
    metrics,
    perItem: perItem.map(({ id, ...rest }) => ({ question_id: id, ...rest })),
    ...facts,
  };
}

async function scoreTextVqaFiles(request: Request): Promise<Scored> {
  const annotations = await readTextVqaAnnotations(request.annotations);
  const predictions = await readPredictionList(request.predictions, 'question_id', 'answer', 'question');
  matchIds(
    annotations.map(({ id }) => id),
    predictions,
    'question',
    request,
  );
  const { entries, answers, facts } = answeredEntries(annotations, ({ id }) => id, predictions.values, request);
  const { accuracy, perItem } = scoreTextVqa(entries, answers);
  return {
    ...facts,
    count: perItem.length,
    metrics: { accuracy },
    perItem: perItem.map(({ id, ...rest }) => ({ question_id: id, ...rest })),
  };
}

const POPE_FIGURES = ['accuracy', 'precision', 'recall', 'f1', 'yesRatio'] as const;

/** One file gives its figures; a file with categories gives those of each and their plain average. */
async function scorePopeFiles(request: Request): Promise<Scored> {
  const all = await readPopeQuestions(request.annotations);
  const read = readAnswers(await readPopeAnswers(request.predictions, all, request.annotations), request);
  const questions = read.places.map((i) => all[i]!);
  const answers = read.texts;
  const facts = factsOf(read, request);
  const labels = questions.map(({ label }) => label);
  const reader = { reader: request.reader as PopeReader };
  const { perItem, ...pooled } = scorePope(labels, answers, reader);
  const categories = [...new Set(questions.map(({ category }) => category))];
  const items = perItem.map((item, i) => ({ question_id: questions[i]?.id, ...item }));
  if (categories.length < 2) return { count: answers.length, metrics: { ...pooled }, perItem: items, ...facts };
  const byCategory = categories.map((category) => {
    const isIn = (_: unknown, i: number): boolean => questions[i]?.category === category;
    const { perItem: _items, ...figures } = scorePope(labels.filter(isIn), answers.filter(isIn), reader);
    return [category ?? 'none', figures] as const;
  });
  const average = Object.fromEntries(
    POPE_FIGURES.map((name) => [
      name,
      byCategory.reduce((sum, [, figures]: readonly [string, PopeFigures]) => sum + figures[name], 0) /
        byCategory.length,
    ]),
  );
  return {
    count: answers.length,
    metrics: { ...average, ...Object.fromEntries(byCategory.map(([name, figures]) => [name, { ...figures }])) },
    perItem: items,
    ...facts,
    notes: [...facts.notes, `The first figures are the plain average over ${categories.length} categories.`],
  };
}

async function scoreMmeFiles(request: Request): Promise<Scored> {
  const tasks = await readMmeFolder(request.predictions, request.subtasks);
  const figures = new Map<MmeSubtask, MmeFigures>();
  const perItem: Array<Readonly<Record<string, unknown>>> = [];
  const all = [...tasks].flatMap(([subtask, questions]) =>
    questions.map((question, i) => ({ subtask, line: i + 1, ...question })),
  );
  // Every subtask has two lines a picture, so that all lines in a row are pairs too.
  const read = readAnswers(
    all.map(({ answer }) => answer),
    request,
    (place) => Math.floor(place / 2),
  );
  const answered = read.places.map((i, k) => ({
    ...all[i]!,
    answer: read.texts[k]!,
  }));
  for (const subtask of tasks.keys()) {
    const questions = answered.filter((question) => question.subtask === subtask);
    if (questions.length === 0) continue;
    const { perItem: items, ...scores } = scoreMmeSubtask(questions, { reader: request.reader as MmeReader });
    figures.set(subtask, scores);
    items.forEach((item, i) => {
      perItem.push({ subtask, line: questions[i]?.line, ...item });
    });
  }
  const facts = factsOf(read, request);
  const total = (subtasks: readonly MmeSubtask[]): number | null =>
    subtasks.every((name) => figures.has(name))
      ? subtasks.reduce((sum, name) => sum + figures.get(name)!.score, 0)
      : null;
  const sums = Object.entries({ perception: total(PERCEPTION), cognition: total(COGNITION) });
  return {
    count: perItem.length,
    metrics: Object.fromEntries([
      ...sums.filter(([, sum]) => sum !== null),
      ...[...figures].map(([name, scores]) => [name, { ...scores }] as const),
    ]),
    perItem,
    ...facts,
    notes: [
      ...facts.notes,
      ...sums
        .filter(([, sum]) => sum === null)
        .map(([part]) => `No figure for ${part}: not all of its subtasks were scored.`),
    ],
  };
}

async function scoreMmbenchFiles(request: Request): Promise<Scored> {
  const rows = await readMmbenchRows(request.annotations);
  const predictions = await readMmbenchPredictions(request.predictions);
  matchIds(
    rows.map(({ index }) => index),
    predictions,
    'row',
    request,
  );
  const { entries, answers, facts } = answeredEntries(
    rows,
    ({ index }) => index,
    predictions.values,
    request,
    (place) => rows[place]!.index % ROTATION_STEP,
  );
  const { circular, vanilla, circularByCategory, circularByL2Category, numQuestions, perItem } = scoreMmbench(
    entries,
    answers,
    { reader: request.reader as MmbenchReader },
  );
  return {
    ...facts,
    count: entries.length,
    metrics: { circular, vanilla, circularByL2Category, circularByCategory },
    perItem,
    notes: [...facts.notes, `${numQuestions} questions in ${entries.length} rows.`, ...lackingRotations(entries)],
  };
}

/** A table without all rotations gives a `circular` that is too high; it says so. */
function lackingRotations(rows: readonly MmbenchRow[]): readonly string[] {
  const numRows = new Map<number, number>();
  for (const { index } of rows) numRows.set(index % ROTATION_STEP, (numRows.get(index % ROTATION_STEP) ?? 0) + 1);
  const lacking = rows.filter(
    ({ index, options }) => index < ROTATION_STEP && numRows.get(index)! < Object.keys(options).length,
  );
  return lacking.length === 0
    ? []
    : [`${lacking.length} questions have fewer rows than options, so circular is no full CircularEval for them.`];
}

async function scoreRecFiles(request: Request): Promise<Scored> {
  const all = await readRecTargets(request.annotations);
  const read = readAnswers(await readRecAnswers(request.predictions, all.length, request.annotations), request);
  const targets = read.places.map((i) => all[i]!);
  const { coordinates: frame = 'unit', reader } = request;
  const coordinates = coordinatesOf(frame, reader);
  const answers =
    frame === 'unit' ? read.texts : read.texts.map((text, i) => rewriteBox(text, targets[i]!, coordinates, reader));
  const { perItem, ...metrics } = scoreRec(targets, answers, { reader: reader as RecReader });
  const facts = factsOf(read, request);
  return {
    count: targets.length,
    metrics,
    perItem: perItem.map((item) => ({ ...item })),
    ...facts,
    notes: [...facts.notes, ...frameNotes(read.texts, targets, coordinates)],
  };
}

async function scoreGqaFiles(request: Request): Promise<Scored> {
  const file = await readGqaQuestions(request.annotations);
  const predictions = await readGqaPredictions(request.predictions, file, request.annotations);
  const { entries, answers, facts } = answeredEntries(file.questions, ({ id }) => id, predictions, request);
  const { perItem, ...metrics } = scoreGqa(entries, answers, { reader: request.reader as GqaReader });
  return {
    count: perItem.length,
    metrics,
    perItem: perItem.map(({ id, ...rest }) => ({ questionId: id, ...rest })),
    ...facts,
  };
}

async function scoreScienceQaFiles(request: Request): Promise<Scored> {
  const problems = await readScienceQaProblems(request.annotations, {
    split: request.split ?? 'test',
    ...(request.splitFile === undefined ? {} : { splitFile: request.splitFile }),
  });
  const predictions = await readScienceQaPredictions(request.predictions, problems);
  // A problem without a prediction counts as wrong by the official rule; one with thinking alone has no answer.
  const predicted = problems.filter(({ id }) => predictions.has(id));
  const { entries, answers, facts } = answeredEntries(predicted, ({ id }) => id, predictions, request);
  const answered = new Set(entries);
  const scored = problems.filter((problem) => answered.has(problem) || !predictions.has(problem.id));
  const { perItem, missing, ...metrics } = scoreScienceQa(scored, answers, {
    reader: request.reader as ScienceQaReader,
  });
  return {
    ...facts,
    count: scored.length,
    metrics,
    perItem: perItem.map(({ id, ...rest }) => ({ question_id: id, ...rest })),
    notes: [...facts.notes, ...(missing === 0 ? [] : [`${missing} problems have no prediction and count as wrong.`])],
  };
}

async function scoreMmvpFiles(request: Request): Promise<Scored> {
  const all = await readMmvpQuestions(request.annotations);
  const predictions = await readMmvpAnswers(request.predictions, all, request.annotations);
  const read = readAnswers(predictions, request, (place) => Math.floor(place / 2));
  const questions = read.places.map((i) => all[i]!);
  const { perItem, ...metrics } = scoreMmvp(
    questions.map(({ label }) => label),
    read.texts,
  );
  return {
    count: questions.length,
    metrics,
    perItem: perItem.map((item, i) => ({ question_id: questions[i]?.index, ...item })),
    ...factsOf(read, request),
  };
}

const CAPTIONS: Benchmark = {
  summary: 'captions of whole pictures',
  readers: ['official'],
  needsAnnotations: true,
  score: scoreCaptionFiles,
};

const VQA: Benchmark = {
  summary: 'questions with ten human answers each',
  readers: ['official', 'always', 'evalai'],
  needsAnnotations: true,
  score: scoreVqaFiles,
};

const REC: Benchmark = {
  summary: 'boxes for phrases',
  readers: ['shikra', 'lmms-eval'],
  needsAnnotations: true,
  score: scoreRecFiles,
};

/** The benchmarks that files can be scored for, with their readers; the first reader is the default. */
export const SCORE_BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  'coco-caption': CAPTIONS,
  flickr30k: CAPTIONS,
  vqav2: VQA,
  okvqa: VQA,
  textvqa: {
    summary: 'questions about text in pictures',
    readers: ['evalai'],
    needsAnnotations: true,
    score: scoreTextVqaFiles,
  },
  pope: {
    summary: 'is the object there?',
    readers: ['official', 'lmms-eval'],
    needsAnnotations: true,
    score: scorePopeFiles,
  },
  mme: {
    summary: 'a folder of yes-or-no results',
    readers: ['official', 'lmms-eval'],
    needsAnnotations: false,
    score: scoreMmeFiles,
  },
  mmbench: {
    summary: 'multiple choice under rotation',
    readers: ['exact', '2023'],
    needsAnnotations: true,
    score: scoreMmbenchFiles,
  },
  refcoco: REC,
  'refcoco+': REC,
  refcocog: REC,
  reg: { summary: 'phrases for boxes', readers: ['official'], needsAnnotations: true, score: scoreRegionFiles },
  gqa: {
    summary: 'questions with one answer each',
    readers: ['official', 'llava', 'lmms-eval', 'shikra'],
    needsAnnotations: true,
    score: scoreGqaFiles,
  },
  scienceqa: {
    summary: 'school questions with choices',
    readers: ['llava', 'lmms-eval'],
    needsAnnotations: true,
    score: scoreScienceQaFiles,
  },
  mmvp: { summary: 'pairs of look-alike pictures', readers: ['rules'], needsAnnotations: true, score: scoreMmvpFiles },
};

function usageError(message: string, fix: string): CommError {
  return new CommError(message, { code: 'score/usage', fix, exitCode: 2 });
}

/**
 * Scores a prediction file.
 *
 * @throws CommError for an unknown benchmark or reader, and for files that are not as they must be; it names file and line
 */
export async function scoreFiles(benchmark: string, request: ScoreRequest): Promise<ScoreResult> {
  const entry = Object.hasOwn(SCORE_BENCHMARKS, benchmark) ? SCORE_BENCHMARKS[benchmark] : undefined;
  if (entry === undefined) {
    throw usageError(
      `There is no benchmark "${benchmark}" to score.`,
      `Use one of ${Object.keys(SCORE_BENCHMARKS).join(', ')}.`,
    );
  }
  const reader = request.reader ?? entry.readers[0];
  if (!entry.readers.includes(reader)) {
    throw usageError(`${benchmark} has no reader "${reader}".`, `Use one of ${entry.readers.join(', ')}.`);
  }
  if (request.coordinates !== undefined && entry !== REC) {
    throw usageError(`--coordinates has no effect on ${benchmark}, which has no boxes to read.`, 'Leave it out.');
  }
  const annotations = request.annotations;
  if (entry.needsAnnotations && annotations === undefined) {
    throw usageError(`${benchmark} needs its annotation file.`, 'Give it with --annotations FILE.');
  }
  const scored = await entry.score({ ...request, annotations: annotations ?? '', reader });
  return { benchmark, reader, notes: [], ...scored };
}
