/** The text tower that a CLIP-type picture tower is contrasted with (Radford et al., 2103.00020): a small causal transformer read at its last token. */
import { arange, nn, scope, type Tensor } from '@commlm/torch';
import type { LlamaConfig } from '../config/model.js';
import { LlamaModel } from './llama.js';

// Shapes: B texts, T tokens, E width, D width of the shared space.

/** Texts to vectors of the shared space. */
export class ClipText extends nn.Module {
  readonly transformer: LlamaModel;
  readonly projection: nn.Linear;

  constructor(config: LlamaConfig, projectionDim: number) {
    super();
    this.transformer = new LlamaModel(config);
    this.projection = new nn.Linear(config.hiddenSize, projectionDim, { bias: false });
  }

  /** i64[B, T] padded at the right, i64[B] lengths -> float[B, D]; causal, so the padding is never seen. */
  forward(ids_BT: Tensor, lengths_B: Tensor): Tensor {
    return scope(() => {
      const hidden_BTE = this.transformer.forward(ids_BT);
      const rows_B = arange(ids_BT.shape[0] as number).to(ids_BT.device);
      const last_BE = hidden_BTE.index([rows_B, lengths_B.sub(1)]);
      return this.projection.forward(last_BE);
    });
  }
}
