/** Recipes: a whole run as one typed value, by name, with `--set path=value` on top. */
import type { z } from 'zod';
import { CommError } from '../config/errors.js';
import { nearestName } from '../config/json.js';
import type { ASSEMBLED } from '../config/presets.js';
import { ClipPretrainConfig, DeitConfig, DinoConfig, LmConfig, MaeConfig } from '../config/pretrain.js';
import { StageConfig } from '../config/stage.js';
import { CHANGEABLE, LoopConfig } from '../config/train.js';
import type { RecipeChange } from './loop/loop.js';
import type { CommTrainConfig } from './tasks/comm-task.js';
import type { TokenizerRecipeConfig } from './tasks/tokenizer-run.js';

/** What a recipe module exports under the name `recipe`. */
export type Recipe =
  | { readonly kind: 'tokenizer'; readonly about: string; readonly tokenizer: TokenizerRecipeConfig }
  | { readonly kind: 'clip'; readonly about: string; readonly loop: LoopConfig; readonly clip: ClipPretrainConfig }
  | { readonly kind: 'dinov2'; readonly about: string; readonly loop: LoopConfig; readonly dinov2: DinoConfig }
  | { readonly kind: 'mae'; readonly about: string; readonly loop: LoopConfig; readonly mae: MaeConfig }
  | { readonly kind: 'deit'; readonly about: string; readonly loop: LoopConfig; readonly deit: DeitConfig }
  | { readonly kind: 'lm'; readonly about: string; readonly loop: LoopConfig; readonly lm: LmConfig }
  | { readonly kind: 'comm'; readonly about: string; readonly loop: LoopConfig; readonly comm: CommTrainConfig }
  | {
      readonly kind: 'stage';
      readonly about: string;
      readonly loop: LoopConfig;
      readonly stage: StageConfig;
      /** What the model of the recipe is put together as: its shape, for a plan made before the model. */
      readonly assembled?: keyof typeof ASSEMBLED;
    };

/** Every recipe by name, loaded when asked for. */
export const RECIPES: Readonly<Record<string, () => Promise<{ readonly recipe: Recipe }>>> = {
  'tiny-tokenizer': () => import('../recipes/tiny-tokenizer.js'),
  'tiny-clip': () => import('../recipes/tiny-clip.js'),
  'tiny-dinov2': () => import('../recipes/tiny-dinov2.js'),
  'tiny-mae': () => import('../recipes/tiny-mae.js'),
  'tiny-deit': () => import('../recipes/tiny-deit.js'),
  'tiny-lm': () => import('../recipes/tiny-lm.js'),
  'tiny-align': () => import('../recipes/tiny-align.js'),
  'tiny-stage1': () => import('../recipes/tiny-stage1.js'),
  'tiny-towers': () => import('../recipes/tiny-towers.js'),
  'tiny-stage2': () => import('../recipes/tiny-stage2.js'),
  'clip-vit-l14': () => import('../recipes/clip-vit-l14.js'),
  'dinov2-vit-l14': () => import('../recipes/dinov2-vit-l14.js'),
  'mae-vit-l16': () => import('../recipes/mae-vit-l16.js'),
  'deit3-vit-l16': () => import('../recipes/deit3-vit-l16.js'),
  'tiny-own-data': () => import('../recipes/tiny-own-data.js'),
  'tiny-overfit': () => import('../recipes/tiny-overfit.js'),
  'comm-nano-stage1': () => import('../recipes/comm-nano-stage1.js'),
  'comm-nano-stage2': () => import('../recipes/comm-nano-stage2.js'),
  'comm-7b-stage1': () => import('../recipes/comm-7b-stage1.js'),
  'comm-7b-stage2': () => import('../recipes/comm-7b-stage2.js'),
};

const wrong = (message: string, fix: string): CommError =>
  new CommError(message, { code: 'train/set', fix, exitCode: 2 });

