/**
 * The training loop that every recipe shares: batches in, AdamW steps out, checkpoints that resume bit for bit.
 *
 *     batch(index) -> task.loss -> backward   x accumulate
 *                  -> clip -> AdamW (f32 masters behind bf16 weights) -> task.afterStep -> average
 *
 * Batches are functions of their index; weights, optimiser state, generators and a few counters are the rest of the state
 * of a run.
 */

import { mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  type Device,
  manualSeed,
  type nn,
  optim,
  reuseFreedMemory,
  rngState,
  scope,
  setRngState,
  type Tensor,
} from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import type { LoopConfig } from '../../config/train.js';
import { writeJson } from '../../files/durable.js';
import { lockFile } from '../../files/lock.js';
import { writeFolderAsync } from '../../files/whole-folder.js';
import {
  type Checkpoint,
  type CheckpointFacts,
  listCheckpoints,
  readCheckpoint,
  saveCheckpoint,
  takeUpCheckpoint,
} from './checkpoint.js';
import { explainFailure, isOutOfMemory } from './failure.js';
import { anotherRecipe, fingerprintOf } from './fingerprint.js';
import { Means } from './means.js';
import { countParts, parameterGroups, trainedParameters } from './parameter-groups.js';
import { type RunData, recordStart } from './run-facts.js';
import { refuseLost, refuseRun } from './run-folder.js';
import { RunLog } from './run-log.js';
import { WeightAverage } from './weight-average.js';

export type { LoopConfig } from '../../config/train.js';

/** A stream of batches in order. */
export interface BatchSource<Batch> {
  /** Milliseconds spent waiting so far. */
  readonly waitedMs: number;
  next(): Promise<Batch>;
  close(): Promise<void>;
}

/** The scalar loss of a batch and figures to log (scalars). */
export interface Losses {
  readonly loss: Tensor;
  readonly metrics: Readonly<Record<string, Tensor>>;
}

/** What a task knows of a batch without computing it. */
export interface BatchFacts {
  /** What its loss is a mean over (trained tokens), its weight among the batches of a step; absent: all weigh the same. */
  readonly weight?: number;
  /** Tokens in it, for the speed. */
  readonly tokens?: number;
  /** Where its samples come from, for an error that tells of it. */
  readonly samples?: readonly string[];
}

/** What a recipe trains. */
export interface TrainingTask<Batch> {
  /** The parts that train, by name; what of them takes no gradient is frozen. */
  readonly parts: ReadonlyMap<string, nn.Module>;
  /** The key of a parameter in checkpoints, where that is not its name. */
  readonly checkpointKey?: (name: string) => string;
  /** Parts that are used and do not train, to be listed. */
  readonly frozen?: ReadonlyMap<string, nn.Module>;
  /** Batches from index `start` on; a step takes `accumulate` of them. */
  openBatches(start: number): BatchSource<Batch>;
  /** Losses of one batch; runs inside a scope. */
  loss(batch: Batch, step: number): Losses;
  /** In place of `loss` and its backward: adds the gradients of `scale * loss` itself and gives the unscaled loss (recompute). */
  backward?(batch: Batch, step: number, scale: number): Losses;
  describe?(batch: Batch): BatchFacts;
  /** State beside the trained parameters that a resumed run needs (an averaged teacher). */
  extraState?(): ReadonlyMap<string, Tensor>;
  /** Called when parameters and extra state were read from a checkpoint. */
  restored?(): void;
  /** Called after each optimiser step, e.g. to move an averaged teacher. */
  afterStep?(step: number): void;
  /** Called with each checkpoint, to write what the task itself keeps on disk (computed features). */
  flush?(): void;
  /** Called when the run ends, however it does. */
  close?(): void;
  /** Figures on unseen data; throws the signal's reason when it is aborted. */
  evaluate?(step: number, signal?: AbortSignal): Promise<Readonly<Record<string, number>>>;
  /** Write the finished (or current) result into a new folder. */
  export(folder: string): void;
}

