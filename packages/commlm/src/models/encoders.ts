/** Encoder types by name. */
import type { EncoderConfig } from '../config/model.js';
import { ClipVision } from './clip.js';
import { Dinov2Vision } from './dinov2.js';
import type { ViT } from './vit.js';

const encoders = { clip: ClipVision, dinov2: Dinov2Vision } satisfies Record<EncoderConfig['type'], unknown>;

/** Builds the encoder of one branch with fresh weights; throws a CommError when the ViT does not fit the type. */
export const buildEncoder = ({ type, vit }: Pick<EncoderConfig, 'type' | 'vit'>): ViT => new encoders[type](vit);
