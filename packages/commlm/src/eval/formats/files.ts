/** Reading annotation and prediction files: every fault becomes one sentence that names the file and the line or entry. */
import { constants } from 'node:buffer';
import { asObject, type ById, type Id, type JsonObject, Place } from '../../data/place.js';
import { findJsonFault } from '../../files/json-fault.js';
import { readBytesAsync } from '../../files/read.js';

export {
  asList,
  asObject,
  ById,
  type Id,
  idField,
  type JsonObject,
  listField,
  numberField,
  Place,
  stringField,
} from '../../data/place.js';

const SIGNATURES: ReadonlyArray<readonly [bytes: readonly number[], name: string, fix: string]> = [
  [[0x1f, 0x8b], 'gzip data', 'Unpack it first.'],
  [[0x50, 0x4b, 0x03, 0x04], 'a zip archive or an Excel workbook', 'Unpack it, or export the sheet as text.'],
  [[0xff, 0xfe], 'UTF-16 text', 'Save it as UTF-8.'],
  [[0xfe, 0xff], 'UTF-16 text', 'Save it as UTF-8.'],
];

/** Annotations of the largest sets have some hundred megabytes; more cannot be held as one text. */
const LIMIT_BYTES = constants.MAX_STRING_LENGTH;

/** Bytes of a file. @throws CommError when it cannot be read, is no regular file, or a stand-in of one. */
export async function readBytes(path: string, what = 'an input of the evaluation'): Promise<Buffer> {
  return readBytesAsync(path, { what, limitBytes: LIMIT_BYTES });
}

/** UTF-8 text of a file, without a byte order mark. @throws CommError for other encodings, archives and empty files. */
export async function readText(path: string): Promise<string> {
  const bytes = await readBytes(path);
  const place = new Place(path);
  for (const [signature, name, fix] of SIGNATURES) {
    if (signature.every((byte, i) => bytes[i] === byte)) throw place.error(`this is ${name}, not UTF-8 text.`, fix);
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    const line = 1 + bytes.subarray(0, firstInvalidByte(bytes)).filter((byte) => byte === 0x0a).length;
    throw place.at(`line ${line}`).error('the text is not valid UTF-8.', 'Save the file as UTF-8.');
  }
  if (text.includes('\u0000')) throw place.error('the file holds zero bytes, so it is not text.');
  if (text.trim() === '') throw place.error('the file is empty.');
  return text;
}

function firstInvalidByte(bytes: Uint8Array): number {
  let low = 0;
  let high = bytes.length;
  // Decoding a prefix in streaming mode accepts a cut character, so validity is monotone in the length.
  while (low < high) {
    const middle = (low + high) >> 1;
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, middle + 1), { stream: true });
      low = middle + 1;
    } catch {
      high = middle;
    }
  }
  return low;
}

function parseJson(text: string, place: Place, firstLine = 1): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    const { line, column, problem } = findJsonFault(text);
    throw place
      .at(`line ${firstLine + line - 1}, column ${column}`)
      .error(`not valid JSON: ${problem}.`, 'Write the file again with a JSON library; a cut file ends early.');
  }
}

/** The JSON value of a file. */
export async function readJson(path: string): Promise<unknown> {
  return parseJson(await readText(path), new Place(path));
}

/** One line of a JSON-lines file. */
export interface JsonLine {
  readonly value: JsonObject;
  readonly place: Place;
}

/** The objects of a JSON-lines file; blank lines at the end are ignored. */
export async function readJsonLines(path: string): Promise<JsonLine[]> {
  const text = await readText(path);
  const lines = text.replace(/\s+$/, '').split(/\r\n|\n/);
  if (lines[0]?.trimStart().startsWith('[')) {
    throw new Place(path, 'line 1').error(
      'this is a JSON array, one object per line is needed.',
      'Write one JSON object a line, without brackets and commas around them.',
    );
  }
  return lines.map((line, i) => {
    const place = new Place(path, `line ${i + 1}`);
    if (line.trim() === '') throw place.error('the line is blank.', 'Every line must hold one JSON object.');
    return { value: asObject(parseJson(line, new Place(path), i + 1), place), place };
  });
}

/** Rows of a table with a head line, as text cells. */
export interface TableRow {
  readonly cells: ReadonlyMap<string, string>;
  readonly place: Place;
}

/**
 * A table of delimited text with quoted cells (RFC 4180); `columns` must all be there. A quote inside of a cell that does
 * not begin with one is text, as data frames read it, and text behind a closing quote is an error: the parsers of the
 * registry give one or the other, and take many times as long for the pictures in cells of MMBench.
 */
