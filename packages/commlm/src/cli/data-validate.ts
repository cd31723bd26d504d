// `commlm data validate`: goes through the data sets of a recipe and prints every fault with file and line.
import { setsOf } from '../config/mixture.js';
import type { CheckBatch, CheckOptions, Chunk, Problem } from '../train/stage-check.js';
import { type RecipeOptions, recipeOf, stageOptions } from './data-recipe.js';
import { interruptSignal } from './interrupt.js';
import { formatCount, formatTable, note, print, printJson } from './output.js';
import { Progress } from './progress.js';

/** Options of `data validate`. */
export interface ValidateOptions extends RecipeOptions {
  readonly pictures: boolean;
  readonly first?: number;
  readonly workers?: number;
  readonly show: number;
}

/** Samples that a thread checks at a time. */
const CHUNK = 64;

/** Checks the data; exit code 1 when there is a fault. */
export async function validate(name: string, options: ValidateOptions): Promise<void> {
  const { batch, workers: own } = await stageOptions(name, await recipeOf(name, options.set));
  const [{ BatchPool }, { openData }] = await Promise.all([
    import('../train/batch-pool.js'),
    import('../data/open-data.js'),
  ]);
  const workers = options.workers ?? own;
  const opened = await openData(batch.data, setsOf(batch.mix));
  const chunks: Chunk[] = [...opened.sets].flatMap(([set, { length }]) => {
    const end = Math.min(length, options.first ?? length);
    return Array.from({ length: Math.ceil(end / CHUNK) }, (_, i) => ({
      set,
      from: i * CHUNK,
      to: Math.min(end, (i + 1) * CHUNK),
    }));
  });
  for (const store of opened.stores.values()) await store.close();
  const total = chunks.reduce((sum, { from, to }) => sum + to - from, 0);
  const progress = new Progress({ label: 'checking', total, unit: 'samples' });
  const task: CheckOptions = { ...batch, chunks, decode: options.pictures };
  const pool = new BatchPool<CheckBatch>(new URL('../train/stage-check.js', import.meta.url), task, {
    workers,
    ahead: 2 * workers,
  });
  const perSet = new Map<
    string,
    { samples: number; pictures: number; tokens: number; learned: number; cut: number; faults: number }
  >();
  const problems: Problem[] = [];
  const kinds = new Map<string, number>();
  const signal = interruptSignal();
  let done = 0;
  try {
    for (let i = 0; i < chunks.length; i++) {
      signal.throwIfAborted();
      const found = await pool.next();
      const { set, from, to } = found.chunk;
      const sums = perSet.get(set) ?? { samples: 0, pictures: 0, tokens: 0, learned: 0, cut: 0, faults: 0 };
      sums.samples += to - from;
      sums.pictures += found.numPictures;
      sums.tokens += found.numTokens;
      sums.learned += found.numLearned;
      sums.cut += found.numCut;
      sums.faults += found.problems.length;
      perSet.set(set, sums);
      for (const problem of found.problems) {
        const before = kinds.get(problem.kind) ?? 0;
        kinds.set(problem.kind, before + 1);
        if (before < options.show) {
          problems.push(problem);
          if (options.json !== true) print(`${problem.kind}  ${problem.message}`);
        }
      }
      done += to - from;
      progress.update(done);
    }
  } finally {
    await pool.close();
  }
  progress.finish();
  const numFaults = [...kinds.values()].reduce((sum, count) => sum + count, 0);
  if (options.json === true) {
    printJson({
      recipe: name,
      samples: total,
      faults: numFaults,
      kinds: Object.fromEntries(kinds),
      sets: Object.fromEntries(perSet),
      problems,
    });
  } else {
    for (const [kind, count] of kinds) if (count > options.show) note(`${kind}: ${count - options.show} more`);
    if (numFaults > 0) print();
    print(
      formatTable(
        [
          { title: 'set' },
          ...['samples', 'pictures', 'tokens', 'learned', 'cut', 'faults'].map((title) => ({
            title,
            align: 'right' as const,
          })),
        ],
        [...perSet].map(([set, sums]) => [set, ...Object.values(sums).map(formatCount)]),
      ),
    );
    print(
      `\n${numFaults === 0 ? 'no faults' : [...kinds].map(([kind, count]) => `${count} ${kind}`).join(', ')} in ${total} samples`,
    );
  }
  if (numFaults > 0) process.exitCode = 1;
}
