/** Llama-type decoder (2302.13971): norms, rotary positions, grouped-query attention, gated MLP, tied or untied head. */
import { arange, type Device, type DType, F, full, nn, ones, scope, type Tensor, tensor, zeros } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { LlamaConfig } from '../config/model.js';
import { activate } from './activation.js';
import { attend } from './attention.js';
import { type Block, type RunBlocks, runBlocks } from './blocks.js';
import { isEven, type KeyValueCache, nextPositions } from './kv-cache.js';
import { buildNorm, type Norm } from './rms-norm.js';
import { Rope, type Rotation, rotate } from './rope.js';

// Shapes: B rows, T tokens, S keys, E model width, H heads, G key-value heads, K width of a head, V vocabulary.

/** What every block of one forward pass shares. */
export interface LayerContext {
  readonly rotation: Rotation;
  /** Null: causal when there is more than one token. */
  readonly mask: Tensor | null;
  readonly cache: KeyValueCache | null;
  /** What layers with a sliding window look at; null while the window holds everything. */
  readonly window: WindowView | null;
}

/** Keys from `start` on, and which of them a token sees; without a mask all of them. */
export interface WindowView {
  readonly start: number;
  readonly mask: Tensor | null;
}

/** Causal self-attention with rotary positions and shared key-value heads (GQA, 2305.13245). */
export class LlamaAttention extends nn.Module {
  readonly qProj: nn.Linear;
  readonly kProj: nn.Linear;
  readonly vProj: nn.Linear;
  readonly oProj: nn.Linear;
  readonly qNorm: Norm | null;
  readonly kNorm: Norm | null;
  readonly #config: LlamaConfig;

  constructor(config: LlamaConfig) {
    super();
    const { hiddenSize, numHeads, numKvHeads, headDim, qkvBias, outBias, qkNorm = false } = config;
    this.#config = config;
    this.qProj = new nn.Linear(hiddenSize, numHeads * headDim, { bias: qkvBias });
    this.kProj = new nn.Linear(hiddenSize, numKvHeads * headDim, { bias: qkvBias });
    this.vProj = new nn.Linear(hiddenSize, numKvHeads * headDim, { bias: qkvBias });
    this.oProj = new nn.Linear(numHeads * headDim, hiddenSize, { bias: outBias });
    this.qNorm = qkNorm ? buildNorm(headDim, config) : null;
    this.kNorm = qkNorm ? buildNorm(headDim, config) : null;
  }

  /** float[B, T, E] -> float[B, T, E]; `layer` is the block's place in the cache. */
  forward(x_BTE: Tensor, { rotation, mask, cache, window }: LayerContext, layer: number): Tensor {
    const { headDim, queryScalar, scoreCap } = this.#config;
    const heads = (projection: nn.Linear, norm: Norm | null = null): Tensor => {
      const x_BTHK = projection.forward(x_BTE).unflatten(-1, [-1, headDim]);
      return (norm === null ? x_BTHK : norm.forward(x_BTHK)).transpose(1, 2);
    };
    const q_BHTK = rotate(heads(this.qProj, this.qNorm), rotation);
    let k_BGSK = rotate(heads(this.kProj, this.kNorm), rotation);
    let v_BGSK = heads(this.vProj);
    if (cache !== null) [k_BGSK, v_BGSK] = cache.append(layer, k_BGSK, v_BGSK);
    const view = window !== null && isWindowed(this.#config, layer) ? window : null;
    if (view !== null && view.start > 0) {
      const numKeys = k_BGSK.shape[2]! - view.start;
      [k_BGSK, v_BGSK] = [k_BGSK.narrow(2, view.start, numKeys), v_BGSK.narrow(2, view.start, numKeys)];
    }
    const seen = view === null ? mask : view.mask;
    const out_BHTK = attend(q_BHTK, k_BGSK, v_BGSK, {
      mask: seen,
      causal: seen === null && q_BHTK.shape[2]! > 1,
      ...(queryScalar === undefined ? {} : { scale: queryScalar ** -0.5 }),
      ...(scoreCap === undefined ? {} : { cap: scoreCap }),
    });
    return this.oProj.forward(out_BHTK.transpose(1, 2).flatten(2));
  }
}

/** Whether a layer looks at the window only. */
const isWindowed = ({ slidingWindow }: LlamaConfig, layer: number): boolean =>
  slidingWindow !== undefined && (slidingWindow.layers === 'all' || slidingWindow.layers.includes(layer));

/** Gated MLP (SwiGLU, 2002.05202): down(act(gate(x)) * up(x)). */
export class LlamaMlp extends nn.Module {
  readonly gateProj: nn.Linear;
  readonly upProj: nn.Linear;
  readonly downProj: nn.Linear;
  readonly #act: NonNullable<LlamaConfig['act']>;

