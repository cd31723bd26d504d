/** The recipe argument of the `data` commands. */
import { existsSync } from 'node:fs';
import type { MixtureData, MixtureTrainConfig } from '../config/comm-train.js';
import { CommError } from '../config/errors.js';
import type { Recipe } from '../config/recipe.js';
import type { MixtureBatchOptions } from '../train/tasks/comm/mixture-batches.js';

/** Options that the three commands share. */
export interface RecipeOptions {
  readonly set?: readonly string[];
  readonly json?: boolean;
}

/** A recipe by name with its settings. */
export async function recipeOf(name: string, settings: readonly string[] = []): Promise<Recipe> {
  const { applySettings, loadRecipe } = await import('../train/recipe.js');
  return applySettings(await loadRecipe(name), settings);
}

/** Options of the data threads for a recipe that reads data sets. */
export async function mixtureOptions(
  name: string,
  recipe: Recipe,
): Promise<{ batch: MixtureBatchOptions; workers: number; ahead: number }> {
  if (recipe.kind !== 'comm' || recipe.comm.data.kind !== 'mixture') {
    throw new CommError(`The recipe ${name} makes its data itself; it reads none.`, {
      code: 'data/no-data',
      fix: 'Name a recipe of data sets, such as tiny-own-data.',
      exitCode: 2,
    });
  }
  const [{ describeMixture }, { fetchFolder }, { parseCommTraining }] = await Promise.all([
    import('../train/tasks/comm/mixture-data.js'),
    import('./pull.js'),
    import('../config/comm-train.js'),
  ]);
  const config = parseCommTraining(recipe.comm) as MixtureTrainConfig;
  refuseMissingSets(name, config.data);
  const { model, workers, ahead } = config;
  const fetched = typeof model === 'string' ? await fetchFolder(model) : model;
  return { batch: describeMixture({ ...config, model: fetched }, recipe.loop.batchSize), workers, ahead };
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
export function refuseMissingSets(name: string, { sets }: MixtureData): void {
  for (const [set, config] of Object.entries(sets)) {
    if (config.kind !== 'llava' || existsSync(config.file)) continue;
    throw new CommError(
      `The recipe ${name} reads its data set "${set}" from ${config.file}, and there is no such file.`,
      {
        code: 'data/missing-set',
        fix: `Put it there, or name yours with --set comm.data.sets.${set}.file=FILE. It is a list of entries such as [${LLAVA_ENTRY}]; docs/own-data.md goes through it step by step.`,
      },
    );
  }
}
