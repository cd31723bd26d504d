/** The making of the embedded model's tokenizer as a value. */
import { z } from 'zod';

/** Settings of a tokenizer run. */
export const TokenizerRecipeConfig = z.strictObject({
  vocabSize: z.int().positive().max(10_000_000).describe('Number of tokens, special ones included.'),
  specialTokens: z.array(z.string().min(1)).readonly().describe('Special tokens, in order.'),
  scenes: z.int().positive().describe('Scenes whose texts are read.'),
  seed: z.int().nonnegative().describe('Seed of the scenes.'),
  maxNewTokens: z
    .int()
    .positive()
    .describe('Longest answer of a model with this tokenizer, for its `generation_config.json`.'),
});
export type TokenizerRecipeConfig = z.infer<typeof TokenizerRecipeConfig>;