/** Load a recipe by name. */
export async function loadRecipe(name: string): Promise<Recipe> {
  const load = RECIPES[name];
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

/** Schemas of a recipe's sections; what a section may hold beyond what is written. Others keep their own fields. */
const SECTIONS: Readonly<Record<string, z.ZodType>> = {
  loop: LoopConfig,
  clip: ClipPretrainConfig,
  dinov2: DinoConfig,
  mae: MaeConfig,
  deit: DeitConfig,
  lm: LmConfig,
  stage: StageConfig,
};

type Shape = { def: { shape?: Record<string, Shape>; innerType?: Shape; valueType?: Shape; type: string } };

/** The schema of a field, or undefined where none tells of it. */
function schemaAt(path: readonly string[]): Shape | undefined {
  const [section = '', ...rest] = path;
  let at = SECTIONS[section] as unknown as Shape | undefined;
  for (const key of rest) at = plain(at)?.def.shape?.[key];
  return plain(at);
}

const plain = (schema: Shape | undefined): Shape | undefined =>
  schema?.def.innerType === undefined ? schema : plain(schema.def.innerType);

/** A copy of `recipe` with each `path=value` applied: the field has to exist, or to be an optional one, and the type to stay. */
export function applySettings<R extends object>(recipe: R, settings: readonly string[]): R {
  const copy = structuredClone(recipe);
  for (const setting of settings) {
    const split = setting.indexOf('=');
    if (split < 1) throw wrong(`"${setting}" is not path=value.`, 'Write for example --set loop.steps=100.');
    const path = setting.slice(0, split).split('.');
    setField(copy as Record<string, unknown>, path, parseValue(setting.slice(split + 1)));
  }
  checkSections(copy);
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

function setField(recipe: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let at = recipe;
  for (const [depth, key] of path.entries()) {
    const here = path.slice(0, depth + 1);
    const last = depth === path.length - 1;
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) {
      const schema = schemaAt(here);
      if (schema === undefined) throw unknownField(here, at);
      at[key] = last ? undefined : {};
    }
    if (!last) {
      // The keys of a record of numbers are names of the user's, points and all.
      const schema = schemaAt(here);
      if (schema?.def.type === 'record' && plain(schema.def.valueType)?.def.type === 'number') {
        (at[key] as Record<string, unknown>)[path.slice(depth + 1).join('.')] = value;
        return;
      }
      at = at[key] as Record<string, unknown>;
      continue;
    }
    checkType(here, at[key], value);
    at[key] = value;
  }
}

function checkType(path: readonly string[], before: unknown, value: unknown): void {
  if (before === null || before === undefined) return;
  if (typeof before === typeof value && Array.isArray(before) === Array.isArray(value)) return;
  throw wrong(
    `"${path.join('.')}" takes a ${typeof before}, not ${JSON.stringify(value)}.`,
    'Give a value of that type.',
  );
}

function unknownField(path: readonly string[], at: unknown): CommError {
  const own = typeof at === 'object' && at !== null ? Object.keys(at) : [];
  const optional = Object.keys(schemaAt(path.slice(0, -1))?.def.shape ?? {});
  const near = nearestName(path.at(-1) as string, new Set([...own, ...optional]));
  return wrong(
    `The recipe has no "${path.join('.')}".`,
    near === undefined ? 'See --dry-run for its fields.' : `Did you mean "${near}"?`,
  );
}

/** Checks the sections that have a schema, and that no field says what another one says otherwise. */
function checkSections(recipe: object): void {
  const sections = recipe as Record<string, Record<string, unknown> | string>;
  for (const [name, schema] of Object.entries(SECTIONS)) {
    if (sections[name] === undefined) continue;
    const issue = schema.safeParse(sections[name]).error?.issues[0];
    if (issue === undefined) continue;
    if (issue.code === 'unrecognized_keys') {
      const path = [name, ...issue.path.map(String)];
      const parent = path.slice(1).reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], sections[name]);
      throw unknownField([...path, issue.keys[0] as string], parent);
    }
    throw wrong(`"${[name, ...issue.path].join('.')}" is not valid: ${issue.message}.`, 'Give a value in that range.');
  }
  const { loop, ...others } = sections;
  if (typeof loop !== 'object') return;
  for (const [name, section] of Object.entries(others)) {
    for (const field of ['batchSize', 'steps']) {
      const own = typeof section === 'object' ? section[field] : undefined;
      if (own === undefined || own === loop[field]) continue;
      throw wrong(
        `loop.${field} is ${loop[field]}, but ${name}.${field} is ${own}.`,
        `Set both, as in --set loop.${field}=${own} --set ${name}.${field}=${own}.`,
      );
    }
  }
}
