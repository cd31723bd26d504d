/** Your own pictures and conversations: comm-tiny goes on learning from a LLaVA file. A start to copy from. */
import type { Recipe } from '../config/recipe.js';
import { STAGE_SKIP } from './stage.js';

export const recipe: Recipe = {
  kind: 'comm',
  about: 'comm-tiny goes on with your own data: a LLaVA JSON file and a folder of pictures',
  loop: {
    lrFactors: { align: 0.25 },
    steps: 500,
    batchSize: 16,
    lr: 2e-4,
    betas: [0.9, 0.95],
    weightDecay: 0,
    warmupRatio: 0.03,
    minLrRatio: 0,
    clipNorm: 1,
    seed: 31,
    saveEvery: 100,
    logEvery: 10,
    evalEvery: 1000,
    keepLast: 2,
  },
  comm: {
    model: 'comm-tiny',
    dtype: 'f32',
    device: 'cpu',
    trains: ['languageModel', 'projector', 'merge', 'align'],
    lora: null,
    recompute: null,
    features: null,
    data: {
      kind: 'mixture',
      stores: { images: { kind: 'folder', folder: 'data/own/images' } },
      sets: { own: { kind: 'llava', file: 'data/own/train.json', store: 'images' } },
      mix: { kind: 'set', set: 'own' },
      seed: 31,
      held: null,
      maxLength: 1024,
      packing: 'pad',
      groupBatches: 8,
      skip: STAGE_SKIP,
    },
    losses: [],
    // The DINOv2 branch of the embedded model is constant (commlm inspect --health), which would end the run.
    health: { stop: false },
    workers: 1,
    ahead: 2,
  },
};
