/** Pictures in parquet files, as Hugging Face's data sets hold them: a column of `{bytes, path}`. */
import { open } from 'node:fs/promises';
import type { AsyncBuffer, FileMetaData } from 'hyparquet';
import { parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors as unpackers } from 'hyparquet-compressors';
import type { CommError } from '../../config/errors.js';
import { checkFile } from '../../files/read.js';
import { pictureError, reasonOf } from '../fault.js';
import { NearestKeys } from '../nearest-key.js';
import type { PictureStore } from '../sample.js';
import { checkPictureSize } from './picture-bytes.js';
import { expandBraces } from './tar.js';

/** Bytes of a group of rows, unpacked: it is read as a whole. */
const MAX_GROUP_BYTES = 2 ** 30;

/** Unpackers that do not make room for a page beyond the limit, whatever it says. */
const compressors = Object.fromEntries(
  Object.entries(unpackers).map(([name, unpack]) => [
    name,
    (input: Uint8Array, size: number): Uint8Array => {
      if (size > MAX_GROUP_BYTES) throw new Error(`a page says that it has ${size} bytes`);
      return unpack(input, size);
    },
  ]),
) as typeof unpackers;

/** Which column holds the pictures, and which the keys: `path` within the pictures if it is not said. */
export interface ParquetColumns {
  readonly image: string;
  readonly key?: string | undefined;
}

/** Rows of a file that are stored together. */
interface Group {
  readonly table: Table;
  readonly rowStart: number;
  readonly rowEnd: number;
}

interface Located {
  readonly group: Group;
  readonly row: number;
}

/**
 * Opens files and reads their keys; pictures are read by groups of rows, of which the last one is kept.
 * @throws CommError `data/picture` for a damaged file, a missing column, or a key that is there twice.
 */
export async function openParquet(patterns: readonly string[], columns: ParquetColumns): Promise<PictureStore> {
  const tables: Table[] = [];
  const rows = new Map<string, Located>();
  const close = async (): Promise<void> => {
    for (const table of tables.splice(0)) await table.close();
  };
  try {
    for (const file of patterns.flatMap(expandBraces)) {
      const table = await Table.open(file);
      tables.push(table);
      await addRows(table, columns, rows);
    }
  } catch (error) {
    await close();
    throw error;
  }
  const place = patterns.join(', ');
  const nearest = new NearestKeys(() => rows.keys());
  let last: { readonly group: Group; readonly bytes: Promise<readonly unknown[]> } | undefined;
  return {
    read: async (key) => {
      const found = rows.get(key);
      if (found === undefined) throw await nearest.missing(place, key);
      const { group, row } = found;
      if (last?.group !== group) last = { group, bytes: group.table.pictures(columns.image, group) };
      const bytes = (await last.bytes)[row - group.rowStart];
      if (bytes instanceof Uint8Array && bytes.length > 0) {
        checkPictureSize(`${place}, ${key}`, bytes.length);
        return bytes;
      }
      throw pictureError(`${place}, ${key}`, `row ${row} holds no bytes.`, {
        fix: 'Use a table with the pictures in it, not only their paths.',
      });
    },
    has: async (key) => rows.has(key),
    close,
  };
}

async function addRows(table: Table, columns: ParquetColumns, rows: Map<string, Located>): Promise<void> {
  for (const group of table.groups()) {
    const keys = await table.keys(columns, group);
    keys.forEach((key, i) => {
      const row = group.rowStart + i;
      if ((typeof key !== 'string' && typeof key !== 'number' && typeof key !== 'bigint') || key === '') {
        throw pictureError(table.file, `row ${row} has no key.`, {
          fix: 'Name a column that tells pictures apart as "key".',
        });
      }
      if (rows.has(String(key))) {
        throw pictureError(`${table.file}, ${key}`, 'the key is there twice.', {
          fix: 'Name a column that tells pictures apart as "key".',
        });
      }
      rows.set(String(key), { group, row });
    });
  }
}

/** One file. */
class Table {
  readonly file: string;
  readonly #buffer: AsyncBuffer;
  readonly #metadata: FileMetaData;
  readonly close: () => Promise<void>;

  private constructor(file: string, buffer: AsyncBuffer, metadata: FileMetaData, close: () => Promise<void>) {
    this.file = file;
    this.#buffer = buffer;
    this.#metadata = metadata;
    this.close = close;
  }

