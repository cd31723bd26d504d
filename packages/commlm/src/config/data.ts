/** Data sets and picture stores of a recipe as values. Every path is relative to the working folder. */
import { z } from 'zod';

export { DataSetConfig, type DataSetOf, TemplateConfig } from './data-sets.js';

const path = z.string().min(1);

const TableColumns = z.union([
  z.strictObject({
    key: z.string().min(1).describe('Name of the column with keys.'),
    image: z.string().min(1).describe('Name of the column with pictures.'),
  }),
  z.strictObject({
    key: z.int().nonnegative().describe('Number of the column with keys, from 0.'),
    image: z.int().nonnegative().describe('Number of the column with pictures, from 0.'),
  }),
]);

/** Where pictures lie. The key of a picture is its path in the folder or archive, or what the key column of a table says. */
export const PictureStoreConfig = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('folder').describe('Files of a folder.'), folder: path.describe('The folder.') }),
  z.strictObject({ kind: z.literal('zip').describe('Files of a zip archive.'), file: path.describe('The archive.') }),
  z.strictObject({
    kind: z
      .literal('tar')
      .describe(
        'Archives that are one after the other (WebDataset shards); `{000..127}` in a name stands for all of them.',
      ),
    files: z.array(path).min(1).describe('The archives, in order.'),
  }),
  z.strictObject({
    kind: z
      .literal('parquet')
      .describe('Tables with a column of `{bytes, path}`; keys are the paths, or what the column `key` holds.'),
    files: z.array(path).min(1).describe('The tables, in order.'),
    image: z.string().min(1).describe('Column with the pictures.'),
    key: z.string().min(1).optional().describe('Column with keys; the paths when absent.'),
  }),
  z.strictObject({
    kind: z
      .literal('tsv')
      .describe(
        'A table of text, cells parted by tabs, pictures in base64; columns by name, or by number where no line names them.',
      ),
    file: path.describe('The table.'),
    columns: TableColumns.describe('Which columns hold keys and pictures, by name or by number.'),
  }),
]);
export type PictureStoreConfig = z.infer<typeof PictureStoreConfig>;
