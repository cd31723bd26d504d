/** An MME results folder: one `<subtask>.txt` for each subtask, lines `image<TAB>question<TAB>Yes|No<TAB>answer`. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CommError } from '../../config/errors.js';
import { COGNITION, type MmeQuestion, type MmeSubtask, PERCEPTION } from '../metrics/mme.js';
import { Place, readText } from './files.js';

const SUBTASKS: readonly string[] = [...PERCEPTION, ...COGNITION];

/** A line of a results file. */
export interface MmeResultLine extends MmeQuestion {
  readonly image: string;
  readonly question: string;
}

/** Reads the subtasks of a folder, or the named ones. Without names a part must be there as a whole or not at all. */
export async function readMmeFolder(
  path: string,
  subtasks?: readonly string[],
): Promise<ReadonlyMap<MmeSubtask, readonly MmeResultLine[]>> {
  const wanted = subtasks ?? (await findSubtasks(path));
  const unknown = wanted.find((name) => !SUBTASKS.includes(name));
  if (unknown !== undefined) {
    throw new CommError(`There is no MME subtask "${unknown}".`, {
      code: 'score/usage',
      fix: `The subtasks are ${SUBTASKS.join(', ')}.`,
      exitCode: 2,
    });
  }
  const tasks = SUBTASKS.filter((name) => wanted.includes(name)) as MmeSubtask[];
  const read = await Promise.all(tasks.map((name) => readMmeFile(join(path, `${name}.txt`))));
  return new Map(tasks.map((name, i) => [name, read[i]!]));
}

async function findSubtasks(path: string): Promise<readonly string[]> {
  let names: string[];
  try {
    names = (await readdir(path)).filter((name) => !name.startsWith('.'));
  } catch (cause) {
    const isFile = (cause as NodeJS.ErrnoException).code === 'ENOTDIR';
    throw new CommError(`${path}: ${isFile ? 'this is a file, a folder is needed' : 'there is no such folder'}.`, {
      code: 'score/unreadable-file',
      fix: 'Give the folder that holds existence.txt and the other result files.',
      cause,
    });
  }
  const place = new Place(path);
  const found = names.filter((name) => name.endsWith('.txt')).map((name) => name.slice(0, -'.txt'.length));
  const unknown = found.find((name) => !SUBTASKS.includes(name));
  if (unknown !== undefined) {
    throw place.error(`${unknown}.txt is not the name of an MME subtask.`, `The subtasks are ${SUBTASKS.join(', ')}.`);
  }
  if (found.length === 0) throw place.error('the folder holds no <subtask>.txt file.');
  for (const [part, subtasks] of [['perception', PERCEPTION] as const, ['cognition', COGNITION] as const]) {
    const missing = subtasks.filter((name) => !found.includes(name));
    if (missing.length > 0 && missing.length < subtasks.length) {
      throw place.error(
        `the ${part} part lacks ${missing.map((name) => `${name}.txt`).join(', ')}.`,
        'A part is not scored from some of its subtasks; name those you want with --subtasks.',
        'score/missing-id',
      );
    }
  }
  return found;
}

async function readMmeFile(path: string): Promise<readonly MmeResultLine[]> {
  const lines = (await readText(path)).split(/\r\n|\r|\n/);
  if (lines.at(-1) === '') lines.pop();
  const images: string[] = [];
  const questions = lines.map((line, i) => {
    const place = new Place(path, `line ${i + 1}`);
    const fields = line.split('\t');
    if (fields.length !== 4) {
      throw place.error(
        `${fields.length} fields, but four separated by tabs are needed.`,
        'Remove line feeds and tabs from the answers before writing them.',
      );
    }
    const [image, question, label, answer] = fields as [string, string, string, string];
    const lower = label.toLowerCase();
    if (lower !== 'yes' && lower !== 'no')
      throw place.error(`the label must be Yes or No, but is ${JSON.stringify(label)}.`);
    if (i % 2 === 1 && images[i - 1] !== image) {
      throw place.error(
        `the image is ${JSON.stringify(image)}, but the line before is about ${JSON.stringify(images[i - 1])}.`,
        'Two lines in a row belong to one image.',
      );
    }
    images.push(image);
    return { image, question, label: lower, answer } as const;
  });
  if (questions.length % 2 !== 0) {
    throw new Place(path).error(`${questions.length} lines, but each image needs two.`, undefined, 'score/wrong-count');
  }
  return questions;
}
