/** The input of a batch: one JSON object a line, each a question or a sentence about what is wrong with it. */
import { closeSync, existsSync, readSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { CommError } from '../config/errors.js';
import { nearestName } from '../config/json.js';
import { openRegularFile } from '../files/read.js';
import { type JsonMembers, jsonMembers } from './json-members.js';

/** A line of the input. */
export interface QuestionLine {
  /** Place in the file, from 1. */
  readonly number: number;
  /** The whole line, for telling whether it is still the same. */
  readonly text: string;
  /** The id as it is written in JSON: `"a"`, `1.0`, `12345678901234567890`; `null` where there is none. */
  readonly id: string;
  /** What is asked, or why nothing can be. */
  readonly content: FileQuestion | { readonly error: string };
}

/** A question of the input. */
export interface FileQuestion {
  readonly question: string;
  /** Paths (looked for beside the input) and `data:` URLs. */
  readonly images: readonly string[];
  readonly system?: string | undefined;
}

const KEYS = ['id', 'image', 'images', 'question', 'system'];

/** Longest line; a picture as a `data:` URL fits. */
const MAX_LINE_BYTES = 2 ** 26;
const CHUNK_BYTES = 2 ** 20;
const LINE_FEED = 0x0a;

/** A line of a file: its bytes (undefined when too long), and whether a line feed ended it. */
export interface RawLine {
  readonly bytes: Buffer | undefined;
  readonly ended: boolean;
}

/** Lines of a file, split at line feeds alone. Throws CommError at once for what is no regular file. */
export function* linesOf(path: string, what: string): Generator<RawLine, void, void> {
  const fd = openRegularFile(path, what);
  try {
    // Parts are joined once a line is whole: adding to a text again and again takes the square of its length.
    let parts: Buffer[] = [];
    let length = 0;
    const take = (ended: boolean): RawLine => {
      const line = { bytes: length > MAX_LINE_BYTES ? undefined : Buffer.concat(parts), ended };
      parts = [];
      length = 0;
      return line;
    };
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      const numRead = readSync(fd, chunk, 0, CHUNK_BYTES, null);
      if (numRead === 0) break;
      for (let start = 0; start < numRead; ) {
        const found = chunk.subarray(0, numRead).indexOf(LINE_FEED, start);
        const end = found < 0 ? numRead : found;
        length += end - start;
        if (length <= MAX_LINE_BYTES) parts.push(chunk.subarray(start, end));
        if (found >= 0) yield take(true);
        start = end + 1;
      }
    }
    if (length > 0) yield take(false);
  } finally {
    closeSync(fd);
  }
}

/** Reads the whole input; empty lines are left out. */
export function readQuestionLines(input: string): QuestionLine[] {
  const lines: QuestionLine[] = [];
  let number = 0;
  for (const { bytes } of linesOf(input, 'the questions')) {
    number++;
    const line = toLine(bytes, number, input);
    if (line !== undefined) lines.push(line);
  }
  return lines;
}

function toLine(bytes: Buffer | undefined, number: number, input: string): QuestionLine | undefined {
  const faulty = (error: string, text = '', id = 'null'): QuestionLine => ({ number, text, id, content: { error } });
  if (bytes === undefined) return faulty(`Line ${number} has more than ${MAX_LINE_BYTES} bytes.`);
  if (number === 1 && ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff))) {
    throw new CommError(`${input} is text in UTF-16, not in UTF-8.`, {
      code: 'batch/encoding',
      fix: 'Save it as UTF-8.',
    });
  }
  let text: string;
  try {
    // Strict, since bytes that were replaced would come back as another id or question. Drops a byte order mark.
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: number > 1 }).decode(bytes).trim();
  } catch {
    return faulty(`Line ${number} is not UTF-8 text.`, bytes.toString('latin1'));
  }
  if (text === '') return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return faulty(`Line ${number} is not valid JSON.`, text);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return faulty(`Line ${number} is not a JSON object.`, text);
  }
  const members = jsonMembers(text);
  const id = members.findLast(({ name }) => name === 'id')?.source ?? 'null';
  const wrong = faultOf(value as Record<string, unknown>, members);
  if (wrong !== undefined) return faulty(`Line ${number} ${wrong}.`, text, id);
  return { number, text, id, content: toQuestion(value as Record<string, unknown>, input) };
}

/** What is wrong with a line, as the end of a sentence. */
function faultOf(value: Record<string, unknown>, members: JsonMembers): string | undefined {
  const twice = members.find(({ name }, i) => members.findIndex((other) => other.name === name) < i);
  if (twice !== undefined) return `names "${twice.name}" twice`;
  const { id, image, images, question, system } = value;
  if (typeof id !== 'string' && typeof id !== 'number') return 'needs an "id" that is a text or a number';
  // A key that is not read may hold what was to be asked about.
  const unknown = Object.keys(value).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) {
    const guess = nearestName(unknown, KEYS);
    return `has a key ${JSON.stringify(unknown)} that is not known (${guess === undefined ? `known are ${KEYS.join(', ')}` : `did you mean "${guess}"?`})`;
  }
  if (typeof question !== 'string' || question.trim() === '') return 'needs a "question" that is a text';
  if (system !== undefined && typeof system !== 'string') return 'has a "system" that is not a text';
  if (image !== undefined && images !== undefined) return 'has both "image" and "images"';
  if (images !== undefined && images !== null && !Array.isArray(images)) return 'has "images" that are not a list';
  if (!picturesOf(value).every((path) => typeof path === 'string' && path !== '')) {
    return `has an "${images === undefined ? 'image' : 'images'}" that is not a path or a list of paths`;
  }
  return undefined;
}

function picturesOf({ image, images }: Record<string, unknown>): unknown[] {
  const given = images ?? image;
  return given === undefined || given === null ? [] : Array.isArray(given) ? given : [given];
}

function toQuestion(value: Record<string, unknown>, input: string): FileQuestion {
  const { question, system } = value as { question: string; system?: string };
  const images = picturesOf(value).map((path) => locate(path as string, input));
  return { question, images, system };
}

/** A relative picture lies beside the input file; failing that, it is looked for from the current folder. */
function locate(path: string, input: string): string {
  if (isAbsolute(path) || isUrl(path)) return path;
  const beside = join(dirname(resolve(input)), path);
  return !existsSync(beside) && existsSync(path) ? path : beside;
}

/** Whether a picture is named by a URL, not by a path. */
export const isUrl = (picture: string): boolean => /^(?:data|https?|file):/i.test(picture);
