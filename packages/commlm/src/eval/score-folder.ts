/**
 * A folder of results from files of predictions, as `eval` leaves one: results.json and samples_<benchmark>.jsonl, which
 * `eval report` and `eval compare` read. Several benchmarks may go into one folder, one after the other.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { CommError } from '../config/errors.js';
import { codeVersion } from '../files/code-version.js';
import { makeFolder } from '../files/durable.js';
import { hashFile } from './benchmarks/data-folder.js';
import { BENCHMARKS, findBenchmark } from './benchmarks/index.js';
import type { FileSamples, ScoreRequest } from './benchmarks/score-file.js';
import { BOOTSTRAP } from './bootstrap.js';
import { readResults } from './read-results.js';
import {
  type BenchmarkResult,
  type DataFileFacts,
  type EvalResults,
  type EvalSample,
  RESULTS_VERSION,
} from './results.js';
import { type ScoreResult, scoreWithSamples } from './score.js';
import { withIntervals, writeSamples } from './score-task.js';

/** Where the folder is, and how it is written. */
export interface ScoreFolderOptions {
  readonly out: string;
  /** Writes a file whole or not at all. */
  readonly writeFile: (path: string, content: string) => void;
}

/** Scores a file of predictions as `scoreFiles`, and keeps the results. @throws CommError as that, and for a folder of a run */
export async function scoreIntoFolder(
  name: string,
  request: ScoreRequest,
  { out, writeFile }: ScoreFolderOptions,
): Promise<ScoreResult> {
  const others = await otherResults(out, name);
  const { result, samples } = await scoreWithSamples(name, request);
  const given = samplesOf(await samples());
  makeFolder(out);
  const file = writeSamples(result.benchmark, given.samples, { out, writeFile });
  const kept = { ...(await keptResult(result, request, out, given)), samples: file };
  const order = (each: BenchmarkResult): number => BENCHMARKS.findIndex((known) => known.name === each.benchmark);
  const results: EvalResults = {
    version: RESULTS_VERSION,
    run: {
      model: { kind: 'predictions', name: 'predictions' },
      prompts: null,
      decoding: null,
      bootstrap: { ...BOOTSTRAP },
      blind: false,
      limit: null,
      dataFolder: '.',
      ...codeVersion(),
    },
    benchmarks: [...others, kept].sort((a, b) => order(a) - order(b)),
  };
  writeFile(join(out, 'results.json'), `${JSON.stringify(results, undefined, 2)}\n`);
  return result;
}

/** What the folder holds of other benchmarks. @throws CommError when that is a run of `eval` */
async function otherResults(out: string, name: string): Promise<readonly BenchmarkResult[]> {
  if (!existsSync(join(out, 'results.json'))) return [];
  const { run, benchmarks } = await readResults(out);
  if (run.model.kind === 'predictions') return benchmarks.filter(({ benchmark }) => benchmark !== name);
  throw new CommError(`The folder ${out} holds a run of eval.`, {
    code: 'eval/foreign-run',
    fix: 'Name another folder with --out.',
  });
}

interface KeptSamples {
  readonly samples: readonly EvalSample[];
  readonly figures: Readonly<Record<string, number>>;
}

function samplesOf({ items, answers, scored }: FileSamples): KeptSamples {
  const samples = scored.items.map((score, i): EvalSample => {
    const { id, unit, group, picture, kind, words } = items[i]!;
    const prompt = [words['question'] ?? words['expr'], words['options']].filter(Boolean).join('\n');
    return { id, unit, group, picture, prompt, answer: answers[i]!, kind, ...score };
  });
  return { samples, figures: scored.figures };
}

async function keptResult(
  { benchmark, reader, metrics, notes, thinking, ...rest }: ScoreResult,
  request: ScoreRequest,
  out: string,
  { samples, figures }: KeptSamples,
): Promise<Omit<BenchmarkResult, 'samples'>> {
  const unanswered = rest.unanswered ?? null;
  // Figures that tools beside ours give, such as METEOR and SPICE, are not resampled.
  const beside = Object.entries(metrics).flatMap(([name, value]) =>
    typeof value === 'number' && !(name in figures) ? [[name, value] as const] : [],
  );
  const bounded = withIntervals(findBenchmark(benchmark)!, { ...figures, ...Object.fromEntries(beside) }, samples);
  const numLeftOut = unanswered === null ? 0 : unanswered.count + unanswered.alsoLeftOut;
  const data = await factsOf(out, { annotations: request.annotations, splits: request.splitFile });
  return {
    benchmark,
    reader,
    count: samples.length,
    total: samples.length + numLeftOut,
    partial: request.subset === true || request.subtasks !== undefined || unanswered !== null,
    published: false,
    figures: bounded.figures,
    numCut: 0,
    unanswered,
    thinking: thinking ?? { count: 0, cut: request.keepThinking !== true },
    clusters: bounded.numClusters,
    prompt: null,
    maxNewTokens: null,
    data,
    predictions: await factsOf(out, { predictions: request.predictions }),
    notes: [...notes, ...bounded.intervalNotes],
  };
}

/** Paths from the folder of results, and hashes; of a folder those of its files. */
async function factsOf(out: string, files: Readonly<Record<string, string | undefined>>): Promise<DataFileFacts[]> {
  const facts: DataFileFacts[] = [];
  for (const [role, path] of Object.entries(files)) {
    if (path === undefined) continue;
    const paths = statSync(path).isDirectory()
      ? readdirSync(path)
          .filter((file) => file.endsWith('.txt'))
          .sort()
          .map((file) => join(path, file))
      : [path];
    for (const each of paths) {
      const from = relative(resolve(out), resolve(each)).replaceAll('\\', '/');
      facts.push({ role, path: from, sha256: await hashFile(each) });
    }
  }
  return facts;
}
