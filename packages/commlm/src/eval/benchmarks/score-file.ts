/** Scoring a file of predictions: what the `scoreFile` of a benchmark gets and gives, and the steps that all share. */

import type { FrameName } from '../coordinates.js';
import { type ById, type Id, requireSameIds } from '../formats/files.js';
import type { Unanswered } from '../results.js';
import { type ReadPredictions, readPredictions } from '../score-reading.js';
import type { EvalItem, Scored } from './item.js';

/** What `score` is asked for; paths are of files. */
export interface ScoreRequest {
  readonly predictions: string;
  readonly annotations?: string | undefined;
  /** How answers are read; the first of the benchmark's readers when left out. */
  readonly reader?: string | undefined;
  readonly split?: string | undefined;
  /** MME: score these subtasks alone; no sum is called perception or cognition then, unless all of a part are named. */
  readonly subtasks?: readonly string[] | undefined;
  /** ScienceQA's `pid_splits.json`. */
  readonly splitFile?: string | undefined;
  /** Captions: score the predicted images alone and say so. */
  readonly subset?: boolean | undefined;
  /** Captions: add METEOR; without its tables that is METEOR of the exact and stem modules, named so. */
  readonly meteor?: boolean | undefined;
  /** Captions: where the METEOR release lies; implies `meteor`. */
  readonly meteorData?: string | undefined;
  /** Captions: add SPICE by this command of its release, which gets the file names behind it. */
  readonly spiceCommand?: string | undefined;
  /** Read thinking (`<think>...</think>`) as a part of the answer in place of cutting it. */
  readonly keepThinking?: boolean | undefined;
  /** Boxes: the frame of the answers, by default `unit`, the fractions that the reader expects. */
  readonly coordinates?: FrameName | undefined;
  /** Gets a line before something that takes long. */
  readonly notify?: ((line: string) => void) | undefined;
}

/** The same for a benchmark: the reader is one of its own, and the annotations are named, or '' where it needs none. */
export type FileRequest = ScoreRequest & { readonly annotations: string; readonly reader: string };

/** A figure, or figures by group. Null stands for a figure that does not exist, such as the mean of nothing. */
export type MetricValue = number | null | Readonly<Record<string, number>>;

/** What `score` says about a file of predictions. */
export interface FileScores {
  readonly count: number;
  readonly metrics: Readonly<Record<string, MetricValue>>;
  /** What a reader of the figures must know, such as the modules of METEOR. */
  readonly notes: readonly string[];
  /** Predictions that are no answers and left out; absent when all were scored. */
  readonly unanswered?: Unanswered;
  /** Predictions with thinking, and whether it was cut; absent when there is none. */
  readonly thinking?: { readonly count: number; readonly cut: boolean };
  readonly perItem: ReadonlyArray<Readonly<Record<string, unknown>>>;
  /** The same as `eval` has it, for a folder of results. */
  readonly samples: () => Promise<FileSamples>;
}

/** Questions with their answers and what `eval` would say about them. */
export interface FileSamples {
  readonly items: readonly EvalItem[];
  /** As they stand in the file, parallel to `items`. */
  readonly answers: readonly string[];
  readonly scored: Scored;
}

/** Ids of the predictions must be those of the annotations, each once. */
export function matchIds<Value>(ids: Iterable<Id>, predictions: ById<Value>, noun: string, request: FileRequest): void {
  requireSameIds(new Set(ids), predictions, noun, request);
}

/** The answers of a file, in the order of what they answer. */
export function readFileAnswers(
  texts: readonly string[],
  request: FileRequest,
  unitOf?: (place: number) => number,
): ReadPredictions {
  return readPredictions(texts, { keepThinking: request.keepThinking === true, path: request.predictions }, unitOf);
}

/** What a result says about predictions that were cut or left out. */
export function factsOf({ unanswered, numThinking, notes }: ReadPredictions, request: FileRequest) {
  return {
    notes,
    ...(unanswered === null ? {} : { unanswered }),
    ...(numThinking === 0 ? {} : { thinking: { count: numThinking, cut: request.keepThinking !== true } }),
  };
}

/** Entries of the annotations with their answers by id, and those answers as they stand in the file. */
export function answeredEntries<Entry, Key extends Id>(
  entries: readonly Entry[],
  keyOf: (entry: Entry) => Key,
  predictions: ReadonlyMap<Id, string>,
  request: FileRequest,
  unitOf?: (place: number) => number,
) {
  const texts = entries.map((entry) => predictions.get(keyOf(entry))!);
  const read = readFileAnswers(texts, request, unitOf);
  const kept = read.places.map((i) => entries[i]!);
  const answers = new Map(kept.map((entry, k) => [keyOf(entry), read.texts[k]!]));
  return { entries: kept, answers, texts: read.texts, given: read.given, facts: factsOf(read, request) };
}
