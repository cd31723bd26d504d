/** `commlm bench [suite...]`: speed and memory on this machine, peers side by side where they are installed. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { BenchRow, StackShape } from '../bench/suite.js';
import { CommError } from '../config/errors.js';
import { WEIGHT_FORMATS, type WeightFormat } from '../config/formats.js';
import { nearestName } from '../config/json.js';
import { interruptSignal } from './interrupt.js';
import { wholeNumber } from './options.js';
import { formatDuration, note, print, printJson, styleOf } from './output.js';
import { readProcessor } from './processor.js';

const NAMES = ['call', 'vit', 'tiny', 'memory', 'load', 'cache', 'train'];

interface BenchCommandOptions {
  readonly model?: string;
  readonly python?: string;
  readonly threads?: number;
  readonly rounds: number;
  readonly generations: number;
  readonly dtype?: WeightFormat;
  readonly stack?: StackShape;
  readonly json?: boolean;
}

/** Adds the command `bench`. */
export function register(program: Command): void {
  program
    .command('bench')
    .description('Measure speed and memory on this machine.')
    .argument('[suite...]', `${NAMES.join(', ')} (default: all)`, collectSuites)
    .option(
      '-m, --model <folder>',
      'model of the suites tiny, memory and load (default: the embedded models/comm-tiny)',
    )
    .option(
      '--python <file>',
      'Python with torch and transformers for the peers (default: COMMLM_PEER_PYTHON, else python3)',
    )
    .option('--threads <n>', 'threads of both sides (default: as libtorch chooses)', wholeNumber(1, 1024))
    .option('--rounds <n>', 'measurements of each side', wholeNumber(1, 10_000), 9)
    .option('--generations <n>', 'answers of the suite memory', wholeNumber(10), 2000)
    .addOption(
      new Option('--dtype <name>', 'number format of the suite load (default: int8, then bf16)').choices(
        WEIGHT_FORMATS,
      ),
    )
    .option(
      '--stack <width,blocks,rows,tokens>',
      'size of the model and the batch of the suite train (default: 1024,4,1,640)',
      stackShape,
    )
    .option('--json', 'print one JSON document in place of the table')
    .addHelpText(
      'after',
      [
        '',
        'Suites:',
        "  call     cost of one operator call from JavaScript, beside Python's torch",
        '  vit      ViT-L/14@336 forward in f32 with random weights, beside transformers',
        '  tiny     load time, prompt and tokens a second of the embedded model',
        '  memory   2,000 answers: resident memory and live tensors stay flat',
        '  load     a model opened and asked once in a process of its own: time to the first operator, peak resident',
        '           memory (anonymous and mapped), share of the memory bandwidth while decoding',
        '  cache    pictures a second of a frozen encoder: computed, kept, and read from the feature cache',
        '  train    50 steps in f32 and --rounds in bf16 of a Vicuna-shaped stack of blocks with recompute, beside',
        '           transformers: time, peak resident memory, losses',
        '',
        'Both sides use the same number of threads and are measured in turns; figures are medians.',
      ].join('\n'),
    )
    .action((suites: string[] | undefined, options: BenchCommandOptions) => bench(suites ?? [], options));
}

function collectSuites(name: string, before: readonly string[] | undefined): string[] {
  if (!NAMES.includes(name)) {
    const guess = nearestName(name, NAMES);
    throw new InvalidArgumentError(
      `There is no suite "${name}"${guess ? `; did you mean "${guess}"?` : ''} (suites: ${NAMES.join(', ')}).`,
    );
  }
  return [...(before ?? []), name];
}

/** Width,blocks,rows,tokens; heads are 128 wide. */
function stackShape(text: string): StackShape {
  const [hiddenSize, numLayers, batchSize, numTokens, ...rest] = text.split(',').map(wholeNumber(1));
  if (numTokens === undefined || rest.length > 0) throw new InvalidArgumentError('Give four numbers, as 1024,4,1,640.');
  if (hiddenSize! % 128 !== 0) throw new InvalidArgumentError('The width must be a multiple of 128.');
  return { hiddenSize: hiddenSize!, numLayers: numLayers!, batchSize: batchSize!, numTokens };
}

