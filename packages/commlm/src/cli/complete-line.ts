/** Tab completion of chat's lines: its commands, and the paths behind those that take one. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { hasPictureExtension } from './pictures.js';
import { printable } from './terminal-text.js';

/** The commands of a conversation; those with a blank take a path. */
const COMMANDS = ['/image ', '/draw ', '/reset', '/help', '/quit'];

/**
 * What may stand in place of the end of a line, and that end, as readline takes them. A path goes to the end of the line,
 * blanks included; only names of folders and pictures are offered.
 */
export function completeLine(line: string): [string[], string] {
  const [command = '', path] = /^(\/(?:image|draw) +)(.*)$/.exec(line)?.slice(1) ?? [];
  if (path !== undefined) return [completePath(path), path];
  return command === '' && line.startsWith('/') ? [COMMANDS.filter((name) => name.startsWith(line)), line] : [[], line];
}

function completePath(path: string): string[] {
  const folder = /^.*[\\/]/.exec(path)?.[0] ?? '';
  const start = path.slice(folder.length);
  return namesIn(folder === '' ? '.' : folder)
    .filter((name) => name.startsWith(start) && (start !== '' || !name.startsWith('.')))
    .map((name) => folder + name);
}

/** Folders (with a slash behind) and pictures of a folder by name; none of a folder that cannot be read. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => printable(name) === name)
      .map((name) => (isFolder(join(folder, name)) ? `${name}/` : name))
      .filter((name) => name.endsWith('/') || hasPictureExtension(name))
      .sort();
  } catch {
    return [];
  }
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
