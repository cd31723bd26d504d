/** What a benchmark is: questions read from published files, the scoring of their answers, and that of prediction files. */
import type { EvalPrompt, PromptName } from '../prompts.js';
import type { EvalSample } from '../results.js';
import type { RateScale } from '../shown-figure.js';
import type { DataFolder, DataRole } from './data-folder.js';
import type { LoadedBenchmark } from './item.js';
import type { FileRequest, FileScores } from './score-file.js';

/** Sums over units by group; the group of samples without one is ''. */
export type GroupSums = ReadonlyMap<string, Iterable<number> & ArrayLike<number>>;

/** One row of `eval`. */
export interface Benchmark {
  readonly name: string;
  readonly summary: string;
  readonly prompt: PromptName;
  /** The first is the default. */
  readonly readers: readonly [string, ...string[]];
  readonly roles: readonly DataRole[];
  /** Reads the files and checks that every picture is there. */
  readonly load: (folder: DataFolder) => Promise<LoadedBenchmark>;
  /** The additive statistics of one unit, from its lines in the samples file. */
  readonly sums: (unit: readonly Pick<EvalSample, 'figures' | 'score'>[]) => readonly number[];
  /** Figures from statistics summed over units: those of `Scored.figures` that a bootstrap can repeat. */
  readonly figures: (sums: GroupSums) => Readonly<Record<string, number>>;
  /** What its rates are in, as the official tool gives them. */
  readonly scale: RateScale;
  /** A task of the user's has its own metric and prompt, in place of those of the set for `prompt`. */
  readonly metric?: string | undefined;
  readonly ownPrompt?: EvalPrompt | undefined;
}

/** A benchmark that others have published: `score` scores files of predictions for it, as its official tool does. */
export interface PublishedBenchmark extends Benchmark {
  readonly scoreFile: (request: FileRequest) => Promise<FileScores>;
}

/** Adds sums of several groups. */
export function addSums(sums: Iterable<ArrayLike<number>>): number[] {
  const total: number[] = [];
  for (const part of sums) {
    for (let i = 0; i < part.length; i++) total[i] = (total[i] ?? 0) + part[i]!;
  }
  return total;
}

/** `part / whole`, 0 when there is nothing. */
export function share(part: number | undefined, whole: number | undefined): number {
  return part === undefined || whole === undefined || whole === 0 ? 0 : part / whole;
}

/** The plain average of the figures of groups. */
export function averageOf<Name extends string>(
  names: readonly Name[],
  groups: readonly Readonly<Record<Name, number>>[],
): Record<Name, number> {
  const average = (name: Name): number =>
    share(
      groups.reduce((sum, figures) => sum + figures[name], 0),
      groups.length,
    );
  return Object.fromEntries(names.map((name) => [name, average(name)])) as Record<Name, number>;
}

/** Figures of groups by `<group>.<figure>`; a group without a name has none of its own. */
export function figuresOfGroups<Name extends string>(
  names: readonly Name[],
  groups: ReadonlyArray<readonly [group: string, figures: Readonly<Record<Name, number>>]>,
): Record<string, number> {
  const named = groups.filter(([group]) => group !== '');
  return Object.fromEntries(named.flatMap(([group, each]) => names.map((name) => [`${group}.${name}`, each[name]])));
}
