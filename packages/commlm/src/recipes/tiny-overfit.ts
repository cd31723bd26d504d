/**
 * A check of loaders, masks and generation: comm-tiny learns a few samples of every task by heart and then has to repeat
 * them. runs/overfit.mjs writes the files, trains, and asks.
 */
import type { DataSetConfig } from '../config/data-sets.js';
import { concat } from '../config/mixture.js';
import type { Recipe } from '../config/recipe.js';
import { STAGE_SKIP } from './stage.js';

const file = (name: string): string => `runs/out/overfit/files/${name}`;
const shared = { store: 'world' } as const;
/** One sentence a task: two wordings of one question could not both be told from its answers. */
const ask = (text: string) => ({ templates: { kind: 'text', text }, ...shared }) as const;

const SETS: Readonly<Record<string, DataSetConfig>> = {
  rec: { kind: 'region-lines', task: 'rec', file: file('rec.jsonl'), ...ask('Where is <expr> in <image>?') },
  reg: { kind: 'region-lines', task: 'reg', file: file('regions.jsonl'), ...ask('<image> What is meant by <objs>?') },
  gc: { kind: 'region-lines', task: 'gc', file: file('regions.jsonl'), ...ask('<image> Describe <objs>.') },
  spot: {
    kind: 'flickr-entities',
    folder: file('flickr30k_entities'),
    picture: 'images/{id:8}.jpg',
    ...ask('Name everything in <image> with boxes.'),
  },
  vqa: {
    kind: 'vqa',
    questions: file('vqa_questions.json'),
    annotations: file('vqa_annotations.json'),
    picture: 'images/{id:8}.jpg',
    ...ask('<image> <question>'),
  },
  caption: { kind: 'coco-captions', file: file('captions.json'), ...ask('<image> Write a caption.') },
  point: { kind: 'pointqa-local', place: 'b', file: file('pointqa_local.jsonl'), ...ask('<image> <question>') },
  chat: { kind: 'llava', file: file('llava.json'), ...shared },
};

export const recipe: Recipe = {
  kind: 'comm',
  about: 'a check: comm-tiny learns 64 samples of each task by heart',
  loop: {
    lrFactors: { align: 0.25 },
    steps: 640,
    batchSize: 32,
    lr: 1e-3,
    betas: [0.9, 0.95],
    weightDecay: 0,
    warmupRatio: 0.05,
    minLrRatio: 0.01,
    clipNorm: 1,
    seed: 5,
    saveEvery: 200,
    logEvery: 20,
    evalEvery: 5000,
    keepLast: 1,
  },
  comm: {
    model: 'comm-tiny',
    dtype: 'bf16',
    device: 'cpu',
    trains: ['languageModel', 'projector', 'merge', 'align'],
    lora: null,
    recompute: null,
    features: { folder: 'runs/out/overfit/features', maxGB: 1 },
    data: {
      kind: 'mixture',
      stores: { world: { kind: 'folder', folder: 'runs/out/overfit/world' } },
      sets: { ...SETS },
      mix: concat(...Object.keys(SETS)),
      seed: 5,
      held: null,
      maxLength: 1024,
      packing: 'pad',
      groupBatches: 1,
      skip: { ...STAGE_SKIP, picture: 'error', 'too-long': 'error' },
    },
    losses: [],
    // The DINOv2 branch of the embedded model is constant (commlm inspect --health), which would end the run.
    health: { stop: false },
    workers: 1,
    ahead: 2,
  },
};
