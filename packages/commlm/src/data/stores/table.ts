/** Pictures in base64 in a table of text: a column of keys and a column of pictures, parted by tabs. */
import { pictureError } from '../fault.js';
import { type Lines, openLines } from '../json-records.js';
import { NearestKeys } from '../nearest-key.js';
import type { PictureStore } from '../sample.js';

/** Columns by name (the first line names them) or by number from 0 (there is no such line). */
export type TableColumns =
  | { readonly key: string; readonly image: string }
  | { readonly key: number; readonly image: number };

/** Opens a table and reads its keys. @throws CommError `data/picture` when a row does not fit. */
export async function openTable(file: string, columns: TableColumns): Promise<PictureStore> {
  const lines = openLines(file);
  const rows = listRows(lines);
  const head = typeof columns.key === 'string' ? cellsOf(lines, rows.shift()!) : undefined;
  const [keyAt, imageAt] = [columns.key, columns.image].map((column) => {
    if (head === undefined) return column as number;
    const at = head.indexOf(column as string);
    if (at >= 0) return at;
    throw pictureError(`${file}, line 1`, `there is no column "${column}".`, {
      fix: `The columns are ${head.join(', ')}.`,
    });
  }) as [number, number];
  const byKey = new Map<string, Row>();
  for (const row of rows) {
    const cells = cellsOf(lines, row);
    const where = `${file}, line ${row.first + 1}`;
    const key = cells[keyAt];
    if (key === undefined || cells[imageAt] === undefined) {
      throw pictureError(where, `the row has ${cells.length} cells.`, { fix: 'Cells are parted by tabs.' });
    }
    if (byKey.has(key)) throw pictureError(where, `the key ${key} is there twice.`, { fix: 'Remove one of them.' });
    byKey.set(key, row);
  }
  const nearest = new NearestKeys(() => byKey.keys());
  return {
    async read(key) {
      const row = byKey.get(key);
      if (row === undefined) throw await nearest.missing(file, key);
      const text = cellsOf(lines, row)[imageAt]!;
      if (/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return Buffer.from(text, 'base64');
      throw pictureError(`${file}, line ${row.first + 1}`, 'the picture is not base64.', {
        fix: 'Name the column of the pictures as "image".',
      });
    },
    has: async (key) => byKey.has(key),
    close: async () => {},
  };
}

/** Lines of a row: a quoted cell may hold line ends. */
interface Row {
  readonly first: number;
  readonly last: number;
}

function listRows(lines: Lines): Row[] {
  const rows: Row[] = [];
  let first = 0;
  let isOpen = false;
  for (let i = 0; i < lines.length; i++) {
    const quotes = lines.text(i).match(/"/g)?.length ?? 0;
    if (quotes % 2 === 1) isOpen = !isOpen;
    if (isOpen && i < lines.length - 1) continue;
    rows.push({ first, last: i });
    first = i + 1;
  }
  return rows;
}

function cellsOf(lines: Lines, { first, last }: Row): string[] {
  let text = lines.text(first);
  for (let i = first + 1; i <= last; i++) text += `\n${lines.text(i)}`;
  return text.split('\t').map((cell) => (/^".*"$/s.test(cell) ? cell.slice(1, -1).replaceAll('""', '"') : cell));
}
