/** Where a training computes, and in which number format. */
import { z } from 'zod';
import { TRAINING_FORMATS } from './formats.js';

/** The processor, Apple's or NVIDIA's GPU, or one of several (`cuda:1`). */
export const Device = z.union([z.enum(['cpu', 'mps', 'cuda']), z.templateLiteral(['cuda:', z.int().nonnegative()])], {
  error: 'expected "cpu", "mps", "cuda", or one of several as "cuda:1"',
});
export type Device = z.infer<typeof Device>;

/** f32 masters of bf16 weights are the optimiser's. */
export const Placement = z.strictObject({
  dtype: z
    .enum(TRAINING_FORMATS)
    .describe('Number format of weights and arithmetic; bf16 weights have f32 masters in the optimiser.'),
  device: Device.describe('Where it computes: `cpu`, `mps`, `cuda`, or one of several as `cuda:1`.'),
});
export type Placement = z.infer<typeof Placement>;
