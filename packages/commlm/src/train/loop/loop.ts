/**
 * The training loop that every recipe shares: batches in, AdamW steps out, checkpoints that resume bit for bit. A step is in
 * stepper.ts, what a checkpoint holds in run-state.ts.
 *
 * Several ranks will enter at three places, which are marked: the index of a batch (`firstBatch`), the weight of a step
 * (`totalWeight`) and the gradients before clipping. Rank 0 alone logs, evaluates and saves.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { manualSeed, reuseFreedMemory } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import type { LoopConfig } from '../../config/train.js';
import { writeJson } from '../../files/durable.js';
import { lockFile } from '../../files/lock.js';
import { writeFolderAsync } from '../../files/whole-folder.js';
import { readCheckpoint } from './checkpoint.js';
import { explainFailure } from './failure.js';
import { countParts } from './parameter-groups.js';
import { type RunData, recordStart } from './run-facts.js';
import { refuseLost, refuseRun } from './run-folder.js';
import { RunLog } from './run-log.js';
import { firstBatch, type RunIdentity, RunState } from './run-state.js';
import { SpeedClock, shownFigures, speedLine } from './speed.js';
import { Stepper } from './stepper.js';
import type { HealthFindings, TrainingTask } from './training-task.js';

/** How a run is told to go on. */
export interface TrainingOptions extends RunIdentity {
  /** Go on from the newest checkpoint; where there is none yet, the run begins. */
  readonly resume: boolean;
  /** What the run learns from, for its record. */
  readonly data?: RunData;
  readonly log: (line: string) => void;
  /** Told of the steps done: at the start and after each. */
  readonly onStep?: (step: number) => void;
  /** Stop after a checkpoint when aborted. */
  readonly signal?: AbortSignal | undefined;
}

/** How a run ended. */
export interface TrainingResult {
  readonly step: number;
  readonly finished: boolean;
}

