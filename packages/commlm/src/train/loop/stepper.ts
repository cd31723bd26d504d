/**
 * One optimiser step: batches, their gradients, clipping, AdamW.
 *
 *     batch(index) -> task.loss -> backward   x accumulate
 *                  -> clip -> AdamW (f32 masters behind bf16 weights) -> task.afterStep -> average
 */
import { basename } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { optim, scope } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import type { LoopConfig } from '../../config/train.js';
import { listCheckpoints } from './checkpoint.js';
import { isOutOfMemory } from './failure.js';
import { firstBatch, type RunState } from './run-state.js';
import type { BatchFacts, BatchSource, TrainingTask } from './training-task.js';

/** What a step's loss is a mean over, all its batches together. Several ranks: the sum over the ranks. */
const totalWeight = (weights: readonly number[]): number => weights.reduce((sum, weight) => sum + weight, 0);

/** Takes the steps of a run. */
export class Stepper<Batch> {
  readonly #task: TrainingTask<Batch>;
  readonly #config: LoopConfig;
  readonly #state: RunState;
  /** The folder of the run, for what an error advises. */
  readonly #out: string;
  readonly #schedule: optim.Schedule;

  constructor(task: TrainingTask<Batch>, config: LoopConfig, state: RunState, out: string) {
    this.#task = task;
    this.#config = config;
    this.#state = state;
    this.#out = out;
    const { steps, warmupRatio, minLrRatio } = config;
    this.#schedule = optim.cosineWithWarmup({ steps, warmupRatio, minRatio: minLrRatio });
  }

  /** The rate that the last step was taken with. */
  get rate(): number {
    return this.#config.lr * this.#schedule(this.#state.step - 1);
  }

  /** Whether the health of what trains is measured behind a step. */
  isHealthDue(step: number): boolean {
    const { health } = this.#task;
    return health !== undefined && (step % health.every === 0 || step === this.#config.steps);
  }

  /** One step: the tokens it saw, or null when it was not taken because the run is to stop. */
  async take(batches: BatchSource<Batch>, signal?: AbortSignal): Promise<number | null> {
    const { accumulate = 1 } = this.#config;
    const micro: Batch[] = [];
    while (micro.length < accumulate) {
      // Batches of a worker arrive in one turn of the event loop, up to a thousand; signals and timers need turns too.
      await nextTurn();
      if (signal?.aborted === true) return null;
      const batch = await untilAbort(batches.next(), signal);
      if (batch === STOPPED) return null;
      micro.push(batch);
    }
    const facts = micro.map((batch) => this.#task.describe?.(batch) ?? {});
    const weights = facts.map(({ weight = 1 }) => weight);
    const total = totalWeight(weights);
    const figures: Record<string, number> = {};
    for (const [i, batch] of micro.entries()) {
      if (i > 0) await nextTurn();
      if (signal?.aborted === true) {
        this.#state.optimizer.zeroGrad();
        return null;
      }
      const share = total > 0 ? weights[i]! / total : 1 / micro.length;
      for (const [name, value] of Object.entries(this.#gradients(batch, share, facts[i]!, i))) {
        figures[name] = (figures[name] ?? 0) + share * value;
      }
    }
    this.#update(figures);
    this.#state.step++;
    return facts.reduce((sum, { tokens = 0 }) => sum + tokens, 0);
  }

  /** Adds the gradients of one batch, scaled by its share of the step; its figures. */
  #gradients(batch: Batch, share: number, facts: BatchFacts, place: number): Record<string, number> {
    try {
      return scope(() => {
        const own = this.#task.backward?.(batch, this.#state.step, share);
        const { loss, metrics } = own ?? this.#task.loss(batch, this.#state.step);
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
        this.#state.optimizer.zeroGrad();
        this.#state.save();
      }
      throw error;
    }
  }

  #refuseLoss(value: number, { samples = [] }: BatchFacts, place: number): never {
    const index = firstBatch(this.#state.step, this.#config) + place;
    const where = samples.length === 0 ? '' : `: ${samples.slice(0, 8).join(', ')}${samples.length > 8 ? ', ...' : ''}`;
    const isGoingOn = listCheckpoints(this.#out).length > 0;
    const corrected = isGoingOn ? ' (add --resume --changed-data to go on with corrected files)' : '';
    throw new CommError(`The loss is ${value} at step ${this.#state.step + 1} (batch ${index}${where}).`, {
      code: 'train/nan',
      fix: `Look at the data of that batch${corrected}. ${this.#atLowerRate()}`,
    });
  }

  /** What can be done where the weights went astray: a lower rate, or another setting. Values are not the end of a sentence. */
  #atLowerRate(otherwise?: { readonly setting: string; readonly so: string }): string {
    const [newest] = listCheckpoints(this.#out);
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
    // Several ranks: their gradients are added up here, before the norm is taken.
    if (this.isHealthDue(this.#state.step + 1)) this.#task.health?.seeGradients();
    const norm = optim.clipGradNorm(this.#state.parameters.values(), clipNorm);
    const size = norm.item();
    norm.dispose();
    const named = Object.entries(metrics).map(([name, value]) => [`train/${name}`, value] as const);
    const figures = { 'train/loss': loss, 'train/grad_norm': size, ...Object.fromEntries(named) };
    if (skipNorm !== undefined && !(size <= skipNorm.above)) {
      this.#state.skipped = { total: this.#state.skipped.total + 1, inARow: this.#state.skipped.inARow + 1 };
      this.#state.optimizer.zeroGrad();
      if (this.#state.skipped.inARow >= skipNorm.inARow) {
        throw new CommError(
          `${this.#state.skipped.inARow} updates in a row were left out, the last at step ${this.#state.step + 1}: gradient norm ${size.toPrecision(3)}, above ${skipNorm.above}.`,
          {
            code: 'train/skip-norm',
            fix: this.#atLowerRate({ setting: `loop.skipNorm.above=${2 * skipNorm.above}`, so: 'to take larger ones' }),
          },
        );
      }
      this.#state.means.add(Object.fromEntries(Object.entries(figures).filter(([, value]) => Number.isFinite(value))));
      return;
    }
    if (!Number.isFinite(size)) {
      throw new CommError(`The gradient is not finite at step ${this.#state.step + 1} (loss ${loss.toFixed(3)}).`, {
        code: 'train/nan',
        fix: this.#atLowerRate({
          setting: '\'loop.skipNorm={"above":1000,"inARow":10}\'',
          so: 'to leave such updates out',
        }),
      });
    }
    this.#state.skipped = { ...this.#state.skipped, inARow: 0 };
    this.#state.optimizer.step(this.#schedule(this.#state.step));
    this.#state.optimizer.zeroGrad();
    scope(() => this.#task.afterStep?.(this.#state.step));
    this.#state.average?.update(this.#state.optimizer.stateDict());
    this.#state.means.add(figures);
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
