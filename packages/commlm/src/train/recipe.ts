/** Recipes by name, with `--set path=value` on top. */
import type { z } from 'zod';
import { CommError } from '../config/errors.js';
import { nearestName } from '../config/json.js';
import { Recipe } from '../config/recipe.js';
import { choicesAt, fieldsAt, isMapOfNumbers, knowsField } from '../config/schema-fields.js';
import { CHANGEABLE } from '../config/train.js';
import { RECIPES } from '../recipes/index.js';
import type { RecipeChange } from './loop/loop.js';

const wrong = (message: string, fix: string): CommError =>
  new CommError(message, { code: 'train/set', fix, exitCode: 2 });

/** Load a recipe by name. */
export async function loadRecipe(name: string): Promise<Recipe> {
  const load = Object.hasOwn(RECIPES, name) ? RECIPES[name] : undefined;
  if (load === undefined) {
    const near = nearestName(name, Object.keys(RECIPES));
    const names = Object.keys(RECIPES).join(', ');
    throw wrong(
      `There is no recipe "${name}".`,
      near === undefined ? `Choose one of ${names}.` : `Did you mean "${near}"?`,
    );
  }
  return (await load()).recipe;
}

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
  checkRecipe(copy);
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
    if (!known) throw unknownField(here, recipe, at);
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

function unknownField(path: readonly string[], recipe: unknown, at: unknown): CommError {
  const key = path.at(-1)!;
  const own = typeof at === 'object' && at !== null ? Object.keys(at).filter((name) => name !== key) : [];
  const near = nearestName(key, new Set([...own, ...fieldsAt(Recipe, path.slice(0, -1), recipe)]));
  return wrong(
    `The recipe has no "${path.join('.')}".`,
    near === undefined ? 'See --dry-run for its fields.' : `Did you mean "${near}"?`,
  );
}

/** Throws a CommError that names the first field of `recipe` that is not as it should be. */
function checkRecipe(recipe: unknown): void {
  const issue = Recipe.safeParse(recipe).error?.issues[0];
  if (issue === undefined) return;
  const value = issue.path.reduce<unknown>(
    (at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key],
    recipe,
  );
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') throw unknownField([...path, issue.keys[0]!], recipe, value);
  const field = `"${path.join('.')}"`;
  if (issue.code === 'invalid_type' && value !== undefined) {
    throw wrong(`${field} takes a ${issue.expected}, not ${JSON.stringify(value)}.`, 'Give a value of that type.');
  }
  const choices = choicesAt(Recipe, issue.path, recipe);
  const near = nearestName(String(value), choices);
  throw wrong(
    `${field} is not valid: ${reasonOf(issue, choices)}.`,
    near === undefined ? 'Give a value in that range.' : `Did you mean "${near}"?`,
  );
}

/** What is wrong with a field that takes one of `choices`, if any; of a union what is wrong with each way to mean it. */
function reasonOf(issue: z.core.$ZodIssue, choices: readonly string[]): string {
  // A union that says nothing of its own says "Invalid input".
  if (issue.code !== 'invalid_union' || issue.message !== 'Invalid input') return issue.message;
  if (issue.errors.length === 0) return `expected one of ${choices.map((choice) => `"${choice}"`).join(', ')}`;
  return [...new Set(issue.errors.flatMap(([first]) => (first === undefined ? [] : reasonOf(first, choices))))].join(
    ', or ',
  );
}
