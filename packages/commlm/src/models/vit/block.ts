/** The transformer block of every encoder. */
import { nn, type Tensor } from '@commlm/torch';
import type { ViTConfig } from '../../config/model.js';
import type { PatchRope } from '../patch-rope.js';
import { ViTAttention } from './attention.js';
import { buildMlp, type ViTMlp, type ViTSwiGlu } from './mlp.js';

// Shapes: B images, S tokens, D width.

/** x + ls1(attn(norm1(x))), then x + ls2(mlp(norm2(x))); the norms stand behind the branches where the config says so. */
export class ViTBlock extends nn.Module {
  readonly norm1: nn.LayerNorm;
  readonly attn: ViTAttention;
  readonly ls1: nn.LayerScale | nn.Identity;
  readonly norm2: nn.LayerNorm;
  readonly mlp: ViTMlp | ViTSwiGlu;
  readonly ls2: nn.LayerScale | nn.Identity;
  /** Leaves each of the two branches out for some samples, where pre-training sets a rate. */
  readonly dropPath = new nn.DropPath();
  readonly #postNorm: boolean;

  constructor(vit: ViTConfig) {
    super();
    const { hiddenSize, layerNormEps: eps, layerScale } = vit;
    const scale = (): nn.LayerScale | nn.Identity =>
      layerScale === null ? new nn.Identity() : new nn.LayerScale(hiddenSize, { init: layerScale });
    this.#postNorm = vit.blockNorm === 'post';
    this.norm1 = new nn.LayerNorm(hiddenSize, { eps });
    this.attn = new ViTAttention(vit);
    this.ls1 = scale();
    this.norm2 = new nn.LayerNorm(hiddenSize, { eps });
    this.mlp = buildMlp(vit);
    this.ls2 = scale();
  }

  /** float[B, S, D] -> float[B, S, D]. */
  forward(x_BSD: Tensor, rope: PatchRope | null = null): Tensor {
    if (this.#postNorm) return this.#normedBehind(x_BSD, rope);
    // The branch's own output takes the sum in place: no extra tensor, and autograd does not need it.
    const y_BSD = this.attn.forward(this.norm1.forward(x_BSD), rope).pipe(this.ls1, this.dropPath).add_(x_BSD);
    return y_BSD.pipe(this.norm2, this.mlp, this.ls2, this.dropPath).add_(y_BSD);
  }

  /** x + ls1(norm1(attn(x))), then x + ls2(norm2(mlp(x))), as in EVA-02-E. */
  #normedBehind(x_BSD: Tensor, rope: PatchRope | null): Tensor {
    // A norm's backward reads its output's neighbours, never the output itself: the sum may still go in place.
    const y_BSD = this.attn.forward(x_BSD, rope).pipe(this.norm1, this.ls1, this.dropPath).add_(x_BSD);
    return y_BSD.pipe(this.mlp, this.norm2, this.ls2, this.dropPath).add_(y_BSD);
  }
}
