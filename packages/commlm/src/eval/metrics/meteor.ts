/**
 * METEOR 1.5 for English, task "rank" with normalisation, as the caption tools call it: the best reference of each image,
 * and a corpus score from the summed counts (not a mean of the scores).
 */
import {
  type AlignmentCounts,
  align,
  type MeteorModule,
  type MeteorTables,
  type MeteorText,
  prepareText,
} from './meteor-aligner.js';
import { normalizeForMeteor } from './meteor-normalizer.js';
import type { CaptionMetric } from './rouge.js';

/** `METEOR`, or with fewer modules `METEOR ex+st` and the like, see {@link MeteorScorer}. */
export type MeteorName = 'METEOR' | `METEOR ${string}`;

const ALPHA = 0.85;
const BETA = 0.2;
const GAMMA = 0.6;
/** Weight of content words; function words have the rest of one. */
const DELTA = 0.75;
/** Weights of the modules exact, stem, synonym, paraphrase. */
const WEIGHTS = [1, 0.6, 0.8, 0.6];

const SHORT_NAMES: Readonly<Record<MeteorModule, string>> = {
  exact: 'ex',
  stem: 'st',
  synonym: 'sy',
  paraphrase: 'pa',
};

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

function weightedMatches(content: readonly number[], functions: readonly number[]): number {
  let total = 0;
  content.forEach((count, i) => {
    total += count * WEIGHTS[i]! * DELTA;
  });
  functions.forEach((count, i) => {
    total += count * WEIGHTS[i]! * (1 - DELTA);
  });
  return total;
}

const testMatches = (counts: AlignmentCounts): number => sum(counts.testContent) + sum(counts.testFunction);
const referenceMatches = (counts: AlignmentCounts): number =>
  sum(counts.referenceContent) + sum(counts.referenceFunction);

/** Both texts matched in full by one chunk. */
function isWhole(counts: AlignmentCounts): boolean {
  return (
    testMatches(counts) === counts.testLength &&
    referenceMatches(counts) === counts.referenceLength &&
    counts.chunks === 1
  );
}

/** Score of one alignment, or of summed counts. */
function meteorOf(counts: AlignmentCounts): number {
  const weightedLength = (length: number, functionWords: number): number =>
    DELTA * (length - functionWords) + (1 - DELTA) * functionWords;
  const precision =
    weightedMatches(counts.testContent, counts.testFunction) /
    weightedLength(counts.testLength, counts.testFunctionWords);
  const recall =
    weightedMatches(counts.referenceContent, counts.referenceFunction) /
    weightedLength(counts.referenceLength, counts.referenceFunctionWords);
  const fMean = 1 / ((1 - ALPHA) / precision + ALPHA / recall);
  const fragmentation = isWhole(counts) ? 0 : counts.chunks / ((testMatches(counts) + referenceMatches(counts)) / 2);
  const score = fMean * (1 - GAMMA * fragmentation ** BETA);
  return Number.isNaN(score) ? 0 : Math.max(score, 0);
}

/** Sums the counts of a corpus; an image matched in full in one chunk adds no chunk, as in the original. */
function addCounts(total: AlignmentCounts, counts: AlignmentCounts): AlignmentCounts {
  const add = (a: readonly number[], b: readonly number[]): number[] => a.map((value, i) => value + b[i]!);
  return {
    testLength: total.testLength + counts.testLength,
    referenceLength: total.referenceLength + counts.referenceLength,
    testFunctionWords: total.testFunctionWords + counts.testFunctionWords,
    referenceFunctionWords: total.referenceFunctionWords + counts.referenceFunctionWords,
    testContent: add(total.testContent, counts.testContent),
    referenceContent: add(total.referenceContent, counts.referenceContent),
    testFunction: add(total.testFunction, counts.testFunction),
    referenceFunction: add(total.referenceFunction, counts.referenceFunction),
    chunks: total.chunks + (isWhole(counts) ? 0 : counts.chunks),
  };
}

const NO_COUNTS: AlignmentCounts = {
  testLength: 0,
  referenceLength: 0,
  testFunctionWords: 0,
  referenceFunctionWords: 0,
  testContent: [0, 0, 0, 0],
  referenceContent: [0, 0, 0, 0],
  testFunction: [0, 0, 0, 0],
  referenceFunction: [0, 0, 0, 0],
  chunks: 0,
};

/** METEOR with the modules whose tables are given. */
export class MeteorScorer {
  readonly modules: readonly MeteorModule[];
  readonly tables: MeteorTables;

  constructor(tables: MeteorTables = {}) {
    this.tables = tables;
    this.modules = [
      'exact',
      'stem',
      ...(tables.synonyms === undefined ? [] : (['synonym'] as const)),
      ...(tables.paraphrases === undefined ? [] : (['paraphrase'] as const)),
    ];
  }

  /** `METEOR` with all modules, else the modules in the name, as such figures are lower and not comparable. */
  get name(): MeteorName {
    return this.modules.length === 4
      ? 'METEOR'
      : `METEOR ${this.modules.map((module) => SHORT_NAMES[module]).join('+')}`;
  }

  /** Scores PTB-tokenised candidates against their references. */
  score(references: ReadonlyArray<readonly string[]>, candidates: readonly string[]): CaptionMetric {
    let total = NO_COUNTS;
    const perCaption = candidates.map((candidate, i) => {
      // The caption tools change the candidate alone before they hand it over.
      const test = this.prepare(candidate.replaceAll('|||', '').replaceAll('  ', ' '));
      const { score, counts } = this.best(test, references[i] ?? []);
      total = addCounts(total, counts);
      return score;
    });
    return { corpus: meteorOf(total), perCaption };
  }

  private prepare(caption: string): MeteorText {
    return prepareText(normalizeForMeteor(caption), this.tables);
  }

  private best(test: MeteorText, references: readonly string[]): { score: number; counts: AlignmentCounts } {
    let best = { score: -1, counts: NO_COUNTS };
    for (const reference of references) {
      const counts = align(test, this.prepare(reference), this.tables);
      const score = meteorOf(counts);
      if (score > best.score) best = { score, counts };
    }
    return best;
  }
}
