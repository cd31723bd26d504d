/** The Llama-type decoder: RMSNorm, rotary positions, grouped-query attention, SwiGLU. */
import { z } from 'zod';

const positiveInt = z.int().positive();

/** Stretching of rotary positions past the trained length: none, linear interpolation, or the frequency-dependent rule of Llama 3. */
export const RopeScaling = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('none') }),
  z.strictObject({ kind: z.literal('linear'), factor: z.number().positive() }),
  z.strictObject({
    kind: z.literal('llama3'),
    factor: z.number().positive(),
    lowFreqFactor: z.number().positive(),
    highFreqFactor: z.number().positive(),
    originalMaxPositions: positiveInt,
  }),
]);
export type RopeScaling = z.infer<typeof RopeScaling>;

/** A Llama-type language model. */
export const LlamaConfig = z
  .strictObject({
    vocabSize: positiveInt,
    hiddenSize: positiveInt,
    /** Width of the gated MLP. */
    intermediateSize: positiveInt,
    numLayers: positiveInt,
    numHeads: positiveInt,
    /** Key-value heads; equal to `numHeads` without grouping. */
    numKvHeads: positiveInt,
    headDim: positiveInt.refine((dim) => dim % 2 === 0, 'rotary positions need an even head_dim'),
    maxPositions: positiveInt,
    ropeTheta: z.number().positive(),
    ropeScaling: RopeScaling,
    rmsNormEps: z.number().positive(),
    tieWordEmbeddings: z.boolean(),
    /** Biases on the query, key and value projections, on the attention's output, and in the MLP. */
    qkvBias: z.boolean(),
    outBias: z.boolean(),
    mlpBias: z.boolean(),
  })
  .superRefine((llama, ctx) => {
    if (llama.numHeads % llama.numKvHeads !== 0) {
      const message = `num_heads ${llama.numHeads} is not a multiple of num_kv_heads ${llama.numKvHeads}`;
      ctx.addIssue({ code: 'custom', path: ['numKvHeads'], message });
    }
  });
export type LlamaConfig = z.infer<typeof LlamaConfig>;
