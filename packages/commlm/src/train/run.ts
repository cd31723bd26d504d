/** From a resolved recipe to a finished run, or to what a run has reached. */
import { existsSync } from 'node:fs';
import { anything, type Checks, checkOptions } from '../config/check-options.js';
import { CommError } from '../config/errors.js';
import { missingDevice } from '../config/missing-device.js';
import type { LoopRecipe, Recipe } from '../config/recipe.js';
import { kindOf } from './kinds.js';
import { holdsDamaged, listCheckpoints, noCheckpoint } from './loop/checkpoint.js';
import { changesOf, identifyData, recordedData, refuseChanges } from './loop/data-identity.js';
import { anotherRecipe, differencesFromRun } from './loop/fingerprint.js';
import { exportCheckpoint, runTraining, type TrainingOptions, type TrainingResult } from './loop/loop.js';
import type { RunData } from './loop/run-facts.js';
import { inTheWay, refuseRun, requireRun } from './loop/run-folder.js';
import type { TrainingTask } from './loop/training-task.js';

/** Builds the task of a recipe, its weights drawn from the recipe's seed. */
async function openTask(recipe: LoopRecipe, log: (line: string) => void): Promise<TrainingTask<unknown>> {
  const [{ manualSeed }, kind] = await Promise.all([import('@commlm/torch'), kindOf(recipe)]);
  manualSeed(recipe.loop.seed);
  try {
    return await kind.open(recipe, log);
  } catch (error) {
    throw missingDevice(error) ?? error;
  }
}

/** How `runRecipe` runs. */
export type RunOptions = TrainingOptions & {
  /** Go on although the data are not those that the run began with. */
  readonly changedData?: boolean | undefined;
};

const OPTIONS: Checks<RunOptions> = {
  out: anything,
  recipe: anything,
  change: anything,
  resume: anything,
  data: anything,
  log: anything,
  onStep: anything,
  signal: anything,
  changedData: anything,
};

/** Run a recipe. A folder that holds a run already is gone on with, or refused, never overwritten; so is one with other data. */
export async function runRecipe(recipe: Recipe, options: RunOptions): Promise<TrainingResult> {
  checkOptions(options, OPTIONS, { what: 'The options of a run' });
  if (recipe.kind === 'tokenizer') {
    if (options.resume)
      throw inTheWay('A tokenizer is made in one go: there is nothing to resume.', 'Leave out --resume.');
    refuseRun(options.out);
    await (await import('./tasks/tokenizer-run.js')).runTokenizer(recipe.tokenizer, options.out, options.log);
    return { step: 1, finished: true };
  }
  // Said before anything is loaded; the loop looks again when no other process can write there.
  if (options.resume) requireRun(options.out, recipe.loop.saveEvery);
  else refuseRun(options.out);
  const data = await dataOfRun(recipe, options);
  return runTraining(await openTask(recipe, options.log), recipe.loop, { ...options, data });
}

const isMissing = (error: unknown): boolean => error instanceof CommError && /^(?:file|data)\//.test(error.code);

/** The data of a run, compared with those it began with where it goes on. @throws CommError `train/data` */
async function dataOfRun(recipe: LoopRecipe, options: RunOptions): Promise<RunData> {
  const { out, resume, changedData, change, log, signal } = options;
  const began = resume && listCheckpoints(out).length > 0;
  const before = began ? recordedData(out) : undefined;
  const identity = await identifyData(recipe, signal).catch((error: unknown) => {
    // Settings that were left out name other files, which need not be there.
    const settled = change?.before ?? options.recipe;
    throw began && isMissing(error) && differencesFromRun(out, settled).length > 0
      ? anotherRecipe(out, settled)
      : error;
  });
  if (began && before === undefined) log('the record of the run does not say which data it began with');
  const changes = before === undefined ? [] : changesOf(before, identity);
  if (changedData !== true) refuseChanges(out, changes);
  for (const change of changes) log(`goes on with other data: ${change}`);
  return { identity, changes };
}

/** Writes what the newest checkpoint in `out` has learned to the folder `to`, as the end of the run would; trains nothing. */
export async function exportRecipe(
  recipe: Recipe,
  options: Pick<TrainingOptions, 'out' | 'recipe' | 'log'> & { readonly to: string },
): Promise<TrainingResult> {
  const isEmpty = listCheckpoints(options.out).length === 0 && !holdsDamaged(options.out);
  if (recipe.kind === 'tokenizer' || isEmpty) throw noCheckpoint(options.out);
  if (existsSync(options.to)) throw inTheWay(`${options.to} is there already.`, 'Name a folder that is not.');
  return exportCheckpoint(await openTask(recipe, options.log), recipe.loop, options);
}
