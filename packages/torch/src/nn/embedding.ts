/** The table of vectors. */
import { noGrad } from '../autograd.js';
import { embedding } from '../functional.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { normal_ } from './fill.js';
import { Module } from './module.js';
import { newParameter, type Parameter } from './parameter.js';
import type { Placement } from './placement.js';

/** Rows of a table by index: `int[*]` to `float[*, D]`; weight `[n, D]`, drawn from the standard normal distribution. */
export class Embedding extends Module {
  readonly weight: Parameter;
  readonly paddingIdx: number | null;

  /** @param paddingIdx a row that starts at zero and receives no gradient. */
  constructor(
    numEmbeddings: number,
    dim: number,
    { paddingIdx, ...placement }: { paddingIdx?: number } & Placement = {},
  ) {
    super();
    this.paddingIdx = paddingIdx ?? null;
    this.weight = newParameter([numEmbeddings, dim], placement, (w) => {
      normal_(w);
      if (paddingIdx !== undefined) scope(() => noGrad(() => w.select(0, paddingIdx).zero_()));
      return w;
    });
  }

  /** `int[*]` to `float[*, D]`. */
  forward(indices: Tensor): Tensor {
    return embedding(indices, this.weight, this.paddingIdx === null ? {} : { paddingIdx: this.paddingIdx });
  }
}
