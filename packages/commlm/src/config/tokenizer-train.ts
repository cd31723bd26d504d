/** The making of the embedded model's tokenizer as a value. */
import { z } from 'zod';

/** Settings of a tokenizer run. */
export const TokenizerRecipeConfig = z.strictObject({
  vocabSize: z.int().positive().max(10_000_000),
  specialTokens: z.array(z.string().min(1)).readonly(),
  /** Scenes whose texts are read. */
  scenes: z.int().positive(),
  seed: z.int().nonnegative(),
  /** Longest answer of a model with this tokenizer, for its `generation_config.json`. */
  maxNewTokens: z.int().positive(),
});
export type TokenizerRecipeConfig = z.infer<typeof TokenizerRecipeConfig>;
