/** Opens picture stores by their configuration. */
import { readFile, stat } from 'node:fs/promises';
import { isAbsolute, join, normalize } from 'node:path';
import type { PictureStoreConfig } from '../config/data.js';
import { CommError } from '../config/errors.js';
import type { PictureStore } from './sample.js';

/** Opens a store. Keys that lead out of its folder are refused. */
export async function openPictureStore({ folder }: PictureStoreConfig): Promise<PictureStore> {
  const pathOf = (key: string): string => {
    const inside = normalize(key);
    if (isAbsolute(inside) || inside.startsWith('..')) {
      throw new CommError(`The picture ${key} lies outside of ${folder}.`, { code: 'data/picture' });
    }
    return join(folder, inside);
  };
  return {
    read: async (key) => {
      const path = pathOf(key);
      try {
        return await readFile(path);
      } catch (error) {
        throw new CommError(`${path} cannot be read: ${(error as Error).message}`, {
          code: 'data/picture',
          cause: error,
        });
      }
    },
    has: async (key) => (await stat(pathOf(key)).catch(() => undefined))?.isFile() === true,
    close: async () => {},
  };
}
