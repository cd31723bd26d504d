// A file of questions to a file of answers: in order, resumable after a kill, a bad line never stops the rest.
//
//   in.jsonl   {"id": 1, "image": "a.jpg", "question": "..."}      image may be a list; absent for a text-only question
//   out.jsonl  the object of `ask --json` plus "id", or {"id", "error"}
//
// Line k of the output answers the k-th non-empty line of the input, so the output itself is the record of what is done.
import {
  closeSync,
  createReadStream,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { CommError } from '../config/errors.js';
import type { Answer, AskRequest, DecodingSettings } from './answer.js';

/** What answers a group of questions; the session of a model, or anything of its shape. */
export interface Answerer {
  /** One result for each request, in order: the answer, or the error that this request alone ended with. */
  askBatch(
    requests: readonly AskRequest[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<(Answer | CommError)[]>;
}

/** Settings of a run over a file. */
export interface BatchOptions extends DecodingSettings {
  readonly system?: string;
  /** Questions answered together; default 8. The answers do not depend on it. */
  readonly batchSize?: number;
  /** Adds the ids of each answer's tokens to its line. */
  readonly tokens?: boolean;
  readonly signal?: AbortSignal;
  /** Called after every group with the number of lines written so far, those of earlier runs included. */
  readonly onProgress?: (numDone: number, numTotal: number) => void;
}

/** What a run over a file did. */
export interface BatchSummary {
  /** Lines of the output. */
  readonly numLines: number;
  /** Lines that an earlier run had written. */
  readonly numResumed: number;
  readonly numAnswered: number;
  readonly numFailed: number;
}

/** A line of the input: a question, or why it is none. */
type Item = { readonly id: unknown; readonly request: AskRequest } | { readonly id: unknown; readonly error: string };

/**
 * Answers every line of `input` into `output`, going on where an earlier run was stopped; a line cut off by a kill is
 * written again. Throws CommError when the files cannot be used or the output belongs to another input.
 */
export async function answerFile(
  model: Answerer,
  input: string,
  output: string,
  options: BatchOptions = {},
): Promise<BatchSummary> {
  const items = await readItems(input, options);
  const done = await readDone(output, items);
  const file = openOutput(output);
  let numFailed = 0;
  try {
    if (fstatSync(file).size > done.numBytes) ftruncateSync(file, done.numBytes);
    let position = done.numBytes;
    let numWritten = done.numLines;
    const batchSize = Math.max(1, options.batchSize ?? 8);
    // Groups start at multiples of the batch size in every run, so a resumed run computes exactly what a whole one does.
    for (let start = numWritten - (numWritten % batchSize); start < items.length; start += batchSize) {
      options.signal?.throwIfAborted();
      const lines = await answerGroup(model, items.slice(start, start + batchSize), options);
      for (const [i, line] of lines.entries()) {
        if (start + i < numWritten) continue;
        if ('error' in line) numFailed++;
        position += writeLine(file, output, position, line);
        numWritten++;
      }
      options.onProgress?.(numWritten, items.length);
    }
    return {
      numLines: items.length,
      numResumed: done.numLines,
      numAnswered: items.length - done.numLines - numFailed,
      numFailed,
    };
  } finally {
    closeSync(file);
  }
}

/** Checks the two files of a run before a model is loaded; gives the number of lines to do and already done. */
export async function planBatch(input: string, output: string): Promise<{ numTotal: number; numDone: number }> {
  const items = await readItems(input, {});
  return { numTotal: items.length, numDone: (await readDone(output, items)).numLines };
}

async function answerGroup(model: Answerer, group: readonly Item[], options: BatchOptions): Promise<object[]> {
  const requests = group.flatMap((item) => ('request' in item ? [item.request] : []));
  const { signal } = options;
  const answers = requests.length === 0 ? [] : await model.askBatch(requests, signal === undefined ? {} : { signal });
  let next = 0;
  return group.map((item) => {
    if ('error' in item) return { id: item.id, error: item.error };
    const answer = answers[next++] as Answer | CommError;
    if (answer instanceof CommError) return { id: item.id, error: answer.message };
    const { tokens, ...rest } = answer;
    return { id: item.id, ...rest, ...(options.tokens ? { tokens } : {}) };
  });
}

/** Lines of a file, split at newlines alone (readline also splits at U+2028, which JSON leaves in texts). */
async function* linesOf(path: string): AsyncGenerator<{ readonly text: string; readonly ended: boolean }> {
  let held = '';
  for await (const chunk of createReadStream(path, 'utf8')) {
    const lines = (held + (chunk as string)).split('\n');
    held = lines.pop() ?? '';
    for (const text of lines) yield { text, ended: true };
  }
  if (held !== '') yield { text: held, ended: false };
}

async function readItems(input: string, options: BatchOptions): Promise<Item[]> {
  if (!statSync(input, { throwIfNoEntry: false })?.isFile()) {
    throw new CommError(`There is no file ${input}.`, {
      code: 'batch/no-input',
      fix: 'The input is a file of JSON lines.',
    });
  }
  const items: Item[] = [];
  let number = 0;
  for await (const { text } of linesOf(input)) {
    number++;
    const line = number === 1 ? text.replace(/^\uFEFF/, '') : text;
    if (line.trim() !== '') items.push(parseItem(line, number, input, options));
  }
  return items;
}

function parseItem(line: string, number: number, input: string, options: BatchOptions): Item {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { id: null, error: `Line ${number} is not valid JSON.` };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { id: null, error: `Line ${number} is not a JSON object.` };
  }
  const { id, image, question } = value as Record<string, unknown>;
  if (typeof id !== 'string' && typeof id !== 'number') {
    return { id: id ?? null, error: `Line ${number} needs an "id" that is a text or a number.` };
  }
  if (typeof question !== 'string' || question.trim() === '') {
    return { id, error: `Line ${number} needs a "question" that is a text.` };
  }
  const images = image === undefined || image === null ? [] : Array.isArray(image) ? image : [image];
  if (!images.every((path): path is string => typeof path === 'string' && path !== '')) {
    return { id, error: `Line ${number} has an "image" that is not a path or a list of paths.` };
  }
  const { maxNewTokens, temperature, topP, seed, stop, system } = options;
  const request: AskRequest = {
    question,
    images: images.map((path) => locate(path, input)),
    ...(maxNewTokens === undefined ? {} : { maxNewTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(seed === undefined ? {} : { seed }),
    ...(stop === undefined ? {} : { stop }),
    ...(system === undefined ? {} : { system }),
  };
  return { id, request };
}

/** A relative picture lies beside the input file; failing that, it is looked for from the current folder. */
function locate(path: string, input: string): string {
  if (isAbsolute(path) || /^(data|https?):/i.test(path)) return path;
  const beside = join(dirname(resolve(input)), path);
  return !existsSync(beside) && existsSync(path) ? path : beside;
}

/** Whole lines of an earlier run that answer the first lines of this input; an unfinished last line does not count. */
async function readDone(output: string, items: readonly Item[]): Promise<{ numLines: number; numBytes: number }> {
  const size = statSync(output, { throwIfNoEntry: false })?.size ?? 0;
  if (size === 0) return { numLines: 0, numBytes: 0 };
  let numLines = 0;
  let numBytes = 0;
  for await (const { text, ended } of linesOf(output)) {
    if (!ended) break;
    const id = idOf(text);
    if (id === undefined) throw foreign(output, `line ${numLines + 1} is not one of its answers`);
    const item = items[numLines];
    if (item === undefined) throw foreign(output, 'it has more lines than the input');
    if (JSON.stringify(id) !== JSON.stringify(item.id)) {
      throw foreign(
        output,
        `line ${numLines + 1} has the id ${JSON.stringify(id)}, the input ${JSON.stringify(item.id)}`,
      );
    }
    numLines++;
    numBytes += Buffer.byteLength(text) + 1;
  }
  return { numLines, numBytes };
}

/** The id of an answer line, or undefined when the line is no answer. */
function idOf(line: string): unknown {
  try {
    const value = JSON.parse(line) as Record<string, unknown> | null;
    if (typeof value !== 'object' || value === null || !('answer' in value || 'error' in value)) return undefined;
    return value.id;
  } catch {
    return undefined;
  }
}

function foreign(output: string, why: string): CommError {
  return new CommError(`The file ${output} exists, but it does not belong to this input: ${why}.`, {
    code: 'batch/foreign-output',
    fix: 'Choose another output file, or delete this one to start again.',
  });
}

function openOutput(output: string): number {
  try {
    // Opened without truncation: what an earlier run wrote stays.
    return openSync(output, existsSync(output) ? 'r+' : 'w');
  } catch (error) {
    throw writeError(output, error);
  }
}

function writeLine(file: number, output: string, position: number, line: object): number {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
  try {
    for (let written = 0; written < bytes.length; ) {
      written += writeSync(file, bytes, written, bytes.length - written, position + written);
    }
  } catch (error) {
    throw writeError(output, error);
  }
  return bytes.length;
}

function writeError(output: string, error: unknown): CommError {
  const { code, message } = error as NodeJS.ErrnoException;
  const why =
    code === 'ENOSPC'
      ? 'the disk is full'
      : code === 'EACCES' || code === 'EPERM' || code === 'EROFS'
        ? 'there is no permission'
        : code === 'ENOENT' || code === 'ENOTDIR'
          ? 'its folder does not exist'
          : code === 'EISDIR'
            ? 'it is a folder'
            : message;
  return new CommError(`Cannot write ${output}: ${why}.`, {
    code: 'batch/output',
    fix: 'Make room or choose another file; the same command goes on where this run ended.',
    cause: error,
  });
}
