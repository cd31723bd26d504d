/**
 * The training loop that every recipe shares: batches in, AdamW steps out, checkpoints that resume bit for bit.
 *
 *     batch(step) -> task.loss -> backward -> clip -> AdamW (f32 masters behind bf16 weights) -> task.afterStep
 *
 * Batches are functions of the step, all other randomness is seeded by it, so that weights, optimiser state and the
 * step number are the whole state of a run.
 */

import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { manualSeed, type nn, optim, reuseFreedMemory, scope, type Tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import { loadCheckpoint, saveCheckpoint } from './checkpoint.js';

/** Hyperparameters of a stage. */
export interface LoopConfig {
  readonly steps: number;
  readonly batchSize: number;
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly weightDecay: number;
  /** Share of the steps over which the rate rises from zero. */
  readonly warmupRatio: number;
  /** The cosine ends at this share of `lr`. */
  readonly minLrRatio: number;
  /** Gradients are scaled so that their joint norm is at most this. */
  readonly clipNorm: number;
  readonly seed: number;
  /** Steps between two checkpoints, log lines and evaluations. */
  readonly saveEvery: number;
  readonly logEvery: number;
  readonly evalEvery: number;
  readonly keepLast: number;
}

/** A stream of batches in order. */
export interface BatchSource<Batch> {
  /** Milliseconds spent waiting so far. */
  readonly waitedMs: number;
  next(): Promise<Batch>;
  close(): Promise<void>;
}

/** What a recipe trains. */
export interface TrainingTask<Batch> {
  /** The parts that train, by name; all else is frozen. */
  readonly parts: ReadonlyMap<string, nn.Module>;
  /** Batches from step `start` on. */
  openBatches(start: number): BatchSource<Batch>;
  /** The scalar loss of one batch and figures to log (scalars); runs inside a scope. */
  loss(batch: Batch, step: number): { readonly loss: Tensor; readonly metrics: Readonly<Record<string, Tensor>> };
  /** State beside the trained parameters that a resumed run needs (an averaged teacher). */
  extraState?(): ReadonlyMap<string, Tensor>;
  /** Called when parameters and extra state were read from a checkpoint. */
  restored?(): void;
  /** Called after each optimiser step, e.g. to move an averaged teacher. */
  afterStep?(step: number): void;
  /** Figures on unseen data. */
  evaluate?(step: number): Promise<Readonly<Record<string, number>>>;
  /** Write the finished (or current) result. */
  export(folder: string): void;
}

/** How a run is told to go on. */
export interface RunOptions {
  readonly out: string;
  /** The resolved recipe, written beside the run; another one cannot resume it. */
  readonly recipe: unknown;
  readonly resume: boolean;
  readonly log: (line: string) => void;
  /** Stop after a checkpoint when aborted. */
  readonly signal?: AbortSignal;
}

/** How a run ended. */
export interface RunResult {
  readonly step: number;
  readonly finished: boolean;
}

function parametersOf(parts: ReadonlyMap<string, nn.Module>): Map<string, nn.Parameter> {
  const all = new Map<string, nn.Parameter>();
  for (const [part, module] of parts) {
    for (const [key, parameter] of module.namedParameters()) {
      if (parameter.requiresGrad) all.set(`${part}.${key}`, parameter);
    }
  }
  return all;
}

/** Matrices are decayed; norms, biases, scales and tokens are not. */
function decayGroups(parameters: ReadonlyMap<string, nn.Parameter>, weightDecay: number): optim.AdamWGroup[] {
  const isMatrix = (p: nn.Parameter): boolean => p.shape.filter((size) => size > 1).length >= 2;
  const pick = (matrices: boolean): Map<string, nn.Parameter> =>
    new Map([...parameters].filter(([, parameter]) => isMatrix(parameter) === matrices));
  return [
    { params: pick(true), weightDecay },
    { params: pick(false), weightDecay: 0 },
  ].filter(({ params }) => params.size > 0);
}

function* checkpointTensors(
  task: TrainingTask<unknown>,
  parameters: ReadonlyMap<string, Tensor>,
  optimizer: optim.AdamW,
): Generator<[string, Tensor]> {
  for (const [key, tensor] of parameters) yield [`model.${key}`, tensor];
  for (const [key, tensor] of task.extraState?.() ?? []) yield [`extra.${key}`, tensor];
  for (const [key, tensor] of optimizer.stateDict()) yield [`optim.${key}`, tensor];
}

function pickPrefix(tensors: ReadonlyMap<string, Tensor>, prefix: string): Map<string, Tensor> {
  return new Map(
    [...tensors].filter(([key]) => key.startsWith(prefix)).map(([key, tensor]) => [key.slice(prefix.length), tensor]),
  );
}

function restore(own: ReadonlyMap<string, Tensor>, saved: ReadonlyMap<string, Tensor>, what: string): void {
  for (const [key, target] of own) {
    const source = saved.get(key);
    if (source === undefined) {
      throw new CommError(`The checkpoint has no ${what} "${key}".`, {
        code: 'train/checkpoint',
        fix: 'It belongs to another recipe; choose another --out or start without --resume.',
      });
    }
    scope(() => target.detach().copy_(source));
  }
}

/** Mean of each logged figure since the last line. */
class Averages {
  readonly #sums = new Map<string, number>();
  #count = 0;

  add(figures: Readonly<Record<string, number>>): void {
    this.#count++;
    for (const [name, value] of Object.entries(figures)) this.#sums.set(name, (this.#sums.get(name) ?? 0) + value);
  }

  take(): Record<string, number> {
    const out = Object.fromEntries([...this.#sums].map(([name, sum]) => [name, sum / this.#count]));
    this.#sums.clear();
    this.#count = 0;
    return out;
  }
}

const shown = (figures: Readonly<Record<string, number>>): string =>
  Object.entries(figures)
    .map(
      ([name, value]) => `${name} ${Math.abs(value) < 0.01 && value !== 0 ? value.toExponential(2) : value.toFixed(3)}`,
    )
    .join('  ');

/** Run a task to its last step, or until the signal; resumes from the newest checkpoint in `out` when asked to. */
export async function runTraining<Batch>(
  task: TrainingTask<Batch>,
  config: LoopConfig,
  { out, recipe, resume, log, signal }: RunOptions,
): Promise<RunResult> {
  mkdirSync(out, { recursive: true });
  const text = JSON.stringify(recipe, null, 2);
  const fingerprint = createHash('sha256').update(text).digest('hex').slice(0, 16);
  manualSeed(config.seed);
  reuseFreedMemory();
  const parameters = parametersOf(task.parts);
  const groups = decayGroups(parameters, config.weightDecay);
  const optimizer = new optim.AdamW(groups, { lr: config.lr, betas: config.betas, masterWeights: true });
  const schedule = optim.cosineWithWarmup({
    steps: config.steps,
    warmupRatio: config.warmupRatio,
    minRatio: config.minLrRatio,
  });
  for (const [name, module] of task.parts) {
    log(`trains ${name}: ${(module.numParameters({ trainableOnly: true }) / 1e6).toFixed(2)} M parameters`);
  }

  let step = 0;
  const saved = resume ? loadCheckpoint(out, log) : null;
  if (saved !== null) {
    if (saved.facts.recipe !== fingerprint) {
      throw new CommError(`The checkpoint in ${out} belongs to another recipe.`, {
        code: 'train/recipe',
        fix: 'Use the same recipe and settings, or another --out.',
      });
    }
    restore(parameters, pickPrefix(saved.tensors, 'model.'), 'weight');
    restore(task.extraState?.() ?? new Map(), pickPrefix(saved.tensors, 'extra.'), 'state');
    optimizer.loadStateDict(pickPrefix(saved.tensors, 'optim.'));
    task.restored?.();
    for (const tensor of saved.tensors.values()) tensor.dispose();
    step = saved.facts.step;
    log(`resumed at step ${step}`);
  }
  writeFileSync(join(out, 'recipe.json'), `${text}\n`);

  const batches = task.openBatches(step);
  const averages = new Averages();
  const save = (): void => {
    const facts = { step, samples: step * config.batchSize, recipe: fingerprint };
    saveCheckpoint(
      out,
      facts,
      checkpointTensors(task as TrainingTask<unknown>, parameters, optimizer),
      config.keepLast,
    );
  };
  const record = (figures: Readonly<Record<string, number>>): void =>
    appendFileSync(join(out, 'metrics.jsonl'), `${JSON.stringify({ step, ...figures })}\n`);

  let since = performance.now();
  let waited = 0;
  let lastLogged = step;
  try {
    while (step < config.steps) {
      // Batches of a worker arrive in one turn of the event loop, up to a thousand; signals and timers need turns too.
      await nextTurn();
      if (signal?.aborted === true) break;
      const batch = await batches.next();
      const figures = trainStep(task, batch, step, optimizer, parameters, schedule(step), config.clipNorm);
      step++;
      averages.add(figures);
      if (step % config.logEvery === 0 || step === config.steps) {
        const seconds = (performance.now() - since) / 1000;
        const rate = ((step - lastLogged) * config.batchSize) / seconds;
        const means = averages.take();
        record({
          ...means,
          'train/lr': config.lr * schedule(step - 1),
          'train/samples_per_second': rate,
          'train/wait_share': (batches.waitedMs - waited) / 1000 / seconds,
        });
        const left = (((config.steps - step) * config.batchSize) / rate / 60).toFixed(1);
        log(`step ${step}/${config.steps}  ${shown(means)}  ${rate.toFixed(0)} samples/s  ${left} min left`);
        since = performance.now();
        waited = batches.waitedMs;
        lastLogged = step;
      }
      const last = step === config.steps;
      if (step % config.saveEvery === 0 || last) save();
      if (task.evaluate !== undefined && (step % config.evalEvery === 0 || last)) {
        const result = await task.evaluate(step);
        record(Object.fromEntries(Object.entries(result).map(([name, value]) => [`eval/${name}`, value])));
        log(`eval ${step}  ${shown(result)}`);
        since = performance.now();
        lastLogged = step;
      }
    }
    if (signal?.aborted === true) save();
    task.export(join(out, 'result'));
  } finally {
    await batches.close();
    optimizer.dispose();
  }
  return { step, finished: step >= config.steps };
}

function trainStep<Batch>(
  task: TrainingTask<Batch>,
  batch: Batch,
  step: number,
  optimizer: optim.AdamW,
  parameters: ReadonlyMap<string, nn.Parameter>,
  lrFactor: number,
  clipNorm: number,
): Record<string, number> {
  return scope(() => {
    const { loss, metrics } = task.loss(batch, step);
    const value = loss.item();
    if (!Number.isFinite(value)) {
      throw new CommError(`The loss is ${value} at step ${step + 1}.`, {
        code: 'train/nan',
        fix: 'Lower the learning rate or look at the data of that step; the last checkpoint is sound.',
      });
    }
    loss.backward();
    const norm = optim.clipGradNorm(parameters.values(), clipNorm).item();
    if (!Number.isFinite(norm)) {
      throw new CommError(`The gradient is not finite at step ${step + 1} (loss ${value.toFixed(3)}).`, {
        code: 'train/nan',
        fix: 'Lower the learning rate; the last checkpoint is sound.',
      });
    }
    optimizer.step(lrFactor);
    optimizer.zeroGrad();
    task.afterStep?.(step);
    const figures: Record<string, number> = { 'train/loss': value, 'train/grad_norm': norm };
    for (const [name, metric] of Object.entries(metrics)) figures[`train/${name}`] = metric.item();
    return figures;
  });
}
