/** `commlm eval world`: whether a model looks at all. */
import { join } from 'node:path';
import { CommError } from '../config/errors.js';
import type { BranchReport } from '../eval/branch-health.js';
import type { WorldResults } from '../eval/world.js';
import type { WorldFigures } from '../eval/world-figures.js';
import { makeFolder, writeDurably } from '../files/durable.js';
import type { CommSession } from '../generate/session.js';
import { interruptSignal } from './interrupt.js';
import { openSession } from './open-session.js';
import type { ModelOptions } from './options.js';
import { formatTable, printJson } from './output.js';
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

/** Scenes that the branches are measured on, the first ones. */
const HEALTH_SCENES = 32;

/** Shows how far a part of the work is, from its beginning to its end. */
function shown(label: string, unit: string): (done: number, total: number) => void {
  let progress: Progress | undefined;
  return (done, total) => {
    progress ??= new Progress({ label, total, unit });
    progress.update(done);
    if (done >= total) progress.finish();
  };
}

/** Asks about unseen scenes with their pictures, with others and with grey ones, and prints what looking is worth. */
export async function evaluateWorldCommand(options: WorldOptions): Promise<void> {
  const { evaluateWorld } = await import('../eval/world.js');
  using model = await openSession(options);
  const { count, seed, style, size, batchSize } = { ...DEFAULTS, ...options };
  const results = await evaluateWorld(model, {
    count,
    seed,
    style,
    size,
    batchSize,
    signal: interruptSignal(),
    onSprites: shown('drawing sprites', 'sprites'),
    onPrior: shown('best constant answers', 'train scenes'),
    onProgress: shown('asking', 'questions'),
  });
  const branches = await measureBranches(model, { count, seed, style, size });
  const { samples, ...summary } = results;
  const report = {
    benchmark: BENCHMARK,
    model: model.name,
    settings: { count, seed, style, size, split: 'test' },
    ...summary,
    branches,
  };
  if (options.out !== undefined) {
    makeFolder(options.out);
    writeDurably(join(options.out, 'results.json'), `${JSON.stringify(report, null, 2)}\n`);
    const lines = samples.map((sample) => `${JSON.stringify(sample)}\n`).join('');
    writeDurably(join(options.out, `samples_${BENCHMARK}.jsonl`), lines);
  }
  if (options.json === true) printJson(report);
  else process.stdout.write(`${table(results, style)}${await branchText(branches)}`);
}

/** Whether each encoder takes part; null for a model that describes nothing. */
async function measureBranches(
  model: CommSession,
  { count, ...look }: Required<Pick<WorldOptions, 'count' | 'seed' | 'style' | 'size'>>,
): Promise<BranchReport | null> {
  const { healthScenes, reportBranches } = await import('../eval/branch-health.js');
  const scenes = await healthScenes(Math.min(HEALTH_SCENES, Math.max(2, count)), look);
  try {
    return await reportBranches(model, scenes, { signal: interruptSignal() });
  } catch (error) {
    if (error instanceof CommError && error.code === 'health/pictures') return null;
    throw error;
  }
}

/** The branches below the table, and what is wrong with them. */
async function branchText(report: BranchReport | null): Promise<string> {
  if (report === null) return '';
  const { branchLine } = await import('../features/branch-words.js');
  const { pictures, loss, branches } = report;
  const troubles = branches.flatMap(({ trouble }) => (trouble === null ? [] : [trouble]));
  return [
    '',
    `Branches on ${pictures} scenes, by the loss of the model's own descriptions (${loss.toFixed(4)} nats):`,
    ...branches.map((branch) => `  ${branchLine(branch, loss)}`),
    ...troubles,
    '',
  ].join('\n');
}

/** A figure of the table: its name in the results, its row, the type of its questions, and how it is read and printed. */
interface Row {
  readonly name: string;
  readonly title: string;
  readonly count: number;
  readonly figure: (figures: WorldFigures) => number | undefined;
  /** What follows a figure; ' %' when left out. */
  readonly unit?: string;
}

function rowsOf({ questions, withPicture }: WorldResults): readonly Row[] {
  const of = (type: string): number => questions[type] ?? 0;
  const kinds = Object.keys(withPicture.vqaByType);
  return [
    { name: 'existence', title: 'existence accuracy', count: of('existence'), figure: (f) => f.existence },
    { name: '', title: 'existence says yes', count: of('existence'), figure: (f) => f.existenceYesRatio },
    { name: 'vqa', title: 'VQA accuracy', count: kinds.reduce((n, kind) => n + of(kind), 0), figure: (f) => f.vqa },
    ...kinds.map((kind): Row => {
      return { name: `vqa.${kind}`, title: `  ${kind}`, count: of(kind), figure: (f) => f.vqaByType[kind] };
    }),
    { name: 'dialogue', title: 'last turn of three', count: of('dialogue'), figure: (f) => f.dialogue },
    { name: 'pairs', title: 'about two pictures', count: of('pairs'), figure: (f) => f.pairs },
    { name: 'rec', title: 'REC accuracy, IoU > 0.5', count: of('rec'), figure: (f) => f.rec },
    { name: 'recMeanIou', title: 'REC mean IoU', count: of('rec'), figure: (f) => f.recMeanIou },
    {
      name: 'captionCider',
      title: 'caption CIDEr x 100',
      count: of('caption'),
      figure: (f) => f.captionCider,
      unit: '',
    },
  ];
}

const COLUMNS = [
  { title: '' },
  ...['count', 'picture', 'wrong picture', 'grey', 'best prior', 'margin', '95 % interval', 'over'].map((title) => {
    return { title, align: 'right' as const };
  }),
];

function table(results: WorldResults, style: string): string {
  const { withPicture, withWrongPicture, withGrey, withPrior, margins } = results;
  const rows = rowsOf(results).map(({ name, title, count, figure, unit = ' %' }) => {
    const bound = (value: number): string => (value * 100).toFixed(1);
    const show = (value: number | undefined): string => (value === undefined ? '-' : `${bound(value)}${unit}`);
    const margin = margins[name];
    const { low, high } = margin ?? {};
    return [
      title,
      String(count),
      ...[withPicture, withWrongPicture, withGrey, withPrior].map((figures) => show(figure(figures))),
      margin === undefined ? '' : bound(margin.value),
      low === undefined || high === undefined ? '' : `${bound(low)} .. ${bound(high)}`,
      margin === undefined ? '' : margin.over,
    ];
  });
  return [
    `${results.scenes} unseen scenes, ${style} styles`,
    formatTable(COLUMNS, rows),
    '',
    `Margin: the picture less the highest of the other three. Prior: the best constant answers learnt from ${results.prior.trainScenes} train scenes.`,
    '',
  ].join('\n');
}
