/** Data sets and picture stores as values. */
import { z } from 'zod';

/** A LLaVA file: a JSON array of `{id, image, conversations: [{from: human | gpt, value}]}`. */
export const DataSetConfig = z.strictObject({
  kind: z.literal('llava'),
  file: z.string().min(1),
  /** Name of the store of its pictures. */
  store: z.string().min(1),
});
export type DataSetConfig = z.infer<typeof DataSetConfig>;

/** A folder of picture files; keys are paths in it. */
export const PictureStoreConfig = z.strictObject({ kind: z.literal('folder'), folder: z.string().min(1) });
export type PictureStoreConfig = z.infer<typeof PictureStoreConfig>;
