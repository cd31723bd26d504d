/** Running a chain of blocks, and the type of other ways to run it: training may keep less and compute twice. */
import { scope, type Tensor } from '@commlm/torch';

/** One block of a chain; input and output have one shape. */
export type Block = (x: Tensor) => Tensor;

/**
 * The blocks for an input. What they share (rotations, masks) is made in it and belongs to the scope of one pass; a second
 * pass asks again, with an input of the same shape.
 */
export type Chain = (input: Tensor) => readonly Block[];

/**
 * Runs blocks one behind the other and hands back the states asked for, in the order asked: 0 is the input, i the output
 * of block i. Nothing behind the deepest is computed.
 */
export type RunBlocks = (input: Tensor, chain: Chain, wanted: readonly number[]) => Tensor[];

/** The plain way: what no one asked for is dropped at once; autograd keeps what it needs. */
export const runBlocks: RunBlocks = (input, chain, wanted) => {
  const blocks = chain(input);
  const states = new Map<number, Tensor>();
  const deepest = Math.max(...wanted);
  let x = input;
  for (let level = 0; ; level++) {
    if (wanted.includes(level)) states.set(level, x);
    if (level === deepest) break;
    const before = x;
    x = scope(() => blocks[level]!(before));
    if (before !== input && !states.has(level)) before.dispose();
  }
  return wanted.map((level) => states.get(level)!);
};
