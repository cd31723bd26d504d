/** Data sets and picture stores of a recipe as values. Every path is relative to the working folder. */
import { z } from 'zod';

export { DataSetConfig, type DataSetOf, TemplateConfig } from './data-sets.js';

const path = z.string().min(1);

/** Where pictures lie. The key of a picture is its path in the folder or archive, or what the key column of a table says. */
export const PictureStoreConfig = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('folder'), folder: path }),
  z.strictObject({ kind: z.literal('zip'), file: path }),
  /** Archives that are one after the other (WebDataset shards); `{000..127}` in a name stands for all of them. */
  z.strictObject({ kind: z.literal('tar'), files: z.array(path).min(1) }),
]);
export type PictureStoreConfig = z.infer<typeof PictureStoreConfig>;
