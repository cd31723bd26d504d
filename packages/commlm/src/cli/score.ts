/** `commlm score`: figures for prediction files made by anything, as the official tool of each benchmark gives them. */
import { type Command, Option } from 'commander';
import type { MetricValue, ScoreRequest, ScoreResult } from '../eval/score.js';
import { type RateScale, shownFigure } from '../eval/shown-figure.js';
import { refuseInputAsOutput, writeDurably } from '../files/durable.js';
import { whenInterrupted } from './interrupt.js';
import { formatTable, note, print, printJson } from './output.js';
import { printable } from './terminal-text.js';

interface ScoreOptions extends ScoreRequest {
  readonly json?: boolean;
  readonly perItem?: boolean;
  readonly out?: string;
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
  commlm score pope --predictions answers.jsonl --annotations coco_pope_random.json --out out/pope-a
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
    .option('--out <folder>', 'keep results.json and samples_<benchmark>.jsonl there, for eval compare and report')
    .option('--per-item', 'with --json: the score of every item')
    .option('--json', 'print one JSON document')
    .addHelpText('after', EXAMPLES)
    .action(async (benchmark: string, options: ScoreOptions) => {
      whenInterrupted('Interrupted; no figure was written. Give the same command again: it starts anew.');
      const { out, perItem, json, ...asked } = options;
      const request = { ...asked, notify: (line: string) => note(printable(line)) };
      const result = await (out === undefined ? score(benchmark, request) : keep(benchmark, request, out));
      if (json) printJson(toDocument(result, perItem === true));
      else await printResult(result);
      if (out !== undefined) note(printable(`Kept in ${out}; "commlm eval compare" compares two such folders.`));
    });
}

async function score(benchmark: string, request: ScoreRequest): Promise<ScoreResult> {
  const { scoreFiles } = await import('../eval/score.js');
  return scoreFiles(benchmark, request);
}

/** Scores into a folder that `eval compare` and `eval report` read. */
async function keep(benchmark: string, request: ScoreRequest, out: string): Promise<ScoreResult> {
  const inputs = [request.predictions, request.annotations].filter((path) => path !== undefined);
  refuseInputAsOutput(out, inputs);
  const { scoreIntoFolder } = await import('../eval/score-folder.js');
  return scoreIntoFolder(benchmark, request, { out, writeFile: writeDurably });
}

function toDocument({ perItem, ...figures }: ScoreResult, withItems: boolean): object {
  return withItems ? { ...figures, perItem } : figures;
}

async function printResult(result: ScoreResult): Promise<void> {
  const { findBenchmark } = await import('../eval/benchmarks/index.js');
  const scale = findBenchmark(result.benchmark)?.scale ?? 'percent';
  print(`${result.benchmark}: ${result.count} items, reader ${result.reader}`);
  print();
  const rows = Object.entries(result.metrics).flatMap(([name, value]) => rowsOf(scale, name, value));
  print(formatTable([{ title: 'metric' }, { title: 'value', align: 'right' }, { title: 'unit' }], rows));
  for (const line of result.notes) note(printable(line));
}

/** A figure, or one row for each of a group: the figures of a part (`color acc`), or one figure of many kinds. */
function rowsOf(scale: RateScale, name: string, value: MetricValue): string[][] {
  if (value === null) return [[name, 'none']];
  const row = (title: string, figure: string, number: number): string[] => {
    const { text, unit } = shownFigure(scale, figure, number);
    return [printable(title), text, unit];
  };
  if (typeof value === 'number') return [row(name, name, value)];
  const isOneFigure = /By[A-Z]/.test(name);
  return Object.entries(value).map(([key, number]) => row(`${name} ${key}`, isOneFigure ? name : key, number));
}
