/** The health of branches in words: one line a branch, and one sentence for a branch that takes no part. */
import {
  type BranchHealth,
  type BranchVerdict,
  judgeBranch,
  type LossRise,
  NOUGHT_RISE,
} from '../models/branch-health.js';

/** What is wrong with a branch, as a sentence; null for one that is alive, or of which nothing can be said. */
export function branchTrouble(branch: BranchHealth, loss: number): string | null {
  const name = `The ${branch.type} branch (encoder ${branch.encoder})`;
  const verdict = judgeBranch(branch, loss);
  if (verdict === 'constant') {
    return `${name} is constant: its tokens differ by ${small(branch.relativeSpread)} of their size between all patches and pictures.`;
  }
  if (verdict !== 'unused') return null;
  const { mean, other } = branch.knockOut;
  return `${name} is of no use: the loss of ${loss.toFixed(3)} rises by ${riseText(mean)} with the branch at its mean and by ${riseText(other)} with another picture's, less than ${NOUGHT_RISE} of it.`;
}

const VERDICTS: Readonly<Record<BranchVerdict, string>> = {
  constant: 'CONSTANT',
  unused: 'OF NO USE',
  unclear: 'cannot be told from one of no use',
  alive: 'alive',
};

/** A branch on one line. */
export function branchLine(branch: BranchHealth, loss: number): string {
  const { type, encoder, spread, relativeSpread, varianceShare, covarianceShare, active, knockOut } = branch;
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  return [
    `${type} (encoder ${encoder}): ${VERDICTS[judgeBranch(branch, loss)]}`,
    `spread ${small(spread.patches)} over patches, ${small(spread.pictures)} over pictures (${small(relativeSpread)} of its size)`,
    `${percent(varianceShare)} of variance, ${percent(covarianceShare)} of covariance`,
    ...(active.length === 0 ? [] : [`active ${active.map(percent).join(', ')}`]),
    `knock-out ${riseText(knockOut.mean)} at its mean, ${riseText(knockOut.other)} with another picture's`,
  ].join('; ');
}

/** `+0.012 ± 0.003`. */
export const riseText = ({ value, error }: LossRise): string =>
  `${value < 0 ? '-' : '+'}${small(Math.abs(value))} ± ${Number.isFinite(error) ? small(error) : '?'}`;

/** Three digits. */
const small = (value: number): string =>
  value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(1) : value.toFixed(3);
