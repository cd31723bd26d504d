// The recipe argument of the `data` commands.
import { CommError } from '../config/errors.js';
import type { StageBatchOptions } from '../train/stage-batches.js';

/** Options that the three commands share. */
export interface RecipeOptions {
  readonly set: readonly string[];
  readonly json?: boolean;
}

/** Options of the data threads for a recipe of a stage. */
export async function stageOptions(
  name: string,
  settings: readonly string[],
): Promise<{ batch: StageBatchOptions; workers: number; ahead: number }> {
  const { applySettings, loadRecipe } = await import('../train/recipe.js');
  const recipe = applySettings(await loadRecipe(name), settings);
  if (recipe.kind !== 'stage') {
    throw new CommError(`The recipe ${name} makes its data itself; it reads none.`, {
      code: 'data/no-data',
      fix: 'Name the recipe of a stage, such as comm-nano-stage1.',
      exitCode: 2,
    });
  }
  const [{ describeStage }, { fetchFolder }] = await Promise.all([
    import('../train/stage-task.js'),
    import('./pull.js'),
  ]);
  const { parseStage } = await import('../config/stage.js');
  const stage = parseStage(recipe.stage);
  const batch = describeStage({ ...stage, model: await fetchFolder(stage.model) }, recipe.loop.batchSize);
  return { batch, workers: stage.workers, ahead: stage.ahead };
}
