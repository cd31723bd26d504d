/**
 * A task of the user's: a JSON file that says how to ask, where the questions lie, what their fields are called, and how
 * the answers are scored. It is evaluated, resumed, reported and compared as the published benchmarks are.
 */
import { basename, dirname, extname, resolve } from 'node:path';
import { z } from 'zod';
import { checkFields } from '../../config/check-fields.js';
import { CommError } from '../../config/errors.js';
import { readJson as readJsonFile } from '../../files/read.js';
import { decodeImage } from '../../images/decode.js';
import { COORDINATES } from '../coordinates.js';
import {
  asList,
  asObject,
  type Id,
  idField,
  type JsonObject,
  listField,
  Place,
  readBytes,
  readJson,
  readJsonLines,
} from '../formats/files.js';
import type { EvalPrompt } from '../prompts.js';
import type { Benchmark } from './benchmark.js';
import type { DataFolder } from './data-folder.js';
import type { EvalItem, LoadedBenchmark } from './item.js';
import { TASK_METRIC_NAMES, TASK_METRICS, type TaskEntry, type TaskMetric } from './task-metrics.js';

/** Where a value stands in an entry: `question`, or `conversations.0.value` inside of others. */
const FieldPath = z.string().min(1);

const FieldNames = z.strictObject({
  id: FieldPath.optional().describe('Id of the question, unique; without it questions are counted from 1.'),
  picture: FieldPath.default('image').describe('File name of the picture; null or absent asks without one.'),
  question: FieldPath.default('question').describe('What <question> in the prompt stands for.'),
  hint: FieldPath.default('hint').describe('What <hint> stands for; a line of the prompt without it is left out.'),
  options: FieldPath.default('options').describe(
    'multiple-choice: a list of texts, or an object of letters and texts.',
  ),
  answer: FieldPath.default('answer').describe('What would be right; its form depends on the metric.'),
  kind: FieldPath.optional().describe('Kind of the question: the report filters by it.'),
  width: FieldPath.default('width').describe(
    'box-iou: width of the picture; read from the picture where it is absent.',
  ),
  height: FieldPath.default('height').describe('box-iou: height of the picture, as the width.'),
});

/** The file of a task. */
export const EvalTaskFile = z
  .strictObject({
    $schema: z.string().optional().describe('Place of the schema, for editors.'),
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'small letters, digits, - and _, at most 64')
      .describe('Name in tables and file names; none of the published benchmarks.'),
    summary: z.string().optional().describe('What the task asks, for people.'),
    metric: z.enum(TASK_METRIC_NAMES).describe('How answers are scored.'),
    prompt: z
      .string()
      .min(1)
      .describe('The question as it is asked; <question>, <hint>, <options> and <frame> are filled in.'),
    answer: z
      .enum(['as-is', 'the-answer-is'])
      .default('as-is')
      .describe('the-answer-is: the frame "The answer is X." is taken away before scoring.'),
    coordinates: z
      .enum(COORDINATES)
      .optional()
      .describe('box-iou: the frame in which the model writes boxes (default: square).'),
    data: z.string().min(1).describe('File of the questions: JSON, or JSON lines (.jsonl); a path from this file.'),
    list: z
      .string()
      .min(1)
      .optional()
      .describe('JSON: the key that holds the list of questions, where the file is an object.'),
    pictures: z.string().min(1).default('.').describe('Folder of the pictures; a path from this file.'),
    boxes: z
      .enum(['xyxy', 'xywh'])
      .optional()
      .describe('box-iou: corners (default), or corner, width and height, in pixels.'),
    fields: FieldNames.prefault({}).describe('Names of the fields of each question.'),
  })
  .meta({ title: 'A task of commlm eval', description: 'docs/evaluation.md describes it.' });

/** What a task file holds, its defaults filled in. */
export type EvalTask = z.infer<typeof EvalTaskFile>;

/** Whether a name of `eval` is a task file and no benchmark. */
export const isTaskFile = (name: string): boolean => extname(name) === '.json' || basename(name) !== name;

function taskError(path: string, problem: string, fix: string): CommError {
  return new CommError(`${path}: ${problem}.`, { code: 'eval/task', exitCode: 2, fix });
}

/**
 * The benchmark that a task file describes.
 *
 * @param taken names that it may not have
 * @throws CommError that names the field which is wrong
 */
export function readTask(path: string, taken: readonly string[]): Benchmark {
  const value = readJsonFile(path, { what: 'the task' });
  checkFields(EvalTaskFile, value, path, 'eval/task');
  const task = EvalTaskFile.parse(value);
  if (taken.includes(task.name)) {
    throw taskError(path, `the name "${task.name}" is that of a published benchmark`, 'Give the task another "name".');
  }
  const metric = TASK_METRICS[task.metric];
  const prompt = promptOf(path, task, metric);
  const folder = dirname(resolve(path));
  return {
    ...metric.base,
    name: task.name,
    summary: task.summary ?? task.name,
    metric: task.metric,
    ownPrompt: prompt,
    roles: [
      { role: 'task', names: [resolve(path)] },
      { role: 'data', names: [resolve(folder, task.data)] },
      { role: 'images', names: [resolve(folder, task.pictures)] },
    ],
    load: (data) => load(data, task, metric, prompt),
  };
}

const PLACEHOLDERS = ['question', 'hint', 'options', 'frame'] as const;

