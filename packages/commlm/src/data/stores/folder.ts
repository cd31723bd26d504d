/** Pictures as files of a folder. */
import { readFile, stat } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { pictureError, reasonOf } from '../fault.js';
import type { PictureStore } from '../sample.js';

/** Opens a folder; keys are paths in it. @throws CommError `data/picture` when there is no such folder. */
export async function openFolder(folder: string): Promise<PictureStore> {
  const root = resolve(folder);
  const found = await stat(root).catch(() => undefined);
  if (!found?.isDirectory()) throw pictureError(folder, 'there is no such folder.', { fix: 'Check the path.' });
  const inside = root.endsWith(sep) ? root : root + sep;
  const pathOf = (key: string): string => {
    const path = resolve(root, key);
    if (path.startsWith(inside)) return path;
    throw pictureError(`${folder}, ${key}`, 'the path leads out of the folder.', {
      fix: 'Name a folder that holds all pictures.',
    });
  };
  return {
    async read(key) {
      try {
        return await readFile(pathOf(key));
      } catch (error) {
        if ((error as Error).name === 'CommError') throw error;
        throw pictureError(`${folder}, ${key}`, reasonOf(error), {
          cause: error,
          fix: 'Put it there, or correct "picture" of the data set, the form of its keys.',
        });
      }
    },
    has: async (key) => (await stat(pathOf(key)).catch(() => undefined))?.isFile() ?? false,
    close: async () => {},
  };
}
