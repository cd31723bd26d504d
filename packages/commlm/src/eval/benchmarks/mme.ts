/** MME: two yes-or-no questions a picture; the release with a folder a subtask, or tables of questions. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CommError } from '../../config/errors.js';
import { Place, readText } from '../formats/files.js';
import { readMmeFolder } from '../formats/mme.js';
import {
  COGNITION,
  type MmeFigures,
  type MmeReader,
  type MmeSubtask,
  PERCEPTION,
  scoreMmeSubtask,
} from '../metrics/mme.js';
import { type PublishedBenchmark, share } from './benchmark.js';
import type { DataFolder } from './data-folder.js';
import type { EvalItem, ItemScore, LoadedBenchmark, Scored } from './item.js';
import { type FileRequest, type FileScores, factsOf, readFileAnswers } from './score-file.js';

const SUBTASKS: readonly MmeSubtask[] = [...PERCEPTION, ...COGNITION];
const NUM_QUESTIONS = 2374;
const PICTURE = /\.(jpe?g|png)$/i;

type MmeItem = EvalItem & { readonly label: 'yes' | 'no' };

interface MmeLine {
  readonly picture: string;
  readonly question: string;
  readonly label: 'yes' | 'no';
}

function labelOf(text: string, place: Place): 'yes' | 'no' {
  const label = text.trim().toLowerCase();
  if (label === 'yes' || label === 'no') return label;
  throw place.error(`the label must be Yes or No, but is ${JSON.stringify(text)}.`);
}

const linesOf = (text: string): string[] => text.split(/\r\n|\r|\n/).filter((line) => line.trim() !== '');

/** `<subtask>.txt`: `image<TAB>question<TAB>Yes|No`, two consecutive lines a picture. */
async function readSubtaskTable(path: string): Promise<MmeLine[]> {
  const lines = linesOf(await readText(path)).map((line, i) => {
    const place = new Place(path, `line ${i + 1}`);
    const fields = line.split('\t');
    if (fields.length !== 3) throw place.error(`${fields.length} fields, but three separated by tabs are needed.`);
    return { picture: fields[0]!, question: fields[1]!, label: labelOf(fields[2]!, place) };
  });
  requirePairs(lines, path);
  return lines;
}

function requirePairs(lines: readonly MmeLine[], path: string): void {
  lines.forEach(({ picture }, i) => {
    if (i % 2 === 0 && lines[i + 1]?.picture !== picture) {
      throw new Place(path, `line ${i + 1}`).error(
        `${JSON.stringify(picture)} has one question, two lines in a row are needed.`,
        undefined,
        'eval/wrong-count',
      );
    }
  });
}

/** A subtask of the release: pictures and texts side by side, or in `images` and `questions_answers_YN`. */
async function readSubtaskFolder(path: string, folder: DataFolder): Promise<MmeLine[]> {
  const inFolders = existsSync(join(path, 'questions_answers_YN'));
  const texts = inFolders ? join(path, 'questions_answers_YN') : path;
  const images = inFolders ? join(path, 'images') : path;
  const pictures = existsSync(images) ? readdirSync(images).filter((name) => PICTURE.test(name)) : [];
  const lines: MmeLine[] = [];
  for (const name of readdirSync(texts).sort()) {
    if (!name.endsWith('.txt')) continue;
    const file = join(texts, name);
    const stem = name.slice(0, -'.txt'.length);
    const picture = pictures.find((candidate) => candidate.replace(PICTURE, '') === stem);
    if (picture === undefined) {
      throw new CommError(`${file}: its picture ${stem}.jpg or .png is not in ${images}.`, {
        code: 'eval/no-picture',
        fix: 'The pictures of some subtasks are a download of their own; put them there.',
      });
    }
    folder.noteFile('questions', file);
    const questions = linesOf(await readText(file)).map((line, i) => {
      const place = new Place(file, `line ${i + 1}`);
      const fields = line.split('\t');
      if (fields.length !== 2) throw place.error(`${fields.length} fields, but two separated by a tab are needed.`);
      return {
        picture: join(images, picture),
        question: fields[0]!,
        label: labelOf(fields[1]!, place),
      };
    });
    if (questions.length !== 2) {
      throw new Place(file).error(
        `${questions.length} questions, but each picture has two.`,
        undefined,
        'eval/wrong-count',
      );
    }
    lines.push(...questions);
  }
  return lines;
}

