/** MMBench: the TSV of questions with rotated options, and predictions as TSV or JSON. */
import { type MmbenchRow, ROTATION_STEP } from '../metrics/mmbench.js';
import {
  asList,
  asObject,
  ById,
  numberField,
  Place,
  readJson,
  readTable,
  readText,
  stringField,
  type TableRow,
} from './files.js';

/** Cells that a data frame reads as missing; an option spelled so does not exist for the official readers. */
const MISSING_CELLS: ReadonlySet<string> = new Set(
  ['', '#N/A', '#N/A N/A', '#NA', '-1.#IND', '-1.#QNAN', '-NaN', '-nan', '1.#IND', '1.#QNAN', '<NA>', 'N/A'].concat([
    'NA',
    'NULL',
    'NaN',
    'None',
    'n/a',
    'nan',
    'null',
  ]),
);

function readIndex(cells: TableRow['cells'], place: Place): number {
  const text = cells.get('index')!;
  if (!/^\d+$/.test(text)) throw place.error(`"index" must be a whole number, but is ${JSON.stringify(text)}.`);
  return Number(text);
}

/** Reads the question table; every row needs an answer that is one of its options. */
export async function readMmbenchRows(path: string): Promise<readonly MmbenchRow[]> {
  const table = await readTable(path, '\t', ['index', 'question', 'A', 'B', 'answer']);
  const seen = new ById<MmbenchRow>('row');
  for (const { cells, place } of table) {
    const index = readIndex(cells, place);
    const options: Record<string, string> = {};
    for (const [name, cell] of cells) if (/^[A-Z]$/.test(name) && !MISSING_CELLS.has(cell)) options[name] = cell;
    const answer = cells.get('answer')!;
    if (answer === '') {
      throw place.error(
        'the answer is hidden.',
        'Send predictions for the test split to the benchmark server; score the dev split.',
      );
    }
    if (!/^[A-Z]$/.test(answer))
      throw place.error(`"answer" must be an option letter, but is ${JSON.stringify(answer)}.`);
    const category = cells.get('category');
    const l2Category = cells.get('l2-category');
    seen.add(
      index,
      {
        index,
        options,
        answer,
        category,
        l2Category,
      },
      place,
    );
  }
  if (seen.values.size === 0) throw new Place(path).error('the table holds no rows.');
  for (const { index } of seen.values.values()) {
    if (index >= ROTATION_STEP && !seen.values.has(index % ROTATION_STEP)) {
      throw (seen.placeOf(index) as Place).error(
        `row ${index} is a rotation of ${index % ROTATION_STEP}, which is missing.`,
      );
    }
  }
  return [...seen.values.values()];
}

/** Reads predictions: JSON `[{index, prediction}]`, or a TSV with these columns. */
export async function readMmbenchPredictions(path: string): Promise<ById<string>> {
  const predictions = new ById<string>('row');
  const isJson = path.endsWith('.json') || (await readText(path)).trimStart().startsWith('[');
  if (!isJson) {
    for (const { cells, place } of await readTable(path, '\t', ['index', 'prediction'])) {
      const cell = cells.get('prediction')!;
      predictions.add(readIndex(cells, place), MISSING_CELLS.has(cell) ? 'nan' : cell, place);
    }
    return predictions;
  }
  const place = new Place(path);
  asList(await readJson(path), place).forEach((value, i) => {
    const at = place.at(`entry ${i + 1}`);
    const entry = asObject(value, at);
    const index = numberField(entry, 'index', at);
    if (!Number.isSafeInteger(index) || index < 0) throw at.error(`"index" must be a whole number, but is ${index}.`);
    predictions.add(index, stringField(entry, 'prediction', at), at);
  });
  return predictions;
}
