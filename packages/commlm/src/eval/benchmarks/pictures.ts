/** Pictures by the key that samples carry: a file below the data folder, or a row of a table that holds them in base64. */
import { isAbsolute, join } from 'node:path';
import { readBytesAsync } from '../../files/read.js';
import { Place, readTable } from '../formats/files.js';

const TABLE_KEY = /^(.*\.tsv)#(\d+)$/;

/** The key of a picture that lies in the row `index` of a table. */
export function tablePicture(tableKey: string, index: number): string {
  return `${tableKey}#${index}`;
}

/** Bytes of the pictures of a table by index; a cell may name another row in place of its own picture. */
export async function readTablePictures(path: string): Promise<ReadonlyMap<number, Uint8Array>> {
  const rows = await readTable(path, '\t', ['index', 'image']);
  const cells = new Map(rows.map(({ cells: row }) => [Number(row.get('index')), row.get('image')!]));
  const pictures = new Map<number, Uint8Array>();
  for (const { cells: row, place } of rows) {
    const index = Number(row.get('index'));
    pictures.set(index, decodeBase64(followCell(cells, row.get('image')!, place), place));
  }
  return pictures;
}

function followCell(cells: ReadonlyMap<number, string>, cell: string, place: Place): string {
  if (!/^\d{1,12}$/.test(cell)) return cell;
  const target = cells.get(Number(cell));
  if (target === undefined || /^\d{1,12}$/.test(target)) {
    throw place.error(`the picture is said to be that of row ${cell}, which has none.`);
  }
  return target;
}

function decodeBase64(cell: string, place: Place): Uint8Array {
  const bytes = Buffer.from(cell, 'base64');
  if (cell === '' || bytes.length === 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(cell)) {
    throw place.error('the picture is not base64.', undefined, 'eval/no-picture');
  }
  return bytes;
}

/** Reads pictures by key; tables stay in memory once read. */
export class PictureReader {
  readonly #root: string;
  readonly #tables = new Map<string, Promise<ReadonlyMap<number, Uint8Array>>>();

  /** @param root the data folder */
  constructor(root: string) {
    this.#root = root;
  }

  /** Bytes of an encoded picture. @throws CommError when it is gone */
  async read(key: string): Promise<Uint8Array> {
    const inTable = TABLE_KEY.exec(key);
    if (inTable === null) return this.#readFile(key);
    const path = this.#pathOf(inTable[1]!);
    let table = this.#tables.get(path);
    if (table === undefined) {
      table = readTablePictures(path);
      this.#tables.set(path, table);
    }
    const bytes = (await table).get(Number(inTable[2]));
    if (bytes !== undefined) return bytes;
    throw new Place(path).error(`there is no row ${inTable[2]} with a picture.`, undefined, 'eval/no-picture');
  }

  #readFile(key: string): Promise<Uint8Array> {
    return readBytesAsync(this.#pathOf(key), { what: 'a picture of the data folder' });
  }

  #pathOf(key: string): string {
    return isAbsolute(key) ? key : join(this.#root, key);
  }
}