/** How the recipe of a run that goes on differs from what it was. */
export interface RecipeChange {
  /** The recipe that the checkpoint was made with. */
  readonly before: unknown;
  /** The new values by path, for the record. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** How a run is told to go on. */
export interface RunOptions {
  readonly out: string;
  /** The resolved recipe, written beside the run; another one cannot resume it. */
  readonly recipe: unknown;
  /** Fields of the recipe that are other ones from this start on. */
  readonly change?: RecipeChange;
  /** Go on from the newest checkpoint; where there is none yet, the run begins. */
  readonly resume: boolean;
  /** What the run learns from, for its record. */
  readonly data?: RunData;
  readonly log: (line: string) => void;
  /** Told of the steps done: at the start and after each. */
  readonly onStep?: (step: number) => void;
  /** Stop after a checkpoint when aborted. */
  readonly signal?: AbortSignal;
}

/** How a run ended. */
export interface RunResult {
  readonly step: number;
  readonly finished: boolean;
}

/** Run a task to its last step, or until the signal; resumes from the newest sound checkpoint in `out` when asked to. */
export async function runTraining<Batch>(
  task: TrainingTask<Batch>,
  config: LoopConfig,
  options: RunOptions,
): Promise<RunResult> {
  const { out } = options;
  let training: Training<Batch> | undefined;
  try {
    mkdirSync(out, { recursive: true });
    using _ = lockFile(join(out, 'train.lock'), { doing: 'trains in', subject: out, otherwise: 'name another --out' });
    if (options.resume) refuseLost(out, config.saveEvery);
    else refuseRun(out);
    training = new Training(task, config, options);
    return await training.run();
  } catch (error) {
    throw explainFailure(error, { out, step: training?.step ?? 0, batchSize: config.batchSize });
  } finally {
    training?.dispose();
    task.close?.();
  }
}

/** Exports what the newest sound checkpoint in `out` has learned; a run may be going on there, of which nothing is changed. */
export async function exportCheckpoint<Batch>(
  task: TrainingTask<Batch>,
  config: LoopConfig,
  options: Pick<RunOptions, 'out' | 'recipe' | 'log'> & { readonly to: string },
): Promise<RunResult> {
  const training = new Training(task, config, { ...options, resume: true });
  try {
    return await training.export(options.to);
  } finally {
    training.dispose();
    task.close?.();
  }
}

/** A run from its start or a checkpoint to its end. */
class Training<Batch> {
  step = 0;
  readonly #task: TrainingTask<Batch>;
  readonly #config: LoopConfig;
  readonly #options: RunOptions;
  readonly #accumulate: number;
  readonly #fingerprint: string;
  readonly #parameters: ReadonlyMap<string, nn.Parameter>;
  readonly #optimizer: optim.AdamW;
  readonly #average: WeightAverage | null;
  readonly #schedule: optim.Schedule;
  readonly #means = new Means();
  #skipped = { total: 0, inARow: 0 };
  #best: CheckpointFacts['best'] = null;
  #evalDue = false;
  /** Step of the newest checkpoint on disk. */
  #savedAt = -1;

  constructor(task: TrainingTask<Batch>, config: LoopConfig, options: RunOptions) {
    this.#task = task;
    this.#config = config;
    this.#options = options;
    this.#accumulate = config.accumulate ?? 1;
    this.#fingerprint = fingerprintOf(options.recipe);
    manualSeed(config.seed);
    reuseFreedMemory();
    const named = trainedParameters(task.parts);
    const keyOf = task.checkpointKey ?? ((name: string) => name);
    this.#parameters = new Map([...named].map(([name, parameter]) => [keyOf(name), parameter]));
    const groups = parameterGroups(named, config, keyOf);
    this.#optimizer = new optim.AdamW(groups, { lr: config.lr, betas: config.betas, masterWeights: true });
    this.#average = config.ema === undefined ? null : new WeightAverage(this.#parameters, config.ema.decay);
    const { steps, warmupRatio, minLrRatio } = config;
    this.#schedule = optim.cosineWithWarmup({ steps, warmupRatio, minRatio: minLrRatio });
    if (config.keepBest !== undefined && task.evaluate === undefined) {
      throw new CommError('loop.keepBest is set, but this recipe evaluates nothing.', {
        code: 'train/keep-best',
        fix: 'Leave loop.keepBest out.',
        exitCode: 2,
      });
    }
  }

