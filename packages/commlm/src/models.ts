/**
 * `commlm/models`: the networks as modules, from a transformer block to the whole COMM. They compute and nothing else:
 * weights come from `commlm` (`loadCommFolder`, `loadHfEncoder`, ...), configurations are plain objects.
 *
 * ```ts
 * import { presets } from 'commlm';
 * import { Comm } from 'commlm/models';
 *
 * const model = new Comm(presets.commNano());
 * ```
 */
export { Comm } from './models/comm.js';
export { buildEncoder } from './models/encoders.js';
export {
  Align,
  buildMerge,
  ConcatMerge,
  ConvLayerscaleMerge,
  LayerscaleMerge,
  type LevelMerge,
  LlnLayerscaleMerge,
  MeanMerge,
  SingleLevel,
  VisionModel,
  VisualBranch,
} from './models/fusion.js';
export { LlamaLayer } from './models/llama/layer.js';
export { Llama, LlamaModel } from './models/llama.js';
export { Projector } from './models/projector.js';
export { ViTBlock } from './models/vit/block.js';
export { ViT } from './models/vit.js';
