/** What has to be the same in a run that goes on: the recipe without its bookkeeping. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { CommError } from '../../config/errors.js';
import { BOOKKEEPING } from '../../config/train.js';
import { readJson } from '../../files/read.js';

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

function withoutBookkeeping(recipe: unknown): unknown {
  const rest: unknown = structuredClone(recipe);
  for (const path of BOOKKEEPING) {
    const sections = path.split('.');
    const field = sections.pop() as string;
    const section = sections.reduce<unknown>((at, name) => (isObject(at) ? at[name] : undefined), rest);
    if (isObject(section)) delete section[field];
  }
  return rest;
}

/** The value with the keys of its objects in one order: what a file lists first means nothing. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (!isObject(value)) return value;
  const keys = Object.keys(value).sort();
  return Object.fromEntries(keys.map((key) => [key, inOrder(value[key])]));
}

/** The same for recipes that train the same, in whatever order they list their fields. */
export const fingerprintOf = (recipe: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify(inOrder(withoutBookkeeping(recipe))))
    .digest('hex')
    .slice(0, 16);

/** Where two recipes differ: the path of each field, and both values. */
function differences(before: unknown, now: unknown, path: readonly string[] = []): string[] {
  if (JSON.stringify(before) === JSON.stringify(now)) return [];
  if (isObject(before) && isObject(now) && Array.isArray(before) === Array.isArray(now)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(now)])];
    return keys.flatMap((key) => differences(before[key], now[key], [...path, key]));
  }
  const shown = (value: unknown): string => (value === undefined ? 'absent' : JSON.stringify(value).slice(0, 80));
  return [`${path.join('.')} was ${shown(before)} and is ${shown(now)}`];
}

/** Where a recipe differs from the one that the run in `out` had, as far as `recipe.json` tells it. */
export function differencesFromRun(out: string, recipe: unknown): string[] {
  try {
    const before = readJson(join(out, 'recipe.json'), { what: 'the recipe of the run' });
    // As it is read back: what is undefined is absent.
    const now: unknown = JSON.parse(JSON.stringify(recipe));
    return differences(withoutBookkeeping(before), withoutBookkeeping(now));
  } catch {
    // The file is gone or damaged: then it cannot tell.
    return [];
  }
}

/** Differences that one sentence names. */
const MOST_SHOWN = 8;

/** The error of a checkpoint in `out` that was made by another recipe; names the fields where `recipe.json` tells them. */
export function anotherRecipe(out: string, recipe: unknown): CommError {
  const found = differencesFromRun(out, recipe);
  const more = found.length > MOST_SHOWN ? `; ${found.length - MOST_SHOWN} more` : '';
  const where = found.length === 0 ? '' : ` (${found.slice(0, MOST_SHOWN).join('; ')}${more})`;
  return new CommError(`The checkpoint in ${out} belongs to another recipe${where}.`, {
    code: 'train/recipe',
    fix: `Leave out the recipe and every --set (${join(out, 'recipe.json')} has them all): --resume --out ${out}; or name another --out.`,
  });
}
