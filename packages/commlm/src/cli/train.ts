// `commlm train <recipe>`: run a recipe, or show what it would do.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { StageConfig } from '../config/stage.js';
import type { Recipe } from '../train/recipe.js';
import { interruptSignal } from './interrupt.js';
import { note, printJson } from './output.js';

interface TrainOptions {
  readonly out?: string;
  readonly set: readonly string[];
  readonly resume?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Adds the command `train`. */
export function register(program: Command): void {
  program
    .command('train')
    .description('Train by a recipe; a run that was stopped goes on with --resume.')
    .argument('<recipe>', 'name of a recipe, e.g. tiny-clip')
    .option('--out <folder>', 'folder of the run (default: runs/out/<recipe>)')
    .option(
      '--set <path=value>',
      'change a field of the recipe (repeatable)',
      (v: string, all: string[]) => [...all, v],
      [],
    )
    .option('--resume', 'go on from the newest checkpoint in the folder')
    .option('--dry-run', 'print the resolved recipe and train nothing')
    .option('--json', 'print how the run ended as one JSON document')
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  commlm train tiny-tokenizer',
        '  commlm train tiny-clip --set loop.steps=500 --out runs/out/short',
        '  commlm train tiny-clip --resume',
      ].join('\n'),
    )
    .action((name: string, options: TrainOptions) => train(name, options));
}

async function train(name: string, options: TrainOptions): Promise<void> {
  const { applySettings, loadRecipe } = await import('../train/recipe.js');
  const recipe = applySettings(await loadRecipe(name), options.set);
  if (options.dryRun === true) {
    printJson(recipe);
    if (recipe.kind === 'stage') await noteMissing(recipe.stage);
    return;
  }
  const out = options.out ?? join('runs', 'out', name);
  const { runRecipe } = await import('../train/run.js');
  const result = await runRecipe(await withFolders(recipe), {
    out,
    recipe,
    resume: options.resume === true,
    log: (line) => note(`${new Date().toISOString().slice(11, 19)} ${line}`),
    signal: interruptSignal(),
  });
  if (options.json === true) printJson({ out, ...result });
  else
    note(result.finished ? `finished: ${join(out, 'result')}` : `stopped at step ${result.step}; go on with --resume`);
  if (!result.finished) process.exitCode = 130;
}

/** Says which files of a stage are not there; a plan needs none of them. */
async function noteMissing(stage: StageConfig): Promise<void> {
  const { missingData } = await import('../train/stage-files.js');
  for (const path of missingData(stage)) note(`missing: ${path}`);
  if (!existsSync(stage.model)) note(`missing: ${stage.model}, the model that the stage starts from`);
}

/** The recipe with folders in place of hub ids, which are downloaded where they are missing. What is recorded stays as written. */
async function withFolders(recipe: Recipe): Promise<Recipe> {
  const { fetchFolder } = await import('./pull.js');
  if (recipe.kind === 'stage') {
    return { ...recipe, stage: { ...recipe.stage, model: await fetchFolder(recipe.stage.model) } };
  }
  if (recipe.kind !== 'comm') return recipe;
  const { from, encoders, tokenizer } = recipe.comm;
  const folders: string[] = [];
  // The towers are in the model that a stage starts from.
  for (const encoder of from === null ? encoders : []) folders.push(await fetchFolder(encoder));
  const model = from === null ? null : await fetchFolder(from);
  return {
    ...recipe,
    comm: { ...recipe.comm, encoders: folders, from: model, tokenizer: await fetchFolder(tokenizer) },
  };
}
