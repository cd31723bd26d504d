/** Files that a mixture reads, for people who do not have them yet. */
import { existsSync } from 'node:fs';
import type { MixtureData } from '../../../config/comm-train.js';

/** Fields whose texts are no paths: the form of picture keys, a template. */
const OTHER_TEXTS = ['picture', 'text'];

/** Paths in a part of a recipe: texts with a slash. `{000..127}` stands for several files, of which the first is looked for. */
function pathsIn(value: unknown): string[] {
  if (typeof value === 'string') return value.includes('/') ? [value.replace(/\{(\w+)\.\.\w+\}/, '$1')] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, field]) => (OTHER_TEXTS.includes(key) ? [] : pathsIn(field)));
}

/** Files and folders of the data that are not there, each once. */
export function missingData({ stores, sets }: MixtureData): string[] {
  return [...new Set([...pathsIn(stores), ...pathsIn(sets)])].filter((path) => !existsSync(path));
}
