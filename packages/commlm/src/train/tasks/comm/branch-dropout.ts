/** Branch dropout: while training, in some pictures one encoder's branch is missing, so that the others have to do without. */
import { noGrad, rand, scope, type Tensor } from '@commlm/torch';
import { CommError } from '../../../config/errors.js';
import type { VisionConfig } from '../../../config/model.js';

// Shapes: P pictures, N tokens of one, M width of a branch.

/** @throws CommError where there is not one share for each encoder. */
export function checkBranchDropout(shares: readonly number[] | undefined, { encoders }: VisionConfig): void {
  if (shares === undefined || shares.length === encoders.length) return;
  throw new CommError(
    `comm.branchDropout has ${shares.length} shares, and the model has ${encoders.length} ${encoders.length === 1 ? 'encoder' : 'encoders'}.`,
    {
      code: 'train/branch-dropout',
      fix:
        encoders.length === 1
          ? 'Leave it out: the only branch is always needed.'
          : 'Give one share for each encoder, in their order.',
      exitCode: 2,
    },
  );
}

/**
 * Puts each branch to zero in its share of the pictures, drawn anew each time; a picture that would lose all of them keeps
 * them all. What is kept stays as it is: without a branch a picture is what it is, not a sample of a larger one.
 */
export function dropBranches(branches_PNM: readonly Tensor[], shares: readonly number[]): Tensor[] {
  return scope(() => {
    const [first] = branches_PNM as readonly [Tensor, ...Tensor[]];
    const kept = noGrad(() => {
      const draws = shares.map((share) => rand([first.shape[0]!], { device: first.device }).ge(share).to('f32'));
      const none = draws.reduce((sum, draw) => sum.add(draw)).eq(0);
      return draws.map((draw) => draw.maskedFill(none, 1).unsqueeze(1).unsqueeze(2));
    });
    return branches_PNM.map((x_PNM, i) => x_PNM.mul(kept[i]!.to(x_PNM.dtype)));
  });
}
