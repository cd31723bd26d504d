/** Opens what a mixture needs of a recipe's data sets and picture stores. */
import type { DataConfig } from '../config/comm-train.js';
import { openDataSet } from './data-sets.js';
import { openPictureStore } from './pictures.js';
import type { OpenedData } from './reader.js';
import type { DataSet, PictureStore } from './sample.js';

/** Opens the named sets, and all stores; throws CommError for files that are missing. */
export async function openData(
  { sets, stores }: Pick<DataConfig, 'sets' | 'stores'>,
  names: readonly string[],
): Promise<OpenedData> {
  const opened = new Map<string, DataSet>();
  for (const name of names) opened.set(name, await openDataSet(sets[name]!, { name }));
  const pictures = new Map<string, PictureStore>();
  for (const [name, store] of Object.entries(stores)) pictures.set(name, await openPictureStore(store));
  return { sets: opened, stores: pictures };
}

/** Number of samples of each set. */
export const sizesOf = (sets: ReadonlyMap<string, DataSet>): Map<string, number> =>
  new Map([...sets].map(([name, { length }]) => [name, length]));