/** @throws CommError for placeholders that stand for nothing, and for settings without effect */
function promptOf(path: string, task: EvalTask, metric: TaskMetric): EvalPrompt {
  const found = placeholdersOf(task.prompt);
  const unknown = found.find((word) => !(PLACEHOLDERS as readonly string[]).includes(word));
  if (unknown !== undefined) {
    throw taskError(
      path,
      `prompt: nothing is known for <${unknown}>`,
      `Use ${PLACEHOLDERS.map((word) => `<${word}>`).join(', ')}.`,
    );
  }
  const isChoice = task.metric === 'multiple-choice';
  if (isChoice !== found.includes('options')) {
    const problem = isChoice ? 'prompt: <options> is missing' : 'prompt: <options> belongs to multiple-choice alone';
    throw taskError(
      path,
      problem,
      'Write <options> where the lines "A. ...", "B. ..." are to stand, or choose another metric.',
    );
  }
  if (!metric.hasBoxes) {
    const idle = task.coordinates !== undefined ? 'coordinates' : task.boxes !== undefined ? 'boxes' : undefined;
    if (idle !== undefined) throw taskError(path, `"${idle}" has no effect on ${task.metric}`, `Leave out "${idle}".`);
    if (found.includes('frame'))
      throw taskError(path, `prompt: <frame> belongs to box-iou alone`, 'Leave out <frame>.');
  }
  return {
    template: task.prompt,
    answer: task.answer,
    coordinates: metric.hasBoxes ? (task.coordinates ?? 'square') : undefined,
  };
}

const placeholdersOf = (template: string): string[] => [...template.matchAll(/<(\w+)>/g)].map(([, word]) => word!);

/** A value inside of an entry. */
function valueAt(entry: JsonObject, path: string): unknown {
  let value: unknown = entry;
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as JsonObject)[key];
  }
  return value;
}

/** Text of a field; numbers and true or false are written out. @throws CommError when it is absent or something else */
function textAt(entry: JsonObject, path: string, at: Place): string {
  const value = valueAt(entry, path);
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw at.error(
    value === undefined
      ? `the field "${path}" is missing; found ${Object.keys(entry).join(', ')}.`
      : `"${path}" must be a text.`,
    'Name the right field under "fields" of the task.',
    'eval/task-data',
  );
}

async function readEntries(path: string, list: string | undefined): Promise<{ entry: JsonObject; at: Place }[]> {
  if (extname(path) === '.jsonl') {
    return (await readJsonLines(path)).map(({ value, place }) => ({ entry: value, at: place }));
  }
  const place = new Place(path, '', 'eval/task-data');
  const root = await readJson(path);
  const entries = list === undefined ? asList(root, place) : listField(asObject(root, place), list, place);
  return entries.map((value, i) => {
    const at = place.at(`entry ${i + 1}`);
    return { entry: asObject(value, at), at };
  });
}

async function load(
  folder: DataFolder,
  task: EvalTask,
  metric: TaskMetric,
  prompt: EvalPrompt,
): Promise<LoadedBenchmark> {
  folder.refuseSplits();
  folder.published = false;
  folder.need('task');
  const path = folder.need('data');
  const { fields } = task;
  const entries = await readEntries(path, task.list);
  if (entries.length === 0) throw new Place(path).error('the file holds no questions.', undefined, 'eval/task-data');
  const words = new Set(placeholdersOf(prompt.template));
  const asked = entries.map(({ entry, at }, i) => {
    const text = (name: 'question' | 'hint'): string =>
      valueAt(entry, fields[name]) === undefined && name === 'hint' ? '' : textAt(entry, fields[name], at);
    const read: TaskEntry = {
      answer: valueAt(entry, fields.answer),
      options: valueAt(entry, fields.options),
      width: valueAt(entry, fields.width),
      height: valueAt(entry, fields.height),
      boxes: task.boxes ?? 'xyxy',
      at,
      field: fields.answer,
    };
    const picture = valueAt(entry, fields.picture) ?? null;
    return {
      id: fields.id === undefined ? i + 1 : idField({ id: valueAt(entry, fields.id) }, 'id', at),
      picture: picture === null ? null : textAt(entry, fields.picture, at),
      // The mark of the picture in files of conversations is no part of the question.
      question: words.has('question') ? text('question').replaceAll('<image>', '').trim() : '',
      hint: words.has('hint') ? text('hint') : '',
      kind: fields.kind === undefined ? undefined : textAt(entry, fields.kind, at),
      read,
    };
  });
  const shown = asked.filter(({ picture }) => picture !== null);
  const keys = folder.findPictures(shown.map(({ id, picture }) => ({ id, names: [picture!] })));
  const pictures = new Map<Id, string>(shown.map(({ id }, i) => [id, keys[i]!]));
  const items: EvalItem[] = [];
  for (const { id, question, hint, kind, read } of asked) {
    const picture = pictures.get(id) ?? null;
    const sizeOf = async () => {
      if (picture === null) throw read.at.error('a box needs a picture.', undefined, 'eval/task-data');
      return decodeImage(await readBytes(resolve(folder.root, picture), 'a picture of the task'));
    };
    const item: EvalItem = { id, unit: id, picture, kind, words: { question, hint } };
    items.push(await metric.itemOf(item, read, sizeOf));
  }
  return { items, score: metric.score };
}