  constructor({ hiddenSize, intermediateSize, mlpBias: bias, act = 'silu' }: LlamaConfig) {
    super();
    this.#act = act;
    this.gateProj = new nn.Linear(hiddenSize, intermediateSize, { bias });
    this.upProj = new nn.Linear(hiddenSize, intermediateSize, { bias });
    this.downProj = new nn.Linear(intermediateSize, hiddenSize, { bias });
  }

  /** float[B, T, E] -> float[B, T, E]. */
  forward(x_BTE: Tensor): Tensor {
    return this.downProj.forward(activate(this.gateProj.forward(x_BTE), this.#act).mul(this.upProj.forward(x_BTE)));
  }
}

function buildMlp(config: LlamaConfig): nn.Module & nn.Layer {
  const { hiddenSize, intermediateSize, mlpBias: bias, mlp = 'gated', act = 'silu' } = config;
  if (mlp === 'gated') return new LlamaMlp(config);
  return new nn.Mlp(hiddenSize, intermediateSize, { bias, activation: (x) => activate(x, act) });
}

/** One block; `forward` maps float[B, T, E] to float[B, T, E], `layer` is its place in the cache. */
export interface DecoderLayer extends nn.Module {
  forward(x_BTE: Tensor, context: LayerContext, layer: number): Tensor;
}

/** x + attention(norm(x)), then x + mlp(norm(x)). */
export class LlamaLayer extends nn.Module implements DecoderLayer {
  readonly inputLayernorm: Norm;
  readonly selfAttn: LlamaAttention;
  readonly postAttentionLayernorm: Norm;
  readonly mlp: nn.Module & nn.Layer;

  constructor(config: LlamaConfig) {
    super();
    this.inputLayernorm = buildNorm(config.hiddenSize, config);
    this.selfAttn = new LlamaAttention(config);
    this.postAttentionLayernorm = buildNorm(config.hiddenSize, config);
    this.mlp = buildMlp(config);
  }

  /** float[B, T, E] -> float[B, T, E]. */
  forward(x_BTE: Tensor, context: LayerContext, layer: number): Tensor {
    // The branch's own output takes the sum in place: no extra tensor, and autograd does not need it.
    const y_BTE = this.selfAttn.forward(this.inputLayernorm.forward(x_BTE), context, layer).add_(x_BTE);
    return y_BTE.pipe(this.postAttentionLayernorm, this.mlp).add_(y_BTE);
  }
}

/** x + attention(n) + mlp(n) with one norm n of x, as in Phi. */
export class ParallelLayer extends nn.Module implements DecoderLayer {
  readonly inputLayernorm: Norm;
  readonly selfAttn: LlamaAttention;
  readonly mlp: nn.Module & nn.Layer;

  constructor(config: LlamaConfig) {
    super();
    this.inputLayernorm = buildNorm(config.hiddenSize, config);
    this.selfAttn = new LlamaAttention(config);
    this.mlp = buildMlp(config);
  }

  /** float[B, T, E] -> float[B, T, E]. */
  forward(x_BTE: Tensor, context: LayerContext, layer: number): Tensor {
    const normed_BTE = this.inputLayernorm.forward(x_BTE);
    return this.selfAttn.forward(normed_BTE, context, layer).add_(this.mlp.forward(normed_BTE)).add_(x_BTE);
  }
}

/** x + norm(attention(norm(x))), then x + norm(mlp(norm(x))), as in Gemma 2 (2408.00118). */
export class SandwichLayer extends nn.Module implements DecoderLayer {
  readonly inputLayernorm: Norm;
  readonly selfAttn: LlamaAttention;
  readonly postAttentionLayernorm: Norm;
  readonly preFeedforwardLayernorm: Norm;
  readonly mlp: nn.Module & nn.Layer;
  readonly postFeedforwardLayernorm: Norm;

  constructor(config: LlamaConfig) {
    super();
    this.inputLayernorm = buildNorm(config.hiddenSize, config);
    this.selfAttn = new LlamaAttention(config);
    this.postAttentionLayernorm = buildNorm(config.hiddenSize, config);
    this.preFeedforwardLayernorm = buildNorm(config.hiddenSize, config);
    this.mlp = buildMlp(config);
    this.postFeedforwardLayernorm = buildNorm(config.hiddenSize, config);
  }

  /** float[B, T, E] -> float[B, T, E]. */
  forward(x_BTE: Tensor, context: LayerContext, layer: number): Tensor {
    const attended_BTE = this.selfAttn.forward(this.inputLayernorm.forward(x_BTE), context, layer);
    const y_BTE = x_BTE.add(this.postAttentionLayernorm.forward(attended_BTE));
    return y_BTE.add(y_BTE.pipe(this.preFeedforwardLayernorm, this.mlp, this.postFeedforwardLayernorm));
  }
}

function buildLayer(config: LlamaConfig): DecoderLayer {
  switch (config.block ?? 'sequential') {
    case 'sequential':
      return new LlamaLayer(config);
    case 'parallel':
      return new ParallelLayer(config);
    case 'sandwich':
      return new SandwichLayer(config);
  }
}

/** Options of a forward pass. */
export interface DecodeOptions {
  /** i64[B, T], the place of each token, below stored + new tokens; by default it counts on from the cache, row by row. */
  readonly positions?: Tensor;
  /** bool (true = look) or additive float mask broadcastable to [B, 1, T, S]; by default causal in each row. */
  readonly mask?: Tensor;
  /** Past tokens; the new ones are added. */
  readonly cache?: KeyValueCache;
  /** How many of the T tokens of each row are its own, where they differ: the rest is padding behind them. */
  readonly counts?: readonly number[] | undefined;
  /** How the blocks are run; another way than the plain one recomputes them for gradients, without a cache. */
  readonly run?: RunBlocks;
}

/** The decoder without its head; keys are those of transformers' `model.*`. */
export class LlamaModel extends nn.Module {
  readonly config: LlamaConfig;
  readonly embedTokens: nn.Embedding;
  readonly layers: DecoderLayer[];
  readonly norm: Norm;
  readonly #rope: Rope;

  constructor(config: LlamaConfig) {
    super();
    this.config = config;
    this.embedTokens = new nn.Embedding(config.vocabSize, config.hiddenSize);
    this.layers = Array.from({ length: config.numLayers }, () => buildLayer(config));
    this.norm = buildNorm(config.hiddenSize, config);
    this.#rope = new Rope(config);
    nn.init.normal_(this.embedTokens.weight, 0, 0.02);
    nn.init.normalLinears_(this, 0.02);
  }

  /** Embedding rows of token ids, scaled where the model asks for it: i64[B, T] -> float[B, T, E]. */
  embed(ids_BT: Tensor): Tensor {
    const { embedScale } = this.config;
    if (embedScale === undefined) return this.embedTokens.forward(ids_BT);
    return scope(() => {
      const x_BTE = this.embedTokens.forward(ids_BT);
      // The factor itself is rounded to the model's dtype, as in the reference.
      return x_BTE.mul(tensor([embedScale]).to({ dtype: x_BTE.dtype, device: x_BTE.device }));
    });
  }

  /** Hidden states behind the last norm: token ids i64[B, T] or embeddings float[B, T, E] -> float[B, T, E]. */
  forward(input: Tensor, options: DecodeOptions = {}): Tensor {
    return scope(() => {
      const x_BTE = input.dtype === 'i64' ? this.embed(input) : input;
      const chain = (input_BTE: Tensor): Block[] => {
        const context = this.context(input_BTE, options);
        return this.layers.map((layer, i) => (y_BTE) => layer.forward(y_BTE, context, i));
      };
      const [last_BTE] = (options.run ?? runBlocks)(x_BTE, chain, [this.layers.length]);
      options.cache?.advance(options.counts ?? x_BTE.shape[1]!);
      return this.norm.forward(last_BTE!);
    });
  }

  /** What the layers share in a forward pass over `float[B, T, E]`: rotation, mask, cache. */
  context(x_BTE: Tensor, { positions, mask, cache }: DecodeOptions = {}): LayerContext {
    const { dtype, device } = x_BTE;
    const numTokens = x_BTE.shape[1]!;
    const past = cache?.length ?? 0;
    const end = past + numTokens;
    if (end > this.config.maxPositions) {
      throw new CommError(
        `The model reads at most ${this.config.maxPositions} tokens, but the conversation has ${end}.`,
        {
          code: 'model/context-length',
          fix: 'Shorten the conversation or use fewer pictures.',
        },
      );
    }
    if (cache !== undefined && !isEven(cache)) return this.#unevenContext(x_BTE, cache, positions, mask);
    const rotation =
      positions === undefined ? this.#rope.range(past, numTokens, dtype, device) : this.#rope.at(positions, end, dtype);
    const own = mask ?? (past > 0 && numTokens > 1 ? pastMask(past, numTokens, device) : null);
    const size = this.config.slidingWindow?.size ?? end;
    const window = end > size ? windowView(size, past, numTokens, mask ?? null, device) : null;
    return { rotation, mask: own, cache: cache ?? null, window };
  }

  /** The same where the rows of the cache stand at positions of their own, so that each looks at columns of its own. */
  #unevenContext(x_BTE: Tensor, cache: KeyValueCache, positions?: Tensor, mask?: Tensor): LayerContext {
    const { dtype, device } = x_BTE;
    const numTokens = x_BTE.shape[1]!;
    const end = cache.length + numTokens;
    const columns_BT = nextPositions(cache.lengths, numTokens, device);
    const rotation = this.#rope.at(positions ?? columns_BT, end, dtype);
    const { size = end } = this.config.slidingWindow ?? {};
    const start = Math.max(0, Math.min(...cache.lengths) + 1 - size);
    const look = (from: number, reach: number): Tensor => {
      const seen = columnsSeen(columns_BT, from, end, reach);
      return mask === undefined ? seen : narrowed(mask, from, end - from, seen);
    };
    const window = end > size ? { start, mask: look(start, size) } : null;
    return { rotation, mask: look(0, end), cache, window };
  }

  override dispose(): void {
    this.#rope.dispose();
    super.dispose();
  }
}

/** Which columns `start` to `end` the tokens at i64[B, T] see, themselves and `reach` - 1 before them: bool[B, 1, T, S]. */
function columnsSeen(columns_BT: Tensor, start: number, end: number, reach: number): Tensor {
  const key_S = arange(start, end, 1, { dtype: 'i64', device: columns_BT.device });
  const query_B1T1 = columns_BT.unsqueeze(1).unsqueeze(3);
  const behind = key_S.le(query_B1T1);
  return reach >= end ? behind : behind.logicalAnd(key_S.gt(query_B1T1.sub(reach)));
}

/** True where new tokens behind `past` stored ones may look, all that is not ahead of them: bool[1, 1, T, S]. */
const pastMask = (past: number, numTokens: number, device: Device): Tensor =>
  ones([1, 1, numTokens, past + numTokens], { dtype: 'bool', device }).tril(past);

/**
 * What a window of `size` leaves of `past` stored and `numTokens` new positions; `mask` is the caller's own. With size 3:
 *
 *     past 0, 5 new    x . . . .        past 4, 1 new    ( . . ) x x x        keys before `start` are cut off,
 *                      x x . . .                                              a single token needs no mask
 *                      x x x . .
 *                      . x x x .
 *                      . . x x x
 */
function windowView(size: number, past: number, numTokens: number, mask: Tensor | null, device: Device): WindowView {
  const start = Math.max(0, past + 1 - size);
  const numKeys = past + numTokens - start;
  if (numTokens === 1) return { start, mask: mask === null ? null : columnsOf(mask, start, numKeys) };
  const band = ones([1, 1, numTokens, numKeys], { dtype: 'bool', device })
    .tril(past - start)
    .logicalAnd(ones([numTokens, numKeys], { dtype: 'bool', device }).triu(past - start + 1 - size));
  return { start, mask: mask === null ? band : narrowed(mask, start, numKeys, band) };
}

/** The columns of a mask from `start` on, all of them where it has one for all. */
const columnsOf = (mask: Tensor, start: number, numKeys: number): Tensor =>
  mask.shape.at(-1) === 1 ? mask : mask.narrow(-1, start, numKeys);

/** A caller's mask on the columns from `start` on, without what `seen` hides. */
function narrowed(mask: Tensor, start: number, numKeys: number, seen: Tensor): Tensor {
  const asked = columnsOf(mask, start, numKeys);
  if (asked.dtype === 'bool') return asked.logicalAnd(seen);
  const { dtype, device } = asked;
  const hidden = full(seen.shape, Number.NEGATIVE_INFINITY, { dtype, device });
  return asked.add(zeros(seen.shape, { dtype, device }).where(seen, hidden));
}

/** Decoder with its head; keys are those of transformers' LlamaForCausalLM (no `lm_head` when tied). */
export class Llama extends nn.Module {
  readonly config: LlamaConfig;
  readonly model: LlamaModel;
  readonly lmHead: nn.Linear | null;

