/** `commlm train <recipe>`: run a recipe, or show what it would do. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { CommError } from '../config/errors.js';
import type { Recipe } from '../config/recipe.js';
import { checkOutputFolder } from './files.js';
import { interruptExitCode, interruptSignal } from './interrupt.js';
import { repeated } from './options.js';
import { formatDuration, formatTable, isInteractive, note, print, printJson } from './output.js';
import { Progress } from './progress.js';

interface TrainOptions {
  readonly list?: boolean;
  readonly out?: string;
  readonly set?: readonly string[];
  readonly change?: readonly string[];
  readonly resume?: boolean;
  readonly changedData?: boolean;
  readonly dryRun?: boolean;
  readonly export?: string;
  readonly json?: boolean;
}

/** Adds the command `train`. */
export function register(program: Command): void {
  program
    .command('train')
    .description('Train by a recipe; a run that was stopped goes on with --resume.')
    .argument('[recipe]', 'name of a recipe (--list), or a file of your own: ./my-recipe.json, .mjs, .ts')
    .option('--list', 'print the recipes and what each does')
    .option('--out <folder>', 'folder of the run (default: runs/out/<recipe>)')
    .option('--set <path=value>', 'change a field of the recipe (repeatable)', repeated)
    .option('--resume', 'go on from the newest checkpoint in the folder, by the recipe.json there')
    .option('--change <path=value>', 'with --resume: change a field of the recipe from here on (repeatable)', repeated)
    .option('--changed-data', 'with --resume: go on although data files are not those that the run began with')
    .option('--export <folder>', 'write the model of the newest checkpoint there, and train nothing')
    .option('--dry-run', 'print the plan, with --json also the resolved recipe, and train nothing')
    .option('--json', 'print how the run ended, or the plan, as one JSON document')
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  commlm train tiny-tokenizer',
        '  commlm train tiny-clip --set loop.steps=500 --out runs/out/short',
        '  commlm train ./my-recipe.json   (docs/own-data.md has one)',
        '  commlm train --resume --out runs/out/short',
        '  commlm train --resume --out runs/out/short --change loop.lr=0.0001   (recorded in run.json)',
        '  commlm train --export so-far --out runs/out/short   (while it runs, or after it was stopped)',
      ].join('\n'),
    )
    .action((name: string | undefined, options: TrainOptions) => (options.list ? list(options) : train(name, options)));
}

async function list({ json }: TrainOptions): Promise<void> {
  const recipes = await (await import('../train/recipe.js')).listRecipes();
  if (json === true) printJson(recipes);
  else
    print(
      formatTable(
        [{ title: 'recipe' }, { title: 'does' }],
        recipes.map(({ name, about }) => [name, about]),
      ),
    );
}

/** The recipe that is named, or else that of the run which goes on, and the folder of the run. */
async function recipeAndFolder(
  name: string | undefined,
  options: TrainOptions,
): Promise<{ recipe: Recipe; out: string }> {
  const { loadRecipe, recipeName, recipeOfRun } = await import('../train/recipe.js');
  if (name !== undefined) {
    return { recipe: await loadRecipe(name), out: options.out ?? join('runs', 'out', recipeName(name)) };
  }
  if (options.resume !== true && options.export === undefined) {
    throw new CommError('No recipe is named.', {
      code: 'cli/usage',
      fix: 'See commlm train --list, or give a file (./my-recipe.json).',
      exitCode: 2,
    });
  }
  if (options.out === undefined) {
    throw new CommError('Neither a recipe nor the folder of a run is named.', {
      code: 'cli/usage',
      fix: 'Name the folder of the run with --out; its recipe.json says the rest.',
      exitCode: 2,
    });
  }
  return { recipe: recipeOfRun(options.out), out: options.out };
}

