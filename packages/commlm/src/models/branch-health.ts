/**
 * Whether every branch of a fused model takes part: how far its tokens spread, what share of the fused tokens' variance is
 * its own, which of its activations pass anything on, and by how much the loss rises when it is knocked out.
 *
 *     levels of each picture -> branches -+-> joined -> visual tokens -> loss
 *                                         +-> one of them at its mean, or another picture's -> loss
 *
 * Shapes: P pictures, N tokens of one in a branch, M its width, B pictures of a unit, E width of the language model.
 */
import { cat, keep, noGrad, scope, type Tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import { resolveLevels } from '../config/model.js';
import type { Comm } from './comm.js';
import { AlignBlock, type VisualBranch } from './fusion.js';

/** A few pictures with a loss; one number of the statistics. */
export interface HealthUnit {
  /** Levels of each encoder: float[B, N, D] x L. */
  levels(): readonly (readonly Tensor[])[];
  /** The loss when the model sees these visual tokens, float[B, N, E]. */
  loss(visual_BNE: Tensor): number;
}

/** By how much a loss rises, in its own unit (nats), and the standard error of that over the units. */
export interface LossRise {
  readonly value: number;
  readonly error: number;
}

/** What is known of one branch. */
export interface BranchHealth {
  /** Type of the encoder, and its place. */
  readonly type: string;
  readonly encoder: number;
  /** Standard deviation of a channel over the patches of a picture, and over the pictures at a patch; root mean square of the channels. */
  readonly spread: { readonly patches: number; readonly pictures: number };
  /** Standard deviation over all tokens as a share of their size (root mean square): 0 for a branch that always says the same. */
  readonly relativeSpread: number;
  /** Its share of the variance of the joined tokens (trace of the covariance), and of their squared covariances (its rows). */
  readonly varianceShare: number;
  readonly covarianceShare: number;
  /** Share of positive inputs of each activation of the alignment, first to last; empty without one. */
  readonly active: readonly number[];
  /** Rise of the loss with the branch at its mean over all tokens, and with the next picture's. */
  readonly knockOut: { readonly mean: LossRise; readonly other: LossRise };
}

/** What is known of one level of an encoder. */
export interface LevelHealth {
  /** Its `hidden_states` index. */
  readonly level: number;
  /** Variance of the merged tokens when this level alone varies, as a share of the sum of these over the levels. */
  readonly varianceShare: number;
  /** Rise of the loss with this level at its mean. */
  readonly dropOne: LossRise;
}

/** A measurement. */
export interface ModelHealth {
  /** Mean loss over the units, nothing knocked out. */
  readonly loss: number;
  readonly numPictures: number;
  readonly branches: readonly BranchHealth[];
}

/**
 * Below this relative spread a branch is constant: the rounding of bf16 (8 bits, half a unit in the last place is 2^-9 of a
 * number), so that tokens that differ by less are mostly one and the same number in the format that models are kept in.
 */
export const CONSTANT_SPREAD = 2 ** -8;

/** A rise of the loss by less than this share of it is nought: so much repeats of one training differ (0.004 of 0.92 nats). */
export const NOUGHT_RISE = 0.004;

/** What a branch is judged to be. `unclear`: its knock-out cannot be told from nought by so few pictures. */
export type BranchVerdict = 'constant' | 'unused' | 'unclear' | 'alive';

/**
 * A knock-out is nought when two standard errors above its rise are still below `NOUGHT_RISE` of the loss, so that a
 * measurement too small to tell never calls a branch unused. Differences are paired: the same pictures, weights and words
 * with and without the branch, and what is left as noise is which pictures were drawn.
 */
export function judgeBranch({ relativeSpread, knockOut }: BranchHealth, loss: number): BranchVerdict {
  if (relativeSpread < CONSTANT_SPREAD) return 'constant';
  const rises = [knockOut.mean, knockOut.other];
  if (rises.every(({ value, error }) => value + 2 * error < NOUGHT_RISE * loss)) return 'unused';
  return rises.every(({ value, error }) => value < 2 * error) ? 'unclear' : 'alive';
}

/** The branches of a model on the pictures of all units, which are in evaluation mode. @throws CommError for fewer than two pictures. */
export function measureBranches(model: Comm, units: readonly HealthUnit[]): ModelHealth {
  return noGrad(() =>
    scope(() => {
      const gathered = gatherBranches(model, units);
      const { branches, sizes, active } = gathered;
      const numPictures = sizes.reduce((sum, size) => sum + size, 0);
      const lossesWith = (changed: readonly Tensor[]): number[] => {
        let first = 0;
        return units.map((unit, u) => {
          const own = changed.map((x_PNM) => x_PNM.narrow(0, first, sizes[u]!));
          first += sizes[u]!;
          return scope(() => unit.loss(model.joinBranches(own)));
        });
      };
      const whole = lossesWith(branches);
      const shares = sharesOf(branches, model.config.vision.fuse === 'channels');
      return {
        loss: mean(whole),
        numPictures,
        branches: branches.map((own_PNM, encoder) => {
          const riseWith = (replaced_PNM: Tensor): LossRise =>
            riseOf(lossesWith(branches.map((x_PNM, i) => (i === encoder ? replaced_PNM : x_PNM))), whole);
          return {
            type: model.config.vision.encoders[encoder]!.type,
            encoder,
            ...spreadOf(own_PNM),
            ...shares[encoder]!,
            active: active[encoder]!,
            knockOut: scope(() => ({
              mean: riseWith(meanToken(own_PNM).expand(...own_PNM.shape)),
              other: riseWith(own_PNM.roll([-1], [0])),
            })),
          };
        }),
      };
    }),
  );
}

/** Each level of each encoder, on the same pictures; runs as many forward passes as there are levels. */
export function measureLevels(model: Comm, units: readonly HealthUnit[]): LevelHealth[][] {
  return noGrad(() =>
    scope(() => {
      const levels = units.map((unit) => unit.levels());
      const lossesWith = (changed: readonly (readonly (readonly Tensor[])[])[]): number[] =>
        units.map((unit, u) => scope(() => unit.loss(model.fuseLevels(changed[u]!))));
      const whole = lossesWith(levels);
      return model.vision.encoders.map((branch, i) => {
        const means = levels[0]![i]!.map((_, l) => meanToken(cat(levels.map((unit) => unit[i]![l]!))));
        /** The levels of encoder i with those at their means that `drops` says. */
        const dropped = (unit: readonly (readonly Tensor[])[], drops: (level: number) => boolean): Tensor[] =>
          unit[i]!.map((v_BND, l) => (drops(l) ? means[l]!.expand(...v_BND.shape).contiguous() : v_BND));
        const variances = means.map((_, only) =>
          scope(() => varianceOf(cat(levels.map((unit) => branch.mergeLevels(dropped(unit, (l) => l !== only)))))),
        );
        const sum = variances.reduce((a, b) => a + b, 0);
        const { config } = branch;
        return resolveLevels(config.levels, config.vit.numLayers).map((level, l) => ({
          level,
          varianceShare: sum > 0 ? variances[l]! / sum : 0,
          dropOne: scope(() =>
            riseOf(
              lossesWith(levels.map((unit) => unit.map((own, e) => (e === i ? dropped(unit, (at) => at === l) : own)))),
              whole,
            ),
          ),
        }));
      });
    }),
  );
}

/** The tokens of every branch for all pictures, and the share of active inputs of each activation. */
function gatherBranches(
  model: Comm,
  units: readonly HealthUnit[],
): { readonly branches: Tensor[]; readonly sizes: number[]; readonly active: number[][] } {
  const { encoders } = model.vision;
  const sizes: number[] = [];
  const made: Tensor[][] = encoders.map(() => []);
  const sums: number[][] = encoders.map(({ align }) =>
    align.blocks.filter((b) => b instanceof AlignBlock).map(() => 0),
  );
  for (const unit of units) {
    const branches = scope(() =>
      keep(
        unit.levels().map((levels, i) => {
          const { output, active } = traceBranch(encoders[i]!, levels);
          for (const [at, share] of active.entries()) sums[i]![at]! += share * output.shape[0]!;
          return output;
        }),
      ),
    );
    sizes.push(branches[0]!.shape[0]!);
    for (const [i, branch] of branches.entries()) made[i]!.push(branch);
  }
  const count = sizes.reduce((sum, size) => sum + size, 0);
  if (count < 2) {
    throw new CommError('The health of a branch is measured between pictures, and there are fewer than two.', {
      code: 'health/pictures',
      fix: 'Give at least two pictures.',
    });
  }
  return {
    branches: made.map((own) => cat(own)),
    sizes,
    active: sums.map((own) => own.map((sum) => sum / count)),
  };
}

/** A branch's tokens, and the share of positive inputs of each of its activations. */
function traceBranch(branch: VisualBranch, levels: readonly Tensor[]): { output: Tensor; active: number[] } {
  let x_BNM = branch.mergeLevels(levels);
  const active: number[] = [];
  for (const block of branch.align.blocks) {
    if (block instanceof AlignBlock) active.push(block.activationInputs(x_BNM).gt(0).to('f32').mean().item());
    x_BNM = block.forward(x_BNM);
  }
  return { output: x_BNM, active };
}

/** The mean over pictures and tokens: float[P, N, M] -> float[1, 1, M]. */
const meanToken = (x_PNM: Tensor): Tensor => x_PNM.to('f32').mean([0, 1], true).to(x_PNM.dtype);

/** Mean over the channels of their variance over all tokens. */
const varianceOf = (x_PNM: Tensor): number => centred(x_PNM).pow(2).mean().item();

/** Without its mean over pictures and tokens, in f32: float[P, N, M] -> float[P * N, M]. */
function centred(x_PNM: Tensor): Tensor {
  const x_TM = x_PNM.to('f32').flatten(0, 1);
  return x_TM.sub(x_TM.mean([0], true));
}

function spreadOf(branch_PNM: Tensor): Pick<BranchHealth, 'spread' | 'relativeSpread'> {
  return scope(() => {
    const x_PNM = branch_PNM.to('f32');
    const over = (axis: number): number =>
      Math.sqrt(
        x_PNM
          .sub(x_PNM.mean([axis], true))
          .pow(2)
          .mean()
          .item(),
      );
    const size = Math.sqrt(x_PNM.pow(2).mean().item());
    return {
      spread: { patches: over(1), pictures: over(0) },
      relativeSpread: size > 0 ? Math.sqrt(varianceOf(x_PNM)) / size : 0,
    };
  });
}

/** Shares of the joined tokens' variance and squared covariance; in a row, branches have no covariance with each other. */
function sharesOf(
  branches: readonly Tensor[],
  sideBySide: boolean,
): Pick<BranchHealth, 'varianceShare' | 'covarianceShare'>[] {
  return scope(() => {
    const own = branches.map(centred);
    const variances = own.map((x_TM) => x_TM.pow(2).sum().div(x_TM.shape[0]!).item());
    const covariances = own.map((x_TM) => {
      const others = sideBySide ? cat(own, 1) : x_TM;
      return x_TM.t().matmul(others).div(x_TM.shape[0]!).pow(2).sum().item();
    });
    const share = (values: readonly number[], i: number): number => {
      const sum = values.reduce((a, b) => a + b, 0);
      return sum > 0 ? values[i]! / sum : 0;
    };
    return branches.map((_, i) => ({ varianceShare: share(variances, i), covarianceShare: share(covariances, i) }));
  });
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Mean of the paired differences with its standard error; one unit alone tells no error. */
function riseOf(losses: readonly number[], whole: readonly number[]): LossRise {
  const rises = losses.map((loss, u) => loss - whole[u]!);
  const value = mean(rises);
  const squares = rises.reduce((sum, rise) => sum + (rise - value) ** 2, 0);
  const error = rises.length < 2 ? Number.POSITIVE_INFINITY : Math.sqrt(squares / (rises.length - 1) / rises.length);
  return { value, error };
}