/** Run a task to its last step, or until the signal; resumes from the newest sound checkpoint in `out` when asked to. */
export async function runTraining<Batch>(
  task: TrainingTask<Batch>,
  config: LoopConfig,
  options: TrainingOptions,
): Promise<TrainingResult> {
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
  options: Pick<TrainingOptions, 'out' | 'recipe' | 'log'> & { readonly to: string },
): Promise<TrainingResult> {
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
  readonly #task: TrainingTask<Batch>;
  readonly #config: LoopConfig;
  readonly #options: TrainingOptions;
  readonly #state: RunState;
  readonly #stepper: Stepper<Batch>;

  constructor(task: TrainingTask<Batch>, config: LoopConfig, options: TrainingOptions) {
    this.#task = task;
    this.#config = config;
    this.#options = options;
    manualSeed(config.seed);
    reuseFreedMemory();
    this.#state = new RunState(task, config, options);
    this.#stepper = new Stepper(task, config, this.#state, options.out);
    if (config.keepBest !== undefined && task.evaluate === undefined) {
      throw new CommError('loop.keepBest is set, but this recipe evaluates nothing.', {
        code: 'train/keep-best',
        fix: 'Leave loop.keepBest out.',
        exitCode: 2,
      });
    }
  }

  /** Steps taken. */
  get step(): number {
    return this.#state.step;
  }

  async run(): Promise<TrainingResult> {
    const { out, recipe, change, data, resume, log, onStep, signal } = this.#options;
    const { steps, seed, batchSize, accumulate = 1, logEvery, saveEvery, evalEvery } = this.#config;
    const state = this.#state;
    this.#logParts();
    if (resume)
      log(state.resume(log) ? `resumed at step ${state.step}` : 'there is no checkpoint yet: begins at step 0');
    for (const [path, value] of Object.entries(change?.fields ?? {})) {
      log(`from here on ${path} is ${JSON.stringify(value)}`);
    }
    writeJson(join(out, 'recipe.json'), recipe);
    recordStart(out, { step: state.step, seed, changes: change?.fields, data });
    const runLog = new RunLog(out, state.step, log);
    const batches = this.#task.openBatches(firstBatch(state.step, this.#config));
    const clock = new SpeedClock(batches, state.step, batchSize * accumulate);
    try {
      if (state.evalDue) await this.#evaluate(runLog);
      if (state.step === 0) await this.#checkHealth(runLog);
      clock.restart(state.step);
      onStep?.(state.step);
      while (state.step < steps) {
        const tokens = await this.#stepper.take(batches, signal);
        if (tokens === null) break;
        clock.tokens += tokens;
        onStep?.(state.step);
        const last = state.step === steps;
        if (state.step % logEvery === 0 || last) this.#logStep(runLog, clock);
        state.evalDue = this.#task.evaluate !== undefined && (state.step % evalEvery === 0 || last);
        if (state.evalDue) {
          await this.#evaluate(runLog);
          clock.restart(state.step);
        }
        if (this.#stepper.isHealthDue(state.step)) {
          await this.#checkHealth(runLog);
          clock.restart(state.step);
        }
        if (state.step % saveEvery === 0 || last || state.best?.step === state.step) state.save();
      }
      if (signal?.aborted === true) state.save();
      if (state.step < steps) return { step: state.step, finished: false };
      await this.#export(join(out, 'result'));
      return { step: state.step, finished: true };
    } finally {
      await batches.close();
      await runLog.close(log);
    }
  }

  /** Exports the newest sound checkpoint; what only training needs stays on disk. @throws CommError without one. */
  async export(folder: string): Promise<TrainingResult> {
    const { out, log } = this.#options;
    const saved = readCheckpoint(out, log);
    this.#state.takeWeights(saved);
    for (const tensor of saved.tensors.values()) tensor.dispose();
    await this.#export(folder, false);
    return { step: this.step, finished: this.step >= this.#config.steps };
  }

  /** Frees the optimiser's state and the averages. */
  dispose(): void {
    this.#state.dispose();
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

  /** Records the figures since the last log line, and says them. */
  #logStep(runLog: RunLog, clock: SpeedClock): void {
    const { step, means, skipped } = this.#state;
    const speed = clock.lap(step);
    const figures = means.take();
    runLog.record(step, {
      ...figures,
      ...(this.#config.skipNorm === undefined ? {} : { 'train/skipped': skipped.total }),
      'train/lr': this.#stepper.rate,
      'train/samples_per_second': speed.samples,
      ...(speed.tokens > 0 ? { 'train/tokens_per_second': speed.tokens } : {}),
      'train/wait_share': speed.waitShare,
    });
    const { steps } = this.#config;
    this.#options.log(`step ${step}/${steps}  ${shownFigures(figures)}  ${speedLine(speed, steps - step)}`);
  }

  async #evaluate(runLog: RunLog): Promise<void> {
    const { out, log, signal } = this.#options;
    const { evaluate } = this.#task;
    let result: Readonly<Record<string, number>> = {};
    try {
      result = await this.#state.withAverage(() => evaluate?.call(this.#task, this.step, signal) ?? result);
    } catch (error) {
      // What was trained is kept, and the evaluation done again.
      this.#state.save();
      if (signal?.aborted === true) return;
      throw error;
    }
    this.#state.evalDue = false;
    runLog.record(this.step, Object.fromEntries(Object.entries(result).map(([name, v]) => [`eval/${name}`, v])));
    log(`eval ${this.step}  ${shownFigures(result)}`);
    if (this.#isBest(result)) await this.#export(join(out, 'best'));
    await runLog.draw(log);
  }

  /** Records the health of what trains. @throws CommError where the run should not go on; its steps are saved then. */
  async #checkHealth(runLog: RunLog): Promise<void> {
    const { log, signal } = this.#options;
    const { step } = this.#state;
    const started = performance.now();
    let findings: HealthFindings | null | undefined;
    try {
      findings = await this.#task.health?.measure(step / this.#config.steps, signal);
    } catch (error) {
      if (signal?.aborted === true) return;
      throw error;
    }
    if (findings === null || findings === undefined) return;
    const { figures, lines, trouble } = findings;
    const named = Object.entries(figures).map(([name, value]) => [`health/${name}`, value] as const);
    runLog.record(step, { ...Object.fromEntries(named), 'health/seconds': (performance.now() - started) / 1000 });
    for (const line of lines) log(`health ${step}  ${line}`);
    if (trouble === null) return;
    // Behind the last step there is nothing left to save; what was learned is exported.
    if (step === this.#config.steps) {
      log(`health ${step}  ${trouble.message}`);
      return;
    }
    this.#state.save();
    throw trouble;
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
    if (this.#state.best !== null && sign * value <= sign * this.#state.best.value) return false;
    this.#state.best = { step: this.step, value };
    return true;
  }

  /** Writes the result as it is now, whole; that of the run in the place of the one before. */
  #export(folder: string, replace = true): Promise<void> {
    return this.#state.withAverage(() =>
      writeFolderAsync(folder, async (part) => this.#task.export(part), { replace }),
    );
  }
}
