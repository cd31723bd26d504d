/** Two folders of results over the same data: which differences are real, and which answers changed. */
import { anything, type Checks, checkOptions } from '../config/check-options.js';
import { CommError } from '../config/errors.js';
import { baseOfResult } from './benchmarks/index.js';
import { type Unit, unitsOf } from './benchmarks/item.js';
import { FEW_CLUSTERS } from './bootstrap.js';
import { strataOf } from './clusters.js';
import { COMPARE_DEFAULTS } from './defaults.js';
import type { Id } from './formats/files.js';
import { readResults, readSamples } from './read-results.js';
import type { BenchmarkResult, EvalResults, EvalSample } from './results.js';
import type { RateScale } from './shown-figure.js';
import { type PairedOptions, pairedBootstrap, signFlipTest } from './significance.js';

/** One figure of both runs; interval and p-value are null for figures that are not resampled. */
export interface FigureComparison {
  readonly a: number;
  readonly b: number;
  /** B - A. */
  readonly difference: number;
  readonly low: number | null;
  readonly high: number | null;
  readonly p: number | null;
}

/**
 * Units that are right in one run alone: a question, both questions of an MME picture, all rotations of MMBench. The p-value
 * counts pictures, each with what it gained and lost; with one unit a picture it is McNemar's exact test.
 */
export interface McNemar {
  readonly units: number;
  readonly onlyA: number;
  readonly onlyB: number;
  readonly p: number;
}

/** A question whose score changed: `lost` from right to wrong or to a lower score, `gained` the other way. */
export interface Change {
  readonly kind: 'lost' | 'gained';
  readonly id: Id;
  readonly group?: string | undefined;
  readonly picture: string | null;
  readonly prompt: string;
  readonly target: EvalSample['target'];
  readonly a: { readonly answer: string; readonly score: number };
  readonly b: { readonly answer: string; readonly score: number };
}

/** One benchmark of both folders. */
export interface BenchmarkComparison {
  readonly benchmark: string;
  readonly reader: string;
  /** What its rates are in; a table shows percent. */
  readonly scale: RateScale;
  readonly count: number;
  /** Pictures, or questions where there are none: what intervals and p-values are over. */
  readonly clusters: number;
  /** By name, the main one first. */
  readonly figures: Readonly<Record<string, FigureComparison>>;
  /** Null where answers are not simply right or wrong. */
  readonly mcnemar: McNemar | null;
  readonly changes: readonly Change[];
  readonly notes: readonly string[];
}

/** What `eval compare --json` prints. */
export interface Comparison {
  readonly a: { readonly folder: string; readonly model: string };
  readonly b: { readonly folder: string; readonly model: string };
  readonly bootstrap: PairedOptions;
  readonly benchmarks: readonly BenchmarkComparison[];
}

/** What is compared; the settings of the resampling are 2,000 draws, seed 0 and level 0.95 unless given. */
export interface CompareRequest extends Partial<PairedOptions> {
  /** Folder of results to compare with. */
  readonly a: string;
  /** Folder of results that is compared. */
  readonly b: string;
  /** All that both folders have when left out. */
  readonly benchmarks?: readonly string[] | undefined;
}

const REQUEST: Checks<CompareRequest> = {
  a: anything,
  b: anything,
  benchmarks: anything,
  resamples: anything,
  seed: anything,
  level: anything,
};

function refusal(benchmark: string, why: string, fix: string): CommError {
  return new CommError(`The results of ${benchmark} cannot be compared: ${why}.`, { code: 'eval/not-comparable', fix });
}

