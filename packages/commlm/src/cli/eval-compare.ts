/** `commlm eval compare A B`: is the difference between two runs real, and which answers changed. */
import type { Command } from 'commander';
import type { BenchmarkComparison, Change, Comparison } from '../eval/compare.js';
import { COMPARE_DEFAULTS } from '../eval/defaults.js';
import { shownFigure } from '../eval/shown-figure.js';
import { wholeNumber } from './options.js';
import { formatTable, note, print, printJson } from './output.js';
import { printable } from './terminal-text.js';

interface CompareOptions {
  readonly benchmark?: readonly string[];
  readonly resamples: number;
  readonly seed: number;
  readonly show: number;
  readonly json?: boolean;
}

/** Adds `compare` below `eval`. */
export function addCompare(command: Command): void {
  command
    .command('compare')
    .description('compare two folders of results on the same data: intervals, p-values and what changed')
    .argument('<a>', 'folder of results to compare with')
    .argument('<b>', 'folder of results that is compared')
    .option('--benchmark <names>', 'these alone, joined by commas; default all that both have', (text) =>
      text.split(','),
    )
    .option('--resamples <n>', 'draws of the paired bootstrap', wholeNumber(100, 1_000_000), COMPARE_DEFAULTS.resamples)
    .option('--seed <n>', 'seed of the draws', wholeNumber(0, 1_000_000), COMPARE_DEFAULTS.seed)
    .option('--show <n>', 'changed answers to list for each benchmark; --json has all', wholeNumber(0, 1_000_000), 10)
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  commlm eval compare out/before out/after')
    .action(async (a: string, b: string, options: CompareOptions) => {
      const { compareResults } = await import('../eval/compare.js');
      const { benchmark, resamples, seed } = options;
      const comparison = await compareResults({
        ...{ a, b, resamples, seed },
        benchmarks: benchmark,
      });
      if (options.json === true) printJson(comparison);
      else printComparison(comparison, options.show);
    });
}

const pValue = (p: number): string => (p < 0.0001 ? '< 0.0001' : p.toFixed(4));

/** Prints a comparison; `show` changed answers of each benchmark. */
export function printComparison({ a, b, benchmarks, bootstrap }: Comparison, show: number): void {
  // Trained models are all called "result", and files of predictions "predictions": a name that both have tells nothing apart.
  const modelOf = ({ model }: Comparison['a']): string => (a.model === b.model ? '' : `  ${model}`);
  print(printable(`A  ${a.folder}${modelOf(a)}`));
  print(printable(`B  ${b.folder}${modelOf(b)}`));
  print();
  const isWhole = ([name]: readonly [string, unknown]): boolean => !name.includes('.');
  const rows = benchmarks.flatMap(({ benchmark, scale, figures }) =>
    Object.entries(figures)
      .filter(isWhole)
      .map(([name, { a: before, b: after, difference, low, high, p }]) => {
        const textOf = (value: number): string => shownFigure(scale, name, value).text;
        const signed = (value: number): string => `${value > 0 ? '+' : ''}${textOf(value)}`;
        return [
          benchmark,
          printable(name),
          textOf(before),
          textOf(after),
          signed(difference),
          shownFigure(scale, name, before).unit,
          low === null || high === null ? '' : `${signed(low)} .. ${signed(high)}`,
          p === null ? '' : pValue(p),
        ];
      }),
  );
  const right = (title: string) => ({ title, align: 'right' as const });
  const columns = [right('A'), right('B'), right('B - A'), { title: 'unit' }, right('95 % interval'), right('p')];
  print(formatTable([{ title: 'benchmark' }, { title: 'figure' }, ...columns], rows));
  for (const each of benchmarks) printChanges(each, show);
  note(
    `Paired bootstrap over pictures, ${bootstrap.resamples} draws, seed ${bootstrap.seed}. --json has the figures of splits and kinds.`,
  );
}

function printChanges({ benchmark, mcnemar, changes, notes }: BenchmarkComparison, show: number): void {
  print();
  const count = (kind: Change['kind']): number => changes.filter((change) => change.kind === kind).length;
  print(`${benchmark}: ${count('lost')} lost, ${count('gained')} gained from A to B`);
  if (mcnemar !== null) {
    const { units, onlyA, onlyB, p } = mcnemar;
    print(`  McNemar over pictures: of ${units}, right in A alone ${onlyA}, in B alone ${onlyB}, exact p ${pValue(p)}`);
  }
  for (const { kind, id, prompt, target, a, b } of changes.slice(0, show)) {
    // Files of annotations without questions leave the id alone.
    print(`  ${kind.padEnd(6)} ${oneLine(String(id))}${prompt === '' ? '' : `: ${oneLine(prompt)}`}`);
    print(`         wanted ${oneLine(typeof target === 'string' ? target : JSON.stringify(target))}`);
    print(`         A ${oneLine(a.answer)}`);
    print(`         B ${oneLine(b.answer)}`);
  }
  if (changes.length > show) print(`  and ${changes.length - show} more; --show ${changes.length} lists them`);
  for (const line of notes) note(printable(`${benchmark}: ${line}`));
}

/** A text on one line of bounded length, for a terminal. */
function oneLine(text: string): string {
  const line = printable(text.replace(/\s+/g, ' ').trim());
  return line.length > 160 ? `${line.slice(0, 157)}...` : line;
}
