/** A masked autoencoder of comm-tiny's size (2111.06377), on the pictures of the world alone. */
import type { Recipe } from '../config/recipe.js';
import { TINY_PRETRAIN_LOOP, tinyTower } from './tiny-pretrain.js';

export const recipe: Recipe = {
  kind: 'mae',
  about: 'masked autoencoder of the size of the towers of comm-tiny, on the synthetic world',
  loop: { ...TINY_PRETRAIN_LOOP, steps: 2100, batchSize: 96, lr: 1.5e-3, seed: 13 },
  mae: {
    dtype: 'bf16',
    device: 'cpu',
    encoder: tinyTower('mae', null),
    decoder: { hiddenSize: 96, numLayers: 2, numHeads: 3, intermediateSize: 384 },
    maskShare: 0.75,
    normPixels: true,
    cutArea: [0.4, 1],
    data: { kind: 'world', seed: 101, style: 'known', augment: 'strong' },
  },
};
