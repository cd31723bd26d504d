/** `commlm eval <benchmark...>`: generate answers and score them, with our engine or any OpenAI-style endpoint. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { CommError } from '../config/errors.js';
import type { BenchmarkOptions } from './eval-benchmarks.js';
import { addCompare } from './eval-compare.js';
import { addReport } from './eval-report.js';
import type { WorldOptions } from './eval-world.js';
import { addModelOptions, realNumber, wholeNumber } from './options.js';

type EvalOptions = Omit<BenchmarkOptions, 'out'> & WorldOptions;

/** Options that mean something to `world` alone, and to everything else alone. */
const WORLD_ONLY = ['count', 'style', 'size'] as const;
const BENCHMARKS_ONLY = [
  ...(['data', 'file', 'split', 'subset', 'prompts', 'coordinates', 'reader', 'limit', 'numShards', 'shard'] as const),
  ...([
    'blind',
    'keepThinking',
    'maxNewTokens',
    'temperature',
    'topP',
    'endpoint',
    'endpointModel',
    'endpointKeyEnv',
  ] as const),
  'concurrency',
] as const;

const HELP = `
Benchmarks:
  refcoco, refcoco+, refcocog, reg          boxes for phrases, phrases for boxes
  pope, mme, mmbench, mmvp                  yes or no, and choices
  coco-caption, flickr30k                   captions
  vqav2, okvqa, textvqa, gqa, scienceqa     short answers
  world                                     whether a model looks: unseen scenes, and what is had without looking
  ./my-task.json                            a task of your own: prompt, file, fields and metric

The published files are looked for below --data by their own names; --file names others. A run that was stopped goes on
where it was when the same command is given again. docs/evaluation.md tells what is read and how it is asked.

Examples:
  commlm world out/world --split test --count 100
  commlm eval pope refcoco reg coco-caption vqav2 mme mmbench --data out/world --out out/eval
  commlm eval pope --data pope --file pope.images=val2014 --out out/pope --endpoint http://localhost:8000/v1
  commlm eval ./my-task.json --out out/my-task
  commlm eval world --count 1000 --out out/eval-world
  commlm eval compare out/before out/after`;

const collect = (text: string, before: readonly string[] | undefined): string[] => [...(before ?? []), text];

/** Adds the command `eval`. */
export function register(program: Command): void {
  const command = program
    .command('eval')
    .description('Generate answers for benchmarks and score them as their official tools do.')
    .argument(
      '<benchmark...>',
      'pope, refcoco, reg, coco-caption, vqav2, mme, mmbench, ..., world, or the JSON file of a task of your own',
    )
    .option('--data <folder>', 'where the annotation files and pictures are')
    .option('--out <folder>', 'results.json, samples_<benchmark>.jsonl and the record of answers go there')
    .option('--file <benchmark.role=path>', 'a file or a folder of pictures by name, once for each', collect)
    .option('--split <benchmark=names>', 'splits or subtasks, joined by commas', collect)
    .option('--subset', 'accept published files that hold a part of their entries; the result is marked partial')
    .option(
      '--limit <n>',
      'first questions of each split or subtask alone; the result is marked partial',
      wholeNumber(1),
    )
    .option('--prompts <name|file>', 'shikra, llava, general or a JSON file (default: by model; general for endpoints)')
    .addOption(
      new Option('--coordinates <frame>', 'frame of boxes in place of that of the prompts').choices([
        ...['unit', 'thousand', 'pixel', 'shikra', 'square', 'relative', 'thousandths', 'pixels'],
      ]),
    )
    .option('--reader <benchmark=name>', 'how answers are read, as in score; the default is the official way', collect)
    .option('--blind', 'ask everything again with grey pictures, and print those figures beside')
    .option('--keep-thinking', 'read <think>...</think> with the answer; it is cut before reading otherwise')
    .option('--max-new-tokens <n>', 'longest answer in tokens (default: 128)', wholeNumber(1))
    .option('--temperature <t>', '0 takes the likeliest token each time (default)', realNumber(0, 100))
    .option('--top-p <p>', 'share of the probability that sampling draws from', realNumber(0, 1, true))
    .option('--seed <n>', 'seed of the sampling (default: 0); world: stream of scenes (default: 900)', wholeNumber(0))
    .option('--batch-size <n>', 'questions answered together', wholeNumber(1, 4096), 64)
    .option('--num-shards <k>', 'ask a part; scored by the run that finds all parts done', wholeNumber(1, 100_000))
    .option('--shard <i>', 'which part, from 0', wholeNumber(0, 99_999))
    .option('--endpoint <url>', 'ask an OpenAI-style server, as in http://localhost:8000/v1', endpointUrl)
    .option('--endpoint-model <name>', "the server's name of the model")
    .option('--endpoint-key-env <variable>', 'environment variable that holds the key')
    .option('--concurrency <n>', 'endpoint: requests at a time (default: 8)', wholeNumber(1, 1024))
    .option('--count <n>', 'world: scenes of the held-out split (default: 1000)', wholeNumber(1, 1_000_000))
    .addOption(new Option('--style <name>', 'world: drawing styles (default: known)').choices(['known', 'shift']))
    .option('--size <px>', 'world: long side of the pictures (default: 256)', wholeNumber(32, 4096))
    .option('--json', 'print the results as one JSON document');
  addModelOptions(command);
  command.enablePositionalOptions();
  addCompare(command);
  addReport(command);
  command.addHelpText('after', HELP).action((names: string[], options: EvalOptions) => run(names, options));
}

function endpointUrl(text: string): string {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new InvalidArgumentError('It must be an address such as http://localhost:8000/v1.');
  }
  return text;
}

function usageError(message: string, fix: string): CommError {
  return new CommError(message, { code: 'eval/usage', exitCode: 2, fix });
}

function refuse(options: EvalOptions, names: readonly (keyof EvalOptions)[], why: string): void {
  const given = names.find((name) => options[name] !== undefined);
  if (given === undefined) return;
  const flag = `--${given.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  throw usageError(`${flag} has no effect ${why}.`, `Leave out ${flag}.`);
}

async function run(names: readonly string[], options: EvalOptions): Promise<void> {
  if (names.includes('world')) {
    if (names.length > 1) throw usageError('world is evaluated on its own.', 'Name it alone.');
    refuse(options, BENCHMARKS_ONLY, 'on world, which makes its own scenes');
    const { evaluateWorldCommand } = await import('./eval-world.js');
    return evaluateWorldCommand(options);
  }
  refuse(options, WORLD_ONLY, 'but on world');
  const { evaluateBenchmarks } = await import('./eval-benchmarks.js');
  return evaluateBenchmarks(names, options);
}
