// Picture arguments of commands: files, `-` for stdin, and folders of pictures.
import { readdirSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { CommError } from '../config/errors.js';

const PICTURE_EXTENSIONS = new Set(['.jpg', '.jpeg', '.png', '.webp', '.gif', '.bmp', '.tif', '.tiff', '.avif']);

/** A picture to load: a path or the bytes of a file, and the name to show for it. */
export interface NamedPicture {
  readonly name: string;
  readonly source: string | Uint8Array;
}

/** The picture files of a folder by name (sub-folders are not entered); throws CommError when there are none. */
export function picturesIn(folder: string): string[] {
  const files = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && PICTURE_EXTENSIONS.has(extname(entry.name).toLowerCase()))
    .map((entry) => entry.name)
    .sort((a, b) => (a < b ? -1 : 1));
  if (files.length === 0) {
    throw new CommError(`There is no picture in the folder ${folder}.`, {
      code: 'cli/empty-folder',
      fix: `Pictures are files ending in ${[...PICTURE_EXTENSIONS].join(' ')}.`,
    });
  }
  return files.map((name) => join(folder, name));
}

/** stdin and URLs are no paths: they are the decoder's to read or refuse. */
const isPath = (picture: string): boolean => picture !== '-' && !/^(data|https?):/i.test(picture);

/** True when `path` is an existing folder. */
export function isFolder(path: string): boolean {
  return isPath(path) && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Checks that picture arguments exist before a model is loaded for them; throws CommError for a missing file. */
export function checkPicturesExist(paths: readonly string[]): void {
  for (const path of paths) {
    if (!isPath(path) || statSync(path, { throwIfNoEntry: false })) continue;
    throw new CommError(`There is no file ${path}.`, {
      code: 'image/not-found',
      fix: 'Check the path; a relative one starts at the current folder.',
    });
  }
  if (paths.filter((path) => path === '-').length > 1) {
    throw new CommError('Only one picture can come from stdin.', { code: 'cli/stdin', exitCode: 2 });
  }
}

/** Turns a picture argument into what the library takes; `-` reads all of stdin. */
export async function openPicture(path: string): Promise<NamedPicture> {
  if (path !== '-') return { name: path, source: path };
  if (process.stdin.isTTY) {
    throw new CommError('The picture "-" is read from stdin, but stdin is a terminal.', {
      code: 'cli/stdin',
      fix: 'Pipe a picture in, as in: cat photo.jpg | commlm ask - "What is this?"',
      exitCode: 2,
    });
  }
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return { name: 'stdin', source: Buffer.concat(chunks) };
}
