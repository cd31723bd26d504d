// `commlm eval` of benchmarks that are files: options to a run, a model or an endpoint to answer it, one table of results.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommError } from '../config/errors.js';
import type { Benchmark } from '../eval/benchmarks/benchmark.js';
import type { DataChoices } from '../eval/benchmarks/data-folder.js';
import type { Coordinates, FrameName } from '../eval/coordinates.js';
import type { EvalRequest, Shard } from '../eval/evaluate.js';
import type { PromptSet } from '../eval/prompts.js';
import type { Respondent } from '../eval/respondent.js';
import type { EvalResults, EvaluatedModel } from '../eval/results.js';
import { refuseInputAsOutput, writeDurably } from '../files/durable.js';
import type { CommSession } from '../generate/session.js';
import { interruptSignal } from './interrupt.js';
import { openSession } from './open-session.js';
import type { ModelOptions } from './options.js';
import { formatTable, note, print, printJson } from './output.js';
import { Progress } from './progress.js';
import { printable } from './terminal-text.js';

/** Options of `eval` for benchmarks of files. */
export interface BenchmarkOptions extends ModelOptions {
  readonly data?: string;
  readonly out: string;
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

const DEFAULT_MAX_NEW_TOKENS = 128;
const DEFAULT_CONCURRENCY = 8;

function usageError(message: string, fix: string): CommError {
  return new CommError(message, { code: 'eval/usage', exitCode: 2, fix });
}

/** Evaluates the named benchmarks and prints one table, or one document. */
export async function evaluateBenchmarks(
  names: readonly string[],
  options: BenchmarkOptions & { readonly data: string },
): Promise<void> {
  refuseInputAsOutput(options.out, [options.data]);
  const benchmarks = await findBenchmarks(names);
  const choices = choicesOf(benchmarks, options);
  const readers = new Map(pairsOf(options.reader, '--reader', benchmarks));
  const shard = shardOf(options);
  const decoding = decodingOf(options);
  const maxNewTokens = options.maxNewTokens ?? DEFAULT_MAX_NEW_TOKENS;
  const answering = options.endpoint === undefined ? await ownModel(options) : endpoint(options, options.endpoint);
  const { evaluate } = await import('../eval/evaluate.js');
  const prompts = await promptsOf(options, answering.prompts);
  let progress: Progress | undefined;
  const request: EvalRequest = {
    benchmarks,
    data: options.data,
    out: options.out,
    model: answering.model,
    prompts,
    decoding,
    maxNewTokens,
    blind: options.blind === true,
    keepThinking: options.keepThinking === true,
    limit: options.limit,
    shard,
    readers,
    choices,
    ...codeVersion(),
    openRespondent: () => answering.open({ ...decoding, maxNewTokens }),
    writeFile: writeDurably,
    signal: interruptSignal(),
    onProgress: (done, total) => {
      progress ??= new Progress({ label: 'asking', total, unit: 'questions', start: done });
      progress.update(done);
    },
  };
  try {
    const outcome = await evaluate(request);
    progress?.finish();
    if (outcome.kind === 'shard') {
      note(printable(`This shard is done. Not complete yet: ${outcome.unfinished.join(', ')}.`));
      note('Put the records of all shards into one folder; the same command for any shard then scores them.');
      if (options.json) printJson({ unfinished: outcome.unfinished });
      return;
    }
    const { writeReport } = await import('../eval/report/write-report.js');
    await writeReport(options.out, { data: options.data, writeFile: writeDurably });
    if (options.json) printJson(outcome.results);
    else await printTable(outcome.results, options.out);
    // Questions without an answer are missing from the figures, and a script must not take these for those of a whole run.
    if (outcome.results.benchmarks.some(({ unanswered }) => unanswered)) process.exitCode = 1;
  } finally {
    answering.close();
  }
}

async function findBenchmarks(names: readonly string[]): Promise<readonly Benchmark[]> {
  const { BENCHMARKS, findBenchmark } = await import('../eval/benchmarks/index.js');
  return [...new Set(names)].map((name) => {
    const benchmark = findBenchmark(name);
    if (benchmark !== undefined) return benchmark;
    throw new CommError(`There is no benchmark "${name}".`, {
      code: 'eval/benchmark',
      exitCode: 2,
      fix: `Choose from ${BENCHMARKS.map((each) => each.name).join(', ')}, world.`,
    });
  });
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
      const chosen = splits.get(name);
      const choices: DataChoices = {
        files: files.get(name) as Map<string, string>,
        ...(chosen === undefined ? {} : { splits: chosen }),
        ...(options.subset ? { subset: true } : {}),
      };
      return [name, choices];
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

function decodingOf({ temperature = 0, topP, seed }: BenchmarkOptions): EvalRequest['decoding'] {
  if (temperature === 0 && (topP !== undefined || seed !== undefined)) {
    const flag = topP === undefined ? '--seed' : '--top-p';
    throw usageError(`${flag} has no effect when the likeliest token is taken.`, 'Give --temperature above 0 with it.');
  }
  return { temperature, topP: topP ?? 1, seed: seed ?? 0 };
}

type Decoding = EvalRequest['decoding'] & { readonly maxNewTokens: number };

/** Who answers, before it is known whether anything has to be asked. */
interface Answering {
  readonly model: EvaluatedModel;
  /** The set of prompts that fits. */
  readonly prompts: string;
  readonly open: (decoding: Decoding) => Promise<Respondent>;
  readonly close: () => void;
}

const ENDPOINT_OPTIONS = ['endpointModel', 'endpointKeyEnv', 'concurrency'] as const;
const MODEL_OPTIONS = ['model', 'dtype', 'device', 'visionTower', 'base', 'lora', 'allowUntrained'] as const;

function refuse(options: BenchmarkOptions, names: readonly (keyof BenchmarkOptions)[], why: string): void {
  const given = names.find((name) => options[name] !== undefined);
  if (given === undefined) return;
  const flag = `--${given.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  throw usageError(`${flag} has no effect ${why}.`, `Leave out ${flag}.`);
}

async function ownModel(options: BenchmarkOptions): Promise<Answering> {
  refuse(options, ENDPOINT_OPTIONS, 'without --endpoint');
  const { factsOfModel } = await import('../eval/model-facts.js');
  const { model, promptFamily } = await factsOfModel(options.model, options);
  let session: CommSession | undefined;
  return {
    model,
    prompts: promptFamily,
    open: async (decoding) => {
      const { ModelRespondent } = await import('../eval/respondent.js');
      session = await openSession(options);
      return new ModelRespondent(session, options.batchSize, decoding);
    },
    close: () => session?.dispose(),
  };
}

function endpoint(options: BenchmarkOptions, url: string): Answering {
  refuse(options, MODEL_OPTIONS, 'with --endpoint');
  const name = options.endpointModel;
  if (name === undefined) {
    throw usageError('The name of the model is missing.', 'Name it with --endpoint-model, as the server calls it.');
  }
  const variable = options.endpointKeyEnv;
  const key = variable === undefined ? undefined : process.env[variable];
  if (variable !== undefined && (key === undefined || key === '')) {
    throw usageError(`The environment variable ${variable} is not set.`, 'Put the key of the server into it.');
  }
  const { origin, pathname } = new URL(url);
  return {
    model: { kind: 'endpoint', name, url: `${origin}${pathname}` },
    prompts: 'general',
    open: async (decoding) => {
      const { EndpointRespondent } = await import('../eval/endpoint.js');
      return new EndpointRespondent({
        ...decoding,
        url,
        model: name,
        ...(key === undefined ? {} : { key }),
        concurrency: options.concurrency ?? DEFAULT_CONCURRENCY,
        onNotice: (line) => note(printable(line)),
      });
    },
    close: () => {},
  };
}

async function promptsOf({ prompts, coordinates }: BenchmarkOptions, fitting: string): Promise<PromptSet> {
  const { loadPrompts, withCoordinates } = await import('../eval/prompts.js');
  const set = loadPrompts(prompts ?? fitting);
  return coordinates === undefined ? set : withCoordinates(set, coordinates);
}

/** Version of the package; the commit too where it runs from a repository. */
function codeVersion(): { readonly commlm: string; readonly commit: string | null } {
  const manifest = new URL('../../package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  try {
    const folder = dirname(fileURLToPath(manifest));
    const commit = execFileSync('git', ['-C', folder, 'rev-parse', 'HEAD'], { stdio: ['ignore', 'pipe', 'ignore'] });
    return { commlm: version, commit: commit.toString().trim() };
  } catch {
    return { commlm: version, commit: null }; // installed from a registry, or a machine without git
  }
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
    { title: '95 % interval', align: 'right' },
    ...(results.run.blind ? [{ title: 'blind', align: 'right' } as const] : []),
    ...systems.map((system) => ({ title: `${system} (paper)`, align: 'right' }) as const),
  ] as const;
  // Names of figures hold those of kinds of questions, which the data files name.
  const rows = lines.map(({ benchmark, figure, count, ours, interval, blind, paper }) => [
    ...[benchmark, printable(figure), count, ours, interval],
    ...(results.run.blind ? [blind ?? ''] : []),
    ...systems.map((system) => paper[system] as string),
  ]);
  print(formatTable(columns, rows));
  const { name, version } = results.run.prompts;
  note();
  const where = printable(`Prompts ${name} ${version}; readers and the rest are in ${out}.`);
  note(`Percent, CIDEr times 100, MME in points; intervals over pictures. ${where}`);
  for (const line of tableNotes(results)) note(printable(line));
}
