/** A whole run of `eval`: read the data, ask what was not asked yet, score, and write the folder of results. */
import { constants } from 'node:buffer';
import { existsSync, readdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { CommError } from '../config/errors.js';
import { makeFolder } from '../files/durable.js';
import { lockFile } from '../files/lock.js';
import { readJson, readText } from '../files/read.js';
import { AnswerLog, answerKey, firstDifference, type LoggedAnswer, type LogHead, readAnswers } from './answer-log.js';
import type { Benchmark } from './benchmarks/benchmark.js';
import { DataFolder } from './benchmarks/data-folder.js';
import { BENCHMARKS } from './benchmarks/index.js';
import { type EvalItem, unitsOf } from './benchmarks/item.js';
import { trainSceneNotes } from './benchmarks/train-scenes.js';
import { BOOTSTRAP } from './bootstrap.js';
import { type EvalRequest, type Evaluation, fillRequest, type Shard } from './eval-request.js';
import { HashedPictures } from './hashed-pictures.js';
import { fillPrompt } from './prompts.js';
import { type AskedQuestion, checkRespondent, repliesOf } from './respondent.js';
import { type BenchmarkResult, type EvalResults, type EvalRun, RESULTS_VERSION } from './results.js';
import { scoreTask, type Task } from './score-task.js';

/** How a run ended: with results, or as a shard whose others are not done. */
export type EvalOutcome =
  | { readonly kind: 'results'; readonly results: EvalResults }
  | { readonly kind: 'shard'; readonly unfinished: readonly string[] };

/** The reader of a benchmark. @throws CommError for one that it does not have */
export function readerOf(benchmark: Benchmark, named: string | undefined): string {
  const reader = named ?? benchmark.readers[0];
  if (benchmark.readers.includes(reader)) return reader;
  throw new CommError(`${benchmark.name} has no reader "${reader}".`, {
    code: 'eval/usage',
    exitCode: 2,
    fix: `Use one of ${benchmark.readers.join(', ')}.`,
  });
}

/** The first `limit` units of each group; units stay whole. */
function limitItems(items: readonly EvalItem[], limit: number | undefined): readonly EvalItem[] {
  if (limit === undefined) return items;
  const taken = new Map<string, number>();
  const chosen = unitsOf(items).filter(({ group }) => {
    const count = (taken.get(group) ?? 0) + 1;
    taken.set(group, count);
    return count <= limit;
  });
  return chosen.flatMap(({ samples }) => samples);
}

/** Answers are kept by the ids of their questions. @throws CommError for an id that two questions have */
function refuseDoubleIds(benchmark: string, items: readonly EvalItem[]): void {
  const seen = new Set<string>();
  for (const { id } of items) {
    const key = JSON.stringify(id);
    if (seen.has(key)) {
      throw new CommError(`${benchmark}: two questions have the id ${key}.`, {
        code: 'eval/double-id',
        fix: 'Give each question of the data an id of its own, or remove what is there twice.',
      });
    }
    seen.add(key);
  }
}

/** The units of a shard: consecutive ones, so that questions about one picture mostly stay together. */
function shardItems(items: readonly EvalItem[], { index, count }: Shard): readonly EvalItem[] {
  const units = unitsOf(items);
  const start = Math.floor((units.length * index) / count);
  const end = Math.floor((units.length * (index + 1)) / count);
  return units.slice(start, end).flatMap(({ samples }) => samples);
}

async function loadTask(benchmark: Benchmark, request: Evaluation): Promise<Task> {
  const reader = readerOf(benchmark, request.readers.get(benchmark.name));
  const folder = new DataFolder(request.data, benchmark, request.choices.get(benchmark.name));
  const loaded = await benchmark.load(folder);
  refuseDoubleIds(benchmark.name, loaded.items);
  const items = limitItems(loaded.items, request.limit);
  return {
    benchmark,
    reader,
    loaded,
    items,
    prompt: benchmark.ownPrompt ?? request.prompts.prompts[benchmark.prompt],
    facts: await folder.facts(),
    published: folder.published,
    partial: folder.partial || items.length < loaded.items.length,
    dataNotes: trainSceneNotes(request.data),
  };
}

function runOf(request: Evaluation): EvalRun {
  const { model, prompts, decoding, blind, limit, commlm, commit, data, out } = request;
  return {
    model,
    prompts: { name: prompts.name, version: prompts.version },
    decoding,
    bootstrap: { ...BOOTSTRAP },
    blind,
    limit: limit ?? null,
    dataFolder: relative(resolve(out), resolve(data)).replaceAll('\\', '/') || '.',
    commlm,
    commit,
  };
}

/** What makes a run this run: not where the data lie, and not the commit, or no change of a document could be resumed over. */
function identityOf({ dataFolder: _place, commit: _commit, ...run }: EvalRun): LogHead {
  return run;
}

/** What the answers to a benchmark depend on; the reader is not among it, so reading anew asks nothing anew. */
function headOf(task: Task, request: Evaluation, shard: Shard | undefined): LogHead {
  return {
    ...identityOf(runOf(request)),
    benchmark: task.benchmark.name,
    prompt: task.prompt,
    maxNewTokens: request.maxNewTokens,
    data: task.facts.map(({ role, sha256 }) => ({ role, sha256 })),
    count: task.items.length,
    shard: shard === undefined ? null : `${shard.index}-of-${shard.count}`,
  };
}

function logName(benchmark: string, shard: Shard | undefined): string {
  return shard === undefined
    ? `answers_${benchmark}.jsonl`
    : `answers_${benchmark}.${shard.index}-of-${shard.count}.jsonl`;
}

const RECORD = { what: 'the record of answers', limitBytes: constants.MAX_STRING_LENGTH };

const LOG_NAME = /^answers_(.+?)(?:\.(\d+)-of-(\d+))?\.jsonl$/;

function foreignFolder(out: string, why: string): CommError {
  return new CommError(`The folder ${out} holds another run: ${why}.`, {
    code: 'eval/foreign-run',
    fix: 'Name another folder with --out.',
  });
}

/** One process at a time asks for a folder, or for one shard of it. */
function lockFolder({ out, shard }: Evaluation): Disposable {
  const name = shard === undefined ? 'eval.lock' : `eval.${shard.index}-of-${shard.count}.lock`;
  const subject = shard === undefined ? out : `shard ${shard.index} of ${shard.count} into ${out}`;
  return lockFile(join(out, name), { doing: 'evaluates into', subject, otherwise: 'name another folder with --out' });
}

/** Checks that what the folder holds is of this run: same model, prompts, decoding, limit and sharding. */
function claimFolder(request: Evaluation): void {
  const { out, shard, benchmarks } = request;
  const identity = identityOf(runOf(request));
  const names = readdirSync(out);
  const logs = names.filter((name) => LOG_NAME.test(name));
  if (logs.length === 0 && names.includes('results.json')) {
    throw foreignFolder(out, 'it has a results.json and no record of answers');
  }
  for (const name of logs) {
    const [, benchmark, , count] = LOG_NAME.exec(name) as RegExpExecArray;
    const [line = ''] = readText(join(out, name), RECORD).split('\n', 1);
    const head = headLine(line);
    if (head === undefined) continue; // cut off by a kill before anything was asked: it is written again
    const own = Object.fromEntries(Object.keys(identity).map((key) => [key, head[key]]));
    const difference = firstDifference(own, identity);
    if (difference !== undefined) throw foreignFolder(out, `in ${name}, ${difference}`);
    if (!benchmarks.some((each) => each.name === benchmark)) continue;
    if (Number(count ?? 0) !== (shard?.count ?? 0)) {
      throw foreignFolder(out, `${name} is ${count === undefined ? 'not sharded' : `of ${count} shards`}`);
    }
  }
}

function headLine(line: string): Record<string, unknown> | undefined {
  try {
    return (JSON.parse(line) as { run?: Record<string, unknown> }).run;
  } catch {
    return undefined;
  }
}

function pendingOf(
  task: Task,
  items: readonly EvalItem[],
  log: AnswerLog,
  blind: boolean,
  pictures: HashedPictures,
): AskedQuestion[] {
  const variants = blind ? [false, true] : [false];
  const loggedOf = (id: EvalItem['id'], variant: boolean): LoggedAnswer | undefined =>
    log.answers.get(answerKey(id, variant));
  const isAnswered = (id: EvalItem['id'], variant: boolean): boolean => {
    const logged = loggedOf(id, variant);
    return logged !== undefined && logged.unanswered === undefined;
  };
  const pending = items.flatMap((item) =>
    variants
      .filter((variant) => !(variant && item.picture === null))
      .filter((variant) => !isAnswered(item.id, variant))
      .map((variant) => {
        const { picture, size } = item;
        return {
          id: item.id,
          text: fillPrompt(task.prompt, item),
          picture: picture === null ? undefined : () => pictures.read(picture),
          size: picture === null ? undefined : size,
          blind: variant,
        };
      }),
  );
  // What got no answer before comes last, so that it keeps nobody from the others.
  const wasAsked = ({ id, blind: variant }: AskedQuestion): number => (loggedOf(id, variant) === undefined ? 0 : 1);
  return pending.sort((a, b) => wasAsked(a) - wasAsked(b));
}

const numAnswers = (items: readonly EvalItem[], blind: boolean): number =>
  items.reduce((sum, { picture }) => sum + (blind && picture !== null ? 2 : 1), 0);

/** Who leaves the first questions all unanswered would leave all: the run ends then. */
const MAX_FIRST_UNANSWERED = 16;

function noAnswers(count: number, why: string): CommError {
  return new CommError(`The first ${count} questions all stay without an answer: ${why}.`, {
    code: 'eval/no-answers',
    fix: 'Check the name of the model, what the server can do, and --max-new-tokens; the same command asks the others.',
  });
}

/** Asks everything that the logs of this run, or of its shard, do not have. */
async function askAll(tasks: readonly Task[], request: Evaluation): Promise<void> {
  const { shard, blind, out, signal, onProgress } = request;
  const pictures = new HashedPictures(request.data);
  const logs: AnswerLog[] = [];
  try {
    const plans = [];
    for (const task of tasks) {
      const items = shard === undefined ? task.items : shardItems(task.items, shard);
      const path = join(out, logName(task.benchmark.name, shard));
      const log = new AnswerLog(path, headOf(task, request, shard));
      logs.push(log);
      await pictures.check(items, log.answers, path);
      const pending = pendingOf(task, items, log, blind, pictures);
      const keys = new Map(items.map(({ id, picture }) => [id, picture]));
      plans.push({ log, pending, keys, total: numAnswers(items, blind) });
    }
    const total = plans.reduce((sum, plan) => sum + plan.total, 0);
    let done = total - plans.reduce((sum, { pending }) => sum + pending.length, 0);
    if (done === total) return;
    const respondent = checkRespondent(await request.openRespondent());
    onProgress?.(done, total);
    let isAnswered = logs.some(({ answers }) =>
      [...answers.values()].some(({ unanswered }) => unanswered === undefined),
    );
    let numUnanswered = 0;
    for (const { log, pending, keys } of plans) {
      for await (const replies of repliesOf(respondent, pending, signal)) {
        log.append(
          replies.map(({ index, answer, finishReason, unanswered }): LoggedAnswer => {
            const { id, blind: isBlind } = pending[index]!;
            const pictureHash = pictures.hashOf(keys.get(id) ?? '');
            return {
              id,
              ...(isBlind ? { blind: true as const } : {}),
              answer,
              finishReason,
              unanswered,
              pictureHash,
            };
          }),
        );
        done += replies.length;
        onProgress?.(done, total);
        isAnswered ||= replies.some(({ unanswered }) => unanswered === undefined);
        numUnanswered += replies.length;
        if (!isAnswered && numUnanswered >= MAX_FIRST_UNANSWERED && done < total) {
          throw noAnswers(numUnanswered, replies[0]?.unanswered ?? '');
        }
      }
    }
  } finally {
    for (const log of logs) log.close();
  }
}

/** The answers of all shards, or which shards are not complete. */
function gatherAnswers(
  task: Task,
  request: Evaluation,
): { readonly answers: ReadonlyMap<string, LoggedAnswer>; readonly unfinished: readonly string[] } {
  const { shard, out, blind } = request;
  const shards =
    shard === undefined ? [undefined] : Array.from({ length: shard.count }, (_, index) => ({ ...shard, index }));
  const answers = new Map<string, LoggedAnswer>();
  const unfinished: string[] = [];
  for (const each of shards) {
    const name = logName(task.benchmark.name, each);
    const items = each === undefined ? task.items : shardItems(task.items, each);
    const found = readAnswers(join(out, name), headOf(task, request, each));
    for (const [key, answer] of found) answers.set(key, answer);
    if (found.size < numAnswers(items, blind)) unfinished.push(name);
  }
  return { answers, unfinished };
}

/** Results of other benchmarks of the same run that the folder holds already. */
function otherResults(path: string, run: EvalRun, names: ReadonlySet<string>): readonly BenchmarkResult[] {
  if (!existsSync(path)) return [];
  const before = readJson(path, { what: 'the results of the folder' }) as EvalResults;
  const isSameRun = firstDifference(identityOf(before.run), identityOf(run)) === undefined;
  return isSameRun ? before.benchmarks.filter(({ benchmark }) => !names.has(benchmark)) : [];
}

/**
 * Evaluates. A run that was stopped goes on where it was, and ends with the same bytes.
 *
 * @param given what is asked, and of whom; everything but `benchmarks`, `data`, `out` and `openRespondent` has a default
 * @throws CommError for data that are not whole, a folder of another run, and questions that cannot be answered
 */
export async function evaluate(given: EvalRequest): Promise<EvalOutcome> {
  const request = fillRequest(given);
  const tasks: Task[] = [];
  for (const benchmark of request.benchmarks) tasks.push(await loadTask(benchmark, request));
  makeFolder(request.out);
  using _lock = lockFolder(request);
  claimFolder(request);
  await askAll(tasks, request);
  const gathered = tasks.map((task) => ({ task, ...gatherAnswers(task, request) }));
  const unfinished = gathered.flatMap((each) => each.unfinished);
  if (unfinished.length > 0) return { kind: 'shard', unfinished };
  const run = runOf(request);
  const path = join(request.out, 'results.json');
  const own = gathered.map(({ task, answers }) => scoreTask(task, answers, request));
  const others = otherResults(path, run, new Set(own.map(({ benchmark }) => benchmark)));
  const places = new Map(BENCHMARKS.map(({ name }, i) => [name, i]));
  // Tasks of the user's come last.
  const order = (name: string): number => places.get(name) ?? places.size;
  const results: EvalResults = {
    version: RESULTS_VERSION,
    run,
    benchmarks: [...own, ...others].sort((a, b) => order(a.benchmark) - order(b.benchmark)),
  };
  request.writeFile(path, `${JSON.stringify(results, undefined, 2)}\n`);
  return { kind: 'results', results };
}
