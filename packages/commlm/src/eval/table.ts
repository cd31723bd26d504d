/** One table for all benchmarks of a run: ours with intervals, and the paper's beside them where the data are the same. */
import { basename, dirname } from 'node:path';
import { baseOfResult } from './benchmarks/index.js';
import { PAPER_SYSTEMS, paperFigure } from './paper-tables.js';
import type { BenchmarkResult, EvalFigure, EvalResults } from './results.js';
import { type RateScale, shownFigure } from './shown-figure.js';

/** One line of the table. */
export interface TableLine {
  readonly benchmark: string;
  readonly figure: string;
  readonly count: string;
  readonly ours: string;
  /** Of all figures of the line; see `ShownFigure`. */
  readonly unit: string;
  readonly interval: string;
  /** With grey pictures; undefined in runs without. */
  readonly blind?: string | undefined;
  /** By system of the paper, '' where it gives none or the data are not the published ones. */
  readonly paper: Readonly<Record<string, string>>;
}

/** Figures that the table shows, without those of single groups; others stay in results.json. */
const SHOWN: Readonly<Record<string, readonly string[]>> = {
  'coco-caption': ['CIDEr', 'BLEU-4', 'ROUGE-L'],
  flickr30k: ['CIDEr', 'BLEU-4', 'ROUGE-L'],
  reg: ['CIDEr', 'BLEU-4', 'ROUGE-L'],
  pope: ['accuracy', 'f1', 'yesRatio'],
  refcoco: ['accuracy', 'meanIoU'],
  'refcoco+': ['accuracy', 'meanIoU'],
  refcocog: ['accuracy', 'meanIoU'],
};

/** Figures of single groups that the table shows: what the paper's tables have. */
const SHOWN_IN_GROUPS: ReadonlySet<string> = new Set(['accuracy', 'CIDEr', 'score']);

function isShown(benchmark: string, name: string): boolean {
  const dot = name.lastIndexOf('.');
  if (dot >= 0) return SHOWN_IN_GROUPS.has(name.slice(dot + 1)) && !CATEGORIES.has(benchmark);
  return SHOWN[benchmark]?.includes(name) ?? true;
}

/** Benchmarks whose groups are categories, too many for the table. */
const CATEGORIES: ReadonlySet<string> = new Set(['mmbench']);

function intervalOf({ low, high }: EvalFigure, textOf: (value: number) => string): string {
  return low === null || high === null ? '' : `${textOf(low)} - ${textOf(high)}`;
}

/** The scale of a result's rates. A benchmark that this version does not know is shown as it is. */
export const scaleOf = (result: BenchmarkResult): RateScale => baseOfResult(result)?.scale ?? 'percent';

/** The data set of REG's refs, which the benchmark's name does not say. */
function dataSetOf({ benchmark, data }: BenchmarkResult): string | undefined {
  const refs = benchmark === 'reg' ? data.find(({ role }) => role === 'refs') : undefined;
  return refs === undefined ? undefined : basename(dirname(refs.path));
}

function linesOf(result: BenchmarkResult): TableLine[] {
  const { benchmark, figures, count, total, partial, published, blind } = result;
  const scale = scaleOf(result);
  return Object.entries(figures)
    .filter(([name]) => isShown(benchmark, name))
    .map(([name, figure], i) => {
      const grey = blind?.[name];
      const textOf = (value: number): string => shownFigure(scale, name, value).text;
      const paper = PAPER_SYSTEMS.map((system) => {
        const value = published ? paperFigure(system, benchmark, name, dataSetOf(result)) : null;
        return [system, value === null ? '' : value.toFixed(2)] as const;
      });
      return {
        benchmark: i === 0 ? benchmark : '',
        figure: name,
        count: i > 0 ? '' : partial ? `${count} of ${total}` : String(count),
        ours: textOf(figure.value),
        unit: shownFigure(scale, name, figure.value).unit,
        interval: intervalOf(figure, textOf),
        blind: grey === undefined ? undefined : textOf(grey.value),
        paper: Object.fromEntries(paper),
      };
    });
}

/** The table's lines, benchmark by benchmark. */
export function tableLines(results: EvalResults): readonly TableLine[] {
  return results.benchmarks.flatMap(linesOf);
}

/** The notes of benchmarks, each once with the names that it is of. */
function notesOf(benchmarks: readonly BenchmarkResult[]): readonly string[] {
  const names = new Map<string, string[]>();
  for (const { benchmark, notes } of benchmarks) {
    for (const note of notes) names.set(note, [...(names.get(note) ?? []), benchmark]);
  }
  return [...names].map(([note, of]) => `${of.join(', ')}: ${note}`);
}

/** What must be said below the table. */
export function tableNotes({ benchmarks }: EvalResults): readonly string[] {
  const partial = benchmarks.filter(({ partial: isPart }) => isPart).map(({ benchmark }) => benchmark);
  const empty = benchmarks.filter(({ count }) => count === 0).map(({ benchmark }) => benchmark);
  const cut = benchmarks.filter(({ numCut }) => numCut > 0);
  return [
    ...notesOf(benchmarks),
    ...(empty.length > 0 ? [`NO FIGURES: ${empty.join(', ')}; no question has an answer.`] : []),
    ...(partial.length > 0 ? [`PARTIAL: ${partial.join(', ')}; do not compare these with figures of whole runs.`] : []),
    ...cut.map(({ benchmark, numCut }) => `${benchmark}: ${numCut} answers were cut at the longest length.`),
    ...(benchmarks.some(({ published }) => published)
      ? []
      : ['None of these data are the published ones, so no figure of the paper stands beside ours.']),
  ];
}
