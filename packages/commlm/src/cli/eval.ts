// `commlm eval <benchmark...>`: generate answers and score them. `world` measures whether a model looks at all.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { CommError } from '../config/errors.js';
import type { WorldFigures, WorldResults } from '../eval/world.js';
import { writeFileAtomically } from './files.js';
import { interruptSignal } from './interrupt.js';
import { openSession } from './open-session.js';
import { addModelOptions, type ModelOptions, wholeNumber } from './options.js';
import { printJson } from './output.js';
import { Progress } from './progress.js';

interface EvalOptions extends ModelOptions {
  readonly count: number;
  readonly seed: number;
  readonly style: 'known' | 'shift';
  readonly size: number;
  readonly batchSize: number;
  readonly out?: string;
  readonly json?: boolean;
}

const BENCHMARKS = ['world'];

/** Adds the command `eval`. */
export function register(program: Command): void {
  const command = program
    .command('eval')
    .description('Generate answers for a benchmark and score them.')
    .argument('<benchmark>', `one of: ${BENCHMARKS.join(', ')}`)
    .option('--count <n>', 'scenes of the held-out split', wholeNumber(1, 1_000_000), 1000)
    .option('--seed <n>', 'stream of scenes', wholeNumber(0, 1_000_000), 900)
    .addOption(new Option('--style <name>', 'drawing styles').choices(['known', 'shift']).default('known'))
    .option('--size <px>', 'long side of the pictures', wholeNumber(32, 4096), 256)
    .option('--batch-size <n>', 'questions answered together', wholeNumber(1, 4096), 64)
    .option('--out <folder>', 'write results.json and samples_<benchmark>.jsonl there')
    .option('--json', 'print the figures as one JSON document');
  addModelOptions(command);
  command
    .addHelpText(
      'after',
      [
        '',
        'Every question is asked with its picture and with a grey one in its place: a model that looks is far better with',
        'the picture than with the grey one.',
        '',
        'Example:',
        '  commlm eval world --count 1000 --out out/eval',
      ].join('\n'),
    )
    .action((benchmark: string, options: EvalOptions) => evaluate(benchmark, options));
}

async function evaluate(benchmark: string, options: EvalOptions): Promise<void> {
  if (!BENCHMARKS.includes(benchmark)) {
    throw new CommError(`There is no benchmark "${benchmark}".`, {
      code: 'eval/benchmark',
      exitCode: 2,
      fix: `Choose one of ${BENCHMARKS.join(', ')}.`,
    });
  }
  const { evaluateWorld } = await import('../eval/world.js');
  using model = await openSession(options);
  let progress: Progress | undefined;
  const { count, seed, style, size, batchSize } = options;
  const results = await evaluateWorld(model, {
    count,
    seed,
    style,
    size,
    batchSize,
    signal: interruptSignal(),
    onProgress: (done, total) => {
      progress ??= new Progress({ label: 'asking', total, unit: 'questions' });
      progress.update(done);
    },
  });
  progress?.finish();
  const { samples, ...summary } = results;
  const report = { benchmark, model: model.name, settings: { count, seed, style, size, split: 'test' }, ...summary };
  if (options.out !== undefined) {
    mkdirSync(options.out, { recursive: true });
    await writeFileAtomically(join(options.out, 'results.json'), `${JSON.stringify(report, null, 2)}\n`);
    const lines = samples.map((sample) => `${JSON.stringify(sample)}\n`).join('');
    await writeFileAtomically(join(options.out, `samples_${benchmark}.jsonl`), lines);
  }
  if (options.json === true) printJson(report);
  else process.stdout.write(table(results, style));
}

function table({ scenes, questions, withPicture, withGrey }: WorldResults, style: string): string {
  const percent = (share: number | undefined): string => (share === undefined ? '-' : `${(share * 100).toFixed(1)} %`);
  const rows: (readonly [string, number, string, string])[] = [];
  const row = (name: string, type: string, figure: (f: WorldFigures) => string): void => {
    rows.push([name, questions[type] ?? 0, figure(withPicture), figure(withGrey)]);
  };
  row('existence accuracy', 'existence', (f) => percent(f.existence));
  row('existence says yes', 'existence', (f) => percent(f.existenceYesRatio));
  const numVqa = Object.keys(withPicture.vqaByType).reduce((sum, type) => sum + (questions[type] ?? 0), 0);
  rows.push(['VQA accuracy', numVqa, percent(withPicture.vqa), percent(withGrey.vqa)]);
  for (const type of Object.keys(withPicture.vqaByType)) row(`  ${type}`, type, (f) => percent(f.vqaByType[type]));
  row('last turn of three', 'dialogue', (f) => percent(f.dialogue));
  row('about two pictures', 'pairs', (f) => percent(f.pairs));
  row('REC accuracy, IoU > 0.5', 'rec', (f) => percent(f.rec));
  row('REC mean IoU', 'rec', (f) => f.recMeanIou.toFixed(3));
  row('caption CIDEr', 'caption', (f) => f.captionCider.toFixed(3));
  const lines = rows.map(
    ([name, n, picture, grey]) =>
      `${name.padEnd(26)}${String(n).padStart(7)}${picture.padStart(12)}${grey.padStart(12)}`,
  );
  const head = `${''.padEnd(26)}${'count'.padStart(7)}${'picture'.padStart(12)}${'grey'.padStart(12)}`;
  return [`${scenes} unseen scenes, ${style} styles`, head, ...lines, ''].join('\n');
}
