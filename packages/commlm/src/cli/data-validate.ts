/** `commlm data validate`: goes through the data sets of a recipe and prints its faults by their kind, with file and line. */
import { setsOf } from '../config/mixture.js';
import type { SkipConfig } from '../config/skip.js';
import type { DataSet } from '../data/sample.js';
import type { CheckBatch, CheckOptions, Chunk, Problem } from '../train/tasks/comm/data-check.js';
import { mixtureOptions, type RecipeOptions, recipeOf } from './data-recipe.js';
import { FaultGroups } from './fault-groups.js';
import { interruptSignal } from './interrupt.js';
import { counted, formatCount, formatTable, print, printJson } from './output.js';
import { Progress } from './progress.js';

/** Options of `data validate`. */
export interface ValidateOptions extends RecipeOptions {
  readonly pictures: boolean;
  readonly first?: number;
  readonly workers?: number;
  readonly show: number;
  readonly all?: boolean;
}

/** Samples that a thread checks at a time. */
const CHUNK = 64;

/** What was found in one set. */
interface SetSums {
  samples: number;
  pictures: number;
  tokens: number;
  learned: number;
  cut: number;
  faults: number;
}

/** Checks the data; exit code 1 when there is a fault. */
export async function validate(name: string, options: ValidateOptions): Promise<void> {
  const { batch, workers: own } = await mixtureOptions(name, await recipeOf(name, options.set));
  const { openData } = await import('../data/open-data.js');
  const opened = await openData(batch.data, setsOf(batch.mix));
  for (const store of opened.stores.values()) await store.close();
  const chunks = chunksOf(opened.sets, options.first);
  const workers = options.workers ?? own;
  const findings = await check({ ...batch, chunks, decode: options.pictures }, workers, options);
  report(name, findings, opened.sets, batch.skip, options);
}

function chunksOf(sets: ReadonlyMap<string, DataSet>, first: number | undefined): Chunk[] {
  return [...sets].flatMap(([set, { length }]) => {
    const end = Math.min(length, first ?? length);
    return Array.from({ length: Math.ceil(end / CHUNK) }, (_, i) => ({
      set,
      from: i * CHUNK,
      to: Math.min(end, (i + 1) * CHUNK),
    }));
  });
}

/** Everything that was found. */
class Findings {
  readonly sets = new Map<string, SetSums>();
  readonly kinds = new Map<string, number>();
  readonly problems: Problem[] = [];
  /** Samples of each set with boxes that lie outside of their picture. */
  readonly outside = new Map<string, number>();
  numSamples = 0;
  numOriented = 0;
  numAsStored = 0;