  constructor(config: LlamaConfig) {
    super();
    this.config = config;
    this.model = new LlamaModel(config);
    const { hiddenSize, vocabSize, tieWordEmbeddings, headBias: bias = false } = config;
    this.lmHead = tieWordEmbeddings ? null : new nn.Linear(hiddenSize, vocabSize, { bias });
    if (this.lmHead !== null) nn.init.normal_(this.lmHead.weight, 0, 0.02);
  }

  /** Number format that it computes in. */
  get dtype(): DType {
    return this.model.embedTokens.weight.dtype;
  }

  /** Where it runs. */
  get device(): Device {
    return this.model.embedTokens.weight.device;
  }

  /** Embeddings of token ids: i64[B, T] -> float[B, T, E]. */
  embed(ids_BT: Tensor): Tensor {
    return this.model.embed(ids_BT);
  }

  /** Logits of hidden states, which the caller narrows to the positions it needs: float[*, E] -> float[*, V]. */
  logits(hidden: Tensor): Tensor {
    const logits = this.lmHead === null ? F.linear(hidden, this.model.embedTokens.weight) : this.lmHead.forward(hidden);
    const { logitCap: cap } = this.config;
    return cap === undefined ? logits : scope(() => logits.div(cap).tanh().mul(cap));
  }

