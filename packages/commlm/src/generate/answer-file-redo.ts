/**
 * Asking again what failed: answers of an earlier run are kept by the lines that they answer, and the others asked anew.
 * In between, lines that failed may have been mended or removed in the input, and new ones added.
 */
import { existsSync } from 'node:fs';
import { writeDurably } from '../files/durable.js';
import { linesOf, type QuestionLine } from './answer-file-lines.js';
import {
  type AnswerFileHead,
  changedInput,
  comparePictures,
  foreign,
  type LineRecord,
  lineDigest,
  readRecord,
  recordPath,
  recordText,
} from './answer-file-record.js';

/** An answer that is kept, as it stands in the output, with its record. */
interface Kept {
  readonly json: string;
  readonly record: LineRecord;
  /** Place in the output, from 1. */
  readonly number: number;
}

/** The output of an earlier run against the input of now. */
export interface RedoPlan {
  /** For each line of the input the answer that is kept, or undefined where it is to be asked. */
  readonly kept: readonly (Kept | undefined)[];
  readonly numKept: number;
}

/**
 * Finds the answers to keep. Throws CommError `batch/foreign-output` when one of them answers a line that the input has no
 * longer, or when settings, model or a picture of a kept answer are others.
 */
export async function planRedo(
  output: string,
  head: AnswerFileHead,
  lines: readonly QuestionLine[],
): Promise<RedoPlan> {
  const answers = readAnswered(output, head);
  let next = 0;
  const kept = lines.map((line) => {
    const answer = answers[next];
    if (answer === undefined || answer.record.line !== lineDigest(line)) return undefined;
    if (!answer.json.startsWith(`{"id":${line.id},"`))
      throw foreign(output, `its line ${answer.number} is of another id`);
    next++;
    return answer;
  });
  const lost = answers[next];
  if (lost !== undefined) {
    throw changedInput(output, `its line ${lost.number} answers a question that the input has no longer in that order`);
  }
  for (const [i, answer] of kept.entries()) {
    if (answer !== undefined) await comparePictures(answer.record, lines[i]!, output);
  }
  return { kept, numKept: answers.length };
}

/** The answers of an output that are none of errors. */
function readAnswered(output: string, head: AnswerFileHead): readonly Kept[] {
  if (!existsSync(output)) return [];
  const texts = [...linesOf(output, 'the answers')].flatMap(({ bytes, ended }) =>
    ended && bytes !== undefined ? [bytes.toString()] : [],
  );
  if (texts.length === 0) return [];
  const records = readRecord(output, head);
  if (records.length < texts.length) {
    throw changedInput(output, 'what is written beside it tells of fewer answers than there are');
  }
  return texts.flatMap((json, i) => {
    return isFailed(json, output, i + 1) ? [] : [{ json, record: records[i]!, number: i + 1 }];
  });
}

/** Whether a line of the output holds an error. Throws CommError for a line that is no answer. */
function isFailed(json: string, output: string, number: number): boolean {
  try {
    return 'error' in (JSON.parse(json) as object);
  } catch {
    throw foreign(output, `its line ${number} is no answer`);
  }
}

/** A line of the output that is to be written, and its record. */
export interface RedoneLine {
  readonly json: string;
  readonly record: LineRecord;
}

/** Writes output and record, each whole or not at all. */
export function writeRedone(output: string, head: AnswerFileHead, lines: readonly RedoneLine[]): void {
  writeDurably(
    recordPath(output),
    recordText(
      head,
      lines.map(({ record }) => record),
    ),
  );
  writeDurably(output, lines.map(({ json }) => `${json}\n`).join(''));
}
