/**
 * A file of questions to a file of answers: in order, resumable after a kill, a bad line never stops the rest.
 *
 * in.jsonl             {"id": 1, "image": "a.jpg", "question": "..."}; "images" for a list, neither for text alone
 * out.jsonl            the object of `ask --json` plus "id" as it was written, or {"id", "error"}
 * out.jsonl.run.jsonl  what the output belongs to, see answer-file-record.ts
 *
 * Line k of the output answers the k-th non-empty line of the input, so the output itself is the record of what is done.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  realpathSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { anything, type Checks, checkOptions } from '../config/check-options.js';
import { CommError } from '../config/errors.js';
import { isAboutRoom, refuseInputAsOutput, writeError } from '../files/durable.js';
import { lockFile } from '../files/lock.js';
import { checkFile } from '../files/read.js';
import type { PictureSettings } from '../images/picture.js';
import type { Answer, BatchAnswerer, DecodingSettings, PlainRequest } from './answer.js';
import { linesOf, type QuestionLine, readQuestionLines } from './answer-file-lines.js';
import {
  type AnswerFileHead,
  AnswerFileRecord,
  changedInput,
  checkRecord,
  foreign,
  recordOf,
  recordPath,
} from './answer-file-record.js';
import { planRedo, type RedoneLine, writeRedone } from './answer-file-redo.js';

/** Settings of a run over a file. */
export interface AnswerFileOptions extends DecodingSettings, PictureSettings {
  /** System prompt of lines that have none of their own. */
  readonly system?: string | undefined;
  /** Questions answered together; default 8. The answers do not depend on it. */
  readonly batchSize?: number | undefined;
  /** Adds the ids of each answer's tokens to its line. */
  readonly tokens?: boolean | undefined;
  /** Asks again what failed in an earlier run; its lines may have been mended or removed in between. */
  readonly redoFailed?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called after every group with the number of lines written so far, those of earlier runs included. */
  readonly onProgress?: ((numDone: number, numTotal: number) => void) | undefined;
}

const OPTIONS: Checks<AnswerFileOptions> = {
  maxNewTokens: anything,
  temperature: anything,
  topP: anything,
  seed: anything,
  stop: anything,
  rawOrientation: anything,
  system: anything,
  batchSize: anything,
  tokens: anything,
  redoFailed: anything,
  signal: anything,
  onProgress: anything,
};

/** What a run over a file did. */
export interface AnswerFileSummary {
  /** Lines of the output. */
  readonly numLines: number;
  /** Lines that an earlier run had written. */
  readonly numResumed: number;
  /** Lines that this run has answered. */
  readonly numAnswered: number;
  /** Lines of the output that hold an error, those of earlier runs included. */
  readonly numFailed: number;
}

/** What an earlier run has left in the output. */
interface Done {
  readonly numLines: number;
  readonly numBytes: number;
  /** Of the lines those that hold an error. */
  readonly numFailed: number;
}

/**
 * Answers every line of `input` into `output`, going on where an earlier run was stopped; a line cut off by a kill is
 * written again. One process at a time writes an output. Throws CommError when the files cannot be used, or when what the
 * output holds answers other questions, pictures, settings or another model.
 */
export async function answerFile(
  model: BatchAnswerer,
  input: string,
  output: string,
  options: AnswerFileOptions = {},
): Promise<AnswerFileSummary> {
  checkOptions(options, OPTIONS, { what: 'The options of a file of questions' });
  using _ = lockOutput(input, output);
  const head = headOf(model.identity?.() ?? {}, options);
  const lines = readQuestionLines(input);
  if (options.redoFailed && existsSync(output) && !isDevice(output)) return redo(model, lines, output, head, options);
  const done = await readDone(output, lines, head);
  using record = isDevice(output)
    ? undefined
    : done.numLines > 0
      ? AnswerFileRecord.goOn(output, done.numLines)
      : AnswerFileRecord.begin(output, head);
  const file = openOutput(output);
  let numFailed = 0;
  try {
    if (fstatSync(file).size > done.numBytes) ftruncateSync(file, done.numBytes);
    let position = done.numBytes;
    const batchSize = Math.max(1, options.batchSize ?? 8);
    // Groups start at multiples of the batch size in every run, so a resumed run computes exactly what a whole one does.
    for (let start = done.numLines - (done.numLines % batchSize); start < lines.length; start += batchSize) {
      options.signal?.throwIfAborted();
      const group = lines.slice(start, start + batchSize);
      const numWritten = Math.max(0, done.numLines - start);
      const records = await Promise.all(group.slice(numWritten).map(recordOf));
      const answers = (await answerGroup(model, group, options)).slice(numWritten);
      record?.add(records);
      position += writeLines(file, output, position, answers);
      numFailed += answers.filter(({ failed }) => failed).length;
      options.onProgress?.(start + group.length, lines.length);
    }
    if (record !== undefined) {
      fsyncSync(file);
      refuseRemoved(file, output);
    }
  } finally {
    closeSync(file);
  }
  const numResumed = done.numLines;
  const numAnswered = lines.length - numResumed - numFailed;
  return { numLines: lines.length, numResumed, numAnswered, numFailed: done.numFailed + numFailed };
}

