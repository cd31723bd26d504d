/** GQA: questions with one answer each, balanced test-dev. */
import { asObject, Place, readJson, stringField } from '../formats/files.js';
import { readGqaQuestions } from '../formats/gqa.js';
import { type GqaQuestion, type GqaReader, scoreGqa } from '../metrics/gqa.js';
import { addSums, type Benchmark, type EvalItem, type LoadedBenchmark, type Scored, share } from './benchmark.js';
import type { DataFolder } from './data-folder.js';

const SIZES = { 'testdev_balanced_questions.json': 12_578, 'val_balanced_questions.json': 132_062 };

type GqaItem = EvalItem & { readonly target: GqaQuestion };

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
  const items = asked.map(
    ({ target, question }, i): GqaItem => ({
      id: target.id,
      unit: target.id,
      picture: keys[i]!,
      words: { question },
      kind: target.isOpen ? 'open' : 'binary',
      target,
    }),
  );
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

export const GQA: Benchmark = {
  name: 'gqa',
  summary: 'GQA, balanced test-dev questions',
  prompt: 'gqa',
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