/** Both must have answered the same questions, read in the same way. */
function requireSame(a: BenchmarkResult, b: BenchmarkResult): void {
  const { benchmark } = a;
  const hashes = ({ data }: BenchmarkResult): string[] => data.map(({ role, sha256 }) => `${role} ${sha256}`).sort();
  const [hashesA, hashesB] = [hashes(a), hashes(b)];
  const differing = hashesA.find((hash) => !hashesB.includes(hash)) ?? hashesB.find((hash) => !hashesA.includes(hash));
  if (differing !== undefined) {
    throw refusal(
      benchmark,
      `the data differ, in their file of ${differing.split(' ')[0]}`,
      'Evaluate both models on the same files.',
    );
  }
  if (a.reader !== b.reader) {
    throw refusal(benchmark, `one was read as ${a.reader}, the other as ${b.reader}`, 'Use one --reader for both.');
  }
  for (const [result, which] of [
    [a, 'the first'],
    [b, 'the second'],
  ] as const) {
    if (!result.unanswered) continue;
    throw refusal(
      benchmark,
      `${result.unanswered.count} questions have no answer in ${which} run`,
      'Give its command again, which asks for them.',
    );
  }
  if (isThinkingCut(a) !== isThinkingCut(b)) {
    throw refusal(
      benchmark,
      'thinking was cut in one and read in the other',
      'Give --keep-thinking in both or in none.',
    );
  }
  if (a.count !== b.count) {
    throw refusal(benchmark, `${a.count} questions here, ${b.count} there`, 'Use the same --limit for both.');
  }
}

/** Whether thinking was cut; results without any are the same either way, and fit both. */
function isThinkingCut({ thinking }: BenchmarkResult): boolean {
  return thinking === undefined || thinking.count === 0 || thinking.cut;
}

function pairSamples(
  benchmark: string,
  a: readonly EvalSample[],
  b: readonly EvalSample[],
): Map<EvalSample, EvalSample> {
  const keyOf = ({ id, group }: EvalSample): string => JSON.stringify([group ?? '', id]);
  const byKey = new Map(b.map((sample) => [keyOf(sample), sample]));
  return new Map(
    a.map((sample) => {
      const twin = byKey.get(keyOf(sample));
      if (twin !== undefined) return [sample, twin] as const;
      throw refusal(
        benchmark,
        `question ${JSON.stringify(sample.id)} is in one alone`,
        'Use the same --limit for both.',
      );
    }),
  );
}

function changesOf(pairs: ReadonlyMap<EvalSample, EvalSample>): Change[] {
  const changes: Change[] = [];
  for (const [a, b] of pairs) {
    if (a.score === b.score) continue;
    changes.push({
      kind: b.score < a.score ? 'lost' : 'gained',
      id: a.id,
      group: a.group,
      picture: a.picture,
      prompt: b.prompt,
      target: a.target,
      a: { answer: a.answer, score: a.score },
      b: { answer: b.answer, score: b.score },
    });
  }
  const size = ({ a, b }: Change): number => Math.abs(a.score - b.score);
  return changes.sort((one, other) => size(other) - size(one));
}

/** Right or wrong by the benchmark's own word; a box that moves without crossing the line changed nothing. */
function flipsOf(pairs: ReadonlyMap<EvalSample, EvalSample>): Map<EvalSample, EvalSample> {
  return new Map([...pairs].filter(([a, b]) => a.correct === null || b.correct === null || a.correct !== b.correct));
}

function mcnemarOf(
  clusters: readonly (readonly Unit<EvalSample>[])[],
  pairs: ReadonlyMap<EvalSample, EvalSample>,
): McNemar | null {
  const counts = { units: 0, onlyA: 0, onlyB: 0 };
  const gains: number[] = [];
  for (const units of clusters) {
    let gain = 0;
    for (const { samples } of units) {
      const twins = samples.map((sample) => pairs.get(sample)!);
      if ([...samples, ...twins].some(({ correct }) => correct === null)) return null;
      const isRightA = samples.every(({ correct }) => correct);
      const isRightB = twins.every(({ correct }) => correct);
      counts.units++;
      if (isRightA && !isRightB) counts.onlyA++;
      if (isRightB && !isRightA) counts.onlyB++;
      gain += Number(isRightB) - Number(isRightA);
    }
    gains.push(gain);
  }
  return { ...counts, p: signFlipTest(gains) };
}

