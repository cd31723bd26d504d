/** CLIP-type tower of comm-tiny: pictures against captions, nothing else. */
import { commTiny, TINY_VOCABULARY } from '../config/presets.js';
import type { Recipe } from '../config/recipe.js';

const tiny = commTiny(TINY_VOCABULARY);

export const recipe: Recipe = {
  kind: 'clip',
  about: 'CLIP-type tower of comm-tiny, contrastive on the synthetic world',
  loop: {
    steps: 2100,
    batchSize: 96,
    lr: 1e-3,
    betas: [0.9, 0.98],
    weightDecay: 0.05,
    warmupRatio: 0.04,
    minLrRatio: 0.02,
    clipNorm: 1,
    seed: 11,
    saveEvery: 250,
    logEvery: 50,
    evalEvery: 1000,
    keepLast: 2,
  },
  clip: {
    dtype: 'bf16',
    device: 'cpu',
    encoder: tiny.vision.encoders[0]!,
    text: {
      ...tiny.textConfig,
      vocabSize: 64,
      hiddenSize: 192,
      intermediateSize: 512,
      numLayers: 2,
      numHeads: 3,
      numKvHeads: 3,
    },
    sharedWidth: 192,
    regionWeight: 0,
    data: { kind: 'world', seed: 101, style: 'known', augment: 'strong' },
  },
};
