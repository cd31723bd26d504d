/**
 * Watches the branches of a model while it trains: on pictures that it does not learn from, at the start and at an interval.
 * A branch that dies is not seen in the loss: the others do its work, and so it stays dead.
 */
import { noGrad, scope, type Tensor } from '@commlm/torch';
import { type CommTrainConfig, DEFAULT_HEALTH, type HealthConfig } from '../../../config/comm-train.js';
import { CommError } from '../../../config/errors.js';
import { branchLine, branchTrouble } from '../../../features/branch-words.js';
import {
  type BranchHealth,
  type HealthUnit,
  judgeBranch,
  type ModelHealth,
  measureBranches,
} from '../../../models/branch-health.js';
import type { Comm } from '../../../models/comm.js';
import type { BatchSource, HealthCheck, HealthFindings } from '../../loop/training-task.js';
import type { TrainBatch } from './train-batch.js';

/** Pictures whose losses are one number of the statistics. */
const UNIT = 4;

/** A branch may be slow to be of use: knock-outs are judged from this share of the steps on. A constant one is told at once. */
const JUDGED_FROM = 0.25;

/** What the watch asks of a training. */
export interface Watched {
  /** Batches of so many samples. */
  openUnits(size: number): BatchSource<TrainBatch>;
  /** Levels of each encoder. */
  levels(batch: TrainBatch): readonly (readonly Tensor[])[];
  /** All that the training minimises, on a batch that shows these visual tokens. */
  loss(batch: TrainBatch, visual_PNE: Tensor): Tensor;
}

/** The branches of one training. */
export class BranchWatch implements HealthCheck {
  readonly every: number;
  readonly #health: HealthConfig;
  readonly #model: Comm;
  readonly #watched: Watched;
  /** Read once, so that all measurements are on the same pictures. */
  #batches: readonly TrainBatch[] | undefined;
  /** Norm of the gradient of each branch in the step before. */
  #gradients: readonly (number | undefined)[] = [];

  constructor({ health }: Pick<CommTrainConfig, 'health'>, model: Comm, watched: Watched) {
    const { every, pictures, stop } = DEFAULT_HEALTH;
    this.#health = {
      every: health?.every ?? every,
      pictures: health?.pictures ?? pictures,
      stop: health?.stop ?? stop,
    };
    this.every = this.#health.every;
    this.#model = model;
    this.#watched = watched;
  }

  seeGradients(): void {
    this.#gradients = this.#model.vision.encoders.map(({ merge, align }) =>
      gradientNorm([...merge.parameters(), ...align.parameters()]),
    );
  }

  async measure(progress: number, signal?: AbortSignal): Promise<HealthFindings | null> {
    this.#batches ??= await this.#read(signal);
    if (this.#batches.reduce((sum, { numPictures }) => sum + numPictures, 0) < 2) return null;
    const units = this.#batches.map((batch): HealthUnit => {
      return {
        levels: () => this.#watched.levels(batch),
        loss: (visual) => this.#watched.loss(batch, visual).item(),
      };
    });
    this.#model.eval();
    try {
      const health = measureBranches(this.#model, units);
      return {
        figures: this.#figures(health),
        lines: health.branches.map((branch, i) => this.#line(branch, health.loss, this.#gradients[i])),
        trouble: this.#health.stop ? this.#trouble(health, progress) : null,
      };
    } finally {
      this.#model.train();
    }
  }

  async #read(signal: AbortSignal | undefined): Promise<TrainBatch[]> {
    const source = this.#watched.openUnits(UNIT);
    const batches: TrainBatch[] = [];
    try {
      for (let i = 0; i < Math.ceil(this.#health.pictures / UNIT); i++) {
        signal?.throwIfAborted();
        const batch = await source.next();
        if (batch.numPictures > 0) batches.push(batch);
      }
    } finally {
      await source.close();
    }
    return batches;
  }

  #figures({ loss, branches }: ModelHealth): Record<string, number> {
    const figures: Record<string, number> = { loss };
    for (const { encoder, spread, relativeSpread, varianceShare, covarianceShare, active, knockOut } of branches) {
      const own: Record<string, number | undefined> = {
        spread_patches: spread.patches,
        spread_pictures: spread.pictures,
        spread_relative: relativeSpread,
        variance_share: varianceShare,
        covariance_share: covarianceShare,
        ...Object.fromEntries(active.map((share, i) => [`active_${i + 1}`, share])),
        knock_out_mean: knockOut.mean.value,
        knock_out_mean_error: knockOut.mean.error,
        knock_out_other: knockOut.other.value,
        knock_out_other_error: knockOut.other.error,
        grad_norm: this.#gradients[encoder],
      };
      for (const [name, value] of Object.entries(own)) {
        if (value !== undefined && Number.isFinite(value)) figures[`encoder.${encoder}/${name}`] = value;
      }
    }
    return figures;
  }

  #line(branch: BranchHealth, loss: number, gradient: number | undefined): string {
    const line = branchLine(branch, loss);
    return gradient === undefined ? line : `${line}; gradient ${gradient.toPrecision(2)}`;
  }

  #trouble({ loss, branches }: ModelHealth, progress: number): CommError | null {
    const ill = branches.find((branch) => {
      const verdict = judgeBranch(branch, loss);
      return verdict === 'constant' || (verdict === 'unused' && progress >= JUDGED_FROM);
    });
    if (ill === undefined) return null;
    return new CommError(branchTrouble(ill, loss)!, {
      code: 'train/branch',
      fix:
        progress === 0
          ? 'Begin with a model whose branches are alive (commlm inspect --health tells), or add --set comm.health.stop=false to go on all the same.'
          : 'Begin anew with a lower rate for that branch (such as --set loop.lrFactors.align=0.1), or add --resume --set comm.health.stop=false to go on all the same.',
    });
  }
}

/** Joint norm of the gradients that are there; undefined where nothing learns. */
function gradientNorm(parameters: readonly { readonly grad: Tensor | null }[]): number | undefined {
  const grads = parameters.flatMap(({ grad }) => (grad === null ? [] : [grad]));
  if (grads.length === 0) return undefined;
  return scope(() => noGrad(() => Math.sqrt(grads.reduce((sum, g) => sum + g.to('f32').pow(2).sum().item(), 0))));
}
