/**
 * Between the two stages of comm-tiny: the CLIP-type tower itself learns what each patch shows and where that
 * thing ends. Frozen towers are only as good as what they were taught; the word embeddings stand still, so that the
 * language model goes on understanding what it reads.
 */
import type { Recipe } from '../config/recipe.js';
import { TINY_LOOP, TINY_STAGE } from './tiny.js';

export const recipe: Recipe = {
  kind: 'comm',
  about: 'the CLIP-type tower of comm-tiny learns names, colours, places and edges at every patch',
  loop: {
    ...TINY_LOOP,
    steps: 4000,
    batchSize: 64,
    lr: 1e-3,
    warmupRatio: 0.03,
    minLrRatio: 0.02,
    seed: 23,
    saveEvery: 250,
  },
  comm: {
    ...TINY_STAGE,
    trains: ['encoder.0', 'merge', 'align', 'projector'],
    model: 'runs/out/tiny-stage1/result',
    data: {
      kind: 'world',
      seed: 203,
      style: 'known',
      augment: 'strong',
      questions: 0,
      types: {},
      conversationShare: 0,
      yesNoWeight: 1,
      probes: { words: 0, edges: 0 },
      pairRows: 0,
    },
    losses: [
      { kind: 'patch-names', weight: 1 },
      { kind: 'patch-places', weight: 1 },
    ],
  },
};
