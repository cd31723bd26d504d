/**
 * Llama-type decoder (2302.13971): norms, rotary positions, grouped-query attention, gated MLP, tied or untied head. The
 * plain path is Llama's; where its relatives leave it, one field of `LlamaConfig` says so and one file does it:
 *
 *     what                          field              by whom                    where
 *     norm with 1 + weight          norm: rms-offset   Gemma                      rms-norm.ts
 *     LayerNorm                     norm: layer        Phi                        rms-norm.ts
 *     part of a head turns          rotaryDim          Phi                        rope.ts
 *     longer texts                  ropeScaling        Llama 3, Qwen and others   rope.ts
 *     heads are normed              qkNorm             Qwen3                      llama/attention.ts
 *     sliding window                slidingWindow      Mistral, Gemma 2           llama/attention.ts, llama/views.ts
 *     factor and cap of scores      queryScalar, -Cap  Gemma 2                    llama/attention.ts, attention.ts
 *     plain MLP                     mlp: plain         Phi                        llama/mlp.ts
 *     other activations             act                Phi, Gemma                 activation.ts
 *     branches side by side         block: parallel    Phi                        llama/layer.ts
 *     norms around branches         block: sandwich    Gemma 2                    llama/layer.ts
 *     factor of the embeddings      embedScale         Gemma                      here
 *     bias and cap of the logits    headBias, logitCap Phi, Gemma 2               here
 */
import { type Device, type DType, F, nn, scope, type Tensor, tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { LlamaConfig } from '../config/model.js';
import { type Block, type RunBlocks, runBlocks } from './blocks.js';
import { isEven, type KeyValueCache, nextPositions } from './kv-cache.js';
import type { LayerContext } from './llama/attention.js';
import { buildLayer, type DecoderLayer } from './llama/layer.js';
import { evenViews, unevenViews } from './llama/views.js';
import { buildNorm, type Norm } from './rms-norm.js';
import { Rope } from './rope.js';

// Shapes: B rows, T tokens, S keys, E model width, V vocabulary.

/** Options of a forward pass. */
export interface DecodeOptions {
  /** i64[B, T], the place of each token, below stored + new tokens; by default it counts on from the cache, row by row. */
  readonly positions?: Tensor | undefined;
  /** bool (true = look) or additive float mask broadcastable to [B, 1, T, S]; by default causal in each row. */
  readonly mask?: Tensor | undefined;
  /** Past tokens; the new ones are added. */
  readonly cache?: KeyValueCache | undefined;
  /** How many of the T tokens of each row are its own, where they differ: the rest is padding behind them. */
  readonly counts?: readonly number[] | undefined;
  /** How the blocks are run; another way than the plain one recomputes them for gradients, without a cache. */
  readonly run?: RunBlocks | undefined;
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

  /** What the layers share in a forward pass over `float[B, T, E]`: rotation, cache, what they look at. */
  context(x_BTE: Tensor, { positions, mask, cache }: DecodeOptions = {}): LayerContext {
    const { dtype, device } = x_BTE;
    const numTokens = x_BTE.shape[1]!;
    const past = cache?.length ?? 0;
    const end = past + numTokens;
    this.#checkLength(end);
    const pass = { past, numTokens, reach: this.config.slidingWindow?.size, mask, device };
    if (cache !== undefined && !isEven(cache)) {
      const columns_BT = nextPositions(cache.lengths, numTokens, device);
      const rotation = this.#rope.at(positions ?? columns_BT, end, dtype);
      return { rotation, cache, ...unevenViews(columns_BT, cache.lengths, pass) };
    }
    const rotation =
      positions === undefined ? this.#rope.range(past, numTokens, dtype, device) : this.#rope.at(positions, end, dtype);
    return { rotation, cache: cache ?? null, ...evenViews(pass) };
  }

  #checkLength(end: number): void {
    const { maxPositions } = this.config;
    if (end <= maxPositions) return;
    throw new CommError(`The model reads at most ${maxPositions} tokens, but the conversation has ${end}.`, {
      code: 'model/context-length',
      fix: 'Shorten the conversation or use fewer pictures.',
    });
  }

  override dispose(): void {
    this.#rope.dispose();
    super.dispose();
  }
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
