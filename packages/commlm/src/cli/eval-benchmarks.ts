/** `commlm eval` of benchmarks and tasks that are files: options to a run, and one table of its results. */
import { CommError } from '../config/errors.js';
import type { Benchmark } from '../eval/benchmarks/benchmark.js';
import type { DataChoices } from '../eval/benchmarks/data-folder.js';
import type { Coordinates, FrameName } from '../eval/coordinates.js';
import type { Shard } from '../eval/eval-request.js';
import type { EvalResults } from '../eval/results.js';
import type { EvalEndpoint } from '../eval/run-eval.js';
import { INTERRUPTED, interruptSignal } from './interrupt.js';
import { openSession } from './open-session.js';
import type { ModelOptions } from './options.js';
import { formatTable, note, print, printJson } from './output.js';
import { Progress } from './progress.js';
import { printable } from './terminal-text.js';

/** Options of `eval` for benchmarks of files. */
export interface BenchmarkOptions extends ModelOptions {
  readonly data?: string;
  readonly out?: string;
  readonly file?: readonly string[];
  readonly split?: readonly string[];
  readonly subset?: boolean;
  readonly limit?: number;
  readonly prompts?: string;
  readonly coordinates?: Coordinates | FrameName;
  readonly reader?: readonly string[];
  readonly blind?: boolean;
  readonly keepThinking?: boolean;
  readonly maxNewTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly seed?: number;
  readonly batchSize: number;
  readonly numShards?: number;
  readonly shard?: number;
  readonly endpoint?: string;
  readonly endpointModel?: string;
  readonly endpointKeyEnv?: string;
  readonly concurrency?: number;
  readonly json?: boolean;
}

function usageError(message: string, fix: string): CommError {
  return new CommError(message, { code: 'eval/usage', exitCode: 2, fix });
}

/** Evaluates the named benchmarks and tasks, and prints one table, or one document. */
export async function evaluateBenchmarks(names: readonly string[], options: BenchmarkOptions): Promise<void> {
  const { findTasks } = await import('../eval/benchmarks/find-tasks.js');
  const { runEval } = await import('../eval/run-eval.js');
  const benchmarks = findTasks(names);
  const { out } = options;
  if (out === undefined) throw usageError('The folder of the results is missing.', 'Name it with --out FOLDER.');
  checkDecoding(options);
  let progress: Progress | undefined;
  const { data, model, subset, limit, prompts, coordinates, blind, keepThinking } = options;
  const { maxNewTokens, temperature, topP, seed, batchSize } = options;
  const outcome = await sayHowToGoOn(out, () =>
    runEval(names, {
      ...{ data, out, model, subset, limit, prompts, coordinates, blind, keepThinking },
      ...{ maxNewTokens, temperature, topP, seed, batchSize },
      endpoint: endpointOf(options),
      load: options,
      openModel: () => openSession(options),
      choices: choicesOf(benchmarks, options),
      readers: new Map(pairsOf(options.reader, '--reader', benchmarks)),
      shard: shardOf(options),
      signal: interruptSignal(),
      onProgress: (done, total) => {
        progress ??= new Progress({ label: 'asking', total, unit: 'questions', start: done });
        progress.update(done);
      },
    }),
  );
  progress?.finish();
  if (outcome.kind === 'shard') {
    note(printable(`This shard is done. Not complete yet: ${outcome.unfinished.join(', ')}.`));
    note('Put the records of all shards into one folder; the same command for any shard then scores them.');
    if (options.json) printJson({ unfinished: outcome.unfinished });
    return;
  }
  if (options.json) printJson(outcome.results);
  else await printTable(outcome.results, out);
  // Questions without an answer are missing from the figures, and a script must not take these for those of a whole run.
  if (outcome.results.benchmarks.some(({ unanswered }) => unanswered)) process.exitCode = 1;
}

/** An interrupted run says what it keeps, and how to go on. */
async function sayHowToGoOn<Result>(out: string, run: () => Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof CommError) || error.code !== INTERRUPTED) throw error;
    throw new CommError(`Interrupted; the answers so far are kept in ${out}.`, {
      code: INTERRUPTED,
      exitCode: error.exitCode,
      fix: 'Give the same command again: it goes on where it was and asks nothing twice.',
      cause: error,
    });
  }
}

/** `<benchmark>=<value>` texts as pairs; the benchmark must be one of the run. */
function pairsOf(
  texts: readonly string[] | undefined,
  flag: string,
  benchmarks: readonly Benchmark[],
): (readonly [benchmark: string, value: string])[] {
  return (texts ?? []).map((text) => {
    const equals = text.indexOf('=');
    const name = text.slice(0, Math.max(0, equals));
    if (equals < 1 || equals === text.length - 1) {
      throw usageError(
        `${flag} ${text} is not of the form benchmark=value.`,
        `As in ${flag} ${benchmarks[0]?.name}=...`,
      );
    }
    if (!benchmarks.some((benchmark) => benchmark.name === name)) {
      throw usageError(`${flag} ${text} is about ${name}, which is not evaluated.`, `Leave out ${flag} ${text}.`);
    }
    return [name, text.slice(equals + 1)] as const;
  });
}

