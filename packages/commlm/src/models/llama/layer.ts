/** The blocks of a decoder: how norms, attention and MLP stand to each other. */
import { nn, type Tensor } from '@commlm/torch';
import type { LlamaConfig } from '../../config/model.js';
import { buildNorm, type Norm } from '../rms-norm.js';
import { type LayerContext, LlamaAttention } from './attention.js';
import { buildMlp } from './mlp.js';

// Shapes: B rows, T tokens, E model width.

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

/** The block that a config asks for. */
export function buildLayer(config: LlamaConfig): DecoderLayer {
  switch (config.block ?? 'sequential') {
    case 'sequential':
      return new LlamaLayer(config);
    case 'parallel':
      return new ParallelLayer(config);
    case 'sandwich':
      return new SandwichLayer(config);
  }
}
