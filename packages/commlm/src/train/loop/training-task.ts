/** What the loop asks of a recipe: batches in order, the loss of one, what of the model trains, how a result is written. */
import type { nn, Tensor } from '@commlm/torch';
import type { CommError } from '../../config/errors.js';

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

/** What a measurement of health found. */
export interface HealthFindings {
  /** Figures to record, by name. */
  readonly figures: Readonly<Record<string, number>>;
  /** The same for people. */
  readonly lines: readonly string[];
  /** Why the run should not go on; null where it may. */
  readonly trouble: CommError | null;
}

/** How a task looks after what it trains, at an interval; measuring changes nothing and draws no random numbers. */
export interface HealthCheck {
  /** Steps between two measurements; there is one at the start and at the end of a run, too. */
  readonly every: number;
  /** Called when the gradients of a step that is measured are there, before they are clipped. */
  seeGradients(): void;
  /** Measures; `progress` is the share of the steps that are done. Null where there is nothing to measure on. */
  measure(progress: number, signal?: AbortSignal): Promise<HealthFindings | null>;
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
  /** Absent where nothing needs looking after. */
  readonly health?: HealthCheck | undefined;
  /** Write the finished (or current) result into a new folder. */
  export(folder: string): void;
}
