/** Mapped weights that were read once and are not needed for now. */
import { native } from '../native.js';
import type { Tensor } from '../tensor.js';

/**
 * Takes the pages of a tensor that lies in a mapped file out of this process's resident memory; they are read again, from
 * the kernel's cache or the disk, when they are next used. Of no effect on other tensors, on views with gaps, and on
 * Windows. Only for tensors that nobody wrote into: what was written is lost.
 * @returns whether the tensor lies in a mapped file.
 */
export function forgetPages(tensor: Tensor): boolean {
  return native().forgetPages(tensor.id);
}
