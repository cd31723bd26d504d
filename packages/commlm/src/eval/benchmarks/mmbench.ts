/** MMBench: multiple choice under rotation, from the published table with its pictures inside. */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { readTable } from '../formats/files.js';
import { readMmbenchPredictions, readMmbenchRows } from '../formats/mmbench.js';
import { type MmbenchReader, type MmbenchRow, ROTATION_STEP, scoreMmbench } from '../metrics/mmbench.js';
import { addSums, type PublishedBenchmark, share } from './benchmark.js';
import { optionLines } from './choices.js';
import type { DataFolder } from './data-folder.js';
import type { EvalItem, ItemScore, LoadedBenchmark, Scored } from './item.js';
import { readTablePictures, tablePicture } from './pictures.js';
import { answeredEntries, type FileRequest, type FileScores, matchIds } from './score-file.js';

type MmbenchItem = EvalItem & { readonly row: MmbenchRow };

/** The data frame's word for an empty cell. */
const NO_HINT = new Set(['', 'nan']);

function score(items: readonly MmbenchItem[], answers: readonly string[], reader: MmbenchReader): Scored {
  const rows = items.map(({ row }) => row);
  const { perItem, circular, vanilla, circularByL2Category } = scoreMmbench(
    rows,
    new Map(rows.map(({ index }, i) => [index, answers[i]!])),
    { reader },
  );
  const byCategory = Object.entries(circularByL2Category).map(([name, figure]) => [`${name}.circular`, figure]);
  return {
    figures: { circular, vanilla, ...Object.fromEntries(byCategory) },
    items: perItem.map(
      ({ index, parsed, hit }, i): ItemScore => ({
        parsed,
        target: rows[i]!.answer,
        correct: hit,
        score: hit ? 1 : 0,
        figures: { hit: hit ? 1 : 0, first: index < ROTATION_STEP ? 1 : 0 },
      }),
    ),
  };
}

/** For each row the first one with the same picture: rotations and questions that share one are known by it. */
function firstRowsOf(pictures: ReadonlyMap<number, Uint8Array>): ReadonlyMap<number, number> {
  const firstByHash = new Map<string, number>();
  return new Map(
    [...pictures].map(([index, bytes]) => {
      const hash = createHash('sha256').update(bytes).digest('hex');
      const first = firstByHash.get(hash) ?? index;
      firstByHash.set(hash, first);
      return [index, first] as const;
    }),
  );
}

async function load(folder: DataFolder): Promise<LoadedBenchmark> {
  folder.refuseSplits();
  const path = folder.need('table');
  const rows = await readMmbenchRows(path);
  if (basename(path) in ROWS) folder.checkCount(path, rows.length, 'rows', ROWS);
  else folder.checkCount(path, rows.filter(({ index }) => index < ROTATION_STEP).length, 'questions', QUESTIONS);
  const table = await readTable(path, '\t', ['index', 'question', 'image']);
  const firstRows = firstRowsOf(await readTablePictures(path)); // throws for a row without a picture in base64
  const key = folder.keyOf(path);
  const items = rows.map((row, i): MmbenchItem => {
    const cells = table[i]!.cells;
    const hint = cells.get('hint') ?? '';
    return {
      id: row.index,
      unit: row.index % ROTATION_STEP,
      picture: tablePicture(key, firstRows.get(row.index)!),
      words: {
        question: cells.get('question')!,
        hint: NO_HINT.has(hint) ? '' : hint,
        options: optionLines(Object.entries(row.options)),
      },
      row,
      kind: row.l2Category,
    };
  });
  // Rotations of one question follow each other, so that a part of the table is a part of the questions.
  const order = new Map<number, MmbenchItem[]>();
  for (const item of items) order.set(item.unit as number, [...(order.get(item.unit as number) ?? []), item]);
  return {
    items: [...order.values()].flat(),
    score: (some, answers, reader) => score(some as MmbenchItem[], answers, reader as MmbenchReader),
  };
}

async function scoreFile(request: FileRequest): Promise<FileScores> {
  const rows = await readMmbenchRows(request.annotations);
  const predictions = await readMmbenchPredictions(request.predictions);
  matchIds(
    rows.map(({ index }) => index),
    predictions,
    'row',
    request,
  );
  const questionOf = ({ index }: MmbenchRow): number => index % ROTATION_STEP;
  const { entries, answers, texts, given, facts } = answeredEntries(
    rows,
    ({ index }) => index,
    predictions.values,
    request,
    (place) => questionOf(rows[place]!),
  );
  const reader = request.reader as MmbenchReader;
  const { circular, vanilla, circularByCategory, circularByL2Category, numQuestions, perItem } = scoreMmbench(
    entries,
    answers,
    { reader },
  );
  return {
    ...facts,
    count: entries.length,
    metrics: { circular, vanilla, circularByL2Category, circularByCategory },
    perItem,
    notes: [...facts.notes, `${numQuestions} questions in ${entries.length} rows.`, ...lackingRotations(entries)],
    samples: async () => {
      const table = await readTable(request.annotations, '\t', ['index', 'question']);
      const questions = new Map(table.map(({ cells }) => [Number(cells.get('index')), cells.get('question')!]));
      const items = entries.map((row): MmbenchItem => {
        const words = { question: questions.get(row.index)!, options: optionLines(Object.entries(row.options)) };
        return { id: row.index, unit: questionOf(row), picture: null, words, row, kind: row.l2Category };
      });
      return { items, answers: given, scored: score(items, texts, reader) };
    },
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

/** Questions of the English development tables, which have their answers; rotations are not counted. */
const QUESTIONS = { 'MMBench_DEV_EN.tsv': 1164, 'mmbench_dev_en_20231003.tsv': 1164 };
/** Rows of the first release of the development table, rotations included. */
const ROWS = { 'mmbench_dev_20230712.tsv': 4377 };

export const MMBENCH: PublishedBenchmark = {
  name: 'mmbench',
  summary: 'multiple choice under rotation of the options, dev',
  prompt: 'mmbench',
  scale: 'fraction',
  readers: ['exact', '2023'],
  roles: [
    {
      role: 'table',
      names: ['MMBench_DEV_EN.tsv', 'mmbench_dev_en_20231003.tsv', 'mmbench_dev_20230712.tsv', 'mmbench.tsv'],
    },
  ],
  load,
  scoreFile,
  // Questions, right in all rotations, right in the first one.
  sums: (unit) => [
    1,
    unit.every(({ figures }) => figures['hit'] === 1) ? 1 : 0,
    unit.some(({ figures }) => figures['hit'] === 1 && figures['first'] === 1) ? 1 : 0,
  ],
  figures: (sums) => {
    const [count, circular, vanilla] = addSums(sums.values());
    return { circular: share(circular, count), vanilla: share(vanilla, count) };
  },
};
