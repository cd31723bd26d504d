/**
 * `commlm data preview | validate | bench`: what a recipe's data look like to the model, whether they are sound, how fast they load.
 */
import type { Command } from 'commander';
import { repeated, wholeNumber } from './options.js';

const EXAMPLES = `
Options of the three: data preview <recipe> --set --count --start --only --out --json,
data validate <recipe> --set --no-pictures --first --workers --show --all --json,
data bench <recipe> --set --batches --workers --run --json

Examples:
  commlm data preview comm-nano-stage1 --count 8 --out preview
  commlm data preview comm-nano-stage1 --only rec
  commlm data validate comm-7b-stage1 --set comm.model=models/comm-tiny
  commlm data bench comm-nano-stage1 --batches 50`;

/** Adds the command `data`. */
export function register(program: Command): void {
  const data = program
    .command('data')
    .description("look at, check and time a recipe's data")
    .addHelpText('after', EXAMPLES);
  const withRecipe = (name: string, description: string): Command =>
    data
      .command(name)
      .description(description)
      .argument('<recipe>', 'name of a recipe, e.g. comm-nano-stage1')
      .option('--set <path=value>', 'change a field of the recipe (repeatable)', repeated)
      .option('--json', 'print one JSON document');
  withRecipe('preview', 'print samples as the model sees them')
    .option('--count <n>', 'number of samples', wholeNumber(1, 10_000), 4)
    .option('--start <n>', 'first place in the stream', wholeNumber(0), 0)
    .option('--only <set>', 'samples of one data set, in the order of its file')
    .option('--out <folder>', 'write pictures with their boxes and a page there')
    .action(async (name, options) => (await import('./data-preview.js')).preview(name, options));
  withRecipe('validate', 'go through all data sets and print the faults of each kind with file and line')
    .option('--no-pictures', 'do not decode pictures, only look whether they are there')
    .option('--first <n>', 'check the first samples of each set only', wholeNumber(1))
    .option('--workers <n>', 'threads (default: those of the recipe)', wholeNumber(1, 256))
    .option('--show <n>', 'faults printed of each kind', wholeNumber(0), 3)
    .option('--all', 'print every fault as it is found (--json holds them all)')
    .action(async (name, options) => (await import('./data-validate.js')).validate(name, options));
  withRecipe('bench', 'time the loading alone')
    .option('--batches <n>', 'batches to load', wholeNumber(1, 1_000_000), 50)
    .option('--workers <n>', 'threads (default: those of the recipe)', wholeNumber(1, 256))
    .option('--run <folder>', 'compare with what this training run consumed')
    .action(async (name, options) => (await import('./data-bench.js')).bench(name, options));
}
