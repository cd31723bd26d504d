/** Encoder types by name. */
import type { EncoderConfig, ViTConfig } from '../config/model.js';
import { ClipVision } from './clip.js';
import { Dinov2Vision } from './dinov2.js';
import { ViT } from './vit.js';

/** CLIP and DINOv2 have habits of their own to check and to offer; every other type is the ViT as its config says. */
const encoders: Readonly<Record<EncoderConfig['type'], new (vit: ViTConfig) => ViT>> = {
  clip: ClipVision,
  dinov2: Dinov2Vision,
  siglip: ViT,
  mae: ViT,
  vit: ViT,
  deit: ViT,
  eva: ViT,
  dinov3: ViT,
};

/** Builds the encoder of one branch with fresh weights; throws a CommError when the ViT does not fit the type. */
export const buildEncoder = ({ type, vit }: Pick<EncoderConfig, 'type' | 'vit'>): ViT => new encoders[type](vit);
