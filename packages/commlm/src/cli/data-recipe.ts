/** The recipe argument of the `data` commands. */
import { existsSync } from 'node:fs';
import { CommError } from '../config/errors.js';
import type { Recipe } from '../config/recipe.js';
import type { StageConfig } from '../config/stage.js';
import type { StageBatchOptions } from '../train/tasks/stage-batches.js';

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
    import('../train/tasks/stage-task.js'),
    import('./pull.js'),
    import('../config/stage.js'),
  ]);
  const stage = parseStage(recipe.stage);
  refuseMissingSets(name, stage);
  const batch = describeStage({ ...stage, model: await fetchFolder(stage.model) }, recipe.loop.batchSize);
  return { batch, workers: stage.workers, ahead: stage.ahead };
}

/** An entry of a `llava` file, for people who have none yet. */
const LLAVA_ENTRY = JSON.stringify({
  image: 'a.jpg',
  conversations: [
    { from: 'human', value: '<image>\nWhat is in the picture?' },
    { from: 'gpt', value: 'A dog.' },
  ],
}).replace(/([,:])(?=["[{])/g, '$1 ');

/** Throws CommError where a file of conversations is not there: it says what such a file holds. */
export function refuseMissingSets(name: string, { data }: StageConfig): void {
  for (const [set, config] of Object.entries(data.sets)) {
    if (config.kind !== 'llava' || existsSync(config.file)) continue;
    throw new CommError(
      `The recipe ${name} reads its data set "${set}" from ${config.file}, and there is no such file.`,
      {
        code: 'data/missing-set',
        fix: `Put it there, or name yours with --set stage.data.sets.${set}.file=FILE. It is a list of entries such as [${LLAVA_ENTRY}]; docs/own-data.md goes through it step by step.`,
      },
    );
  }
}