/** The subtasks that are there, in MME's order; the release must have all of a part or none. */
async function readSubtasks(root: string, folder: DataFolder): Promise<Map<MmeSubtask, MmeLine[]>> {
  const tasks = new Map<MmeSubtask, MmeLine[]>();
  const isThere = (name: string): 'folder' | 'table' | undefined => {
    if (statSync(join(root, name), { throwIfNoEntry: false })?.isDirectory()) return 'folder';
    return existsSync(join(root, `${name}.txt`)) ? 'table' : undefined;
  };
  const found = SUBTASKS.filter((name) => isThere(name) !== undefined);
  for (const name of folder.chooseSplits(found) as readonly MmeSubtask[]) {
    if (isThere(name) === 'folder') {
      tasks.set(name, await readSubtaskFolder(join(root, name), folder));
      continue;
    }
    const path = join(root, `${name}.txt`);
    folder.noteFile('questions', path);
    tasks.set(name, await readSubtaskTable(path));
  }
  if (tasks.size === 0) {
    throw new CommError(`${root}: none of MME's subtasks is there.`, {
      code: 'eval/no-data',
      fix: `They are folders or .txt files: ${SUBTASKS.join(', ')}.`,
    });
  }
  return tasks;
}

/** Question `i` of a subtask; two in a row are about one picture. */
function itemOf(
  subtask: MmeSubtask,
  i: number,
  { question, label }: Pick<MmeLine, 'question' | 'label'>,
  picture: string,
): MmeItem {
  const unit = `${subtask}/${Math.floor(i / 2) + 1}`;
  return { id: `${subtask}/${i + 1}`, unit, group: subtask, picture, words: { question }, label };
}

async function load(folder: DataFolder): Promise<LoadedBenchmark> {
  const { role, path } = folder.needOneOf(['release-folder', 'tables-folder']);
  const tasks = await readSubtasks(path, folder);
  const numQuestions = [...tasks.values()].reduce((sum, lines) => sum + lines.length, 0);
  const isRelease = role === 'release-folder' && tasks.size === SUBTASKS.length;
  folder.checkCount(
    path,
    numQuestions,
    'questions',
    isRelease ? { [path.split(/[\\/]/).at(-1) as string]: NUM_QUESTIONS } : {},
  );
  const items: MmeItem[] = [];
  for (const [subtask, lines] of tasks) {
    const wanted = lines.map(({ picture }, i) => ({
      id: `${subtask} line ${i + 1}`,
      names: role === 'tables-folder' ? [picture, join(subtask, picture)] : [picture],
    }));
    const keys =
      role === 'tables-folder' ? folder.findPictures(wanted) : lines.map(({ picture }) => folder.keyOf(picture));
    items.push(...lines.map((line, i) => itemOf(subtask, i, line, keys[i]!)));
  }
  return { items, score: (some, answers, reader) => score(some as MmeItem[], answers, reader as MmeReader) };
}

type SubtaskFigures = ReadonlyMap<string, { readonly acc: number; readonly accPlus: number; readonly score: number }>;

/** Sums of the parts that are whole, then each subtask. */
function joinSubtasks(figures: SubtaskFigures): Record<string, number> {
  const total = (subtasks: readonly string[]): number =>
    subtasks.reduce((sum, name) => sum + (figures.get(name)?.score ?? 0), 0);
  const parts = Object.entries({ perception: PERCEPTION, cognition: COGNITION }).filter(([, names]) =>
    names.every((name) => figures.has(name)),
  );
  return Object.fromEntries([
    ...parts.map(([part, names]) => [part, total(names)] as const),
    ...(parts.length === 0 ? [['score', total([...figures.keys()])] as const] : []),
    ...[...figures].flatMap(([name, each]) => Object.entries(each).map(([key, value]) => [`${name}.${key}`, value])),
  ]);
}

