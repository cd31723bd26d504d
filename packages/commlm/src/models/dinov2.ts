/** DINOv2 (Oquab et al., 2304.07193), with and without registers (2309.16588): LayerScale, a mask token, positions resized to any grid. */
import { CommError } from '../config/errors.js';
import type { ViTConfig } from '../config/model.js';
import { ViT } from './vit.js';

/** DINOv2's vision transformer; its levels are the raw `hidden_states[i]` of transformers' Dinov2Model, without the final norm. */
export class Dinov2Vision extends ViT {
  constructor(config: ViTConfig) {
    if (config.preNorm || !config.clsToken || config.layerScale === null) {
      throw new CommError('A DINOv2 encoder has a CLS token and a layer scale, and no pre_norm.', {
        code: 'model/encoder',
        fix: 'Set cls_token true, layer_scale 1 and pre_norm false, or choose another encoder type.',
      });
    }
    super(config);
  }
}
