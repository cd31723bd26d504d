/** From a resolved recipe to a finished run. */
import { readdirSync } from 'node:fs';
import { CommError } from '../config/errors.js';
import { listCheckpoints } from './checkpoint.js';
import { type RunOptions, type RunResult, runTraining } from './loop.js';
import type { Recipe } from './recipe.js';

async function runTask(recipe: Exclude<Recipe, { kind: 'tokenizer' }>, options: RunOptions): Promise<RunResult> {
  switch (recipe.kind) {
    case 'clip':
      return runTraining(new (await import('./clip-task.js')).ClipTask(recipe.clip, options.log), recipe.loop, options);
    case 'dinov2':
      return runTraining(
        new (await import('./dino-task.js')).DinoTask(recipe.dinov2, options.log),
        recipe.loop,
        options,
      );
    case 'mae':
      return runTraining(new (await import('./mae-task.js')).MaeTask(recipe.mae, options.log), recipe.loop, options);
    case 'deit':
      return runTraining(new (await import('./deit-task.js')).DeitTask(recipe.deit, options.log), recipe.loop, options);
    case 'lm':
      return runTraining(new (await import('./lm-task.js')).LmTask(recipe.lm), recipe.loop, options);
    case 'comm':
      return runTraining((await import('./comm-task.js')).CommTask.open(recipe.comm), recipe.loop, options);
    case 'stage':
      return runTraining(
        (await import('./stage-task.js')).StageTask.open(recipe.stage, recipe.loop.batchSize, options.log),
        recipe.loop,
        options,
      );
  }
}

/** Run a recipe. A folder that holds a run already is gone on with, or refused, never overwritten. */
export async function runRecipe(recipe: Recipe, options: RunOptions): Promise<RunResult> {
  if (recipe.kind === 'tokenizer') {
    await (await import('./tokenizer-run.js')).runTokenizer(recipe.tokenizer, options.out, options.log);
    return { step: 1, finished: true };
  }
  if (!options.resume && listCheckpoints(options.out).length > 0) {
    const names = readdirSync(options.out).filter((file) => file.startsWith('checkpoint-'));
    throw new CommError(`${options.out} holds a run already (${names.at(-1)}).`, {
      code: 'train/exists',
      fix: 'Add --resume to go on with it, or name another --out.',
      exitCode: 2,
    });
  }
  const { manualSeed } = await import('@commlm/torch');
  manualSeed(recipe.loop.seed);
  return runTask(recipe, options);
}
