/** GQA: questions with one answer each, balanced test-dev. */
import { asObject, type JsonObject, Place, readJson, stringField } from '../formats/files.js';
import { readGqaPredictions, readGqaQuestions } from '../formats/gqa.js';
import { type GqaQuestion, type GqaReader, scoreGqa } from '../metrics/gqa.js';
import { addSums, type PublishedBenchmark, share } from './benchmark.js';
import type { DataFolder } from './data-folder.js';
import type { EvalItem, LoadedBenchmark, Scored } from './item.js';
import { answeredEntries, type FileRequest, type FileScores } from './score-file.js';

const SIZES = { 'testdev_balanced_questions.json': 12_578, 'val_balanced_questions.json': 132_062 };

type GqaItem = EvalItem & { readonly target: GqaQuestion };

const itemOf = (target: GqaQuestion, question: string, picture: string | null): GqaItem => ({
  id: target.id,
  unit: target.id,
  picture,
  words: { question },
  kind: target.isOpen ? 'open' : 'binary',
  target,
});

async function load(folder: DataFolder): Promise<LoadedBenchmark> {
  folder.refuseSplits();
  const path = folder.need('questions');
  const { questions } = await readGqaQuestions(path);
  folder.checkCount(path, questions.length, 'questions', SIZES);
  const place = new Place(path);
  const root = asObject(await readJson(path), place);
  const asked = questions.map((target) => {
    const at = place.at(`question ${JSON.stringify(target.id)}`);
    const entry = asObject(root[target.id], at);
    return { target, imageId: stringField(entry, 'imageId', at), question: stringField(entry, 'question', at) };
  });
  const keys = folder.findPictures(
    asked.map(({ target, imageId }) => ({ id: target.id, names: [`${imageId}.jpg`, `${imageId}.png`, imageId] })),
  );
  const items = asked.map(({ target, question }, i) => itemOf(target, question, keys[i]!));
  return { items, score: (some, answers, reader) => score(some as GqaItem[], answers, reader as GqaReader) };
}

function score(items: readonly GqaItem[], answers: readonly string[], reader: GqaReader): Scored {
  const { perItem, accuracy, binary, open } = scoreGqa(
    items.map(({ target }) => target),
    new Map(items.map(({ target }, i) => [target.id, answers[i]!])),
    { reader },
  );
  return {
    figures: { accuracy, ...(binary === null ? {} : { binary }), ...(open === null ? {} : { open }) },
    items: perItem.map(({ parsed, hit }, i) => {
      const { answer, isOpen } = items[i]!.target;
      const figures = { hit: hit ? 1 : 0, open: isOpen ? 1 : 0 };
      return { parsed, target: answer, correct: hit, score: hit ? 1 : 0, figures };
    }),
  };
}

async function scoreFile(request: FileRequest): Promise<FileScores> {
  const file = await readGqaQuestions(request.annotations);
  const predictions = await readGqaPredictions(request.predictions, file, request.annotations);
  const { entries, answers, texts, given, facts } = answeredEntries(
    file.questions,
    ({ id }) => id,
    predictions,
    request,
  );
  const reader = request.reader as GqaReader;
  const { perItem, ...metrics } = scoreGqa(entries, answers, { reader });
  return {
    count: perItem.length,
    metrics,
    perItem: perItem.map(({ id, ...rest }) => ({ questionId: id, ...rest })),
    ...facts,
    samples: async () => {
      const root = asObject(await readJson(request.annotations), new Place(request.annotations));
      const text = (id: string, name: string): string | undefined => {
        const value = (root[id] as JsonObject)[name];
        return typeof value === 'string' ? value : undefined;
      };
      const items = entries.map((target) =>
        itemOf(target, text(target.id, 'question') ?? '', text(target.id, 'imageId') ?? null),
      );
      return { items, answers: given, scored: score(items, texts, reader) };
    },
  };
}

export const GQA: PublishedBenchmark = {
  name: 'gqa',
  summary: 'GQA, balanced test-dev questions',
  prompt: 'gqa',
  scale: 'percent',
  readers: ['official', 'llava', 'lmms-eval', 'shikra'],
  roles: [
    {
      role: 'questions',
      names: [
        'testdev_balanced_questions.json',
        'gqa/testdev_balanced_questions.json',
        'questions/testdev_balanced_questions.json',
      ],
    },
    { role: 'images', names: ['images', 'gqa/images'] },
  ],
  load,
  scoreFile,
  // Questions, right, open questions, open and right.
  sums: (unit) =>
    addSums(
      unit.map(({ figures: { hit, open } }) => [1, hit as number, open as number, (hit as number) * (open as number)]),
    ),
  figures: (sums) => {
    const [count = 0, hits = 0, numOpen = 0, openHits = 0] = addSums(sums.values());
    return {
      accuracy: share(hits, count) * 100,
      ...(count > numOpen ? { binary: share(hits - openHits, count - numOpen) * 100 } : {}),
      ...(numOpen > 0 ? { open: share(openHits, numOpen) * 100 } : {}),
    };
  },
};