/**
 * Checks the files of a run before a model is loaded; gives the number of lines to do and already done, and how many of these
 * failed. `identity` is that of the model to be loaded. Throws as `answerFile`.
 */
export async function planAnswerFile(
  input: string,
  output: string,
  identity: object,
  options: AnswerFileOptions,
): Promise<{ numTotal: number; numDone: number; numFailed: number }> {
  using _ = lockOutput(input, output);
  const lines = readQuestionLines(input);
  const head = headOf(identity, options);
  const numTotal = lines.length;
  if (options.redoFailed && !isDevice(output)) {
    return { numTotal, numDone: (await planRedo(output, head, lines)).numKept, numFailed: 0 };
  }
  const { numLines: numDone, numFailed } = await readDone(output, lines, head);
  return { numTotal, numDone, numFailed };
}

/** How long answers that were asked again may be unwritten. */
const REDO_WRITE_MS = 10_000;

/**
 * Asks what has no answer and keeps the rest. Output and record are of the present input from the first write on, with an
 * error in each line that was not asked yet, so that a run which is stopped goes on with the same command.
 */
async function redo(
  model: BatchAnswerer,
  lines: readonly QuestionLine[],
  output: string,
  head: AnswerFileHead,
  options: AnswerFileOptions,
): Promise<AnswerFileSummary> {
  const { kept, numKept } = await planRedo(output, head, lines);
  const open = lines.flatMap((line, i) => (kept[i] === undefined ? [{ line, i }] : []));
  const written: RedoneLine[] = [];
  for (const [i, line] of lines.entries()) {
    const waiting = toOutput(line.id, { error: 'It was not asked yet; --redo-failed asks it.' });
    written.push(kept[i] ?? { json: waiting.json, record: await recordOf(line) });
  }
  let numFailed = 0;
  let numDone = numKept;
  let lastWrite = Date.now();
  const batchSize = Math.max(1, options.batchSize ?? 8);
  try {
    for (let start = 0; start < open.length; start += batchSize) {
      options.signal?.throwIfAborted();
      const group = open.slice(start, start + batchSize);
      const records = await Promise.all(group.map(({ line }) => recordOf(line)));
      const answers = await answerGroup(
        model,
        group.map(({ line }) => line),
        options,
      );
      for (const [k, { i }] of group.entries()) written[i] = { json: answers[k]!.json, record: records[k]! };
      numFailed += answers.filter(({ failed }) => failed).length;
      numDone += group.length;
      options.onProgress?.(numDone, lines.length);
      if (Date.now() - lastWrite < REDO_WRITE_MS) continue;
      writeRedone(output, head, written);
      lastWrite = Date.now();
    }
  } finally {
    writeRedone(output, head, written);
  }
  return { numLines: lines.length, numResumed: numKept, numAnswered: open.length - numFailed, numFailed };
}

/** A device takes the answers as they come: it keeps none that could be gone on with. */
function isDevice(output: string): boolean {
  return statSync(output, { throwIfNoEntry: false })?.isCharacterDevice() === true;
}

/** Throws where the path no longer leads to the open file: its answers would be nowhere once it is closed. */
function refuseRemoved(file: number, output: string): void {
  const written = fstatSync(file, { bigint: true });
  const found = statSync(output, { bigint: true, throwIfNoEntry: false });
  if (found !== undefined && found.dev === written.dev && found.ino === written.ino) return;
  throw new CommError(`${output} was removed or replaced while answers were written to it; they are lost.`, {
    code: 'file/output',
    fix: 'Run the command again, and leave the output alone until it ends.',
  });
}

/** One process at a time, by whatever name it knows the output. */
function lockOutput(input: string, output: string): Disposable | undefined {
  checkFile(input, 'the questions');
  if (isDevice(output)) return undefined;
  refuseInputAsOutput(output, [input]);
  refuseInputAsOutput(recordPath(output), [input]);
  // Each name of one file would have a lock of its own.
  if ((statSync(output, { throwIfNoEntry: false })?.nlink ?? 1) > 1) {
    throw new CommError(`${output} is a file with several names (hard links).`, {
      code: 'file/output',
      fix: 'Name another output file, or make a copy of this one in its place.',
      exitCode: 2,
    });
  }
  const folder = dirname(resolve(output));
  const path = existsSync(output)
    ? realpathSync(output)
    : join(existsSync(folder) ? realpathSync(folder) : folder, basename(output));
  return lockFile(`${path}.lock`, {
    doing: 'writes answers to',
    subject: output,
    otherwise: 'name another output file',
  });
}

