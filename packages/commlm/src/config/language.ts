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
  z.strictObject({ kind: z.literal('none').describe('As trained.') }),
  z.strictObject({
    kind: z.literal('linear').describe('Linear interpolation.'),
    factor: z.number().positive().describe('How many times longer texts may be.'),
  }),
  z.strictObject({
    kind: z.literal('llama3').describe('The frequency-dependent rule of Llama 3.'),
    factor: z.number().positive().describe('How many times longer texts may be.'),
    lowFreqFactor: z.number().positive().describe('Wavelengths over originalMaxPositions / this are stretched whole.'),
    highFreqFactor: z.number().positive().describe('Wavelengths under originalMaxPositions / this are kept.'),
    originalMaxPositions: positions.describe('Longest text of the training.'),
  }),
  z.strictObject({
    kind: z.literal('yarn').describe('YaRN (2309.00071), which also scales cosines and sines.'),
    factor: z.number().positive().describe('How many times longer texts may be.'),
    betaFast: z.number().positive().describe('Channels with more turns than this over the trained length are kept.'),
    betaSlow: z
      .number()
      .positive()
      .describe('Channels with fewer turns than this over the trained length are stretched whole.'),
    attentionFactor: z.number().positive().describe('Factor of cosines and sines.'),
    truncate: z
      .boolean()
      .describe('Whether the borders between kept and stretched channels are rounded to whole channels.'),
    originalMaxPositions: positions.describe('Longest text of the training.'),
  }),
]);
export type RopeScaling = z.infer<typeof RopeScaling>;

/** Layers that look at the last `size` positions only, themselves included; the others look at all. */
export const SlidingWindow = z.strictObject({
  size: positions.describe('Positions that a token looks at, itself included.'),
  layers: z
    .union([z.literal('all'), z.array(z.int().nonnegative())])
    .describe('Layers with the window, counted from 0, or all.'),
});
export type SlidingWindow = z.infer<typeof SlidingWindow>;

/** A language model of Llama's type; an absent option means what Llama does. */
export const LlamaConfig = z
  .strictObject({
    vocabSize: count(10_000_000).describe('Rows of the embedding table.'),
    hiddenSize: count(1_000_000).describe('Width of the tokens.'),
    intermediateSize: count(10_000_000).describe('Width of the MLP.'),
    numLayers: count(1000).describe('Number of blocks.'),
    numHeads: count(10_000).describe('Heads of queries.'),
    numKvHeads: count(10_000).describe('Key-value heads; equal to `numHeads` without grouping.'),
    headDim: count(100_000)
      .refine((dim) => dim % 2 === 0, 'rotary positions need an even head_dim')
      .describe('Width of a head, even.'),
    maxPositions: positions.describe('Longest text in tokens.'),
    ropeTheta: z.number().positive().describe('Base of the wavelengths of rotary positions.'),
    ropeScaling: RopeScaling.describe('Stretching of rotary positions past the trained length.'),
    rmsNormEps: z.number().positive().describe('Epsilon of every norm, LayerNorm included.'),
    tieWordEmbeddings: z.boolean().describe('Whether the head uses the embedding table.'),
    qkvBias: z.boolean().describe('Whether queries, keys and values have biases.'),
    outBias: z.boolean().describe("Whether the attention's output has a bias."),
    mlpBias: z.boolean().describe('Whether the MLP has biases.'),
    headBias: z.boolean().optional().describe('Bias on the head (Phi); absent: none.'),
    qkNorm: z
      .boolean()
      .optional()
      .describe('RMSNorm on each head of queries and keys before they turn (Qwen3); absent: none.'),
    rotaryDim: count(100_000)
      .refine((dim) => dim % 2 === 0, 'rotary positions need an even rotary_dim')
      .optional()
      .describe('First channels of a head that turn by position (Phi); absent: all.'),
    slidingWindow: SlidingWindow.optional().describe(
      'Layers that look at the last positions only; absent: every layer looks at all before.',
    ),
    norm: z
      .enum(['rms', 'rms-offset', 'layer'])
      .optional()
      .describe('`rms` by default; `rms-offset` scales by 1 + weight (Gemma), `layer` is LayerNorm with bias (Phi).'),
    mlp: z
      .enum(['gated', 'plain'])
      .optional()
      .describe('`gated` by default: down(act(gate(x)) * up(x)); `plain`: fc2(act(fc1(x))) (Phi).'),
    act: Activation.optional().describe('Activation of the MLP; SiLU by default.'),
    block: z
      .enum(['sequential', 'parallel', 'sandwich'])
      .optional()
      .describe(
        '`sequential` by default: x + attention(norm(x)), then + mlp(norm(.)); `parallel`: x + attention(n) + mlp(n) of one norm n (Phi); `sandwich`: each branch is normed before and after (Gemma 2).',
      ),
    queryScalar: z
      .number()
      .positive()
      .optional()
      .describe('Scores are divided by the root of this; absent: `headDim`.'),
    scoreCap: z
      .number()
      .positive()
      .optional()
      .describe('Attention scores go through cap * tanh(score / cap) (Gemma 2); absent: they stay as they are.'),
    logitCap: z
      .number()
      .positive()
      .optional()
      .describe('Logits go through cap * tanh(logit / cap) (Gemma 2); absent: they stay as they are.'),
    embedScale: z.number().positive().optional().describe('Factor of the embeddings of token ids (Gemma); absent: 1.'),
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
