/** Moving away what is damaged: under a name that was not taken, so that nothing is ever lost by it. */
import { existsSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncFolder } from './durable.js';

/** Renames a file or folder to `<path>.damaged`, or with a number where that is taken; gives the new path. */
export function setAside(path: string): string {
  let target = `${path}.damaged`;
  for (let number = 2; existsSync(target); number++) target = `${path}.damaged-${number}`;
  renameSync(path, target);
  syncFolder(dirname(target));
  return target;
}
