/**
 * The record of what was asked: JSON lines, a head that says which run they belong to, then one line an answer. Lines are
 * appended and synced before anything else is asked, so that after a kill nothing is asked twice; a line that a kill cut off
 * is dropped. Lines may come in any order: an endpoint answers as it likes.
 */
import { constants } from 'node:buffer';
import { closeSync, existsSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { CommError } from '../config/errors.js';
import { whyNoWrite } from '../files/durable.js';
import { readBytes } from '../files/read.js';
import type { Id } from './formats/files.js';

/** One answer, or that there was none. */
export interface LoggedAnswer {
  readonly id: Id;
  /** Asked with a grey picture. */
  readonly blind?: true;
  readonly answer: string;
  readonly finishReason: string;
  /** Why there was no answer; the question is asked again by the next run, and the last line about it counts. */
  readonly unanswered?: string | undefined;
  /** Start of the SHA-256 of the picture that was shown. */
  readonly pictureHash?: string | undefined;
}

/** What all answers of a log share: plain JSON values. */
export type LogHead = Readonly<Record<string, unknown>>;

/** Key of an answer within its log. */
export const answerKey = (id: Id, blind: boolean): string => `${blind ? 'blind' : 'seen'} ${JSON.stringify(id)}`;

/** The error of a record that cannot be gone on with. */
export function foreign(path: string, why: string): CommError {
  return new CommError(`${path} belongs to another run: ${why}.`, {
    code: 'eval/foreign-run',
    fix: 'Name another folder with --out, or delete this one to start again.',
  });
}

/** Where two values differ first, for a message; undefined when they are equal. */
export function firstDifference(before: unknown, now: unknown, path = ''): string | undefined {
  if (JSON.stringify(before) === JSON.stringify(now)) return undefined;
  const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
  if (isObject(before) && isObject(now)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
      const found = firstDifference(before[key], now[key], path === '' ? key : `${path}.${key}`);
      if (found !== undefined) return found;
    }
  }
  const show = (value: unknown): string => (JSON.stringify(value) ?? 'absent').slice(0, 80);
  return `${path} was ${show(before)} and is ${show(now)}`;
}

/** The head and the whole lines of a log, and how many bytes they take. */
function readLog(path: string): { readonly lines: readonly string[]; readonly numBytes: number } {
  const bytes = readBytes(path, { what: 'the record of answers', limitBytes: constants.MAX_STRING_LENGTH });
  const numBytes = bytes.lastIndexOf(0x0a) + 1;
  const text = bytes.toString('utf8', 0, numBytes);
  return { lines: text === '' ? [] : text.slice(0, -1).split('\n'), numBytes };
}

function parseLine(line: string, path: string, number: number): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // said below
  }
  throw foreign(path, `line ${number} is no line of a record of answers`);
}

function collect(lines: readonly string[], path: string, head: LogHead): Map<string, LoggedAnswer> {
  const [first, ...rest] = lines;
  const answers = new Map<string, LoggedAnswer>();
  if (first === undefined) return answers;
  const difference = firstDifference(parseLine(first, path, 1)['run'], head);
  if (difference !== undefined) throw foreign(path, difference);
  for (const [i, line] of rest.entries()) {
    const value = parseLine(line, path, i + 2) as unknown as LoggedAnswer;
    if (typeof value.answer !== 'string') throw foreign(path, `line ${i + 2} holds no answer`);
    answers.set(answerKey(value.id, value.blind === true), value);
  }
  return answers;
}

/** Answers of a log that may not be there; nothing is changed. @throws CommError when it belongs to another run */
export function readAnswers(path: string, head: LogHead): ReadonlyMap<string, LoggedAnswer> {
  return existsSync(path) ? collect(readLog(path).lines, path, head) : new Map();
}

/** A log that is open for appending. */
export class AnswerLog {
  readonly answers: Map<string, LoggedAnswer>;
  readonly #file: number;
  readonly #path: string;
  #position: number;

  /** Opens or starts a log. @throws CommError when the file belongs to another run or cannot be written */
  constructor(path: string, head: LogHead) {
    const found = existsSync(path) ? readLog(path) : { lines: [], numBytes: 0 };
    this.answers = collect(found.lines, path, head);
    this.#path = path;
    this.#position = found.numBytes;
    try {
      this.#file = openSync(path, existsSync(path) ? 'r+' : 'w');
      ftruncateSync(this.#file, found.numBytes);
    } catch (cause) {
      throw this.#writeError(cause);
    }
    if (found.lines.length === 0) this.#write(`${JSON.stringify({ run: head })}\n`);
  }

  /** Adds answers; they are on the disk when this returns. */
  append(answers: readonly LoggedAnswer[]): void {
    this.#write(answers.map((answer) => `${JSON.stringify(answer)}\n`).join(''));
    for (const answer of answers) this.answers.set(answerKey(answer.id, answer.blind === true), answer);
  }

  close(): void {
    closeSync(this.#file);
  }

  #write(text: string): void {
    const bytes = Buffer.from(text);
    try {
      for (let written = 0; written < bytes.length; ) {
        written += writeSync(this.#file, bytes, written, bytes.length - written, this.#position + written);
      }
      fsyncSync(this.#file);
    } catch (cause) {
      throw this.#writeError(cause);
    }
    this.#position += bytes.length;
  }

  #writeError(cause: unknown): CommError {
    return new CommError(`Cannot write ${this.#path}: ${whyNoWrite(cause)}.`, {
      code: 'eval/output',
      fix: 'Make room or choose another folder; the same command goes on where this run ended.',
      cause,
    });
  }
}
