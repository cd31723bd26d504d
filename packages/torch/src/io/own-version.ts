/** Tensors over one mapped file that autograd takes for tensors of their own. */
import { op } from '../ops.js';
import { empty, type Tensor } from '../tensor.js';

const setOp = op('aten::set_.source_Tensor');

/**
 * The same bytes under a version counter of their own. Views of a map share one: writing into a single tensor (the running
 * statistics of a BatchNorm, a parameter that an optimiser steps) would spoil the backward pass of every other.
 */
export const withOwnVersion = (view: Tensor): Tensor => setOp(empty([0], { dtype: view.dtype }), view);
