/** COMM-7B of the paper (2310.08825, section 5): CLIP ViT-L/14 at 336 px, DINOv2 ViT-L/14, Vicuna 7B v1.5; its config is `presets.comm7b`. */
import type { AssemblyRecipe } from '../config/assembly.js';

const lln = {
  kind: 'lln-layerscale',
  weights: { kind: 'softmax' },
  shared: false,
  order: 'norm-linear',
} as const;

export const recipe: AssemblyRecipe = {
  kind: 'assembly',
  about: 'COMM-7B of the paper, untrained: CLIP ViT-L/14 336 px + DINOv2-L + Vicuna 7B v1.5',
  encoders: [
    {
      name: 'clip',
      from: 'openai/clip-vit-large-patch14-336',
      imageSize: 336,
      levels: { from: 1, to: 24 },
      merge: lln,
      align: { kind: 'none' },
    },
    {
      name: 'dinov2',
      from: 'facebook/dinov2-large',
      imageSize: 336,
      levels: { from: 19, to: 24 },
      merge: lln,
      align: { kind: 'mlp', blocks: 2, ratio: 4, act: 'gelu' },
    },
  ],
  fuse: 'channels',
  projector: { kind: 'linear' },
  languageModel: 'lmsys/vicuna-7b-v1.5',
  dtype: 'bf16',
  seed: 7,
};
