// The recipe argument of the `data` commands.
import { CommError } from '../config/errors.js';
import type { Recipe } from '../train/recipe.js';
import type { StageBatchOptions } from '../train/stage-batches.js';

/** Options that the three commands share. */
export interface RecipeOptions {
  readonly set: readonly string[];
  readonly json?: boolean;
}

/** A recipe by name with its settings. */
export async function recipeOf(name: string, settings: readonly string[]): Promise<Recipe> {
  const { applySettings, loadRecipe } = await import('../train/recipe.js');
  return applySettings(await loadRecipe(name), settings);
}

/** Options of the data threads for the recipe of a stage. */
export async function stageOptions(
  name: string,
  recipe: Recipe,
): Promise<{ batch: StageBatchOptions; workers: number; ahead: number }> {
  if (recipe.kind !== 'stage') {
    throw new CommError(`The recipe ${name} makes its data itself; it reads none.`, {
      code: 'data/no-data',
      fix: 'Name the recipe of a stage, such as tiny-own-data.',
      exitCode: 2,
    });
  }
  const [{ describeStage }, { fetchFolder }, { parseStage }] = await Promise.all([
    import('../train/stage-task.js'),
    import('./pull.js'),
    import('../config/stage.js'),
  ]);
  const stage = parseStage(recipe.stage);
  const batch = describeStage({ ...stage, model: await fetchFolder(stage.model) }, recipe.loop.batchSize);
  return { batch, workers: stage.workers, ahead: stage.ahead };
}