  static async open(file: string): Promise<Table> {
    checkFile(file, 'the pictures');
    const handle = await open(file).catch((cause: unknown) => {
      throw pictureError(file, reasonOf(cause), { cause, fix: 'Check the path.' });
    });
    try {
      const { size } = await handle.stat();
      const buffer: AsyncBuffer = {
        byteLength: size,
        slice: async (start, end = size) => {
          const bytes = new Uint8Array(end - start);
          await handle.read(bytes, 0, bytes.length, start);
          return bytes.buffer;
        },
      };
      return new Table(file, buffer, await parquetMetadataAsync(buffer), () => handle.close());
    } catch (cause) {
      await handle.close();
      throw damaged(file, cause);
    }
  }

  groups(): Group[] {
    let rowStart = 0;
    return this.#metadata.row_groups.map(({ num_rows }) => {
      const group = { table: this, rowStart, rowEnd: rowStart + Number(num_rows) };
      rowStart = group.rowEnd;
      return group;
    });
  }

  async keys({ image, key }: ParquetColumns, group: Group): Promise<readonly unknown[]> {
    this.#require(key ?? image);
    if (key !== undefined) return (await this.#read(key, group, this.#metadata)).map((row) => row[key]);
    const rows = await this.#read(image, group, onlyLeaf(this.#metadata, image, 'path'));
    return rows.map((row) => (row[image] as { path?: unknown } | null)?.path);
  }

  async pictures(image: string, group: Group): Promise<readonly unknown[]> {
    this.#require(image);
    const rows = await this.#read(image, group, this.#metadata);
    return rows.map((row) => {
      const value = row[image] as Uint8Array | { bytes?: unknown } | null;
      return value instanceof Uint8Array ? value : value?.bytes;
    });
  }

  /** @throws CommError `data/picture` for a group that says that it unpacks to more than is read at a time. */
  #checkSize(column: string, { rowStart, rowEnd }: Group): void {
    const group = this.#metadata.row_groups[this.groups().findIndex((other) => other.rowStart === rowStart)];
    const chunks = group?.columns.filter(({ meta_data }) => meta_data?.path_in_schema[0] === column) ?? [];
    const size = chunks.reduce((sum, { meta_data }) => sum + Number(meta_data?.total_uncompressed_size ?? 0), 0);
    if (size <= MAX_GROUP_BYTES) return;
    const rows = `rows ${rowStart} to ${rowEnd - 1}`;
    throw pictureError(this.file, `${rows} have ${size} bytes, more than the ${MAX_GROUP_BYTES} of a group of rows.`, {
      fix: 'Write the table with smaller groups of rows.',
    });
  }

  #require(column: string): void {
    const names = [
      ...new Set(
        this.#metadata.row_groups.flatMap(({ columns }) => columns.map((chunk) => chunk.meta_data?.path_in_schema[0])),
      ),
    ];
    if (this.#metadata.row_groups.length === 0 || names.includes(column)) return;
    throw pictureError(this.file, `there is no column "${column}".`, { fix: `The columns are ${names.join(', ')}.` });
  }

  async #read(column: string, group: Group, metadata: FileMetaData): Promise<Record<string, unknown>[]> {
    const { rowStart, rowEnd } = group;
    this.#checkSize(column, group);
    const options = { file: this.#buffer, metadata, columns: [column], rowStart, rowEnd, compressors, utf8: false };
    try {
      return await parquetReadObjects(options);
    } catch (cause) {
      throw damaged(this.file, cause);
    }
  }
}

function damaged(file: string, cause: unknown): CommError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return pictureError(file, `it cannot be read as parquet: ${reason}.`, { cause, fix: 'Load it again.' });
}

/** The metadata of a table in which a struct has one member only, so that its other members are not read. */
function onlyLeaf(metadata: FileMetaData, struct: string, leaf: string): FileMetaData {
  const at = metadata.schema.findIndex(({ name, num_children }) => name === struct && num_children !== undefined);
  const element = metadata.schema[at];
  const children = metadata.schema.slice(at + 1, at + 1 + (element?.num_children ?? 0));
  const kept = children.filter(({ name, num_children }) => name === leaf && num_children === undefined);
  if (element === undefined || kept.length === 0 || children.some(({ num_children }) => num_children !== undefined)) {
    throw pictureError(struct, `the column is no struct of bytes and ${leaf}.`, {
      fix: 'Name the column of the keys as "key".',
    });
  }
  const schema = [
    ...metadata.schema.slice(0, at),
    { ...element, num_children: 1 },
    ...kept,
    ...metadata.schema.slice(at + 1 + children.length),
  ];
  const row_groups = metadata.row_groups.map((group) => ({
    ...group,
    columns: group.columns.filter(({ meta_data }) => {
      const path = meta_data?.path_in_schema;
      return path?.[0] !== struct || path[1] === leaf;
    }),
  }));
  return { ...metadata, schema, row_groups };
}
