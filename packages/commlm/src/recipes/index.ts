/** Every recipe by name, loaded when asked for: trainings, and models that are put together of published parts. */
import type { AssemblyRecipe } from '../config/assembly.js';
import type { Recipe } from '../config/recipe.js';

type Loaders<R> = Readonly<Record<string, () => Promise<{ readonly recipe: R }>>>;

/** What `commlm train` knows. */
export const RECIPES: Loaders<Recipe> = {
  'tiny-tokenizer': () => import('./tiny-tokenizer.js'),
  'tiny-clip': () => import('./tiny-clip.js'),
  'tiny-dinov2': () => import('./tiny-dinov2.js'),
  'tiny-mae': () => import('./tiny-mae.js'),
  'tiny-deit': () => import('./tiny-deit.js'),
  'tiny-lm': () => import('./tiny-lm.js'),
  'tiny-align': () => import('./tiny-align.js'),
  'tiny-stage1': () => import('./tiny-stage1.js'),
  'tiny-stage2': () => import('./tiny-stage2.js'),
  'clip-vit-l14': () => import('./clip-vit-l14.js'),
  'dinov2-vit-l14': () => import('./dinov2-vit-l14.js'),
  'mae-vit-l16': () => import('./mae-vit-l16.js'),
  'deit3-vit-l16': () => import('./deit3-vit-l16.js'),
  'tiny-own-data': () => import('./tiny-own-data.js'),
  'tiny-overfit': () => import('./tiny-overfit.js'),
  'comm-nano-stage1': () => import('./comm-nano-stage1.js'),
  'comm-nano-stage2': () => import('./comm-nano-stage2.js'),
  'comm-7b-stage1': () => import('./comm-7b-stage1.js'),
  'comm-7b-stage2': () => import('./comm-7b-stage2.js'),
};

/** What `commlm convert --recipe` knows. */
export const ASSEMBLIES: Loaders<AssemblyRecipe> = {
  'comm-7b': () => import('./comm-7b.js'),
  'comm-nano': () => import('./comm-nano.js'),
};