function choicesOf(benchmarks: readonly Benchmark[], options: BenchmarkOptions): ReadonlyMap<string, DataChoices> {
  const files = new Map(benchmarks.map(({ name }) => [name, new Map<string, string>()]));
  for (const text of options.file ?? []) {
    const [, name = '', role = '', path = ''] = /^([^.=]+)\.([^=]+)=(.+)$/.exec(text) ?? [];
    const own = files.get(name);
    if (own === undefined) {
      const known = benchmarks.map(({ name: each, roles }) => `${each}.${roles[0]?.role}`).join(', ');
      throw usageError(`--file ${text} names no file of this run.`, `The form is benchmark.role=path, as in ${known}.`);
    }
    own.set(role, path);
  }
  const splits = new Map(pairsOf(options.split, '--split', benchmarks).map(([name, text]) => [name, text.split(',')]));
  return new Map(
    benchmarks.map(({ name }) => {
      return [name, { files: files.get(name), splits: splits.get(name) }];
    }),
  );
}

function shardOf({ shard, numShards }: BenchmarkOptions): Shard | undefined {
  if (shard === undefined && numShards === undefined) return undefined;
  if (shard === undefined || numShards === undefined) {
    throw usageError('--num-shards and --shard go together.', 'As in --num-shards 4 --shard 0.');
  }
  if (shard >= numShards) {
    throw usageError(`There is no shard ${shard} of ${numShards}.`, `Shards are 0 to ${numShards - 1}.`);
  }
  return { index: shard, count: numShards };
}

function checkDecoding({ temperature = 0, topP, seed }: BenchmarkOptions): void {
  if (temperature > 0 || (topP === undefined && seed === undefined)) return;
  const flag = topP === undefined ? '--seed' : '--top-p';
  throw usageError(`${flag} has no effect when the likeliest token is taken.`, 'Give --temperature above 0 with it.');
}

const ENDPOINT_OPTIONS = ['endpointModel', 'endpointKeyEnv', 'concurrency'] as const;
const MODEL_OPTIONS = ['model', 'dtype', 'device', 'visionTower', 'base', 'lora', 'allowUntrained'] as const;

function refuse(options: BenchmarkOptions, names: readonly (keyof BenchmarkOptions)[], why: string): void {
  const given = names.find((name) => options[name] !== undefined);
  if (given === undefined) return;
  const flag = `--${given.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  throw usageError(`${flag} has no effect ${why}.`, `Leave out ${flag}.`);
}

function endpointOf(options: BenchmarkOptions): EvalEndpoint | undefined {
  const { endpoint: url, endpointModel: model, endpointKeyEnv: variable, concurrency } = options;
  if (url === undefined) {
    refuse(options, ENDPOINT_OPTIONS, 'without --endpoint');
    return undefined;
  }
  refuse(options, MODEL_OPTIONS, 'with --endpoint');
  if (model === undefined) {
    throw usageError('The name of the model is missing.', 'Name it with --endpoint-model, as the server calls it.');
  }
  const key = variable === undefined ? undefined : process.env[variable];
  if (variable !== undefined && (key === undefined || key === '')) {
    throw usageError(`The environment variable ${variable} is not set.`, 'Put the key of the server into it.');
  }
  return { url, model, key, concurrency, onNotice: (line) => note(printable(line)) };
}

async function printTable(results: EvalResults, out: string): Promise<void> {
  const { tableLines, tableNotes } = await import('../eval/table.js');
  const { PAPER_SYSTEMS } = await import('../eval/paper-tables.js');
  const lines = tableLines(results);
  const systems = PAPER_SYSTEMS.filter((system) => lines.some(({ paper }) => paper[system] !== ''));
  const columns = [
    { title: 'benchmark' },
    { title: 'figure' },
    { title: 'questions', align: 'right' },
    { title: printable(results.run.model.name), align: 'right' },
    { title: 'unit' },
    { title: '95 % interval', align: 'right' },
    ...(results.run.blind ? [{ title: 'blind', align: 'right' } as const] : []),
    ...systems.map((system) => ({ title: `${system} (paper)`, align: 'right' }) as const),
  ] as const;
  // Names of figures hold those of kinds of questions, which the data files name.
  const rows = lines.map(({ benchmark, figure, count, ours, unit, interval, blind, paper }) => [
    ...[benchmark, printable(figure), count, ours, unit, interval],
    ...(results.run.blind ? [blind ?? ''] : []),
    ...systems.map((system) => paper[system]!),
  ]);
  print(formatTable(columns, rows));
  const { prompts } = results.run;
  note();
  const where = printable(`Prompts ${prompts?.name} ${prompts?.version}; readers and the rest are in ${out}.`);
  note(`Rates in percent; results.json has the scale of each official tool. Intervals are over pictures. ${where}`);
  for (const line of tableNotes(results)) note(printable(line));
}