/** What the answers depend on besides the questions; by the names that users know, since a change is told by them. */
function headOf(identity: object, options: AnswerFileOptions): AnswerFileHead {
  const { maxNewTokens, temperature = 0, topP = 1, seed = 0, stop, system, rawOrientation = false } = options;
  const { tokens = false } = options;
  return { ...identity, maxNewTokens, temperature, topP, seed, stop, system, rawOrientation, tokens };
}

/** A line to write: JSON, and whether it holds an error. */
interface OutputLine {
  readonly json: string;
  readonly failed: boolean;
}

async function answerGroup(
  model: BatchAnswerer,
  group: readonly QuestionLine[],
  options: AnswerFileOptions,
): Promise<OutputLine[]> {
  const requests = group.flatMap(({ content }) => ('error' in content ? [] : [toRequest(content, options)]));
  const { signal } = options;
  const answers = requests.length === 0 ? [] : await model.askBatch(requests, { signal });
  let next = 0;
  return group.map(({ id, content }) => {
    if ('error' in content) return toOutput(id, content);
    const answer = answers[next++] as Answer | CommError;
    if (answer instanceof CommError) return toOutput(id, { error: answer.message });
    const { tokens, ...rest } = answer;
    return toOutput(id, options.tokens ? { ...rest, tokens } : rest);
  });
}

/** The id stands in the line as it was written, first: as a value it might have lost digits. */
function toOutput(id: string, content: object): OutputLine {
  return { json: `{"id":${id},${JSON.stringify(content).slice(1)}`, failed: 'error' in content };
}

function toRequest(
  content: { readonly question: string; readonly images: readonly string[]; readonly system?: string | undefined },
  options: AnswerFileOptions,
): PlainRequest {
  const { maxNewTokens, temperature, topP, seed, stop, system, rawOrientation } = options;
  return { maxNewTokens, temperature, topP, seed, stop, rawOrientation, ...content, system: content.system ?? system };
}

/** Whole lines of an earlier run that answer the first lines of this input; an unfinished last line does not count. */
async function readDone(output: string, lines: readonly QuestionLine[], head: AnswerFileHead): Promise<Done> {
  let numLines = 0;
  let numBytes = 0;
  let numFailed = 0;
  if (!existsSync(output) || isDevice(output)) return { numLines, numBytes, numFailed };
  for (const { bytes, ended } of linesOf(output, 'the answers')) {
    const line = lines[numLines];
    if (line === undefined) throw changedInput(output, `the input has ${lines.length} lines, and this file more`);
    const start = Buffer.from(`{"id":${line.id},"`);
    const answer = ended ? parsed(bytes) : undefined;
    const isOurs = bytes?.subarray(0, start.length).equals(start.subarray(0, ended ? start.length : bytes.length));
    if (!isOurs || (ended && answer === undefined)) {
      const why = `its line ${numLines + 1} is no answer to the id ${line.id}, which line ${line.number} of the input has`;
      throw existsSync(recordPath(output)) ? changedInput(output, why) : foreign(output, why);
    }
    // What a kill cut off; a whole file of somebody else is never taken for it, since the record is missing then.
    if (!ended && existsSync(recordPath(output))) break;
    if (!ended || bytes === undefined) throw foreign(output, 'its last line is not whole');
    numLines++;
    if (answer !== undefined && 'error' in answer) numFailed++;
    numBytes += bytes.length + 1;
  }
  if (numLines > 0) await checkRecord(output, numLines, head, lines);
  return { numLines, numBytes, numFailed };
}

/** The object of a line; undefined for a line that is none. */
function parsed(bytes: Buffer | undefined): object | undefined {
  try {
    return JSON.parse(bytes?.toString() ?? '') as object;
  } catch {
    return undefined;
  }
}

function openOutput(output: string): number {
  try {
    // Opened without truncation: what an earlier run wrote stays.
    return openSync(output, existsSync(output) ? 'r+' : 'w');
  } catch (error) {
    throw writeError(error, output);
  }
}

function writeLines(file: number, output: string, position: number, lines: readonly OutputLine[]): number {
  const bytes = Buffer.from(lines.map(({ json }) => `${json}\n`).join(''));
  try {
    for (let written = 0; written < bytes.length; ) {
      written += writeSync(file, bytes, written, bytes.length - written, position + written);
    }
  } catch (error) {
    throw stoppedWriteError(error, output);
  }
  return bytes.length;
}

/** The error of a run that stops in the middle: what it wrote is kept. */
function stoppedWriteError(error: unknown, output: string): CommError {
  const { message } = writeError(error, output);
  const mend = isAboutRoom(error) ? 'Make room' : 'Mend that';
  return new CommError(message, {
    code: 'file/output',
    fix: `${mend}; the same command goes on where this run ended.`,
    cause: error,
  });
}
