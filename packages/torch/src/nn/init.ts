/** Initialisers, as `nn.init`: those of one tensor, and the usual start of a whole transformer. */
import { normal_, zeros_ } from './fill.js';
import { Linear } from './linear.js';
import type { Module } from './module.js';

export * from './fill.js';

/**
 * Draws the weight of every {@link Linear} inside, the last part first, from the normal distribution of mean 0 and `std`,
 * and zeroes its bias: the start of GPT-2 and of most transformers since. Returns the module.
 */
export function normalLinears_<M extends Module>(module: M, std: number): M {
  module.apply((part) => {
    if (!(part instanceof Linear)) return;
    normal_(part.weight, 0, std);
    if (part.bias !== null) zeros_(part.bias);
  });
  return module;
}
