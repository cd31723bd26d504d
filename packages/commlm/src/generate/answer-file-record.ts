/**
 * What a begun output belongs to: a file of JSON lines beside it (`answers.jsonl.run.jsonl`). The first line says who
 * answers and how, each further one which question about which pictures one line of the output answers. It is on the disk
 * before those answers are, so an answer without its record is none of ours.
 */
import { createHash } from 'node:crypto';
import { existsSync, fsyncSync, ftruncateSync, openSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { CommError } from '../config/errors.js';
import { closeDurably, writeAll, writeDurably, writeError } from '../files/durable.js';
import { readBytesAsync } from '../files/read.js';
import { isUrl, linesOf, type QuestionLine } from './answer-file-lines.js';

/** Who answers and how: values that change the answers, by the names that users give them. */
export type AnswerFileHead = Readonly<Record<string, unknown>>;

/** A picture when it was asked about; null when it could not be read. */
type PictureFacts = { readonly size: number; readonly modified: number; readonly sha256: string } | null;

/** What one line of the output answers. */
export interface LineRecord {
  readonly line: string;
  readonly pictures: readonly PictureFacts[];
}

const FORMAT = 'commlm-batch-1';
const MAX_PICTURE_BYTES = 2 ** 29;

/** Where the record of an output lies. */
export const recordPath = (output: string): string => `${output}.run.jsonl`;

/** The record of a line that is about to be answered. */
export async function recordOf(line: QuestionLine): Promise<LineRecord> {
  return { line: lineDigest(line), pictures: await Promise.all(picturePaths(line.content).map(factsOf)) };
}

/** What a line is known by. */
export const lineDigest = ({ text }: QuestionLine): string => digest(text);

/** The whole text of a record. */
export function recordText(head: AnswerFileHead, records: readonly LineRecord[]): string {
  return [{ format: FORMAT, ...head }, ...records].map((line) => `${JSON.stringify(line)}\n`).join('');
}

const picturePaths = (content: QuestionLine['content']): readonly string[] =>
  'error' in content ? [] : content.images.filter((path) => !isUrl(path));

async function factsOf(path: string): Promise<PictureFacts> {
  try {
    const bytes = await readBytesAsync(path, { what: 'the picture', limitBytes: MAX_PICTURE_BYTES });
    return { size: bytes.length, modified: statSync(path).mtimeMs, sha256: digest(bytes) };
  } catch {
    // The answer will say what is wrong with it.
    return null;
  }
}

const digest = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex');

/** A record that is open for further lines. */
export class AnswerFileRecord implements Disposable {
  readonly #fd: number;
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, 'a');
  }

  /** Begins the record of a new output. Throws CommError where another kind of file lies. */
  static begin(output: string, head: AnswerFileHead): AnswerFileRecord {
    const path = recordPath(output);
    if (existsSync(path)) readHead(path, output);
    writeDurably(path, recordText(head, []));
    return new AnswerFileRecord(path);
  }

  /** Goes on with a record behind its first `numLines` lines. */
  static goOn(output: string, numLines: number): AnswerFileRecord {
    const path = recordPath(output);
    let numBytes = 0;
    let number = 0;
    for (const { bytes } of linesOf(path, 'the record of the run')) {
      if (number++ > numLines) break;
      numBytes += (bytes as Buffer).length + 1;
    }
    const record = new AnswerFileRecord(path);
    ftruncateSync(record.#fd, numBytes);
    return record;
  }

  /** Puts the records of the next answers on the disk. */
  add(records: readonly LineRecord[]): void {
    try {
      writeAll(this.#fd, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
      fsyncSync(this.#fd);
    } catch (error) {
      throw writeError(error, this.#path);
    }
  }

  [Symbol.dispose](): void {
    closeDurably(this.#fd);
  }
}

/**
 * Compares what the first `numDone` lines of an output answer with what would be asked now. Throws CommError
 * `batch/foreign-output` that names the first difference.
 */
export async function checkRecord(
  output: string,
  numDone: number,
  head: AnswerFileHead,
  lines: readonly QuestionLine[],
): Promise<void> {
  const path = checkHead(output, head);
  let number = -2;
  for (const { bytes, ended } of linesOf(path, 'the record of the run')) {
    number++;
    if (number < 0) continue;
    if (number >= numDone || !ended) break;
    const line = lines[number]!;
    const record = parse(bytes) as unknown as LineRecord | undefined;
    if (record?.line !== lineDigest(line)) {
      throw changedInput(
        output,
        `line ${line.number} of the input is another one than line ${number + 1} of it answers`,
      );
    }
    await comparePictures(record, line, output);
    if (number === numDone - 1) return;
  }
  if (numDone > 0) throw foreign(output, `${basename(path)} tells of fewer answers than there are`);
}

/** The records of the answers of an output. Throws CommError where they are of another run. */
export function readRecord(output: string, head: AnswerFileHead): readonly LineRecord[] {
  const path = checkHead(output, head);
  const [, ...lines] = linesOf(path, 'the record of the run');
  return lines.flatMap(({ bytes, ended }) => (ended ? [parse(bytes) as unknown as LineRecord] : []));
}

/** The path of the record. Throws CommError where it is not there, or of another model or other settings. */
function checkHead(output: string, head: AnswerFileHead): string {
  const path = recordPath(output);
  if (!existsSync(path)) throw foreign(output, `${basename(path)}, which says what it answers, is not beside it`);
  compareHeads(readHead(path, output), head, output);
  return path;
}

/** Throws CommError where a picture is another one than it was when it was asked about. */
export async function comparePictures(
  record: LineRecord,
  { content, number }: QuestionLine,
  output: string,
): Promise<void> {
  for (const [i, path] of picturePaths(content).entries()) {
    const before = record.pictures[i] ?? null;
    const found = statSync(path, { throwIfNoEntry: false });
    if (before !== null && found?.size === before.size && found.mtimeMs === before.modified) continue;
    const now = await factsOf(path);
    if (now?.sha256 !== before?.sha256) {
      throw foreign(output, `the picture ${path} (line ${number}) has changed since it was asked about`);
    }
  }
}

function compareHeads(before: AnswerFileHead, now: AnswerFileHead, output: string): void {
  for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
    const [was, is] = [before[key], now[key]].map((value) => JSON.stringify(value ?? null));
    if (key === 'format' || was === is) continue;
    // A digest tells nothing to a reader.
    throw foreign(output, key === 'files' ? "the model's files have changed" : `${key} was ${was} and is ${is} now`);
  }
}

function readHead(path: string, output: string): AnswerFileHead {
  const [first] = linesOf(path, 'the record of the run');
  const head = parse(first?.bytes);
  if (head?.['format'] === FORMAT) return head;
  throw new CommError(`${path} is not the record of a batch.`, {
    code: 'batch/foreign-output',
    fix: `Move it away, or name another output than ${output}.`,
  });
}

function parse(bytes: Buffer | undefined): Readonly<Record<string, unknown>> | undefined {
  try {
    const value = JSON.parse(bytes?.toString() ?? '') as unknown;
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** The error of an output that answers something else than is asked. */
export function foreign(output: string, why: string): CommError {
  return new CommError(`The file ${output} exists, but it does not belong to this run: ${why}.`, {
    code: 'batch/foreign-output',
    fix: `Name another output file, undo that change, or remove ${output} to answer everything anew.`,
  });
}

/** The error of an output whose input has changed since. */
export function changedInput(output: string, why: string): CommError {
  return new CommError(`The file ${output} exists, but the input has changed since: ${why}.`, {
    code: 'batch/foreign-output',
    fix: 'If only lines that failed were mended or removed, or new ones added, give the command with --redo-failed: it keeps all answers and asks the rest. Otherwise undo that change, or name another output file.',
  });
}
