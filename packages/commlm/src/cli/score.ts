// `commlm score`: figures for prediction files made by anything, as the official tool of each benchmark gives them.
import { type Command, Option } from 'commander';
import type { MetricValue, ScoreRequest, ScoreResult } from '../eval/score.js';
import { formatTable, note, print, printJson } from './output.js';
import { printable } from './terminal-text.js';

interface ScoreOptions extends ScoreRequest {
  readonly json?: boolean;
  readonly perItem?: boolean;
}

const EXAMPLES = `
Benchmarks:
  coco-caption, flickr30k, reg              captions: CIDEr, BLEU-1..4, ROUGE-L, METEOR
  vqav2, okvqa, textvqa                     readers official, always, evalai
  pope, mme                                 readers official, lmms-eval
  mmbench                                   readers exact, 2023
  refcoco, refcoco+, refcocog               readers shikra, lmms-eval
  gqa                                       readers official, llava, lmms-eval, shikra
  scienceqa                                 readers llava, lmms-eval
  mmvp                                      reader rules

Examples:
  commlm score coco-caption --predictions captions.json --annotations captions_val2014.json
  commlm score coco-caption --predictions captions.json --annotations dataset_coco.json --split test
  commlm score vqav2 --predictions answers.json --annotations v2_mscoco_val2014_annotations.json --json
  commlm score mme --predictions results/
  commlm score refcoco --predictions boxes.jsonl --annotations refcoco_testA.jsonl --coordinates thousand`;

/** Adds `score` to the program. */
export function register(program: Command): void {
  program
    .command('score')
    .description('score predictions made by anything, as the official tool of the benchmark does')
    .argument('<benchmark>', 'coco-caption, vqav2, pope, refcoco, ...')
    .requiredOption('--predictions <file>', 'predictions; for mme the folder of <subtask>.txt')
    .option('--annotations <file>', 'the published annotation file')
    .option('--reader <name>', 'how answers are read; the default is named in the output')
    .option('--split <name>', 'split of a Karpathy, refs or ScienceQA file')
    .option('--subtasks <names>', 'mme: these subtasks alone, joined by commas', (text) => text.split(','))
    .option('--split-file <file>', "ScienceQA's pid_splits.json")
    .option('--subset', 'captions: score the predicted images alone, and say so')
    .option('--meteor', 'captions: add METEOR of the exact and stem modules')
    .option('--meteor-data <dir>', 'captions: add METEOR with the tables of its 1.5 release')
    .option('--spice-command <command>', 'captions: add SPICE by this command, e.g. "java -jar spice-1.0.jar"')
    .option('--keep-thinking', 'read <think>...</think> with the answer; it is cut before reading otherwise')
    .addOption(
      new Option(
        '--coordinates <frame>',
        'refcoco: fractions as the reader expects them (default), thousandths or pixels of the picture',
      ).choices(['unit', 'thousand', 'pixel']),
    )
    .option('--per-item', 'with --json: the score of every item')
    .option('--json', 'print one JSON document')
    .addHelpText('after', EXAMPLES)
    .action(async (benchmark: string, options: ScoreOptions) => {
      const { scoreFiles } = await import('../eval/score.js');
      const result = await scoreFiles(benchmark, { ...options, notify: (line) => note(printable(line)) });
      if (options.json) printJson(toDocument(result, options.perItem === true));
      else printResult(result);
    });
}

function toDocument({ perItem, ...figures }: ScoreResult, withItems: boolean): object {
  return withItems ? { ...figures, perItem } : figures;
}

function printResult(result: ScoreResult): void {
  print(`${result.benchmark}: ${result.count} items, reader ${result.reader}`);
  print();
  const rows = Object.entries(result.metrics).flatMap(([name, value]) => rowsOf(name, value));
  print(formatTable([{ title: 'metric' }, { title: 'value', align: 'right' }], rows));
  for (const line of result.notes) note(printable(line));
}

function rowsOf(name: string, value: MetricValue): string[][] {
  if (value === null) return [[name, 'none']];
  if (typeof value === 'number') return [[name, formatFigure(value)]];
  return Object.entries(value).map(([group, figure]) => [printable(`${name} ${group}`), formatFigure(figure)]);
}

/** Six significant digits at least; whole numbers as they are. */
function formatFigure(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return value.toFixed(Math.abs(value) < 10 ? 6 : 4);
}
