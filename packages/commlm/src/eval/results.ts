/**
 * What `eval` leaves in its folder. Everything is a function of the data, the model and the answers: no dates, no times, so
 * that a run that was killed and resumed leaves the same bytes as one that was not.
 *
 *   answers_<benchmark>.jsonl              the record of what was asked, one fsynced line an answer (answer-log.ts)
 *   answers_<benchmark>.<i>-of-<k>.jsonl   the same for a shard
 *   samples_<benchmark>.jsonl              one `EvalSample` a line, in the order of the benchmark
 *   results.json                           one `EvalResults`: the benchmarks that are complete in this folder
 */
import type { Id } from './formats/files.js';
import type { CornerBox } from './metrics/rec.js';

/** Version of the two file formats; a reader refuses others. */
export const RESULTS_VERSION = 1;

/** One line of `samples_<benchmark>.jsonl`. */
export interface EvalSample {
  /** Unique within the benchmark, and the same in every run over the same data. */
  readonly id: Id;
  /** What is resampled together: both questions of an MME picture, all rotations of an MMBench question; else as `id`. */
  readonly unit: Id;
  /** Part that has figures of its own: a split of POPE or RefCOCO, a subtask of MME; absent where there are none. */
  readonly group?: string | undefined;
  /**
   * The picture: a path from the data folder (absolute when it lies elsewhere), or `<table>#<index>` for one that a table
   * holds. Read it with `readPicture` of benchmarks/pictures.ts. Null for a question without a picture.
   */
  readonly picture: string | null;
  /** The question as it was asked. */
  readonly prompt: string;
  /** The answer as it came. */
  readonly answer: string;
  /** The answer to the same prompt with a grey picture, in runs with `--blind`. */
  readonly blindAnswer?: string | undefined;
  /** What the answer was read as: the text without its frame, the letter, the box; null when no rule read it. */
  readonly parsed: string | CornerBox | null;
  /** What would have been right: a text, the texts of the humans or the reference captions, a box in the frame of `parsed`. */
  readonly target: string | readonly string[] | CornerBox;
  /** Right or wrong, for tests that count; null where there is no such thing (captions, partly right VQA answers). */
  readonly correct: boolean | null;
  /** The main figure of this sample alone: 0..1, but CIDEr (0..10) for captions. */
  readonly score: number;
  /** What the figures of the whole are summed from (`Benchmark.sums` in benchmarks/benchmark.ts). */
  readonly figures: Readonly<Record<string, number | readonly number[]>>;
  /** Kind of question, where the data names one: answer type, category. */
  readonly kind?: string | undefined;
  /** Boxes to draw, in pixels of the picture; `answer` is null when none was read, and absent where none was asked for. */
  readonly boxes?: { readonly target: CornerBox; readonly answer?: CornerBox | null | undefined } | undefined;
}

/** A figure with its 95 % bootstrap interval; `low` and `high` are null for figures that are not resampled. */
export interface EvalFigure {
  /** On the scale of the official tool. */
  readonly value: number;
  readonly low: number | null;
  readonly high: number | null;
}

/** A data file that was read. */
export interface DataFileFacts {
  /** What it is to the benchmark: `annotations`, `questions`, ... */
  readonly role: string;
  /** Path from the data folder, absolute when it lies elsewhere. */
  readonly path: string;
  readonly sha256: string;
}

/** The figures of one benchmark. */
export interface BenchmarkResult {
  readonly benchmark: string;
  /** A task of the user's: its metric. */
  readonly metric?: string | undefined;
  /** How answers were read; see `score`. */
  readonly reader: string;
  /** Samples scored; those without an answer are not. */
  readonly count: number;
  /** Samples in the data. */
  readonly total: number;
  /**
   * True when not everything was asked (`--limit`) or answered (`unanswered`), or the data are a part (`--subset`): never
   * comparable with full runs.
   */
  readonly partial: boolean;
  /** True when the data are the published files at their published size, so that published figures compare. */
  readonly published: boolean;
  /** By name: `accuracy`, and with the group in front `random.accuracy`. The first is the main one. */
  readonly figures: Readonly<Record<string, EvalFigure>>;
  /** The same figures of the answers to grey pictures, in runs with `--blind`. */
  readonly blind?: Readonly<Record<string, EvalFigure>> | undefined;
  /** Answers that were cut at `maxNewTokens`. */
  readonly numCut: number;
  /** Questions without an answer; null when all were answered. */
  readonly unanswered: Unanswered | null;
  /** Answers that hold thinking (`<think>...</think>`), and whether it was cut before they were read. */
  readonly thinking: { readonly count: number; readonly cut: boolean };
  /** What the intervals are over: pictures, or questions where there are none, each with all that is asked about it. */
  readonly clusters: number;
  /** How it was asked; null, as the longest answer, where predictions came from a file. */
  readonly prompt: {
    readonly template: string;
    readonly answer: string;
    readonly coordinates?: string | undefined;
  } | null;
  readonly maxNewTokens: number | null;
  readonly data: readonly DataFileFacts[];
  /** The files of predictions, where these came from files. */
  readonly predictions?: readonly DataFileFacts[] | undefined;
  readonly samples: string;
  readonly notes: readonly string[];
}

/** Questions that the figures leave out. A run with any is incomplete, and the next one asks them again. */
export interface Unanswered {
  readonly count: number;
  /** How many for each reason: `finish reason "content_filter"`, `no content`, `unfinished thinking`, ... */
  readonly reasons: Readonly<Record<string, number>>;
  /** Answered questions that are left out with them: the other one of an MME picture, the other rotations of a question. */
  readonly alsoLeftOut: number;
}

/** Who answered. */
export type EvaluatedModel =
  | {
      readonly kind: 'folder';
      readonly name: string;
      /** SHA-256 of every file that decides answers, by name. */
      readonly files: Readonly<Record<string, string>>;
      readonly dtype: string;
      readonly device: string;
    }
  | { readonly kind: 'endpoint'; readonly name: string; readonly url: string }
  /** Anything that answers; its name alone tells two apart. */
  | { readonly kind: 'other'; readonly name: string }
  /** Files of predictions that were made by anything (`score --out`). */
  | { readonly kind: 'predictions'; readonly name: string };

/** `results.json`. */
export interface EvalResults {
  readonly version: typeof RESULTS_VERSION;
  readonly run: EvalRun;
  /** In the order of the table. */
  readonly benchmarks: readonly BenchmarkResult[];
}

/** What all benchmarks of a folder share; a folder of another run is refused. */
export interface EvalRun {
  readonly model: EvaluatedModel;
  /** Null, as the decoding, where predictions came from a file. */
  readonly prompts: { readonly name: string; readonly version: number } | null;
  readonly decoding: { readonly temperature: number; readonly topP: number; readonly seed: number } | null;
  readonly bootstrap: { readonly resamples: number; readonly seed: number; readonly level: number };
  readonly blind: boolean;
  readonly limit: number | null;
  /** The data folder, as a path from the folder of the results. */
  readonly dataFolder: string;
  /** Version of this software, and its commit where it runs from a repository. */
  readonly commlm: string;
  readonly commit: string | null;
}
