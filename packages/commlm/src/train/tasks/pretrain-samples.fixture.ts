/** Small pre-trainings for tests: every kind in a fraction of a second, on the world. */

import { IMAGENET_MEAN, IMAGENET_STD, plainBranch } from '../../config/presets.js';
import type { ClipPretrainConfig, DeitConfig, DinoConfig, LmConfig, MaeConfig } from '../../config/pretrain.js';
import type { EncoderConfig, ViTConfig } from '../../config/vision.js';
import { smallLlama, smallViT } from '../../models/sample-configs.fixture.js';

/** The batch and the steps that tests take where they ask for no other. */
export const SMALL_LOOP = { batchSize: 8, steps: 30 } as const;
const here = { dtype: 'f32', device: 'cpu' } as const;
const world = { kind: 'world', seed: 7, style: 'known', augment: 'none' } as const;

const branch = (type: EncoderConfig['type'], changes: Partial<ViTConfig>): EncoderConfig =>
  plainBranch(type, smallViT(changes), { mean: IMAGENET_MEAN, std: IMAGENET_STD });

export const smallClip = (changes: Partial<ClipPretrainConfig> = {}): ClipPretrainConfig => ({
  ...here,
  encoder: branch('clip', { preNorm: true, layerScale: null }),
  text: smallLlama({ vocabSize: 64 }),
  sharedWidth: 16,
  regionWeight: 1,
  data: world,
  ...changes,
});

export const smallDino = (changes: Partial<DinoConfig> = {}): DinoConfig => ({
  ...here,
  encoder: branch('dinov2', { maskToken: true }),
  headHidden: 32,
  bottleneck: 16,
  numPrototypes: 24,
  patchHead: null,
  studentTemperature: 0.1,
  teacherTemperature: { first: 0.04, last: 0.07, steps: 10 },
  teacherMomentum: [0.9, 1],
  balance: { kind: 'sinkhorn', iterations: 3 },
  freezePrototypes: 0,
  dropPath: 0,
  patchWeight: 1,
  koleoWeight: 0.1,
  hidden: { views: 0.5, patches: [0.1, 0.5], shape: 'blocks' },
  largeArea: [0.32, 1],
  largeSide: smallViT().imageSize,
  positions: 'resized',
  redraw: null,
  placeWeight: 0,
  smallViews: 2,
  smallSide: 16,
  smallArea: [0.05, 0.32],
  colours: { kind: 'paper' },
  data: world,
  ...changes,
});

export const smallMae = (changes: Partial<MaeConfig> = {}): MaeConfig => ({
  ...here,
  encoder: branch('mae', { layerScale: null }),
  decoder: { hiddenSize: 16, numLayers: 1, numHeads: 2, intermediateSize: 32 },
  maskShare: 0.75,
  normPixels: true,
  cutArea: [0.2, 1],
  data: world,
  ...changes,
});

export const smallDeit = (changes: Partial<DeitConfig> = {}): DeitConfig => ({
  ...here,
  encoder: branch('deit', {
    layerScale: 0.1,
    posEmbed: { kind: 'learned', grid: [4, 4], antialias: false, numSpecial: 0 },
  }),
  numClasses: 58,
  dropPath: 0.1,
  cut: { kind: 'simple' },
  jitter: 0.3,
  mixup: 0,
  cutmix: 0,
  repeats: 1,
  data: world,
  held: null,
  ...changes,
});

/** `tokenizer` is the folder of one with at most `vocabSize` ids. */
export const smallLm = (tokenizer: string, vocabSize: number, changes: Partial<LmConfig> = {}): LmConfig => ({
  ...here,
  model: smallLlama({ vocabSize, tieWordEmbeddings: true }),
  tokenizer,
  rowLength: 64,
  data: { kind: 'world', seed: 7 },
  held: null,
  ...changes,
});
