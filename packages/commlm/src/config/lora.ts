/** Low-rank adapters: which layers get one, and how large it is. */
import { z } from 'zod';
import { TRAINING_FORMATS } from './formats.js';

/** What trains in place of a frozen language model (LoRA, 2106.09685); names and meanings are PEFT's. */
export const LoraConfig = z.strictObject({
  rank: z.int().positive().describe('Inner width of the factors.'),
  alpha: z.number().positive().describe('The correction counts alpha / rank.'),
  dropout: z.number().min(0).lt(1).describe('Share of the inputs left out in training.'),
  targetModules: z
    .union([z.literal('all-linear'), z.string().min(1), z.array(z.string().min(1)).min(1)])
    .describe(
      'Layers that are adapted: a list of names, each the whole name of a layer or its end behind a dot (`q_proj`), a text that is a regular expression of whole names, or `all-linear`: every linear layer but the head.',
    ),
  dtype: z.enum(TRAINING_FORMATS).describe('Dtype of the factors. bf16 ones have f32 masters in the optimiser.'),
});
export type LoraConfig = z.infer<typeof LoraConfig>;
