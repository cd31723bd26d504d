/** Picture arguments of commands: files, `-` for stdin, and folders of pictures. */
import { readdirSync, type Stats, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommError } from '../config/errors.js';

const PICTURE_EXTENSIONS = new Set(['.jpg', '.jpeg', '.png', '.webp', '.gif', '.bmp', '.tif', '.tiff', '.avif']);

/** True for a file name that ends as a picture's does. */
export const hasPictureExtension = (name: string): boolean => PICTURE_EXTENSIONS.has(extname(name).toLowerCase());

/** The picture files of a folder by name (sub-folders are not entered); throws CommError when there are none. */
export function picturesIn(folder: string): string[] {
  const files = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && hasPictureExtension(entry.name))
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
const isPath = (picture: string): boolean =>
  picture !== '-' && !/^(data:|file:|blob:|[a-z][a-z0-9+.-]+:\/\/)/i.test(picture);

/** What lies at a path; undefined also for a path that the system does not take. */
function factsOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** True when `path` is an existing folder. */
export function isFolder(path: string): boolean {
  return isPath(path) && factsOf(path)?.isDirectory() === true;
}

/** The paths of picture arguments that lie in files, for what must not write onto one of them. */
export function pathsOf(pictures: readonly string[]): string[] {
  return pictures.flatMap((picture) => {
    if (isPath(picture)) return [picture];
    try {
      return /^file:/i.test(picture) ? [fileURLToPath(picture)] : [];
    } catch {
      return [];
    }
  });
}

/**
 * Throws CommError where the last argument is the picture, or the words of a question stand among the pictures for want of
 * quotes.
 */
export function checkOrder(args: readonly string[]): void {
  const isThere = (arg: string): boolean => arg === '-' || (isPath(arg) && factsOf(arg) !== undefined);
  const looksLikePath = (arg: string): boolean => !isPath(arg) || hasPictureExtension(arg) || /[/\\]/.test(arg);
  const isWord = (arg: string): boolean => !isThere(arg) && !looksLikePath(arg);
  const pictures = args.slice(0, -1);
  const word = pictures.find(isWord);
  if (word === undefined || !args.some(isThere)) return;
  const shown = args.filter((arg) => isThere(arg) || looksLikePath(arg));
  const question = args.filter((arg) => !shown.includes(arg)).join(' ');
  throw new CommError(`"${word}" is no picture.`, {
    code: 'cli/usage',
    fix: `The picture comes first; put the question in quotes: commlm ask ${shown.join(' ')} "${question}"`,
    exitCode: 2,
  });
}

/** Checks that picture arguments exist before a model is loaded for them; throws CommError for a missing file. */
export function checkPicturesExist(paths: readonly string[]): void {
  for (const path of paths) {
    if (!isPath(path) || factsOf(path)) continue;
    throw new CommError(`There is no file ${path}.`, {
      code: 'image/not-found',
      fix: 'Check the path; a relative one starts at the current folder.',
    });
  }
  if (paths.filter((path) => path === '-').length > 1) {
    throw new CommError('Only one picture can come from stdin.', { code: 'cli/stdin', exitCode: 2 });
  }
  if (paths.includes('-') && process.stdin.isTTY) {
    throw new CommError('The picture "-" is read from stdin, but stdin is a terminal.', {
      code: 'cli/stdin',
      fix: 'Pipe a picture in, as in: cat photo.jpg | commlm ask - "What is this?"',
      exitCode: 2,
    });
  }
}
