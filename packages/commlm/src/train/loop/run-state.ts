/**
 * The state of a run, all that a checkpoint holds: weights, optimiser and averages, generators of random numbers, and a few
 * counters. Batches are functions of their index and need no state.
 */
import { type Device, type nn, optim, rngState, scope, setRngState, type Tensor } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import type { LoopConfig } from '../../config/train.js';
import { type Checkpoint, type CheckpointFacts, saveCheckpoint, takeUpCheckpoint } from './checkpoint.js';
import { anotherRecipe, fingerprintOf } from './fingerprint.js';
import { Means } from './means.js';
import { parameterGroups, trainedParameters } from './parameter-groups.js';
import type { TrainingTask } from './training-task.js';
import { WeightAverage } from './weight-average.js';

/** How the recipe of a run that goes on differs from what it was. */
export interface RecipeChange {
  /** The recipe that the checkpoint was made with. */
  readonly before: unknown;
  /** The new values by path, for the record. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** The folder of a run and the recipe that its checkpoints belong to. */
export interface RunIdentity {
  readonly out: string;
  /** The resolved recipe, written beside the run; another one cannot resume it. */
  readonly recipe: unknown;
  /** Fields of the recipe that are other ones from this start on. */
  readonly change?: RecipeChange | undefined;
}

type StatefulTask = Pick<TrainingTask<never>, 'parts' | 'checkpointKey' | 'extraState' | 'restored' | 'flush'>;

/** Index of the first batch of a step. Several ranks: each takes its own of them, and a step takes `accumulate` a rank. */
export const firstBatch = (step: number, { accumulate = 1 }: LoopConfig): number => step * accumulate;

/** What changes while a run goes on. */
export class RunState {
  /** Optimiser steps taken. */
  step = 0;
  /** By the key in checkpoints. */
  readonly parameters: ReadonlyMap<string, nn.Parameter>;
  readonly optimizer: optim.AdamW;
  readonly average: WeightAverage | null;
  /** Figures since the last log line. */
  readonly means = new Means();
  /** Updates that were left out. */
  skipped = { total: 0, inARow: 0 };
  /** The best evaluation so far. */
  best: CheckpointFacts['best'] = null;
  /** An evaluation that a stop came before. */
  evalDue = false;
  readonly #task: StatefulTask;
  readonly #config: LoopConfig;
  readonly #run: RunIdentity;
  readonly #fingerprint: string;
  /** Step of the newest checkpoint on disk. */
  #savedAt = -1;

  constructor(task: StatefulTask, config: LoopConfig, run: RunIdentity) {
    this.#task = task;
    this.#config = config;
    this.#run = run;
    this.#fingerprint = fingerprintOf(run.recipe);
    const named = trainedParameters(task.parts);
    const keyOf = task.checkpointKey ?? ((name: string) => name);
    this.parameters = new Map([...named].map(([name, parameter]) => [keyOf(name), parameter]));
    const groups = parameterGroups(named, config, keyOf);
    this.optimizer = new optim.AdamW(groups, { lr: config.lr, betas: config.betas, masterWeights: true });
    this.average = config.ema === undefined ? null : new WeightAverage(this.parameters, config.ema.decay);
  }

  /** Frees the optimiser's state and the averages. */
  dispose(): void {
    this.optimizer.dispose();
    this.average?.dispose();
  }

  /** Does something with the averaged weights, where there is an average. */
  withAverage<T>(use: () => T | Promise<T>): Promise<T> {
    return this.average === null ? Promise.resolve(use()) : this.average.during(use);
  }

  /** Writes a checkpoint of this step, unless it is there. */
  save(): void {
    if (this.#savedAt === this.step) return;
    const nextBatch = firstBatch(this.step, this.#config);
    const facts: CheckpointFacts = {
      step: this.step,
      samples: nextBatch * this.#config.batchSize,
      nextBatch,
      recipe: this.#fingerprint,
      pending: this.means.state,
      skipped: this.skipped,
      best: this.best,
      evalDue: this.evalDue,
    };
    scope(() => saveCheckpoint(this.#run.out, facts, this.#tensors(), this.#config.keepLast));
    this.#task.flush?.();
    this.#savedAt = this.step;
  }

  #devices(): Set<Device> {
    return new Set<Device>(['cpu', ...[...this.parameters.values()].map(({ device }) => device)]);
  }

  *#tensors(): Generator<[string, Tensor]> {
    for (const [key, tensor] of this.parameters) yield [`model.${key}`, tensor];
    for (const [key, tensor] of this.#task.extraState?.() ?? []) yield [`extra.${key}`, tensor];
    for (const [key, tensor] of this.optimizer.stateDict()) yield [`optim.${key}`, tensor];
    for (const [key, tensor] of this.average?.state ?? []) yield [`average.${key}`, tensor];
    for (const device of this.#devices()) yield [`rng.${device}`, rngState(device)];
  }

  /** Takes up the newest sound checkpoint, if there is one. */
  resume(log: (line: string) => void): boolean {
    const saved = takeUpCheckpoint(this.#run.out, log);
    if (saved === null) return false;
    this.takeWeights(saved);
    const { facts, tensors } = saved;
    this.optimizer.loadStateDict(pickPrefix(tensors, 'optim.'));
    for (const [device, state] of pickPrefix(tensors, 'rng.')) setRngState(state, device as Device);
    for (const tensor of tensors.values()) tensor.dispose();
    this.#savedAt = facts.step;
    this.means.state = facts.pending;
    this.skipped = facts.skipped;
    this.best = facts.best;
    this.evalDue = facts.evalDue;
    return true;
  }

  /** Restores what a checkpoint has learned. @throws CommError for one of another recipe. */
  takeWeights({ facts, tensors }: Checkpoint): void {
    const { out, recipe, change } = this.#run;
    const isOurs =
      facts.recipe === this.#fingerprint || (change !== undefined && facts.recipe === fingerprintOf(change.before));
    if (!isOurs) throw anotherRecipe(out, change?.before ?? recipe);
    restore(this.parameters, pickPrefix(tensors, 'model.'), 'weight');
    restore(this.#task.extraState?.() ?? new Map(), pickPrefix(tensors, 'extra.'), 'state');
    restore(this.average?.state ?? new Map(), pickPrefix(tensors, 'average.'), 'average');
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
