/** The decoder-only language model: Llama's layout, and as options what its relatives (Qwen, Mistral, Phi, Gemma) change. */
import { z } from 'zod';
import { Activation } from './vision.js';

/** Whole numbers of a model, far above any published one: a damaged config must not ask for years of work. */
const count = (most: number) => z.int().positive().max(most);
const positions = count(2 ** 31 - 1);

/**
 * Stretching of rotary positions past the trained length: none, linear interpolation, the frequency-dependent rule of
 * Llama 3, or YaRN (2309.00071), which also scales cosines and sines by `attentionFactor`.
 */
export const RopeScaling = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('none') }),
  z.strictObject({ kind: z.literal('linear'), factor: z.number().positive() }),
  z.strictObject({
    kind: z.literal('llama3'),
    factor: z.number().positive(),
    lowFreqFactor: z.number().positive(),
    highFreqFactor: z.number().positive(),
    originalMaxPositions: positions,
  }),
  z.strictObject({
    kind: z.literal('yarn'),
    factor: z.number().positive(),
    betaFast: z.number().positive(),
    betaSlow: z.number().positive(),
    attentionFactor: z.number().positive(),
    /** Whether the borders between kept and stretched channels are rounded to whole channels. */
    truncate: z.boolean(),
    originalMaxPositions: positions,
  }),
]);
export type RopeScaling = z.infer<typeof RopeScaling>;

/** Layers that look at the last `size` positions only, themselves included; the others look at all. */
export const SlidingWindow = z.strictObject({
  size: positions,
  layers: z.union([z.literal('all'), z.array(z.int().nonnegative())]),
});
export type SlidingWindow = z.infer<typeof SlidingWindow>;

/** A language model of Llama's type; an absent option means what Llama does. */
export const LlamaConfig = z
  .strictObject({
    vocabSize: count(10_000_000),
    hiddenSize: count(1_000_000),
    /** Width of the MLP. */
    intermediateSize: count(10_000_000),
    numLayers: count(1000),
    numHeads: count(10_000),
    /** Key-value heads; equal to `numHeads` without grouping. */
    numKvHeads: count(10_000),
    headDim: count(100_000).refine((dim) => dim % 2 === 0, 'rotary positions need an even head_dim'),
    maxPositions: positions,
    ropeTheta: z.number().positive(),
    ropeScaling: RopeScaling,
    /** Epsilon of every norm, LayerNorm included. */
    rmsNormEps: z.number().positive(),
    tieWordEmbeddings: z.boolean(),
    /** Biases on the query, key and value projections, on the attention's output, and in the MLP. */
    qkvBias: z.boolean(),
    outBias: z.boolean(),
    mlpBias: z.boolean(),
    /** Bias on the head (Phi); absent: none. */
    headBias: z.boolean().optional(),
    /** RMSNorm on each head of queries and keys before they turn (Qwen3); absent: none. */
    qkNorm: z.boolean().optional(),
    /** First channels of a head that turn by position (Phi); absent: all. */
    rotaryDim: count(100_000)
      .refine((dim) => dim % 2 === 0, 'rotary positions need an even rotary_dim')
      .optional(),
    /** Absent: every layer looks at all positions before. */
    slidingWindow: SlidingWindow.optional(),
    /** `rms` by default; `rms-offset` scales by 1 + weight (Gemma), `layer` is LayerNorm with bias (Phi). */
    norm: z.enum(['rms', 'rms-offset', 'layer']).optional(),
    /** `gated` by default: down(act(gate(x)) * up(x)); `plain`: fc2(act(fc1(x))) (Phi). */
    mlp: z.enum(['gated', 'plain']).optional(),
    /** Activation of the MLP; SiLU by default. */
    act: Activation.optional(),
    /**
     * `sequential` by default: x + attention(norm(x)), then + mlp(norm(.)); `parallel`: x + attention(n) + mlp(n) of one
     * norm n (Phi); `sandwich`: each branch is normed before and after (Gemma 2).
     */
    block: z.enum(['sequential', 'parallel', 'sandwich']).optional(),
    /** Scores are divided by the root of this; absent: `headDim`. */
    queryScalar: z.number().positive().optional(),
    /** Attention scores and logits go through cap * tanh(x / cap) (Gemma 2); absent: they stay as they are. */
    scoreCap: z.number().positive().optional(),
    logitCap: z.number().positive().optional(),
    /** Factor of the embeddings of token ids (Gemma); absent: 1. */
    embedScale: z.number().positive().optional(),
  })
  .superRefine((llama, ctx) => {
    const refuse = (path: string, message: string): void => ctx.addIssue({ code: 'custom', path: [path], message });
    if (llama.numHeads % llama.numKvHeads !== 0) {
      refuse('numKvHeads', `num_heads ${llama.numHeads} is not a multiple of num_kv_heads ${llama.numKvHeads}`);
    }
    if ((llama.rotaryDim ?? 0) > llama.headDim) {
      refuse('rotaryDim', `rotary_dim ${llama.rotaryDim} is more than head_dim ${llama.headDim}`);
    }
    if (llama.tieWordEmbeddings && llama.headBias === true) {
      refuse('headBias', 'a tied head has no bias');
    }
    const { layers } = llama.slidingWindow ?? {};
    if (Array.isArray(layers) && layers.some((layer) => layer >= llama.numLayers)) {
      refuse('slidingWindow', `a layer of it is not among the ${llama.numLayers}`);
    }
  });
export type LlamaConfig = z.infer<typeof LlamaConfig>;
