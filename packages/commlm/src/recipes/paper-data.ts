/**
 * Data of the paper's stages (2310.08825, section 5, which takes Shikra's, 2306.15195, table 8): the sets by name, all below
 * `data/`, and the mixtures. docs/stages.md says where each file comes from.
 */
import type { PictureStoreConfig } from '../config/data.js';
import type { DataSetConfig } from '../config/data-sets.js';
import { concat, type InterleaveNode, type MixtureConfig, portion } from '../config/mixture.js';

const annotations = (file: string): string => `data/shikra/${file}.jsonl`;

/** Where the pictures lie. */
export const PAPER_STORES: Readonly<Record<string, PictureStoreConfig>> = {
  coco: { kind: 'folder', folder: 'data/coco' },
  flickr30k: { kind: 'folder', folder: 'data/flickr30k/images' },
  genome: { kind: 'folder', folder: 'data/visual-genome' },
  cc3m: { kind: 'folder', folder: 'data/llava/cc3m' },
  lcs558k: { kind: 'folder', folder: 'data/llava/lcs558k' },
  vcr: { kind: 'folder', folder: 'data/vcr/vcr1images' },
};

const regions = annotations('GC_genome196_train');
const refs = annotations('REC_ref3_train');
const vcr = (version: 'q-ra' | 'qc-rac' | 'qac-r'): DataSetConfig => ({
  kind: 'vcr',
  version,
  file: annotations('vcr_train'),
  store: 'vcr',
});
const local = (place: 'b' | 'p'): DataSetConfig => ({
  kind: 'pointqa-local',
  place,
  file: annotations('pointQA_local_train'),
  store: 'genome',
});
const twice = (question: 'oq' | 'sq' | 'gq'): DataSetConfig => ({
  kind: 'pointqa-twice',
  question,
  place: 'bp',
  file: annotations('pointQA_twice_train'),
  store: 'genome',
});
const v7w = (place: 'b' | 'p'): DataSetConfig => ({
  kind: 'visual7w',
  place,
  file: annotations('v7w_pointing_train'),
  store: 'genome',
});

/** The sets of stage 1. */
export const STAGE1_SETS: Readonly<Record<string, DataSetConfig>> = {
  gc: { kind: 'region-lines', task: 'gc', file: regions, store: 'genome' },
  'rec-genome': { kind: 'region-lines', task: 'rec', file: regions, store: 'genome' },
  cc3m: { kind: 'llava', file: 'data/llava/chat.json', store: 'cc3m' },
  lcs558k: { kind: 'llava', file: 'data/llava/blip_laion_cc_sbu_558k.json', store: 'lcs558k' },
  vqav2: { kind: 'vqa-lines', file: annotations('v2_OpenEnded_mscoco_train2014_questions'), store: 'coco' },
  'vqa-e': { kind: 'vqa-e', file: annotations('vqa_E_train'), store: 'coco' },
  'vqa-x': { kind: 'vqa-x', file: annotations('vqa_X_train'), store: 'coco' },
  caption: { kind: 'caption-lines', file: annotations('CAP_coco2014_train'), store: 'coco' },
  rec: { kind: 'region-lines', task: 'rec', file: refs, store: 'coco' },
  reg: { kind: 'region-lines', task: 'reg', file: refs, store: 'coco' },
  spot: { kind: 'spot-lines', file: annotations('CWB_flickr30k_train'), store: 'flickr30k' },
  'vcr-q-ra': vcr('q-ra'),
  'vcr-qc-rac': vcr('qc-rac'),
  'vcr-qac-r': vcr('qac-r'),
  'local-boxes': local('b'),
  'local-points': local('p'),
  'twice-object': twice('oq'),
  'twice-super': twice('sq'),
  'twice-general': twice('gq'),
  'v7w-points': v7w('p'),
  'v7w-boxes': v7w('b'),
};

const isInStage2 = (name: string): boolean => name !== 'rec-genome';

/** The sets of stage 2: those of stage 1, without pointing on Visual Genome, and the dialogues. */
export const STAGE2_SETS: Readonly<Record<string, DataSetConfig>> = {
  ...Object.fromEntries(Object.entries(STAGE1_SETS).filter(([name]) => isInStage2(name))),
  instruct: {
    kind: 'llava',
    file: 'data/llava/llava_instruct_150k.json',
    store: 'coco',
    picture: 'train2014/COCO_train2014_{name}',
  },
  'box-cot': { kind: 'gpt4gen', version: 'bc', file: annotations('GPT4GEN_BoxCoT_train'), store: 'flickr30k' },
  'shikra-rd': { kind: 'gpt4gen', version: 'bc', file: annotations('GPT4GEN_RD_BoxCoT_train'), store: 'flickr30k' },
};

const VCR = ['vcr-q-ra', 'vcr-qc-rac', 'vcr-qac-r'];
const TWICE_AND_V7W = ['twice-object', 'twice-super', 'twice-general', 'v7w-points', 'v7w-boxes'];

/** Shikra's "concat8": everything by its size, a twentieth of Visual Genome's regions for each of their two tasks. */
export const CONCAT8: MixtureConfig = concat(
  portion(1 / 20, 'gc'),
  portion(1 / 20, 'rec-genome'),
  ...['cc3m', 'lcs558k', 'vqav2', 'vqa-e', 'vqa-x', 'caption', 'rec', 'reg', 'spot'],
  ...VCR,
  ...['local-boxes', 'local-points'],
  ...TWICE_AND_V7W,
);

/** Parts that are walked through in an order of their own, since an interleaved list may end before all of them has come. */
const shuffled = (...parts: readonly (MixtureConfig | string)[]): MixtureConfig => portion(1, concat(...parts));

/** Seven groups of the tasks of stage 1, each drawn as often as the others. */
const TASKS: InterleaveNode = {
  kind: 'interleave',
  parts: [
    shuffled('spot'),
    shuffled('rec'),
    shuffled('vqav2', 'vqa-e', 'vqa-x'),
    shuffled(...VCR),
    portion(3, concat('local-boxes', 'local-points')),
    shuffled(...TWICE_AND_V7W),
    shuffled('reg', 'caption', portion(2 / 3, 'cc3m'), portion(2 / 3, 'lcs558k'), portion(1 / 15, 'gc')),
  ].map((of) => ({ share: 1, of })),
  stop: 'first_exhausted',
};

/**
 * Shikra's stage 2, dialogues against tasks: 0.5 is its "final55" and what both papers say, 0.1 its "final19" and the
 * name of its released checkpoint (paper-notes 12).
 */
export const dialogueShare = (share: number): MixtureConfig => ({
  kind: 'interleave',
  parts: [
    { share, of: shuffled('instruct', 'box-cot', 'shikra-rd') },
    { share: 1 - share, of: TASKS },
  ],
  stop: 'first_exhausted',
});