async function compareBenchmark(
  a: BenchmarkResult,
  b: BenchmarkResult,
  request: CompareRequest & PairedOptions,
): Promise<BenchmarkComparison> {
  requireSame(a, b);
  const name = a.benchmark;
  const benchmark = baseOfResult(a);
  if (benchmark === undefined) throw refusal(name, 'this version does not know the benchmark', 'Update commlm.');
  const pairs = pairSamples(name, await readSamples(request.a, a), await readSamples(request.b, b));
  const units = unitsOf([...pairs.keys()]);
  const paired = units.map(({ group, pictures, samples }) => ({
    group,
    pictures,
    a: benchmark.sums(samples),
    b: benchmark.sums(samples.map((sample) => pairs.get(sample)!)),
  }));
  const differences = pairedBootstrap(paired, benchmark.figures, request);
  const figures = Object.entries(a.figures).flatMap(([figure, { value }]): [string, FigureComparison][] => {
    const other = b.figures[figure]?.value;
    if (other === undefined) return [];
    const { low = null, high = null, p = null } = differences.get(figure) ?? {};
    return [[figure, { a: value, b: other, difference: other - value, low, high, p }]];
  });
  const strata = strataOf(units);
  const clusters = strata.flatMap((stratum) => stratum.clusters);
  const fewest = Math.min(...strata.map((stratum) => stratum.clusters.length));
  const isSamePrompt = JSON.stringify(a.prompt) === JSON.stringify(b.prompt);
  return {
    benchmark: name,
    reader: a.reader,
    scale: benchmark.scale,
    count: a.count,
    clusters: clusters.length,
    figures: Object.fromEntries(figures),
    mcnemar: mcnemarOf(clusters, pairs),
    changes: changesOf(flipsOf(pairs)),
    notes: [
      ...(isSamePrompt ? [] : ['The prompts differ, so the difference is not of the models alone.']),
      ...(fewest < FEW_CLUSTERS
        ? [
            `Over ${fewest} pictures in the smallest part: the intervals are too narrow and the p-values of the bootstrap too small.`,
          ]
        : []),
      ...(a.partial ? [`A part of the data: ${a.count} of ${a.total} questions.`] : []),
    ],
  };
}

/** Names of the benchmarks that both have, or the ones asked for. */
function commonBenchmarks(a: EvalResults, b: EvalResults, request: CompareRequest): readonly string[] {
  const [ofA, ofB] = [a, b].map(({ benchmarks }) => benchmarks.map(({ benchmark }) => benchmark)) as [
    string[],
    string[],
  ];
  const wanted = request.benchmarks ?? ofA.filter((name) => ofB.includes(name));
  for (const name of wanted) {
    const lacking = ofA.includes(name) ? (ofB.includes(name) ? undefined : request.b) : request.a;
    if (lacking !== undefined)
      throw refusal(
        name,
        `${lacking} has none`,
        `It has ${(lacking === request.a ? ofA : ofB).join(', ') || 'nothing'}.`,
      );
  }
  if (wanted.length > 0) return wanted;
  throw new CommError('The two folders have no benchmark in common.', {
    code: 'eval/not-comparable',
    fix: `${request.a} has ${ofA.join(', ') || 'none'}; ${request.b} has ${ofB.join(', ') || 'none'}.`,
  });
}

/**
 * Compares two folders of results, B against A.
 *
 * @throws CommError when their data, readers or questions differ
 */
export async function compareResults(given: CompareRequest): Promise<Comparison> {
  checkOptions(given, REQUEST, { what: 'A comparison', needed: ['a', 'b'], fix: 'Give {a: FOLDER, b: FOLDER}.' });
  const { resamples, seed, level } = COMPARE_DEFAULTS;
  const request = {
    ...given,
    resamples: given.resamples ?? resamples,
    seed: given.seed ?? seed,
    level: given.level ?? level,
  };
  const [a, b] = [await readResults(request.a), await readResults(request.b)];
  const benchmarks: BenchmarkComparison[] = [];
  for (const name of commonBenchmarks(a, b, request)) {
    const [ofA, ofB] = [a, b].map((results) => results.benchmarks.find(({ benchmark }) => benchmark === name));
    benchmarks.push(await compareBenchmark(ofA as BenchmarkResult, ofB as BenchmarkResult, request));
  }
  return {
    a: { folder: request.a, model: a.run.model.name },
    b: { folder: request.b, model: b.run.model.name },
    bootstrap: { resamples: request.resamples, seed: request.seed, level: request.level },
    benchmarks,
  };
}
