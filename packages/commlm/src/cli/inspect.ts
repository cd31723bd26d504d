/** `commlm inspect [model]`: architecture, parts, parameters, memory for each number format, level weights as bars. */
import type { Command } from 'commander';
import { partName } from '../config/parts.js';
import type { LevelWeights, ModelReport } from '../inspect/inspect.js';
import { addFolderOptions, type FolderOptions } from './options.js';
import { formatBytes, formatCount, formatTable, print, printJson, styleOf } from './output.js';
import { printable } from './terminal-text.js';

interface InspectCommandOptions extends FolderOptions {
  readonly json?: boolean;
}

const BAR_WIDTH = 40;

/** Adds the command `inspect`. */
export function register(program: Command): void {
  const command = program
    .command('inspect')
    .description('Show what a model folder holds; only the headers of its weight files are read.')
    .argument('[model]', 'model folder (default: the embedded models/comm-tiny)');
  addFolderOptions(command)
    .option('--json', 'print one JSON document in place of text')
    .addHelpText('after', ['', 'Example:', '  commlm inspect models/comm-tiny'].join('\n'))
    .action((model: string | undefined, options: InspectCommandOptions) => inspect(model, options));
}

async function inspect(model: string | undefined, { json, ...options }: InspectCommandOptions): Promise<void> {
  const { inspectModel } = await import('../inspect/inspect.js');
  const report = inspectModel(model, options);
  if (json) printJson(report);
  else printReport(report);
}

function printReport(report: ModelReport): void {
  const style = styleOf();
  print(`${style.bold(printable(report.model))}  ${printable(report.modelType)}`);
  print(printable(report.summary));
  print();
  print(
    formatTable(
      [
        { title: 'part' },
        { title: 'parameters', align: 'right' },
        { title: 'on disk', align: 'right' },
        { title: 'dtype' },
        { title: 'what' },
      ],
      [
        ...report.parts.map(({ name, numParameters, bytes, dtypes, description }) => [
          printable(partName(name)),
          formatCount(numParameters),
          formatBytes(bytes),
          dtypes.join(','),
          printable(description),
        ]),
        [
          style.bold('all'),
          style.bold(formatCount(report.numParameters)),
          style.bold(formatBytes(report.bytesOnDisk)),
          '',
          '',
        ],
      ],
    ),
  );
  print();
  if (report.ignored.length > 0)
    print(style.dim(`passed over when loading: ${report.ignored.length} tensors (--json names them)`));
  if (report.untrained.length > 0)
    print(style.yellow(`untrained, with fresh weights: ${printable(report.untrained.map(partName).join(', '))}`));
  const memory = Object.entries(report.memory).map(([dtype, bytes]) => `${dtype} ${formatBytes(bytes)}`);
  print(`memory of the weights: ${memory.join(', ')}`);
  if (report.tokensPerImage !== undefined) {
    print(`tokens of a picture: ${report.tokensPerImage}; longest conversation: ${report.maxPositions} tokens`);
  } else if (report.maxPositions !== undefined) print(`longest text: ${report.maxPositions} tokens`);
  for (const weights of report.levelWeights) printBars(weights);
}

/** The level weights as horizontal bars; a negative one (free weights) hangs to the left of its sign. */
function printBars({ encoder, symbol, levels, weights }: LevelWeights): void {
  const style = styleOf();
  print();
  print(`${style.bold(symbol)}: how much each level of ${printable(encoder)} counts`);
  const largest = Math.max(...weights.map(Math.abs), Number.EPSILON);
  for (const [i, weight] of weights.entries()) {
    const bar = '#'.repeat(Math.round((Math.abs(weight) / largest) * BAR_WIDTH));
    print(
      `  ${String(levels[i]).padStart(3)}  ${weight.toFixed(4).padStart(8)}  ${weight < 0 ? style.red(bar) : style.cyan(bar)}`,
    );
  }
}
