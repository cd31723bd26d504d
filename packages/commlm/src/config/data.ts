/** Data sets and picture stores of a recipe as values. Every path is relative to the working folder. */
import { z } from 'zod';

export { DataSetConfig, type DataSetOf, TemplateConfig } from './data-sets.js';

const path = z.string().min(1);

const TableColumns = z.union([
  z.strictObject({ key: z.string().min(1), image: z.string().min(1) }),
  z.strictObject({ key: z.int().nonnegative(), image: z.int().nonnegative() }),
]);

/** Where pictures lie. The key of a picture is its path in the folder or archive, or what the key column of a table says. */
export const PictureStoreConfig = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('folder'), folder: path }),
  z.strictObject({ kind: z.literal('zip'), file: path }),
  /** Archives that are one after the other (WebDataset shards); `{000..127}` in a name stands for all of them. */
  z.strictObject({ kind: z.literal('tar'), files: z.array(path).min(1) }),
  /** Tables with a column of `{bytes, path}`; keys are the paths, or what the column `key` holds. */
  z.strictObject({
    kind: z.literal('parquet'),
    files: z.array(path).min(1),
    image: z.string().min(1),
    key: z.string().min(1).optional(),
  }),
  /** A table of text, cells parted by tabs, pictures in base64: columns by name, or by number where no line names them. */
  z.strictObject({ kind: z.literal('tsv'), file: path, columns: TableColumns }),
]);
export type PictureStoreConfig = z.infer<typeof PictureStoreConfig>;
