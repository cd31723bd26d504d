/** Where a recipe computes: modules to its device and number format. */
import type { nn } from '@commlm/torch';
import type { Placement } from '../../config/placement.js';

/** Moves a module; one that was built without memory (on the meta device, for a plan) only changes its format. */
export function place<M extends nn.Module>(module: M, { dtype, device }: Placement): M {
  const planned = module.parameters().some((parameter) => parameter.device === 'meta');
  return module.to(planned ? { dtype } : { dtype, device });
}
