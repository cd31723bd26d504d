/** Pictures with captions as files have them: LLaVA-Pretrain's JSON, `{image, caption}`, and either as JSON lines. */
import { sampleError } from '../../data/fault.js';
import { readTextAsync } from '../../files/read.js';

/** A picture by its key in the store, and what is said of it. */
export interface CaptionRecord {
  readonly image: string;
  readonly captions: readonly string[];
}

/** A text of the engine ends near 2^29 letters. */
const MAX_BYTES = 2 ** 29 - 2 ** 20;

/** Reads a whole file. @throws CommError `data/sample` with the line or the number of the record. */
export async function readCaptions(file: string): Promise<CaptionRecord[]> {
  const text = await readTextAsync(file, { what: 'the captions', limitBytes: MAX_BYTES });
  const records = /^\s*\[/.test(text) ? parseArray(text, file) : parseLines(text, file);
  if (records.length === 0) throw sampleError(file, 'it holds no record.');
  return records;
}

function parseArray(text: string, file: string): CaptionRecord[] {
  const records = parse(text, file) as unknown[];
  return records.map((record, i) => toRecord(record, `${file}, record ${i + 1}`));
}

function parseLines(text: string, file: string): CaptionRecord[] {
  return text.split('\n').flatMap((line, i) => {
    const where = `${file}:${i + 1}`;
    return line.trim() === '' ? [] : [toRecord(parse(line, where), where)];
  });
}

function parse(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw sampleError(where, `this is not JSON (${(error as Error).message}).`);
  }
}

function toRecord(value: unknown, where: string): CaptionRecord {
  const { image, caption, conversations } = (value ?? {}) as Record<string, unknown>;
  if (typeof image !== 'string' || image === '') throw sampleError(where, 'it names no image.');
  const said =
    caption ?? (Array.isArray(conversations) ? conversations.filter(isAnswer).map(({ value }) => value) : []);
  const captions = (Array.isArray(said) ? said : [said]).filter(
    (text) => typeof text === 'string' && text.trim() !== '',
  );
  if (captions.length === 0) {
    throw sampleError(where, 'it has no caption.', 'Give "caption", or "conversations" with a turn of "gpt".');
  }
  return { image, captions: captions as string[] };
}

const isAnswer = (turn: unknown): turn is { value: unknown } =>
  (turn as { from?: unknown } | null)?.from === 'gpt' && typeof (turn as { value?: unknown }).value === 'string';
