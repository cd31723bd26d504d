/** Recipes: a whole run as one typed value, by name, with `--set path=value` on top. */
import { CommError } from '../config/errors.js';
import { nearestName } from '../config/json.js';
import type { StageConfig } from '../config/stage.js';
import type { ClipPretrainConfig } from './clip-task.js';
import type { CommTrainConfig } from './comm-task.js';
import type { DinoConfig } from './dino-task.js';
import type { LoopConfig } from './loop.js';
import type { TokenizerRecipeConfig } from './tokenizer-run.js';

/** What a recipe module exports under the name `recipe`. */
export type Recipe =
  | { readonly kind: 'tokenizer'; readonly about: string; readonly tokenizer: TokenizerRecipeConfig }
  | { readonly kind: 'clip'; readonly about: string; readonly loop: LoopConfig; readonly clip: ClipPretrainConfig }
  | { readonly kind: 'dinov2'; readonly about: string; readonly loop: LoopConfig; readonly dinov2: DinoConfig }
  | { readonly kind: 'comm'; readonly about: string; readonly loop: LoopConfig; readonly comm: CommTrainConfig }
  | { readonly kind: 'stage'; readonly about: string; readonly loop: LoopConfig; readonly stage: StageConfig };

/** Every recipe by name, loaded when asked for. */
export const RECIPES: Readonly<Record<string, () => Promise<{ readonly recipe: Recipe }>>> = {
  'tiny-tokenizer': () => import('../recipes/tiny-tokenizer.js'),
  'tiny-clip': () => import('../recipes/tiny-clip.js'),
  'tiny-dinov2': () => import('../recipes/tiny-dinov2.js'),
  'tiny-align': () => import('../recipes/tiny-align.js'),
  'tiny-stage1': () => import('../recipes/tiny-stage1.js'),
  'tiny-towers': () => import('../recipes/tiny-towers.js'),
  'tiny-stage2': () => import('../recipes/tiny-stage2.js'),
  'tiny-own-data': () => import('../recipes/tiny-own-data.js'),
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

/** A copy of `recipe` with each `path=value` applied: the path has to exist and the type to stay. */
export function applySettings<R extends object>(recipe: R, settings: readonly string[]): R {
  const copy = structuredClone(recipe);
  for (const setting of settings) {
    const split = setting.indexOf('=');
    if (split < 1) throw wrong(`"${setting}" is not path=value.`, 'Write for example --set loop.steps=100.');
    const path = setting.slice(0, split).split('.');
    const value = parseValue(setting.slice(split + 1));
    let at = copy as Record<string, unknown>;
    for (const [depth, key] of path.entries()) {
      if (typeof at !== 'object' || at === null || !(key in at)) {
        const near = typeof at === 'object' && at !== null ? nearestName(key, Object.keys(at)) : undefined;
        const where = path.slice(0, depth + 1).join('.');
        throw wrong(
          `The recipe has no "${where}".`,
          near === undefined ? 'See --dry-run for its fields.' : `Did you mean "${near}"?`,
        );
      }
      if (depth < path.length - 1) {
        at = at[key] as Record<string, unknown>;
        continue;
      }
      const before = at[key];
      if (before !== null && (typeof before !== typeof value || Array.isArray(before) !== Array.isArray(value))) {
        throw wrong(
          `"${path.join('.')}" takes a ${typeof before}, not ${JSON.stringify(value)}.`,
          'Give a value of that type.',
        );
      }
      at[key] = value;
    }
  }
  return copy;
}