async function bench(wanted: readonly string[], options: BenchCommandOptions): Promise<void> {
  const { setNumThreads, numThreads, versionInfo } = await import('@commlm/torch');
  if (options.threads !== undefined) setNumThreads(options.threads);
  const { SUITES } = await import('../bench/suites.js');
  const { totalmem } = await import('node:os');
  const { torch, cpuCapability, config } = versionInfo();
  const { model, cores, features, switches } = readProcessor();
  const machine = {
    cpu: model,
    cores,
    instructionSets: features,
    switches,
    memoryGiB: Number((totalmem() / 2 ** 30).toFixed(1)),
    threads: numThreads(),
    node: process.versions.node,
    libtorch: torch,
    libtorchKernels: cpuCapability,
    libraries: librariesIn(config),
  };
  note(
    `${machine.cpu}, ${machine.cores} cores, ${machine.threads} threads; Node ${machine.node}, libtorch ${machine.libtorch}`,
  );
  note(
    [
      `instruction sets: ${features.join(' ') || 'not told by the system'}`,
      `libtorch takes its kernels for ${cpuCapability}`,
      ...machine.libraries,
      ...switches,
    ].join('; '),
  );
  const python = options.python ?? process.env.COMMLM_PEER_PYTHON ?? 'python3';
  const rows: BenchRow[] = [];
  for (const name of wanted.length > 0 ? wanted : NAMES) {
    const suite = SUITES[name];
    if (!suite) throw new CommError(`There is no suite "${name}".`, { code: 'bench/suite', exitCode: 2 });
    note(`${name}: ${suite.summary}`);
    interruptSignal().throwIfAborted();
    const measured = suite.run({
      python,
      rounds: options.rounds,
      generations: options.generations,
      model: options.model,
      dtype: options.dtype,
      stack: options.stack,
      onNote: (line) => note(`  ${line}`),
      onWait: (ms) => note(`  this takes about ${formatDuration(ms)}`),
      signal: interruptSignal(),
    });
    for await (const row of measured) {
      if (!options.json) printRow(row, rows.length === 0);
      rows.push(row);
    }
  }
  if (options.json) printJson({ machine, date: new Date().toISOString(), rows });
}

/** MKL and oneDNN with their versions, as libtorch's own description names them. */
function librariesIn(config: string): string[] {
  const mkl = /Math Kernel Library Version ([\w.]+)/.exec(config)?.[1];
  const onednn = /MKL-DNN v([\w.]+)/.exec(config)?.[1];
  return [...(mkl ? [`MKL ${mkl}`] : []), ...(onednn ? [`oneDNN ${onednn}`] : [])];
}

/** One line of the table, whose widths are fixed: a row is shown when it is measured, before the others are known. */
function printRow({ suite, what, unit, ours, peer, ratio }: BenchRow, isFirst: boolean): void {
  const line = (cells: readonly string[], mark = (text: string) => text): string => {
    const [name = '', measured = '', own = '', other = '', of = '', share = '', peerName = ''] = cells;
    const figures = `${mark(own.padStart(9))}  ${other.padStart(9)}  ${of.padEnd(10)}  ${share.padStart(9)}`;
    return `${name.padEnd(6)}  ${measured.padEnd(44)}  ${figures}  ${peerName}`.trimEnd();
  };
  const figure = (value: number | undefined): string =>
    value === undefined ? '' : Math.abs(value) >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(2);
  if (isFirst) print(line(['suite', 'what', 'ours', 'peer', 'unit', 'ours/peer', 'peer is']));
  const shown = [suite, what, figure(ours), figure(peer?.value), unit, ratio?.toFixed(2) ?? ''];
  print(line([...shown, peer === undefined ? '' : (peer.note ?? peer.name)], styleOf().bold));
}
