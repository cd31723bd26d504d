/** Pictures as files of a folder. */
import { opendir, stat } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { CommError } from '../../config/errors.js';
import { readBytesAsync } from '../../files/read.js';
import { pictureError } from '../fault.js';
import { NearestKeys } from '../nearest-key.js';
import type { PictureStore } from '../sample.js';
import { MAX_PICTURE_BYTES } from './picture-bytes.js';

/** Files of a folder that are looked at to name the one that was meant. */
const MAX_LISTED = 300_000;

/** Opens a folder; keys are paths in it. @throws CommError `data/picture` when there is no such folder. */
export async function openFolder(folder: string): Promise<PictureStore> {
  const root = resolve(folder);
  const found = await stat(root).catch(() => undefined);
  if (!found?.isDirectory()) throw pictureError(folder, 'there is no such folder.', { fix: 'Check the path.' });
  const inside = root.endsWith(sep) ? root : root + sep;
  const nearest = new NearestKeys(() => listFiles(root));
  const pathOf = (key: string): string | undefined => {
    const path = resolve(root, key);
    return path.startsWith(inside) ? path : undefined;
  };
  return {
    async read(key) {
      const path = pathOf(key);
      if (path === undefined) {
        const meant = await nearest.find(key);
        throw pictureError(`${folder}, ${key}`, 'the path leads out of the folder.', {
          fix: meant === undefined ? 'Name a folder that holds all pictures.' : `There is ${meant.key}. ${meant.fix}`,
        });
      }
      try {
        return await readBytesAsync(path, { what: 'the picture', limitBytes: MAX_PICTURE_BYTES });
      } catch (error) {
        if (error instanceof CommError && error.code === 'file/missing') throw await nearest.missing(folder, key);
        throw error;
      }
    },
    has: async (key) => {
      const path = pathOf(key);
      return path !== undefined && ((await stat(path).catch(() => undefined))?.isFile() ?? false);
    },
    close: async () => {},
  };
}

/** Paths of the files below a folder, its own first. */
async function listFiles(root: string): Promise<string[]> {
  const files: string[] = [];
  const folders = [''];
  for (const folder of folders) {
    const entries = await opendir(join(root, folder)).catch(() => undefined);
    if (entries === undefined) continue;
    for await (const entry of entries) {
      const key = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) folders.push(key);
      else files.push(key);
      if (files.length === MAX_LISTED) return files;
    }
  }
  return files;
}