function score(items: readonly MmeItem[], answers: readonly string[], reader: MmeReader): Scored {
  const scores = new Array<ItemScore>(items.length);
  const figures = new Map<string, { acc: number; accPlus: number; score: number }>();
  for (const subtask of new Set(items.map(({ group }) => group as string))) {
    const places = items.flatMap(({ group }, i) => (group === subtask ? [i] : []));
    const { perItem, ...subtaskFigures } = scoreMmeSubtask(
      places.map((i) => ({ label: items[i]!.label, answer: answers[i]! })),
      { reader },
    );
    figures.set(subtask, subtaskFigures);
    places.forEach((i, k) => {
      const { parsed, hit } = perItem[k]!;
      scores[i] = {
        parsed: parsed === 'other' ? null : parsed,
        target: items[i]!.label,
        correct: hit,
        score: hit ? 1 : 0,
        figures: { hit: hit ? 1 : 0 },
      };
    });
  }
  const joined = joinSubtasks(figures);
  const notes = (['perception', 'cognition'] as const)
    .filter((part) => !(part in joined))
    .map((part) => `No figure for ${part}: not all of its subtasks are there.`);
  return { figures: joined, items: scores, notes };
}

/** Every subtask is scored on its own; a part has a sum when all of its subtasks are there. */
async function scoreFile(request: FileRequest): Promise<FileScores> {
  const tasks = await readMmeFolder(request.predictions, request.subtasks);
  const reader = request.reader as MmeReader;
  const all = [...tasks].flatMap(([subtask, questions]) =>
    questions.map((question, i) => ({ subtask, line: i + 1, ...question })),
  );
  // Every subtask has two lines a picture, so that all lines in a row are pairs too.
  const read = readFileAnswers(
    all.map(({ answer }) => answer),
    request,
    (place) => Math.floor(place / 2),
  );
  const answered = read.places.map((i, k) => ({ ...all[i]!, answer: read.texts[k]! }));
  const figures = new Map<MmeSubtask, MmeFigures>();
  const perItem: Array<Readonly<Record<string, unknown>>> = [];
  for (const subtask of tasks.keys()) {
    const questions = answered.filter((question) => question.subtask === subtask);
    if (questions.length === 0) continue;
    const { perItem: items, ...scores } = scoreMmeSubtask(questions, { reader });
    figures.set(subtask, scores);
    perItem.push(...items.map((item, i) => ({ subtask, line: questions[i]!.line, ...item })));
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
    samples: async () => {
      const items = answered.map((line) => itemOf(line.subtask, line.line - 1, line, `${line.subtask}/${line.image}`));
      return { items, answers: read.given, scored: score(items, read.texts, reader) };
    },
  };
}

export const MME: PublishedBenchmark = {
  name: 'mme',
  summary: 'yes-or-no questions in pairs, fourteen subtasks',
  prompt: 'mme',
  scale: 'percent',
  readers: ['official', 'lmms-eval'],
  roles: [
    {
      role: 'release-folder',
      names: ['MME_Benchmark_release_version/MME_Benchmark', 'MME_Benchmark', 'MME_Benchmark_release_version'],
    },
    { role: 'tables-folder', names: ['eval_tool/Your_Results', 'mme'] },
    { role: 'images', names: ['images'] },
  ],
  load,
  scoreFile,
  // Pictures, questions right, pictures with both right.
  sums: (unit) => {
    const numRight = unit.reduce((sum, { figures }) => sum + (figures['hit'] as number), 0);
    return [1, numRight, numRight === unit.length ? 1 : 0];
  },
  figures: (sums) =>
    joinSubtasks(
      new Map(
        [...sums].map(([subtask, [numPictures = 0, numRight, numBoth]]) => {
          const acc = share(numRight, 2 * numPictures) * 100;
          const accPlus = share(numBoth, numPictures) * 100;
          return [subtask, { acc, accPlus, score: acc + accPlus }];
        }),
      ),
    ),
};