  /** Logits at every position: ids i64[B, T] or embeddings float[B, T, E] -> float[B, T, V]. */
  forward(input: Tensor, options: DecodeOptions = {}): Tensor {
    return scope(() => this.logits(this.model.forward(input, options)));
  }

  /** Logits of the last position only, all that generation needs: -> float[B, V]. */
  nextLogits(input: Tensor, options: DecodeOptions = {}): Tensor {
    return scope(() => this.lastLogits(input, 1, options).squeeze(1));
  }

  /** Logits of the last `count` of each row's own positions (it has as many), the only ones the head sees: -> float[B, count, V]. */
  lastLogits(input: Tensor, count: number, options: DecodeOptions = {}): Tensor {
    return scope(() => {
      const hidden_BTE = this.model.forward(input, options);
      const numTokens = hidden_BTE.shape[1]!;
      const ends = options.counts ?? [numTokens];
      if (ends.every((end) => end === numTokens)) {
        return this.logits(hidden_BTE.narrow(1, numTokens - count, count).contiguous());
      }
      const [rows, , width] = hidden_BTE.shape as [number, number, number];
      const first = ends.map((end) => Math.max(0, end - count));
      const places_BN1 = nextPositions(first, count, hidden_BTE.device).unsqueeze(2);
      return this.logits(hidden_BTE.gather(1, places_BN1.expand(rows, count, width)));
    });
  }

  override dispose(): void {
    this.model.dispose();
    super.dispose();
  }
}
