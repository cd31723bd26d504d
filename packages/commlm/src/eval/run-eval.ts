/** `commlm eval` as a function: names of benchmarks and files of tasks to a folder of results, with our engine or an endpoint. */
import { dirname, resolve } from 'node:path';
import { anything, type Checks, checkOptions } from '../config/check-options.js';
import { CommError } from '../config/errors.js';
import { refuseInputAsOutput, writeDurably } from '../files/durable.js';
import type { BatchAnswerer } from '../generate/answer.js';
import { loadModel } from '../generate/load.js';
import type { LoadOptions } from '../generate/load-options.js';
import type { Benchmark } from './benchmarks/benchmark.js';
import type { DataChoices } from './benchmarks/data-folder.js';
import { findTasks } from './benchmarks/find-tasks.js';
import { findBenchmark } from './benchmarks/index.js';
import type { Coordinates, FrameName } from './coordinates.js';
import { EVAL_DEFAULTS, type EvalDecoding } from './defaults.js';
import { type EndpointOptions, EndpointRespondent } from './endpoint.js';
import type { Shard } from './eval-request.js';
import { type EvalOutcome, evaluate } from './evaluate.js';
import { factsOfModel } from './model-facts.js';
import { loadPrompts, type PromptSet, withCoordinates } from './prompts.js';
import { writeReport } from './report/write-report.js';
import { ModelRespondent, type Respondent } from './respondent.js';
import type { EvaluatedModel } from './results.js';

/** A server that speaks OpenAI's chat completions. */
export type EvalEndpoint = Pick<EndpointOptions, 'url' | 'model' | 'key' | 'onNotice'> & {
  /** Requests at a time; default 8. */
  readonly concurrency?: number | undefined;
};

