/** Scores prediction files made by anything against the published annotation files. */
import { CommError } from '../config/errors.js';
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

/** Scores captions of images or regions, with METEOR and SPICE where they were asked for. */
async function scoreCaptionSet(
  references: ReadonlyMap<Id, readonly string[]>,
  predictions: ReadonlyMap<Id, string>,
  idName: string,
  request: Request,
): Promise<Scored> {
  const tokenized = tokenizeCaptions(references, predictions);
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
    notes: [
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
  const { perItem, ...metrics } = scoreVqa(annotations, predictions.values, { reader: request.reader as VqaReader });
  return { count: perItem.length, metrics, perItem: perItem.map(({ id, ...rest }) => ({ question_id: id, ...rest })) };
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
  const { accuracy, perItem } = scoreTextVqa(annotations, predictions.values);
  return {
    count: perItem.length,
    metrics: { accuracy },
    perItem: perItem.map(({ id, ...rest }) => ({ question_id: id, ...rest })),
  };
}

const POPE_FIGURES = ['accuracy', 'precision', 'recall', 'f1', 'yesRatio'] as const;

/** One file gives its figures; a file with categories gives those of each and their plain average. */
async function scorePopeFiles(request: Request): Promise<Scored> {
  const questions = await readPopeQuestions(request.annotations);
  const answers = await readPopeAnswers(request.predictions, questions, request.annotations);
  const labels = questions.map(({ label }) => label);
  const reader = { reader: request.reader as PopeReader };
  const { perItem, ...pooled } = scorePope(labels, answers, reader);
  const categories = [...new Set(questions.map(({ category }) => category))];
  const items = perItem.map((item, i) => ({ question_id: questions[i]?.id, ...item }));
  if (categories.length < 2) return { count: answers.length, metrics: { ...pooled }, perItem: items };
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
    notes: [`The first figures are the plain average over ${categories.length} categories.`],
  };
}

async function scoreMmeFiles(request: Request): Promise<Scored> {
  const tasks = await readMmeFolder(request.predictions, request.subtasks);
  const figures = new Map<MmeSubtask, MmeFigures>();
  const perItem: Array<Readonly<Record<string, unknown>>> = [];
  for (const [subtask, questions] of tasks) {
    const { perItem: items, ...scores } = scoreMmeSubtask(questions, { reader: request.reader as MmeReader });
    figures.set(subtask, scores);
    items.forEach((item, i) => {
      perItem.push({ subtask, line: i + 1, ...item });
    });
  }
  const total = (subtasks: readonly MmeSubtask[]): number | null =>
    subtasks.every((name) => figures.has(name))
      ? subtasks.reduce((sum, name) => sum + (figures.get(name) as MmeFigures).score, 0)
      : null;
  const sums = Object.entries({ perception: total(PERCEPTION), cognition: total(COGNITION) });
  return {
    count: perItem.length,
    metrics: Object.fromEntries([
      ...sums.filter(([, sum]) => sum !== null),
      ...[...figures].map(([name, scores]) => [name, { ...scores }] as const),
    ]),
    perItem,
    notes: sums
      .filter(([, sum]) => sum === null)
      .map(([part]) => `No figure for ${part}: not all of its subtasks were scored.`),
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
  const { circular, vanilla, circularByCategory, circularByL2Category, numQuestions, perItem } = scoreMmbench(
    rows,
    predictions.values as ReadonlyMap<number, string>,
    { reader: request.reader as MmbenchReader },
  );
  return {
    count: rows.length,
    metrics: { circular, vanilla, circularByL2Category, circularByCategory },
    perItem,
    notes: [`${numQuestions} questions in ${rows.length} rows.`, ...lackingRotations(rows)],
  };
}

/** A table without all rotations gives a `circular` that is too high; it says so. */
function lackingRotations(rows: readonly MmbenchRow[]): readonly string[] {
  const numRows = new Map<number, number>();
  for (const { index } of rows) numRows.set(index % ROTATION_STEP, (numRows.get(index % ROTATION_STEP) ?? 0) + 1);
  const lacking = rows.filter(
    ({ index, options }) => index < ROTATION_STEP && (numRows.get(index) as number) < Object.keys(options).length,
  );
  return lacking.length === 0
    ? []
    : [`${lacking.length} questions have fewer rows than options, so circular is no full CircularEval for them.`];
}

async function scoreRecFiles(request: Request): Promise<Scored> {
  const targets = await readRecTargets(request.annotations);
  const answers = await readRecAnswers(request.predictions, targets.length, request.annotations);
  const { perItem, ...metrics } = scoreRec(targets, answers, { reader: request.reader as RecReader });
  return { count: targets.length, metrics, perItem: perItem.map((item) => ({ ...item })) };
}

async function scoreGqaFiles(request: Request): Promise<Scored> {
  const file = await readGqaQuestions(request.annotations);
  const predictions = await readGqaPredictions(request.predictions, file, request.annotations);
  const { perItem, ...metrics } = scoreGqa(file.questions, predictions, { reader: request.reader as GqaReader });
  return { count: perItem.length, metrics, perItem: perItem.map(({ id, ...rest }) => ({ questionId: id, ...rest })) };
}

async function scoreScienceQaFiles(request: Request): Promise<Scored> {
  const problems = await readScienceQaProblems(request.annotations, {
    split: request.split ?? 'test',
    ...(request.splitFile === undefined ? {} : { splitFile: request.splitFile }),
  });
  const predictions = await readScienceQaPredictions(request.predictions, problems);
  const { perItem, missing, ...metrics } = scoreScienceQa(problems, predictions, {
    reader: request.reader as ScienceQaReader,
  });
  return {
    count: problems.length,
    metrics,
    perItem: perItem.map(({ id, ...rest }) => ({ question_id: id, ...rest })),
    notes: missing === 0 ? [] : [`${missing} problems have no prediction and count as wrong.`],
  };
}

async function scoreMmvpFiles(request: Request): Promise<Scored> {
  const questions = await readMmvpQuestions(request.annotations);
  const answers = await readMmvpAnswers(request.predictions, questions, request.annotations);
  const { perItem, ...metrics } = scoreMmvp(
    questions.map(({ label }) => label),
    answers,
  );
  return {
    count: questions.length,
    metrics,
    perItem: perItem.map((item, i) => ({ question_id: questions[i]?.index, ...item })),
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
  const annotations = request.annotations;
  if (entry.needsAnnotations && annotations === undefined) {
    throw usageError(`${benchmark} needs its annotation file.`, 'Give it with --annotations FILE.');
  }
  const scored = await entry.score({ ...request, annotations: annotations ?? '', reader });
  return { benchmark, reader, notes: [], ...scored };
}
