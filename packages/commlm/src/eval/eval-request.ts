/** What `evaluate` is asked for: checked, since an option without effect may be what was to decide a figure, and filled in. */
import { type Check, type Checks, checkOptions } from '../config/check-options.js';
import { codeVersion } from '../files/code-version.js';
import { writeDurably } from '../files/durable.js';
import type { Benchmark } from './benchmarks/benchmark.js';
import type { DataChoices } from './benchmarks/data-folder.js';
import { findTasks } from './benchmarks/find-tasks.js';
import { EVAL_DEFAULTS, type EvalDecoding } from './defaults.js';
import { loadPrompts, type PromptSet } from './prompts.js';
import type { Respondent } from './respondent.js';
import type { EvaluatedModel } from './results.js';

/** A part of a run: shard `index` of `count`, from 0. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** What is evaluated, and how. */
export interface EvalRequest {
  /** Benchmarks, their names, or JSON files of tasks of one's own. */
  readonly benchmarks: readonly (Benchmark | string)[];
  /** Folder of the published files. */
  readonly data: string;
  /** Folder of the results; a run that was stopped goes on in it. */
  readonly out: string;
  /** Called once, when there is something to ask. */
  readonly openRespondent: () => Promise<Respondent>;
  /** Who answers, as the results name it; a folder of another one is refused. Default `{kind: 'other', name: 'respondent'}`. */
  readonly model?: EvaluatedModel | undefined;
  /** A set, its name or its file. Default `general` for an endpoint, else `shikra`, in whose words COMM models are trained. */
  readonly prompts?: PromptSet | string | undefined;
  /** What the results say of how the respondent draws its answers; default the likeliest token each time. */
  readonly decoding?: EvalDecoding | undefined;
  /** Longest answer of the respondent in tokens, as the results name it; default 128. */
  readonly maxNewTokens?: number | undefined;
  /** Ask everything again with grey pictures. */
  readonly blind?: boolean | undefined;
  /** Read thinking (`<think>...</think>`) as a part of the answer in place of cutting it. */
  readonly keepThinking?: boolean | undefined;
  /** Units of each group that are asked, the first ones. */
  readonly limit?: number | undefined;
  readonly shard?: Shard | undefined;
  /** By benchmark: how answers are read; default each benchmark's first reader, the official one. */
  readonly readers?: ReadonlyMap<string, string> | undefined;
  /** By benchmark: files by role, splits. */
  readonly choices?: ReadonlyMap<string, DataChoices> | undefined;
  /** Version of this software, and its commit where it is known; default those of the package that runs. */
  readonly commlm?: string | undefined;
  readonly commit?: string | null | undefined;
  /** Writes a file whole or not at all; this is the default. */
  readonly writeFile?: ((path: string, content: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

type Optional = 'signal' | 'onProgress' | 'limit' | 'shard';

/** A request with nothing left open. */
export type Evaluation = Readonly<
  {
    [Key in Exclude<keyof EvalRequest, Optional | 'benchmarks' | 'prompts'>]-?: Exclude<EvalRequest[Key], undefined>;
  } & Pick<EvalRequest, Optional> & { benchmarks: readonly Benchmark[]; prompts: PromptSet }
>;

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const object: Check = (value) => (isObject(value) ? undefined : 'an object');
const text: Check = (value) => (typeof value === 'string' && value !== '' ? undefined : 'a text');
const folder: Check = (value) => (typeof value === 'string' && value !== '' ? undefined : 'a folder');
const yesOrNo: Check = (value) => (typeof value === 'boolean' ? undefined : 'true or false');
const callable: Check = (value) => (typeof value === 'function' ? undefined : 'a function');
const counting: Check = (value) =>
  Number.isInteger(value) && Number(value) > 0 ? undefined : 'a whole number above 0';
const map: Check = (value) => (value instanceof Map ? undefined : 'a Map by the names of benchmarks');

const REQUEST: Checks<EvalRequest> = {
  benchmarks: (value) =>
    Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string' || isObject(each))
      ? undefined
      : "a list of names, as in ['pope'], or of what findBenchmark gives",
  data: folder,
  out: folder,
  openRespondent: callable,
  model: (value) => (isObject(value) && 'kind' in value && 'name' in value ? undefined : 'an object {kind, name}'),
  prompts: (value) => (typeof value === 'string' || isObject(value) ? undefined : 'a set of prompts, its name or file'),
  decoding: object,
  maxNewTokens: counting,
  blind: yesOrNo,
  keepThinking: yesOrNo,
  limit: counting,
  shard: (value) => (isObject(value) && 'index' in value && 'count' in value ? undefined : 'an object {index, count}'),
  readers: map,
  choices: map,
  commlm: text,
  commit: (value) => (value === null || typeof value === 'string' ? undefined : 'a text or null'),
  writeFile: callable,
  signal: (value) => (value instanceof AbortSignal ? undefined : 'an AbortSignal'),
  onProgress: callable,
};

const NEEDED = ['benchmarks', 'data', 'out', 'openRespondent'] as const;

/** The request with its defaults. @throws CommError for what is no request */
export function fillRequest(request: EvalRequest): Evaluation {
  const fix = 'Give {benchmarks, data, out, openRespondent}.';
  checkOptions(request, REQUEST, { what: 'The request of an evaluation', needed: NEEDED, fix });
  const { model = { kind: 'other', name: 'respondent' } } = request;
  const { prompts = model.kind === 'endpoint' ? 'general' : 'shikra' } = request;
  const version = request.commlm === undefined || request.commit === undefined ? codeVersion() : undefined;
  return {
    ...request,
    benchmarks: findTasks(request.benchmarks),
    model,
    prompts: typeof prompts === 'string' ? loadPrompts(prompts) : prompts,
    decoding: request.decoding ?? EVAL_DEFAULTS.decoding,
    maxNewTokens: request.maxNewTokens ?? EVAL_DEFAULTS.maxNewTokens,
    blind: request.blind ?? false,
    keepThinking: request.keepThinking ?? false,
    readers: request.readers ?? new Map(),
    choices: request.choices ?? new Map(),
    commlm: request.commlm ?? version!.commlm,
    commit: request.commit === undefined ? version!.commit : request.commit,
    writeFile: request.writeFile ?? writeDurably,
  };
}