/** What is evaluated; options have the meaning and the defaults of `commlm eval`. */
export interface EvalOptions {
  /** Folder of the results; a run that was stopped goes on in it. */
  readonly out: string;
  /** Folder of the published files; default, for tasks of one's own alone, the folder of the first. */
  readonly data?: string | undefined;
  /** Folder or hub id; default the embedded model. */
  readonly model?: string | undefined;
  /** How the model is loaded. */
  readonly load?: LoadOptions | undefined;
  /** Loads the model in another way, as with progress. */
  readonly openModel?: (() => Promise<BatchAnswerer & { dispose(): void }>) | undefined;
  /** Asks this server in place of a model. */
  readonly endpoint?: EvalEndpoint | undefined;
  /** By benchmark: files by role, splits. */
  readonly choices?: ReadonlyMap<string, DataChoices> | undefined;
  /** Accept published files that hold a part of their entries. */
  readonly subset?: boolean | undefined;
  /** By benchmark: how answers are read. */
  readonly readers?: ReadonlyMap<string, string> | undefined;
  /** First questions of each part alone. */
  readonly limit?: number | undefined;
  readonly shard?: Shard | undefined;
  /** Name or file of a set of prompts; default the one that fits the model. */
  readonly prompts?: string | undefined;
  readonly coordinates?: Coordinates | FrameName | undefined;
  readonly blind?: boolean | undefined;
  readonly keepThinking?: boolean | undefined;
  /** Default 128. */
  readonly maxNewTokens?: number | undefined;
  /** 0 (default) takes the likeliest token. */
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly seed?: number | undefined;
  /** Questions answered together; default 64. */
  readonly batchSize?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

const OPTIONS: Checks<EvalOptions> = {
  out: anything,
  data: anything,
  model: anything,
  load: anything,
  openModel: anything,
  endpoint: anything,
  choices: anything,
  subset: anything,
  readers: anything,
  limit: anything,
  shard: anything,
  prompts: anything,
  coordinates: anything,
  blind: anything,
  keepThinking: anything,
  maxNewTokens: anything,
  temperature: anything,
  topP: anything,
  seed: anything,
  batchSize: anything,
  signal: anything,
  onProgress: anything,
};

/** Who answers, before it is known whether anything has to be asked. */
interface Answering extends Disposable {
  readonly model: EvaluatedModel;
  /** The set of prompts that fits. */
  readonly prompts: string;
  readonly open: () => Promise<Respondent>;
}

type Decoding = EvalDecoding & { readonly maxNewTokens: number };

async function ownModel(options: EvalOptions, decoding: Decoding): Promise<Answering> {
  const { load = {}, batchSize = EVAL_DEFAULTS.batchSize } = options;
  const { model, promptFamily } = await factsOfModel(options.model, load);
  let session: Awaited<ReturnType<NonNullable<EvalOptions['openModel']>>> | undefined;
  return {
    model,
    prompts: promptFamily,
    open: async () => {
      session = await (options.openModel?.() ?? loadModel(options.model, load));
      return new ModelRespondent(session, batchSize, decoding);
    },
    [Symbol.dispose]: () => session?.dispose(),
  };
}

function endpointOf(endpoint: EvalEndpoint, decoding: Decoding): Answering {
  const { concurrency = EVAL_DEFAULTS.concurrency, onNotice = () => {}, ...server } = endpoint;
  const { origin, pathname } = new URL(endpoint.url);
  return {
    model: { kind: 'endpoint', name: endpoint.model, url: `${origin}${pathname}` },
    prompts: 'general',
    open: async () => new EndpointRespondent({ ...server, ...decoding, concurrency, onNotice }),
    [Symbol.dispose]: () => {},
  };
}

/** The set of prompts of a run; tasks of one's own have theirs in their files. */
function promptsOf(options: EvalOptions, benchmarks: readonly Benchmark[], fitting: string): PromptSet {
  const { prompts, coordinates } = options;
  const idle = prompts !== undefined ? '--prompts' : coordinates !== undefined ? '--coordinates' : undefined;
  if (idle !== undefined && benchmarks.every(({ ownPrompt }) => ownPrompt !== undefined)) {
    throw new CommError(`${idle} has no effect on a task of your own, which says in its file how it asks.`, {
      code: 'eval/usage',
      exitCode: 2,
      fix: `Leave out ${idle}.`,
    });
  }
  const set = loadPrompts(prompts ?? fitting);
  return coordinates === undefined ? set : withCoordinates(set, coordinates);
}

/** Where the data lie. @throws CommError where that is not known */
function dataOf(options: EvalOptions, names: readonly string[]): string {
  const [first = ''] = names;
  if (options.data !== undefined) return options.data;
  if (names.every((name) => findBenchmark(name) === undefined)) return dirname(resolve(first));
  throw new CommError('The data folder is missing.', {
    code: 'eval/usage',
    exitCode: 2,
    fix: 'Name it with --data FOLDER.',
  });
}

/**
 * Evaluates benchmarks and tasks, and writes the folder of results with its report. A run that was stopped goes on.
 *
 * @param names names of benchmarks, and JSON files of tasks of one's own
 * @throws CommError for data that are not whole, a folder of another run, and questions that cannot be answered
 */
export async function runEval(names: readonly string[], options: EvalOptions): Promise<EvalOutcome> {
  checkOptions(options, OPTIONS, { what: 'The options of an evaluation', needed: ['out'], fix: 'Give {out: FOLDER}.' });
  const benchmarks = findTasks(names);
  const data = dataOf(options, names);
  refuseInputAsOutput(options.out, [data]);
  const { temperature = 0, topP = 1, seed = 0, maxNewTokens = EVAL_DEFAULTS.maxNewTokens, endpoint } = options;
  const decoding = { temperature, topP, seed };
  const asked = { ...decoding, maxNewTokens };
  using answering = endpoint === undefined ? await ownModel(options, asked) : endpointOf(endpoint, asked);
  const choices = benchmarks.map(
    ({ name }) => [name, { subset: options.subset, ...options.choices?.get(name) }] as const,
  );
  const outcome = await evaluate({
    benchmarks,
    data,
    out: options.out,
    model: answering.model,
    prompts: promptsOf(options, benchmarks, answering.prompts),
    decoding,
    maxNewTokens,
    blind: options.blind === true,
    keepThinking: options.keepThinking === true,
    limit: options.limit,
    shard: options.shard,
    readers: options.readers,
    choices: new Map(choices),
    openRespondent: answering.open,
    signal: options.signal,
    onProgress: options.onProgress,
  });
  if (outcome.kind === 'results') await writeReport(options.out, { data, writeFile: writeDurably });
  return outcome;
}
