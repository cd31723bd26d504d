// `commlm eval world`: whether a model looks at all.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { WorldFigures, WorldResults } from '../eval/world.js';
import { writeDurably } from '../files/durable.js';
import { interruptSignal } from './interrupt.js';
import { openSession } from './open-session.js';
import type { ModelOptions } from './options.js';
import { printJson } from './output.js';
import { Progress } from './progress.js';

/** Options of `eval world`; the other benchmarks have none of the first four. */
export interface WorldOptions extends ModelOptions {
  readonly count?: number;
  readonly seed?: number;
  readonly style?: 'known' | 'shift';
  readonly size?: number;
  readonly batchSize: number;
  readonly out?: string;
  readonly json?: boolean;
}

const DEFAULTS = { count: 1000, seed: 900, style: 'known', size: 256 } as const;
const BENCHMARK = 'world';

/** Asks about unseen scenes with and without the picture, and prints what looking is worth. */
export async function evaluateWorldCommand(options: WorldOptions): Promise<void> {
  const { evaluateWorld } = await import('../eval/world.js');
  using model = await openSession(options);
  let progress: Progress | undefined;
  const { count, seed, style, size, batchSize } = { ...DEFAULTS, ...options };
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
  const report = {
    benchmark: BENCHMARK,
    model: model.name,
    settings: { count, seed, style, size, split: 'test' },
    ...summary,
  };
  if (options.out !== undefined) {
    mkdirSync(options.out, { recursive: true });
    writeDurably(join(options.out, 'results.json'), `${JSON.stringify(report, null, 2)}\n`);
    const lines = samples.map((sample) => `${JSON.stringify(sample)}\n`).join('');
    writeDurably(join(options.out, `samples_${BENCHMARK}.jsonl`), lines);
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
