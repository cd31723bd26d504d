/** What an outside layout says about one encoder folder, before a byte of its weights is read. */
import type { EncoderConfig, ImageConfig, ViTConfig } from '../config/model.js';
import type { KeyRule, TensorSource } from './key-rules.js';
import type { Leftovers } from './leftover.js';

/** The encoder as a value, and where its tensors lie. */
export interface EncoderPlan {
  readonly type: EncoderConfig['type'];
  readonly vit: ViTConfig;
  readonly image: ImageConfig;
  readonly source: TensorSource;
  /** Where each of our tensors lies; asked for only once the config was found to be sound. */
  readonly rules: () => KeyRule[];
  /** Tensors that may be there without being read. */
  readonly leftovers: Leftovers;
}
