/** Recipes by name or from a file, with `--set path=value` on top. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { checkFields, unknownField } from '../config/check-fields.js';
import { CommError } from '../config/errors.js';
import { nearestName } from '../config/json.js';
import { Recipe } from '../config/recipe.js';
import { isMapOfNumbers, knowsField } from '../config/schema-fields.js';
import { CHANGEABLE } from '../config/train.js';
import { readJson } from '../files/read.js';
import { isValueFile, nameOfFile, readValueFile } from '../files/value-file.js';
import { RECIPES } from '../recipes/index.js';
import type { RecipeChange } from './loop/loop.js';

const wrong = (message: string, fix: string): CommError =>
  new CommError(message, { code: 'train/set', fix, exitCode: 2 });

/** Load a recipe by name, or from a file: JSON, or a module that exports `recipe`. */
export async function loadRecipe(name: string): Promise<Recipe> {
  if (isValueFile(name)) {
    const recipe = await readValueFile(name, { exported: 'recipe', what: 'the recipe' });
    checkFields(Recipe, recipe, name);
    return recipe;
  }
  const load = Object.hasOwn(RECIPES, name) ? RECIPES[name] : undefined;
  if (load === undefined) {
    const near = nearestName(name, Object.keys(RECIPES));
    const names = Object.keys(RECIPES).join(', ');
    throw wrong(
      `There is no recipe "${name}".`,
      near === undefined ? `Choose one of ${names}, or give a file (./my-recipe.json).` : `Did you mean "${near}"?`,
    );
  }
  return (await load()).recipe;
}

/** The recipe of the run in `out`, as it was resolved when the run began. */
export function recipeOfRun(out: string): Recipe {
  const path = join(out, 'recipe.json');
  if (!existsSync(path)) {
    throw new CommError(`${out} holds no recipe.json, which says how its run goes on.`, {
      code: 'train/no-run',
      fix: 'Name the folder of the run with --out, or the recipe that it began with.',
      exitCode: 2,
    });
  }
  const recipe = readJson(path, { what: 'the recipe of the run' });
  try {
    checkFields(Recipe, recipe, path);
  } catch (error) {
    throw new CommError(`${(error as Error).message} No run goes on by that.`, {
      code: 'train/recipe',
      fix: 'Where an earlier version of this program began the run, go on with that one, or begin anew with another --out.',
      exitCode: 2,
      cause: error,
    });
  }
  return recipe;
}

/** Every recipe by name, with what it does. */
export async function listRecipes(): Promise<{ readonly name: string; readonly about: string }[]> {
  return Promise.all(
    Object.entries(RECIPES).map(async ([name, load]) => ({ name, about: (await load()).recipe.about })),
  );
}

/** What a recipe is called where a folder is named by it. */
export const recipeName = (name: string): string => (isValueFile(name) ? nameOfFile(name) : name);

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A copy of `recipe` with each `path=value` applied; the result has to be a recipe. */
export function applySettings<R extends object>(recipe: R, settings: readonly string[]): R {
  const copy = structuredClone(recipe);
  for (const setting of settings) {
    const split = setting.indexOf('=');
    if (split < 1) throw wrong(`"${setting}" is not path=value.`, 'Write for example --set loop.steps=100.');
    const path = setting.slice(0, split).split('.');
    setField(copy as Fields, path, parseValue(setting.slice(split + 1)));
  }
  checkFields(Recipe, copy, 'The recipe');
  return copy;
}

/**
 * What a run that goes on changes in its recipe, by `path=value` as above.
 * @throws CommError for a field that has to stay what it was
 */
export function changeRecipe(recipe: Recipe, settings: readonly string[]): { recipe: Recipe; change: RecipeChange } {
  const fields: Record<string, unknown> = {};
  for (const setting of settings) {
    const [path = ''] = setting.split('=');
    if (!CHANGEABLE.some((field) => path === field || path.startsWith(`${field}.`))) {
      throw wrong(
        `A run cannot go on with another "${path}".`,
        `It can with other values of ${CHANGEABLE.join(', ')}; for the rest begin anew with another --out.`,
      );
    }
    fields[path] = parseValue(setting.slice(setting.indexOf('=') + 1));
  }
  return { recipe: applySettings(recipe, settings), change: { before: recipe, fields } };
}

type Fields = Record<string, unknown>;

/** Sets the field at `path`; fields on the way that are optional, null, or keys of a map are made. */
function setField(recipe: Fields, path: readonly string[], value: unknown): void {
  let at = recipe;
  for (const [depth, key] of path.entries()) {
    const here = path.slice(0, depth + 1);
    const known = typeof at === 'object' && (Object.hasOwn(at, key) || knowsField(Recipe, here, recipe));
    if (!known) throw unknownField(Recipe, here, recipe, 'The recipe');
    // The keys of a map of numbers are names of the user's, points and all.
    const isLast = depth === path.length - 1 || isMapOfNumbers(Recipe, path.slice(0, depth), recipe);
    if (isLast) {
      at[path.slice(depth).join('.')] = value;
      return;
    }
    at[key] ??= {};
    at = at[key] as Fields;
  }
}