async function train(name: string | undefined, options: TrainOptions): Promise<void> {
  const { applySettings, changeRecipe } = await import('../train/recipe.js');
  const { recipe: named, out } = await recipeAndFolder(name, options);
  const before = applySettings(named, options.set ?? []);
  if (options.change !== undefined && (options.resume !== true || options.export !== undefined)) {
    throw new CommError('--change is for a run that goes on.', {
      code: 'cli/usage',
      fix: 'Add --resume; a run that begins takes --set.',
      exitCode: 2,
    });
  }
  const { recipe, change } = options.change !== undefined ? changeRecipe(before, options.change) : { recipe: before };
  if (options.changedData === true && options.resume !== true) {
    throw new CommError('--changed-data says how a run goes on, and this one begins.', {
      code: 'train/usage',
      fix: 'Add --resume, or leave --changed-data out.',
      exitCode: 2,
    });
  }
  if (options.dryRun === true) {
    const { showPlan } = await import('./train-plan.js');
    await showPlan(recipe, out, options.json === true);
    return;
  }
  checkOutputFolder(options.export ?? out);
  if (recipe.kind === 'comm' && recipe.comm.data.kind === 'mixture' && options.export === undefined) {
    const { refuseMissingSets } = await import('./data-recipe.js');
    refuseMissingSets(name ?? out, recipe.comm.data);
  }
  const { exportRecipe, runRecipe } = await import('../train/run.js');
  if (options.export !== undefined) {
    const { step } = await exportRecipe(await withFolders(recipe), { out, recipe, to: options.export, log: note });
    if (options.json === true) printJson({ out, step, folder: options.export });
    else note(`wrote step ${step} to ${options.export}`);
    return;
  }
  const bar = new TrainingBar(recipe.kind === 'tokenizer' ? 0 : recipe.loop.steps);
  const signal = interruptSignal();
  const result = await runRecipe(await withFolders(recipe), {
    out,
    recipe,
    change,
    resume: options.resume === true,
    changedData: options.changedData === true,
    log: (line) => bar.note(`${new Date().toISOString().slice(11, 19)} ${line}`),
    onStep: (step) => bar.update(step),
    signal,
  }).finally(() => bar.finish());
  if (options.json === true) printJson({ out, ...result });
  else
    note(
      result.finished
        ? `finished: ${join(out, 'result')}`
        : `stopped at step ${result.step}; go on with: commlm train --resume --out ${out}`,
    );
  if (!result.finished) process.exitCode = interruptExitCode();
}

/** The steps as a bar under the lines of the log; without a terminal one line after the first step, the log says the rest. */
class TrainingBar {
  readonly #total: number;
  #progress: Progress | undefined;
  #begun: { readonly step: number; readonly ms: number } | undefined;

  constructor(total: number) {
    this.#total = total;
  }

  update(step: number): void {
    if (!isInteractive(process.stderr)) {
      this.#noteFirst(step);
      return;
    }
    this.#progress ??= new Progress({ label: 'training', total: this.#total, unit: 'steps', start: step });
    this.#progress.update(step);
  }

  /** How long a step takes and what that means for the run; later ones are rather faster. */
  #noteFirst(step: number): void {
    const now = Date.now();
    if (this.#begun !== undefined && step === this.#begun.step + 1 && step < this.#total) {
      const ms = now - this.#begun.ms;
      const left = formatDuration(ms * (this.#total - step));
      this.note(`step ${step}/${this.#total} took ${formatDuration(ms)}: about ${left} left`);
    }
    this.#begun ??= { step, ms: now };
  }

  note(line: string): void {
    if (this.#progress === undefined) note(line);
    else this.#progress.note(line);
  }

  finish(): void {
    this.#progress?.finish();
  }
}

/** The recipe with folders in place of hub ids, which are downloaded where they are missing. What is recorded stays as written. */
async function withFolders(recipe: Recipe): Promise<Recipe> {
  if (recipe.kind !== 'comm') return recipe;
  const { fetchFolder } = await import('./pull.js');
  const { model } = recipe.comm;
  if (typeof model === 'string') return { ...recipe, comm: { ...recipe.comm, model: await fetchFolder(model) } };
  const encoders: string[] = [];
  for (const encoder of model.encoders) encoders.push(await fetchFolder(encoder));
  const fetched = { ...model, encoders, tokenizer: await fetchFolder(model.tokenizer) };
  return { ...recipe, comm: { ...recipe.comm, model: fetched } };
}
