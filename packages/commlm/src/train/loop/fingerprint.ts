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

/** The same for recipes that train the same. */
export const fingerprintOf = (recipe: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify(withoutBookkeeping(recipe)))
    .digest('hex')
    .slice(0, 16);

/** Where two recipes differ first: the path of the field, and both values. */
function firstDifference(before: unknown, now: unknown, path: readonly string[] = []): string | undefined {
  if (JSON.stringify(before) === JSON.stringify(now)) return undefined;
  if (isObject(before) && isObject(now)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
      const found = firstDifference(before[key], now[key], [...path, key]);
      if (found !== undefined) return found;
    }
  }
  const shown = (value: unknown): string => (value === undefined ? 'absent' : JSON.stringify(value).slice(0, 80));
  return `${path.join('.')} was ${shown(before)} and is ${shown(now)}`;
}

/** Where a recipe differs first from the one that the run in `out` had, as far as `recipe.json` tells it. */
export function differenceFromRun(out: string, recipe: unknown): string | undefined {
  try {
    const before = readJson(join(out, 'recipe.json'), { what: 'the recipe of the run' });
    // As it is read back: what is undefined is absent.
    const now: unknown = JSON.parse(JSON.stringify(recipe));
    return firstDifference(withoutBookkeeping(before), withoutBookkeeping(now));
  } catch {
    // The file is gone or damaged: then it cannot tell.
    return undefined;
  }
}

/** The error of a checkpoint in `out` that was made by another recipe; names the field where `recipe.json` tells it. */
export function anotherRecipe(out: string, recipe: unknown): CommError {
  const difference = differenceFromRun(out, recipe);
  const where = difference === undefined ? '' : ` (${difference})`;
  return new CommError(`The checkpoint in ${out} belongs to another recipe${where}.`, {
    code: 'train/recipe',
    fix: `Give the recipe and every --set that it was made with again (${join(out, 'recipe.json')} has them all), or another --out.`,
  });
}
