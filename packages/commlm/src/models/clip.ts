/** CLIP's image tower (Radford et al., 2103.00020): pre-normalised embeddings, QuickGELU in the published weights, post_layernorm on CLS. */
import type { Tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { ViTConfig } from '../config/model.js';
import { ViT } from './vit.js';

/** CLIP's vision transformer; its levels are `hidden_states[i]` of transformers' CLIPVisionModel. */
export class ClipVision extends ViT {
  constructor(config: ViTConfig) {
    if (!config.preNorm || !config.clsToken) {
      throw new CommError('A CLIP encoder has pre_norm and a CLS token.', {
        code: 'model/encoder',
        fix: 'Set pre_norm and cls_token to true, or choose another encoder type.',
      });
    }
    super(config);
  }

  /** CLS behind post_layernorm, the picture's vector before CLIP's projection: float[B, C, H, W] -> float[B, D]. */
  pooled(pixels_BCHW: Tensor): Tensor {
    return this.forwardTokens(pixels_BCHW).cls!;
  }
}
