/** ScienceQA: school questions with choices, about half of them with a picture. */
import { asObject, type JsonObject, listField, Place, readJson, stringField } from '../formats/files.js';
import { readScienceQaPredictions, readScienceQaProblems } from '../formats/scienceqa.js';
import { type ScienceQaProblem, type ScienceQaReader, scoreScienceQa } from '../metrics/scienceqa.js';
import { addSums, type PublishedBenchmark, share } from './benchmark.js';
import { letterOptions } from './choices.js';
import type { DataFolder } from './data-folder.js';
import type { EvalItem, LoadedBenchmark, Scored } from './item.js';
import { answeredEntries, type FileRequest, type FileScores } from './score-file.js';

const DEFAULT_SPLIT = 'test';
const SIZES = { test: 4241 };

type ScienceItem = EvalItem & { readonly problem: ScienceQaProblem };

async function load(folder: DataFolder): Promise<LoadedBenchmark> {
  const path = folder.need('problems');
  const splitFile = folder.find('splits');
  if (splitFile !== undefined) folder.noteFile('splits', splitFile);
  const split = folder.choices.splits?.[0] ?? DEFAULT_SPLIT;
  const problems = await readScienceQaProblems(path, { split, splitFile });
  folder.checkCount(split, problems.length, 'problems', SIZES);
  const place = new Place(path);
  const root = asObject(await readJson(path), place);
  const entries = problems.map((problem) => {
    const at = place.at(`problem ${JSON.stringify(problem.id)}`);
    return { problem, at, entry: asObject(root[problem.id], at) };
  });
  const withPicture = entries.filter(({ problem }) => problem.hasImage);
  const keys = folder.findPictures(
    withPicture.map(({ problem: { id }, entry, at }) => {
      const name = stringField(entry, 'image', at);
      return { id, names: [`${split}/${id}/${name}`, `${id}/${name}`] };
    }),
  );
  const pictures = new Map(withPicture.map(({ problem }, i) => [problem.id, keys[i]!]));
  const items = entries.map(({ problem, entry, at }): ScienceItem => {
    const choices = listField(entry, 'choices', at);
    choices.forEach((choice, i) => {
      if (typeof choice !== 'string') throw at.error(`choices[${i}] must be a text.`);
    });
    return {
      id: problem.id,
      unit: problem.id,
      picture: pictures.get(problem.id) ?? null,
      words: {
        question: stringField(entry, 'question', at),
        hint: 'hint' in entry ? stringField(entry, 'hint', at) : '',
        options: letterOptions(choices as readonly string[]),
      },
      kind: problem.hasImage ? 'image' : 'text',
      problem,
    };
  });
  return { items, score: (some, answers, reader) => score(some as ScienceItem[], answers, reader as ScienceQaReader) };
}

function score(items: readonly ScienceItem[], answers: readonly string[], reader: ScienceQaReader): Scored {
  const { perItem, accuracy, imageAccuracy } = scoreScienceQa(
    items.map(({ problem }) => problem),
    new Map(items.map(({ problem }, i) => [problem.id, answers[i]!])),
    { reader },
  );
  return {
    figures: { accuracy, ...(imageAccuracy === null ? {} : { imageAccuracy }) },
    items: perItem.map(({ parsed, hit }, i) => {
      const { answer, hasImage } = items[i]!.problem;
      const figures = { hit: hit ? 1 : 0, image: hasImage ? 1 : 0 };
      const target = String.fromCharCode('A'.charCodeAt(0) + answer);
      return { parsed, target, correct: hit, score: hit ? 1 : 0, figures };
    }),
  };
}

async function scoreFile(request: FileRequest): Promise<FileScores> {
  const problems = await readScienceQaProblems(request.annotations, {
    split: request.split ?? DEFAULT_SPLIT,
    splitFile: request.splitFile,
  });
  const predictions = await readScienceQaPredictions(request.predictions, problems);
  // A problem without a prediction counts as wrong by the official rule; one with thinking alone has no answer.
  const predicted = problems.filter(({ id }) => predictions.has(id));
  const { entries, answers, given, facts } = answeredEntries(predicted, ({ id }) => id, predictions, request);
  const answered = new Set(entries);
  const scored = problems.filter((problem) => answered.has(problem) || !predictions.has(problem.id));
  const reader = request.reader as ScienceQaReader;
  const { perItem, missing, ...metrics } = scoreScienceQa(scored, answers, { reader });
  return {
    ...facts,
    count: scored.length,
    metrics,
    perItem: perItem.map(({ id, ...rest }) => ({ question_id: id, ...rest })),
    notes: [...facts.notes, ...(missing === 0 ? [] : [`${missing} problems have no prediction and count as wrong.`])],
    samples: async () => {
      const root = asObject(await readJson(request.annotations), new Place(request.annotations));
      const items = scored.map((problem): ScienceItem => {
        const { id, hasImage } = problem;
        const { question } = root[id] as JsonObject;
        const words = { question: typeof question === 'string' ? question : '' };
        return { id, unit: id, picture: hasImage ? id : null, words, kind: hasImage ? 'image' : 'text', problem };
      });
      const raw = new Map(entries.map(({ id }, i) => [id, given[i]!]));
      // A missing answer is wrong by whatever reader, as an empty one is.
      const texts = scored.map(({ id }) => answers.get(id) ?? '');
      return { items, answers: scored.map(({ id }) => raw.get(id) ?? ''), scored: score(items, texts, reader) };
    },
  };
}

export const SCIENCEQA: PublishedBenchmark = {
  name: 'scienceqa',
  summary: 'ScienceQA test, with and without pictures',
  prompt: 'scienceqa',
  scale: 'percent',
  readers: ['llava', 'lmms-eval'],
  roles: [
    { role: 'problems', names: ['problems.json', 'scienceqa/problems.json', 'ScienceQA/data/scienceqa/problems.json'] },
    {
      role: 'splits',
      names: ['pid_splits.json', 'scienceqa/pid_splits.json', 'ScienceQA/data/scienceqa/pid_splits.json'],
    },
    { role: 'images', names: ['images', 'scienceqa/images', 'ScienceQA/images', 'scienceqa'] },
  ],
  load,
  scoreFile,
  // Problems, right, problems with a picture, with a picture and right.
  sums: (unit) =>
    addSums(
      unit.map(({ figures: { hit, image } }) => [
        1,
        hit as number,
        image as number,
        (hit as number) * (image as number),
      ]),
    ),
  figures: (sums) => {
    const [count, hits, numImages = 0, imageHits] = addSums(sums.values());
    const imageAccuracy = share(imageHits, numImages) * 100;
    return { accuracy: share(hits, count) * 100, ...(numImages > 0 ? { imageAccuracy } : {}) };
  },
};