  get numFaults(): number {
    return [...this.kinds.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Adds a stretch. */
  add({ chunk: { set, from, to }, ...found }: CheckBatch): void {
    const sums = this.sets.get(set) ?? { samples: 0, pictures: 0, tokens: 0, learned: 0, cut: 0, faults: 0 };
    this.sets.set(set, sums);
    sums.samples += to - from;
    sums.pictures += found.numPictures;
    sums.tokens += found.numTokens;
    sums.learned += found.numLearned;
    sums.cut += found.numCut;
    sums.faults += found.problems.length;
    this.numSamples += to - from;
    this.numOriented += found.numOriented;
    this.numAsStored += found.numAsStored;
    for (const problem of found.problems) {
      const { kind } = problem;
      this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + 1);
      if (kind === 'empty-box') this.outside.set(set, (this.outside.get(set) ?? 0) + 1);
      this.problems.push(problem);
    }
  }
}

async function check(task: CheckOptions, workers: number, { all, json }: ValidateOptions): Promise<Findings> {
  const { BatchPool } = await import('../train/loop/batch-pool.js');
  const total = task.chunks.reduce((sum, { from, to }) => sum + to - from, 0);
  const progress = new Progress({ label: 'checking', total, unit: 'samples' });
  const pool = new BatchPool<CheckBatch>(new URL('../train/tasks/comm/data-check.js', import.meta.url), task, {
    workers,
    ahead: 2 * workers,
  });
  const findings = new Findings();
  const signal = interruptSignal();
  let lastFix: string | undefined;
  try {
    for (let i = 0; i < task.chunks.length; i++) {
      signal.throwIfAborted();
      const found = await pool.next();
      findings.add(found);
      for (const { kind, message, fix } of json !== true && all === true ? found.problems : []) {
        print(`${kind}  ${message}`);
        if (fix !== undefined && fix !== lastFix) print(`    ${fix}`);
        lastFix = fix;
      }
      progress.update(findings.numSamples);
    }
  } finally {
    await pool.close();
  }
  progress.finish();
  return findings;
}

function report(
  name: string,
  findings: Findings,
  opened: ReadonlyMap<string, DataSet>,
  skip: SkipConfig,
  { json, show, all }: ValidateOptions,
): void {
  const { kinds, numFaults, numSamples, numOriented, numAsStored } = findings;
  if (json === true) {
    const sets = [...findings.sets].map(([set, sums]) => [set, { ...sums, leftOut: opened.get(set)?.leftOut ?? {} }]);
    printJson({
      recipe: name,
      samples: numSamples,
      faults: numFaults,
      kinds: Object.fromEntries(kinds),
      orientation: { pictures: numOriented, asStored: numAsStored },
      sets: Object.fromEntries(sets),
      problems: findings.problems,
    });
  } else {
    if (all !== true) for (const line of new FaultGroups(findings.problems).lines(show)) print(line);
    if (numFaults > 0) print();
    print(tableOf(findings.sets));
    print();
    for (const line of remarks(findings, opened)) print(line);
    const told = [...kinds].map(([kind, count]) => `${count} ${kind}`).join(', ');
    print(`${numFaults === 0 ? 'no faults' : told} in ${counted(numSamples, 'sample')}`);
    if (numFaults > 0) print(whatTrainingDoes([...kinds.keys()], skip));
  }
  if (numFaults > 0) process.exitCode = 1;
}

const tableOf = (sets: ReadonlyMap<string, SetSums>): string =>
  formatTable(
    [
      { title: 'set' },
      ...['samples', 'pictures', 'tokens', 'learned', 'cut', 'faults'].map((title) => ({
        title,
        align: 'right' as const,
      })),
    ],
    [...sets].map(([set, sums]) => [set, ...Object.values(sums).map(formatCount)]),
  );

/** What is no fault and worth knowing. */
function remarks(
  { outside, sets, numOriented, numAsStored }: Findings,
  opened: ReadonlyMap<string, DataSet>,
): string[] {
  const leftOut = [...opened].flatMap(([set, { leftOut = {} }]) =>
    Object.entries(leftOut).map(([what, count]) => `${set}: ${counted(count, what)} left out`),
  );
  const scales = [...outside].flatMap(([set, count]) => {
    const share = count / (sets.get(set)?.samples ?? count);
    return count < LEAST_EMPTY || share < SUSPICIOUS ? [] : [`${set}: ${OTHER_UNIT}`];
  });
  const turned =
    numOriented === 0
      ? []
      : [
          `orientation (EXIF): ${numOriented - numAsStored} pictures turned upright, ${numAsStored} kept as stored since the size in the record says so`,
        ];
  return [...leftOut, ...scales, ...turned];
}

const OTHER_UNIT = 'so many boxes show nothing of their pictures that the coordinates may not be pixels';
/** Share of the samples of a set; published sets have one such box in thousands. */
const SUSPICIOUS = 0.1;
const LEAST_EMPTY = 20;

function whatTrainingDoes(kinds: readonly string[], skip: SkipConfig): string {
  const says = kinds.map((kind) => {
    const policy = skip[kind as keyof Omit<SkipConfig, 'limit'>];
    return policy === 'error' ? `stops at ${kind}` : `leaves out ${kind}`;
  });
  return `training ${says.join(', ')} (comm.data.skip)`;
}
