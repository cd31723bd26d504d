/** Llama-type decoder (2302.13971): RMSNorm, rotary positions, grouped-query attention, SwiGLU, tied or untied head. */
import { cat, type Device, type DType, F, keep, nn, noGrad, ones, op, scope, type Tensor, tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { LlamaConfig } from '../config/model.js';
import { attend } from './attention.js';
import type { KeyValueCache } from './kv-cache.js';
import { initLinears } from './vit.js';

// Shapes: B rows, T tokens, S keys, E model width, H heads, G key-value heads, K width of a head, V vocabulary.

const addcmul = op('aten::addcmul');

/**
 * x / sqrt(mean(x^2) + eps) * w. On a CPU the fused kernel's backward in bf16 takes twice as long as LayerNorm's, so
 * rows that need a gradient go through LayerNorm of [x, -x]: its mean is 0 and its variance is mean(x^2), exactly.
 */
export class RmsNorm extends nn.Module {
  readonly weight: nn.Parameter;
  readonly #eps: number;

  constructor(width: number, eps: number) {
    super();
    this.#eps = eps;
    this.weight = scope(() => new nn.Parameter(ones([width])));
  }

  /** float[*, E] -> float[*, E]. */
  forward(x: Tensor): Tensor {
    if (x.device !== 'cpu' || !(x.requiresGrad || this.weight.requiresGrad))
      return F.rmsNorm(x, this.weight, this.#eps);
    const width = this.weight.shape[0]!;
    const mirrored = cat([x, x.neg()], -1);
    const weights = cat([this.weight, this.weight.detach()]);
    return F.layerNorm(mirrored, 2 * width, weights, null, this.#eps).narrow(-1, 0, width);
  }
}

/** Inverse frequencies of the rotary embedding, one for each pair of channels, after the configured scaling; in f32 arithmetic as the references. */
export function ropeFrequencies({ headDim, ropeTheta, ropeScaling }: LlamaConfig): Float32Array {
  const frequencies = Float32Array.from(
    { length: headDim / 2 },
    (_, i) => 1 / Math.fround(ropeTheta ** Math.fround((2 * i) / headDim)),
  );
  switch (ropeScaling.kind) {
    case 'none':
      return frequencies;
    case 'linear':
      return frequencies.map((f) => f / ropeScaling.factor);
    case 'llama3': {
      // Long waves are stretched, short ones kept, those between blended (Llama 3.1).
      const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions: old } = ropeScaling;
      return frequencies.map((f) => {
        const waves = old / ((2 * Math.PI) / f);
        const keepShare = Math.min(1, Math.max(0, (waves - lowFreqFactor) / (highFreqFactor - lowFreqFactor)));
        return ((1 - keepShare) * f) / factor + keepShare * f;
      });
    }
  }
}

/** Cosines and sines of some positions: float[(B), 1, T, K], the first half of the sines negated for the half-turned channels. */
export interface Rotation {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Rotary position embedding (2104.09864) in transformers' convention: channel i turns with channel i + K / 2. */
export class Rope {
  readonly #config: LlamaConfig;
  readonly #tables = new Map<string, Rotation>();
  #length = 0;

  constructor(config: LlamaConfig) {
    this.#config = config;
  }

  /** Rotation of positions `start` to `start + length`: float[T, K] each. */
  range(start: number, length: number, dtype: DType, device: Device): Rotation {
    const { cos, sin } = this.#table(start + length, dtype, device);
    return { cos: cos.narrow(0, start, length), sin: sin.narrow(0, start, length) };
  }

  /** Rotation of positions i64[B, T], all below `limit`: float[B, 1, T, K] each. */
  at(positions_BT: Tensor, limit: number, dtype: DType): Rotation {
    const { cos, sin } = this.#table(limit, dtype, positions_BT.device);
    const rows = (table: Tensor): Tensor => F.embedding(positions_BT, table).unsqueeze(1);
    return { cos: rows(cos), sin: rows(sin) };
  }

  /** Frees the tables; they come back at the next use. */
  dispose(): void {
    for (const { cos, sin } of this.#tables.values()) {
      cos.dispose();
      sin.dispose();
    }
    this.#tables.clear();
    this.#length = 0;
  }

  #table(length: number, dtype: DType, device: Device): Rotation {
    if (length > this.#length) {
      // Whole powers of two: a growing conversation rebuilds the table a few times only.
      const wanted = Math.max(256, 2 ** Math.ceil(Math.log2(length)));
      this.dispose();
      this.#length = wanted;
    }
    const key = `${dtype} ${device}`;
    let table = this.#tables.get(key);
    if (table === undefined) {
      table = noGrad(() => scope(() => this.#build(dtype, device)));
      keep(table.cos);
      keep(table.sin);
      this.#tables.set(key, table);
    }
    return table;
  }

  #build(dtype: DType, device: Device): Rotation {
    const { headDim } = this.#config;
    const [half, length] = [headDim / 2, this.#length];
    const frequencies = ropeFrequencies(this.#config);
    const [cos, sin] = [new Float32Array(length * headDim), new Float32Array(length * headDim)];
    for (let position = 0; position < length; position++) {
      for (let i = 0; i < half; i++) {
        const angle = Math.fround(position * frequencies[i]!);
        const at = position * headDim + i;
        cos[at] = cos[at + half] = Math.cos(angle);
        sin[at + half] = Math.sin(angle);
        sin[at] = -sin[at + half]!;
      }
    }
    const placed = (data: Float32Array): Tensor => tensor(data, { shape: [length, headDim] }).to({ dtype, device });
    return { cos: placed(cos), sin: placed(sin) };
  }
}

/** x turned by its position: x cos + half-turned(x) sin, float[B, H, T, K]. */
export const rotate = (x_BHTK: Tensor, { cos, sin }: Rotation): Tensor =>
  addcmul(x_BHTK.mul(cos), x_BHTK.roll(x_BHTK.shape[3]! / 2, -1), sin);

/** What every block of one forward pass shares. */
export interface LayerContext {
  readonly rotation: Rotation;
  /** Null: causal when there is more than one token. */
  readonly mask: Tensor | null;
  readonly cache: KeyValueCache | null;
}

/** Causal self-attention with rotary positions and shared key-value heads (GQA, 2305.13245). */
export class LlamaAttention extends nn.Module {
  readonly qProj: nn.Linear;
  readonly kProj: nn.Linear;
  readonly vProj: nn.Linear;
  readonly oProj: nn.Linear;
  readonly #headDim: number;

  constructor(config: LlamaConfig) {
    super();
    const { hiddenSize, numHeads, numKvHeads, headDim, qkvBias, outBias } = config;
    this.#headDim = headDim;
    this.qProj = new nn.Linear(hiddenSize, numHeads * headDim, { bias: qkvBias });
    this.kProj = new nn.Linear(hiddenSize, numKvHeads * headDim, { bias: qkvBias });
    this.vProj = new nn.Linear(hiddenSize, numKvHeads * headDim, { bias: qkvBias });
    this.oProj = new nn.Linear(numHeads * headDim, hiddenSize, { bias: outBias });
  }

  /** float[B, T, E] -> float[B, T, E]; `layer` is the block's place in the cache. */
  forward(x_BTE: Tensor, { rotation, mask, cache }: LayerContext, layer: number): Tensor {
    const heads = (projection: nn.Linear): Tensor =>
      projection.forward(x_BTE).unflatten(-1, [-1, this.#headDim]).transpose(1, 2);
    const q_BHTK = rotate(heads(this.qProj), rotation);
    let k_BGSK = rotate(heads(this.kProj), rotation);
    let v_BGSK = heads(this.vProj);
    if (cache !== null) [k_BGSK, v_BGSK] = cache.append(layer, k_BGSK, v_BGSK);
    const causal = mask === null && q_BHTK.shape[2]! > 1;
    const out_BHTK = attend(q_BHTK, k_BGSK, v_BGSK, { mask, causal });
    return this.oProj.forward(out_BHTK.transpose(1, 2).flatten(2));
  }
}

/** SwiGLU (2002.05202): down(silu(gate(x)) * up(x)). */
export class LlamaMlp extends nn.Module {
  readonly gateProj: nn.Linear;
  readonly upProj: nn.Linear;
  readonly downProj: nn.Linear;

  constructor({ hiddenSize, intermediateSize, mlpBias: bias }: LlamaConfig) {
    super();
    this.gateProj = new nn.Linear(hiddenSize, intermediateSize, { bias });
    this.upProj = new nn.Linear(hiddenSize, intermediateSize, { bias });
    this.downProj = new nn.Linear(intermediateSize, hiddenSize, { bias });
  }

  /** float[B, T, E] -> float[B, T, E]. */
  forward(x_BTE: Tensor): Tensor {
    return this.downProj.forward(F.silu(this.gateProj.forward(x_BTE)).mul(this.upProj.forward(x_BTE)));
  }
}

/** x + attention(norm(x)), then x + mlp(norm(x)). */
export class LlamaLayer extends nn.Module {
  readonly inputLayernorm: RmsNorm;
  readonly selfAttn: LlamaAttention;
  readonly postAttentionLayernorm: RmsNorm;
  readonly mlp: LlamaMlp;

  constructor(config: LlamaConfig) {
    super();
    this.inputLayernorm = new RmsNorm(config.hiddenSize, config.rmsNormEps);
    this.selfAttn = new LlamaAttention(config);
    this.postAttentionLayernorm = new RmsNorm(config.hiddenSize, config.rmsNormEps);
    this.mlp = new LlamaMlp(config);
  }

  /** float[B, T, E] -> float[B, T, E]. */
  forward(x_BTE: Tensor, context: LayerContext, layer: number): Tensor {
    // The branch's own output takes the sum in place: no extra tensor, and autograd does not need it.
    const y_BTE = this.selfAttn.forward(this.inputLayernorm.forward(x_BTE), context, layer).add_(x_BTE);
    return y_BTE.pipe(this.postAttentionLayernorm, this.mlp).add_(y_BTE);
  }
}

/** Options of a forward pass. */
export interface DecodeOptions {
  /** i64[B, T], the place of each token, below stored + new tokens; by default it counts on from the cache. */
  readonly positions?: Tensor;
  /** bool (true = look) or additive float mask broadcastable to [B, 1, T, S]; by default causal. Padding needs it. */
  readonly mask?: Tensor;
  /** Past tokens; the new ones are added. */
  readonly cache?: KeyValueCache;
}

/** The decoder without its head; keys are those of transformers' `model.*`. */
export class LlamaModel extends nn.Module {
  readonly config: LlamaConfig;
  readonly embedTokens: nn.Embedding;
  readonly layers: LlamaLayer[];
  readonly norm: RmsNorm;
  readonly #rope: Rope;

  constructor(config: LlamaConfig) {
    super();
    this.config = config;
    this.embedTokens = new nn.Embedding(config.vocabSize, config.hiddenSize);
    this.layers = Array.from({ length: config.numLayers }, () => new LlamaLayer(config));
    this.norm = new RmsNorm(config.hiddenSize, config.rmsNormEps);
    this.#rope = new Rope(config);
    nn.init.normal_(this.embedTokens.weight, 0, 0.02);
    initLinears(this, 0.02);
  }

  /** Hidden states behind the last norm: token ids i64[B, T] or embeddings float[B, T, E] -> float[B, T, E]. */
  forward(input: Tensor, options: DecodeOptions = {}): Tensor {
    return scope(() => {
      let x_BTE = input.dtype === 'i64' ? this.embedTokens.forward(input) : input;
      const context = this.context(x_BTE, options);
      for (const [index, layer] of this.layers.entries()) {
        const previous = x_BTE;
        x_BTE = scope(() => layer.forward(previous, context, index));
        if (previous !== input) previous.dispose();
      }
      options.cache?.advance(x_BTE.shape[1]!);
      return this.norm.forward(x_BTE);
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
    const rotation =
      positions === undefined ? this.#rope.range(past, numTokens, dtype, device) : this.#rope.at(positions, end, dtype);
    const own = mask ?? (past > 0 && numTokens > 1 ? pastMask(past, numTokens, device) : null);
    return { rotation, mask: own, cache: cache ?? null };
  }

  override dispose(): void {
    this.#rope.dispose();
    super.dispose();
  }
}

/** True where new tokens behind `past` stored ones may look, all that is not ahead of them: bool[1, 1, T, S]. */
const pastMask = (past: number, numTokens: number, device: Device): Tensor =>
  ones([1, 1, numTokens, past + numTokens], { dtype: 'bool', device }).tril(past);

/** Decoder with its head; keys are those of transformers' LlamaForCausalLM (no `lm_head` when tied). */
export class Llama extends nn.Module {
  readonly config: LlamaConfig;
  readonly model: LlamaModel;
  readonly lmHead: nn.Linear | null;

  constructor(config: LlamaConfig) {
    super();
    this.config = config;
    this.model = new LlamaModel(config);
    this.lmHead = config.tieWordEmbeddings ? null : new nn.Linear(config.hiddenSize, config.vocabSize, { bias: false });
    if (this.lmHead !== null) nn.init.normal_(this.lmHead.weight, 0, 0.02);
  }

  /** Embedding rows of token ids: i64[B, T] -> float[B, T, E]. */
  embed(ids_BT: Tensor): Tensor {
    return this.model.embedTokens.forward(ids_BT);
  }

  /** Logits of hidden states, which the caller narrows to the positions it needs: float[*, E] -> float[*, V]. */
  logits(hidden: Tensor): Tensor {
    return this.lmHead === null ? F.linear(hidden, this.model.embedTokens.weight) : this.lmHead.forward(hidden);
  }

  /** Logits at every position: ids i64[B, T] or embeddings float[B, T, E] -> float[B, T, V]. */
  forward(input: Tensor, options: DecodeOptions = {}): Tensor {
    return scope(() => this.logits(this.model.forward(input, options)));
  }

  /** Logits of the last position only, all that generation needs: -> float[B, V]. */
  nextLogits(input: Tensor, options: DecodeOptions = {}): Tensor {
    return scope(() => this.logits(this.model.forward(input, options).select(1, -1)));
  }

  override dispose(): void {
    this.model.dispose();
    super.dispose();
  }
}