  async run(): Promise<RunResult> {
    const { out, recipe, log, onStep, signal } = this.#options;
    const { steps, seed, batchSize, logEvery, saveEvery, evalEvery } = this.#config;
    this.#logParts();
    if (this.#options.resume) {
      log(this.#resume() ? `resumed at step ${this.step}` : 'there is no checkpoint yet: begins at step 0');
    }
    const { change, data } = this.#options;
    for (const [path, value] of Object.entries(change?.fields ?? {})) {
      log(`from here on ${path} is ${JSON.stringify(value)}`);
    }
    writeJson(join(out, 'recipe.json'), recipe);
    recordStart(out, { step: this.step, seed, changes: change?.fields, data });
    const runLog = new RunLog(out, this.step, log);
    const batches = this.#task.openBatches(this.step * this.#accumulate);
    const clock = new Clock(batches, this.step);
    onStep?.(this.step);
    try {
      if (this.#evalDue) await this.#evaluate(runLog);
      while (this.step < steps) {
        const tokens = await this.#trainStep(batches);
        if (tokens === null) break;
        clock.tokens += tokens;
        onStep?.(this.step);
        const last = this.step === steps;
        if (this.step % logEvery === 0 || last) {
          const speed = clock.lap(this.step, batchSize * this.#accumulate);
          const skipped = this.#config.skipNorm === undefined ? {} : { 'train/skipped': this.#skipped.total };
          const means = this.#means.take();
          runLog.record(this.step, {
            ...means,
            ...skipped,
            'train/lr': this.#config.lr * this.#schedule(this.step - 1),
            'train/samples_per_second': speed.samples,
            ...(speed.tokens > 0 ? { 'train/tokens_per_second': speed.tokens } : {}),
            'train/wait_share': speed.waitShare,
          });
          log(`step ${this.step}/${steps}  ${shown(means)}  ${speedLine(speed, steps - this.step)}`);
        }
        this.#evalDue = this.#task.evaluate !== undefined && (this.step % evalEvery === 0 || last);
        if (this.#evalDue) {
          await this.#evaluate(runLog);
          clock.restart(this.step);
        }
        if (this.step % saveEvery === 0 || last || this.#best?.step === this.step) this.#save();
      }
      if (signal?.aborted === true) this.#save();
      if (this.step < steps) return { step: this.step, finished: false };
      await this.#export(join(out, 'result'));
      return { step: this.step, finished: true };
    } finally {
      await batches.close();
      await runLog.close(log);
    }
  }

  /** Exports the newest sound checkpoint; what only training needs stays on disk. @throws CommError without one. */
  async export(folder: string): Promise<RunResult> {
    const { out, log } = this.#options;
    const saved = readCheckpoint(out, log);
    this.#takeWeights(saved);
    for (const tensor of saved.tensors.values()) tensor.dispose();
    await this.#export(folder, false);
    return { step: this.step, finished: this.step >= this.#config.steps };
  }

  /** Frees the optimiser's state and the averages. */
  dispose(): void {
    this.#optimizer.dispose();
    this.#average?.dispose();
  }

  #logParts(): void {
    const { log } = this.#options;
    const size = (count: number): string => (count < 1e4 ? `${count}` : `${(count / 1e6).toFixed(2)} M`);
    for (const { name, trained, total } of countParts(new Map([...this.#task.parts, ...(this.#task.frozen ?? [])]))) {
      if (trained === total) log(`trains ${name}: ${size(total)} parameters`);
      else if (trained === 0) log(`frozen ${name}: ${size(total)} parameters`);
      else log(`trains ${name}: ${size(trained)} of ${size(total)} parameters`);
    }
  }

  /** One step: the tokens it saw, or null when it was not taken because the run is to stop. */
  async #trainStep(batches: BatchSource<Batch>): Promise<number | null> {
    const { signal } = this.#options;
    const micro: Batch[] = [];
    while (micro.length < this.#accumulate) {
      // Batches of a worker arrive in one turn of the event loop, up to a thousand; signals and timers need turns too.
      await nextTurn();
      if (signal?.aborted === true) return null;
      const batch = await untilAbort(batches.next(), signal);
      if (batch === STOPPED) return null;
      micro.push(batch);
    }
    const facts = micro.map((batch) => this.#task.describe?.(batch) ?? {});
    const weights = facts.map(({ weight = 1 }) => weight);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const figures: Record<string, number> = {};
    for (const [i, batch] of micro.entries()) {
      if (i > 0) await nextTurn();
      if (signal?.aborted === true) {
        this.#optimizer.zeroGrad();
        return null;
      }
      const share = total > 0 ? (weights[i] as number) / total : 1 / micro.length;
      for (const [name, value] of Object.entries(this.#gradients(batch, share, facts[i] as BatchFacts, i))) {
        figures[name] = (figures[name] ?? 0) + share * value;
      }
    }
    this.#update(figures);
    this.step++;
    return facts.reduce((sum, { tokens = 0 }) => sum + tokens, 0);
  }

  /** Adds the gradients of one batch, scaled by its share of the step; its figures. */
  #gradients(batch: Batch, share: number, facts: BatchFacts, place: number): Record<string, number> {
    try {
      return scope(() => {
        const own = this.#task.backward?.(batch, this.step, share);
        const { loss, metrics } = own ?? this.#task.loss(batch, this.step);
        const value = loss.item();
        if (!Number.isFinite(value)) this.#refuseLoss(value, facts, place);
        if (own === undefined) (share === 1 ? loss : loss.mul(share)).backward();
        const figures: Record<string, number> = { loss: value };
        for (const [name, metric] of Object.entries(metrics)) figures[name] = metric.item();
        return figures;
      });
    } catch (error) {
      // The weights are those of the last step: nothing of it is lost.
      if (isOutOfMemory(error)) {
        this.#optimizer.zeroGrad();
        this.#save();
      }
      throw error;
    }
  }

  #refuseLoss(value: number, { samples = [] }: BatchFacts, place: number): never {
    const index = this.step * this.#accumulate + place;
    const where = samples.length === 0 ? '' : `: ${samples.slice(0, 8).join(', ')}${samples.length > 8 ? ', ...' : ''}`;
    const isGoingOn = listCheckpoints(this.#options.out).length > 0;
    const corrected = isGoingOn ? ' (add --resume --changed-data to go on with corrected files)' : '';
    throw new CommError(`The loss is ${value} at step ${this.step + 1} (batch ${index}${where}).`, {
      code: 'train/nan',
      fix: `Look at the data of that batch${corrected}. ${this.#atLowerRate()}`,
    });
  }

  /** What can be done where the weights went astray: a lower rate, or another setting. Values are not the end of a sentence. */
  #atLowerRate(otherwise?: { readonly setting: string; readonly so: string }): string {
    const [newest] = listCheckpoints(this.#options.out);
    const lower = `loop.lr=${Number((this.#config.lr / 2).toPrecision(3))}`;
    if (newest === undefined) {
      const other = otherwise === undefined ? '' : ` (or --set ${otherwise.setting} ${otherwise.so})`;
      return `There is no checkpoint yet: begin anew, without --resume, with another --out and with --set ${lower} for a lower rate${other}.`;
    }
    const other = otherwise === undefined ? '' : ` (or --change ${otherwise.setting} ${otherwise.so})`;
    return `Add --resume --change ${lower} to go on from ${basename(newest)} at a lower rate${other}.`;
  }

  /** Clips and takes the step, or leaves it out where the norm of the gradients is beyond what the recipe takes. */
  #update({ loss = 0, ...metrics }: Record<string, number>): void {
    const { clipNorm, skipNorm } = this.#config;
    const norm = optim.clipGradNorm(this.#parameters.values(), clipNorm);
    const size = norm.item();
    norm.dispose();
    const named = Object.entries(metrics).map(([name, value]) => [`train/${name}`, value] as const);
    const figures = { 'train/loss': loss, 'train/grad_norm': size, ...Object.fromEntries(named) };
    if (skipNorm !== undefined && !(size <= skipNorm.above)) {
      this.#skipped = { total: this.#skipped.total + 1, inARow: this.#skipped.inARow + 1 };
      this.#optimizer.zeroGrad();
      if (this.#skipped.inARow >= skipNorm.inARow) {
        throw new CommError(
          `${this.#skipped.inARow} updates in a row were left out, the last at step ${this.step + 1}: gradient norm ${size.toPrecision(3)}, above ${skipNorm.above}.`,
          {
            code: 'train/skip-norm',
            fix: this.#atLowerRate({ setting: `loop.skipNorm.above=${2 * skipNorm.above}`, so: 'to take larger ones' }),
          },
        );
      }
      this.#means.add(Object.fromEntries(Object.entries(figures).filter(([, value]) => Number.isFinite(value))));
      return;
    }
    if (!Number.isFinite(size)) {
      throw new CommError(`The gradient is not finite at step ${this.step + 1} (loss ${loss.toFixed(3)}).`, {
        code: 'train/nan',
        fix: this.#atLowerRate({
          setting: '\'loop.skipNorm={"above":1000,"inARow":10}\'',
          so: 'to leave such updates out',
        }),
      });
    }
    this.#skipped = { ...this.#skipped, inARow: 0 };
    this.#optimizer.step(this.#schedule(this.step));
    this.#optimizer.zeroGrad();
    scope(() => this.#task.afterStep?.(this.step));
    this.#average?.update(this.#optimizer.stateDict());
    this.#means.add(figures);
  }

  async #evaluate(runLog: RunLog): Promise<void> {
    const { out, log, signal } = this.#options;
    const { evaluate } = this.#task;
    let result: Readonly<Record<string, number>> = {};
    try {
      result = await this.#withAverage(() => evaluate?.call(this.#task, this.step, signal) ?? result);
    } catch (error) {
      // What was trained is kept, and the evaluation done again.
      this.#save();
      if (signal?.aborted === true) return;
      throw error;
    }
    this.#evalDue = false;
    runLog.record(this.step, Object.fromEntries(Object.entries(result).map(([name, v]) => [`eval/${name}`, v])));
    log(`eval ${this.step}  ${shown(result)}`);
    if (this.#isBest(result)) await this.#export(join(out, 'best'));
    await runLog.draw(log);
  }

  #isBest(result: Readonly<Record<string, number>>): boolean {
    const { keepBest } = this.#config;
    if (keepBest === undefined) return false;
    const value = result[keepBest.figure];
    if (value === undefined) {
      throw new CommError(`loop.keepBest.figure is "${keepBest.figure}", which the evaluation does not give.`, {
        code: 'train/keep-best',
        fix: `Choose one of ${Object.keys(result).join(', ')}.`,
        exitCode: 2,
      });
    }
    const sign = keepBest.better === 'higher' ? 1 : -1;
    if (this.#best !== null && sign * value <= sign * this.#best.value) return false;
    this.#best = { step: this.step, value };
    return true;
  }

  /** Writes the result as it is now, whole; that of the run in the place of the one before. */
  #export(folder: string, replace = true): Promise<void> {
    return this.#withAverage(() => writeFolderAsync(folder, async (part) => this.#task.export(part), { replace }));
  }

  #withAverage<T>(use: () => T | Promise<T>): Promise<T> {
    return this.#average === null ? Promise.resolve(use()) : this.#average.during(use);
  }

  #devices(): Set<Device> {
    return new Set<Device>(['cpu', ...[...this.#parameters.values()].map(({ device }) => device)]);
  }

  #save(): void {
    if (this.#savedAt === this.step) return;
    const facts: CheckpointFacts = {
      step: this.step,
      samples: this.step * this.#config.batchSize * this.#accumulate,
      nextBatch: this.step * this.#accumulate,
      recipe: this.#fingerprint,
      pending: this.#means.state,
      skipped: this.#skipped,
      best: this.#best,
      evalDue: this.#evalDue,
    };
    scope(() => saveCheckpoint(this.#options.out, facts, this.#state(), this.#config.keepLast));
    this.#task.flush?.();
    this.#savedAt = this.step;
  }

  *#state(): Generator<[string, Tensor]> {
    for (const [key, tensor] of this.#parameters) yield [`model.${key}`, tensor];
    for (const [key, tensor] of this.#task.extraState?.() ?? []) yield [`extra.${key}`, tensor];
    for (const [key, tensor] of this.#optimizer.stateDict()) yield [`optim.${key}`, tensor];
    for (const [key, tensor] of this.#average?.state ?? []) yield [`average.${key}`, tensor];
    for (const device of this.#devices()) yield [`rng.${device}`, rngState(device)];
  }

  /** Takes up the newest sound checkpoint, if there is one. */
  #resume(): boolean {
    const { out, log } = this.#options;
    const saved = takeUpCheckpoint(out, log);
    if (saved === null) return false;
    this.#takeWeights(saved);
    const { facts, tensors } = saved;
    this.#optimizer.loadStateDict(pickPrefix(tensors, 'optim.'));
    for (const [device, state] of pickPrefix(tensors, 'rng.')) setRngState(state, device as Device);
    for (const tensor of tensors.values()) tensor.dispose();
    this.#savedAt = facts.step;
    this.#means.state = facts.pending;
    this.#skipped = facts.skipped;
    this.#best = facts.best;
    this.#evalDue = facts.evalDue;
    return true;
  }

  /** Restores what a checkpoint has learned. @throws CommError for one of another recipe. */
  #takeWeights({ facts, tensors }: Checkpoint): void {
    const { out, recipe, change } = this.#options;
    const isOurs =
      facts.recipe === this.#fingerprint || (change !== undefined && facts.recipe === fingerprintOf(change.before));
    if (!isOurs) throw anotherRecipe(out, change?.before ?? recipe);
    restore(this.#parameters, pickPrefix(tensors, 'model.'), 'weight');
    restore(this.#task.extraState?.() ?? new Map(), pickPrefix(tensors, 'extra.'), 'state');
    restore(this.#average?.state ?? new Map(), pickPrefix(tensors, 'average.'), 'average');
    this.#task.restored?.();
    this.step = facts.step;
  }
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
        fix: 'It belongs to another recipe: use that one, or another --out.',
      });
    }
    scope(() => target.detach().copy_(source));
  }
}

/** In the place of a batch that was not waited for; a batch may be anything. */
const STOPPED = Symbol('stopped');

/** What `promise` gives, or STOPPED as soon as the signal is aborted. */
function untilAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T | typeof STOPPED> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const stop = (): void => resolve(STOPPED);
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

interface Speed {
  /** A second. */
  readonly samples: number;
  readonly tokens: number;
  /** Share of the time in which the trainer had no batch. */
  readonly waitShare: number;
  /** Seconds of a step. */
  readonly stepSeconds: number;
}

/** Speed between two log lines. */
class Clock {
  tokens = 0;
  readonly #batches: { readonly waitedMs: number };
  #since = performance.now();
  #step: number;
  #waited: number;

  constructor(batches: { readonly waitedMs: number }, step: number) {
    this.#batches = batches;
    this.#step = step;
    this.#waited = batches.waitedMs;
  }

  /** The speed since the lap before; a step takes `samples`. */
  lap(step: number, samples: number): Speed {
    const seconds = (performance.now() - this.#since) / 1000;
    const steps = step - this.#step;
    const speed = {
      samples: (steps * samples) / seconds,
      tokens: this.tokens / seconds,
      waitShare: (this.#batches.waitedMs - this.#waited) / 1000 / seconds,
      stepSeconds: seconds / steps,
    };
    this.restart(step);
    return speed;
  }

  /** Begins a lap, behind something that is not training. */
  restart(step: number): void {
    this.#since = performance.now();
    this.#step = step;
    this.#waited = this.#batches.waitedMs;
    this.tokens = 0;
  }
}

const shown = (figures: Readonly<Record<string, number>>): string =>
  Object.entries(figures)
    .map(
      ([name, value]) => `${name} ${Math.abs(value) < 0.01 && value !== 0 ? value.toExponential(2) : value.toFixed(3)}`,
    )
    .join('  ');

function speedLine({ samples, tokens, waitShare, stepSeconds }: Speed, stepsLeft: number): string {
  const rate = (value: number): string => (value < 10 ? value.toPrecision(2) : value.toFixed(0));
  return [
    `${rate(samples)} samples/s`,
    ...(tokens > 0 ? [`${rate(tokens)} tokens/s`] : []),
    `${(100 * waitShare).toFixed(0)} % waiting`,
    `${((stepsLeft * stepSeconds) / 60).toFixed(1)} min left`,
  ].join('  ');
}
