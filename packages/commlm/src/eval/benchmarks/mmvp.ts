/** MMVP: pairs of pictures that look alike to CLIP; a pair counts when both questions are right. */
import { readTable } from '../formats/files.js';
import { readMmvpAnswers, readMmvpQuestions } from '../formats/mmvp.js';
import { scoreMmvp } from '../metrics/mmvp.js';
import { addSums, type PublishedBenchmark, share } from './benchmark.js';
import { optionLines } from './choices.js';
import type { DataFolder } from './data-folder.js';
import type { EvalItem, LoadedBenchmark, Scored } from './item.js';
import { type FileRequest, type FileScores, factsOf, readFileAnswers } from './score-file.js';

const SIZES = { 'Questions.csv': 300 };
const OPTIONS = /^\s*\(a\)\s*(.*?)\s*\(b\)\s*(.*?)\s*$/is;

type MmvpItem = EvalItem & { readonly label: 'A' | 'B' };

async function load(folder: DataFolder): Promise<LoadedBenchmark> {
  folder.refuseSplits();
  const path = folder.need('questions');
  const questions = await readMmvpQuestions(path);
  folder.checkCount(path, questions.length, 'questions', SIZES);
  const rows = await readTable(path, ',', ['Question', 'Options']);
  const keys = folder.findPictures(
    questions.map(({ index }) => ({ id: index, names: [`${index}.jpg`, `${index}.png`] })),
  );
  const items = questions.map(({ index, label }, i): MmvpItem => {
    const { cells, place } = rows[i]!;
    const [, a, b] = OPTIONS.exec(cells.get('Options')!) ?? [];
    if (a === undefined || b === undefined) throw place.error('"Options" must be "(a) ... (b) ...".');
    return {
      id: index,
      unit: Math.ceil(index / 2),
      picture: keys[i]!,
      words: {
        question: cells.get('Question')!,
        options: optionLines([
          ['A', a],
          ['B', b],
        ]),
      },
      label,
    };
  });
  return { items, score: (some, answers) => score(some as MmvpItem[], answers) };
}

function score(items: readonly MmvpItem[], answers: readonly string[]): Scored {
  const { perItem, pairAccuracy, accuracy } = scoreMmvp(
    items.map(({ label }) => label),
    answers,
  );
  return {
    figures: { pairAccuracy, accuracy },
    items: perItem.map(({ parsed, hit }, i) => ({
      parsed,
      target: items[i]!.label,
      correct: hit,
      score: hit ? 1 : 0,
      figures: { hit: hit ? 1 : 0 },
    })),
  };
}

async function scoreFile(request: FileRequest): Promise<FileScores> {
  const all = await readMmvpQuestions(request.annotations);
  const predictions = await readMmvpAnswers(request.predictions, all, request.annotations);
  const read = readFileAnswers(predictions, request, (place) => Math.floor(place / 2));
  const questions = read.places.map((i) => all[i]!);
  const { perItem, ...metrics } = scoreMmvp(
    questions.map(({ label }) => label),
    read.texts,
  );
  return {
    count: questions.length,
    metrics,
    perItem: perItem.map((item, i) => ({ question_id: questions[i]!.index, ...item })),
    ...factsOf(read, request),
    samples: async () => {
      const rows = await readTable(request.annotations, ',', ['Question']);
      const items = read.places.map((i): MmvpItem => {
        const { index, label } = all[i]!;
        const words = { question: rows[i]!.cells.get('Question')! };
        return { id: index, unit: Math.ceil(index / 2), picture: String(index), words, label };
      });
      return { items, answers: read.given, scored: score(items, read.texts) };
    },
  };
}

export const MMVP: PublishedBenchmark = {
  name: 'mmvp',
  summary: 'pairs of pictures that look alike to CLIP (150 pairs)',
  prompt: 'mmvp',
  scale: 'fraction',
  readers: ['rules'],
  roles: [
    { role: 'questions', names: ['Questions.csv', 'MMVP/Questions.csv'] },
    { role: 'images', names: ['MMVP Images', 'MMVP/MMVP Images', 'MMVP_Images', 'images'] },
  ],
  load,
  scoreFile,
  // Pairs, pairs right, questions, questions right.
  sums: (unit) => {
    const right = addSums(unit.map(({ figures }) => [figures['hit'] as number]))[0] ?? 0;
    return [1, right === unit.length ? 1 : 0, unit.length, right];
  },
  figures: (sums) => {
    const [pairs, pairsRight, questions, right] = addSums(sums.values());
    return { pairAccuracy: share(pairsRight, pairs), accuracy: share(right, questions) };
  },
};