export async function readTable(path: string, delimiter: ',' | '\t', columns: readonly string[]): Promise<TableRow[]> {
  const text = await readText(path);
  const records = splitRecords(text, delimiter, path);
  const head = records[0]?.cells ?? [];
  for (const column of columns) {
    if (!head.includes(column)) {
      throw new Place(path, 'line 1').error(
        `the column "${column}" is missing; found ${head.map((name) => `"${name}"`).join(', ')}.`,
      );
    }
  }
  const repeated = head.find((name, i) => head.indexOf(name) !== i);
  if (repeated !== undefined) throw new Place(path, 'line 1').error(`the column "${repeated}" is there twice.`);
  return records.slice(1).map(({ cells, line }) => {
    const place = new Place(path, `line ${line}`);
    if (cells.length !== head.length) throw place.error(`${cells.length} cells, but the head line has ${head.length}.`);
    return { cells: new Map(head.map((name, i) => [name, cells[i]!])), place };
  });
}

interface TextRecord {
  readonly cells: string[];
  readonly line: number;
}

function splitRecords(text: string, delimiter: string, path: string): TextRecord[] {
  const records: TextRecord[] = [];
  let cells: string[] = [];
  let at = 0;
  let line = 1;
  let recordLine = 1;
  const endRecord = (): void => {
    if (cells.length > 1 || (cells[0] ?? '') !== '') records.push({ cells, line: recordLine });
    cells = [];
    recordLine = line;
  };
  const special = new RegExp(`[${delimiter}\\r\\n]`, 'g');
  while (at < text.length) {
    let cell: string;
    if (text[at] === '"') {
      const start = at + 1;
      let end = start;
      for (;;) {
        end = text.indexOf('"', end);
        if (end < 0) throw new Place(path, `line ${recordLine}`).error('a quoted cell does not end.');
        if (text[end + 1] !== '"') break;
        end += 2;
      }
      cell = text.slice(start, end).replaceAll('""', '"');
      line += cell.split('\n').length - 1;
      at = end + 1;
      if (at < text.length && text[at] !== delimiter && text[at] !== '\r' && text[at] !== '\n') {
        throw new Place(path, `line ${line}`).error('there is text after the closing quote of a cell.');
      }
    } else {
      special.lastIndex = at;
      const end = special.exec(text)?.index ?? text.length;
      cell = text.slice(at, end);
      at = end;
    }
    cells.push(cell);
    if (at >= text.length) break;
    if (text[at] === delimiter) {
      at++;
      if (at === text.length) cells.push('');
      continue;
    }
    at += text[at] === '\r' && text[at + 1] === '\n' ? 2 : 1;
    line++;
    endRecord();
  }
  endRecord();
  return records;
}

const NUM_NAMED = 5;

function nameSome(ids: readonly Id[]): string {
  const shown = ids.slice(0, NUM_NAMED).map((id) => JSON.stringify(id));
  return ids.length > NUM_NAMED ? `${shown.join(', ')} and ${ids.length - NUM_NAMED} more` : shown.join(', ');
}

/** Refuses predictions whose ids are not exactly those of the annotations, naming the ids. */
export function requireSameIds<Value>(
  wanted: ReadonlySet<Id>,
  predictions: ById<Value>,
  noun: string,
  files: { readonly annotations: string; readonly predictions: string },
): void {
  for (const id of predictions.values.keys()) {
    if (wanted.has(id)) continue;
    const twin = typeof id === 'number' ? String(id) : Number(id);
    const hint = wanted.has(twin)
      ? `The annotations have it as ${typeof twin === 'number' ? 'the number' : 'the text'} ${JSON.stringify(twin)}.`
      : 'Predict for these annotations alone.';
    throw (predictions.placeOf(id) ?? new Place(files.predictions)).error(
      `${noun} ${JSON.stringify(id)} is not in ${files.annotations}.`,
      hint,
      'score/extra-id',
    );
  }
  const missing = [...wanted].filter((id) => !predictions.values.has(id));
  if (missing.length > 0) {
    throw new Place(files.predictions).error(
      `${missing.length} of ${wanted.size} ${noun}s have no prediction: ${nameSome(missing)}.`,
      'Predict for all of them; a part is not scored as the whole.',
      'score/missing-id',
    );
  }
}

/** Refuses files that must go line by line but differ in length. */
export function requireSameCount(
  numAnnotations: number,
  numPredictions: number,
  files: { readonly annotations: string; readonly predictions: string },
): void {
  if (numAnnotations === numPredictions) return;
  throw new Place(files.predictions).error(
    `${numPredictions} predictions, but ${files.annotations} has ${numAnnotations} entries.`,
    'Both go line by line in the same order.',
    'score/wrong-count',
  );
}
