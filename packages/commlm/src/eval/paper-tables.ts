/**
 * The result tables of the COMM paper (arXiv 2310.08825), as data: percent, CIDEr times 100, MME in points. Columns name a
 * benchmark of `eval` and its figure, so that ours can be printed beside them.
 */

/** A column: a figure of a benchmark, or the mean of that figure over several joined by commas. */
export interface PaperColumn {
  readonly benchmark: string;
  /** Data set or split that the benchmark's own name does not say, such as the refs of REG. */
  readonly on?: string | undefined;
  readonly figure: string;
}

/** A row: a system and its figures by column; null where the paper gives none. */
export interface PaperRow {
  readonly system: string;
  readonly values: readonly (number | null)[];
}

/** One table. */
export interface PaperTable {
  readonly table: number;
  readonly title: string;
  /** `study`: the short training of the investigation; `full`: the whole training. */
  readonly regime: 'study' | 'full';
  readonly columns: readonly PaperColumn[];
  readonly rows: readonly PaperRow[];
}

const REC_MEAN = 'refcoco, refcoco+, refcocog';

const column = (benchmark: string, figure: string, on?: string): PaperColumn => ({
  benchmark,
  figure,
  on,
});
const row = (system: string, ...values: readonly (number | null)[]): PaperRow => ({ system, values });

/** The eight splits of the RefCOCO family as tables 2 and 3 order them. */
const SPLITS: ReadonlyArray<readonly [dataSet: string, split: string]> = [
  ...['val', 'testA', 'testB'].map((split) => ['refcoco', split] as const),
  ...['val', 'testA', 'testB'].map((split) => ['refcoco+', split] as const),
  ...['val', 'test'].map((split) => ['refcocog', split] as const),
];

/** The columns of tables 6 and 7. */
const STUDY_COLUMNS: readonly PaperColumn[] = [
  ...['testA', 'testB', 'val'].map((split) => column('refcoco+', `${split}.accuracy`)),
  ...['test', 'val'].map((split) => column('refcocog', `${split}.accuracy`)),
  ...['testA', 'testB', 'val'].map((split) => column('refcoco', `${split}.accuracy`)),
  ...['adversarial', 'popular', 'random'].map((split) => column('pope', `${split}.accuracy`)),
];

export const PAPER_TABLES: readonly PaperTable[] = [
  {
    table: 1,
    title: 'Encoders and merges, averages',
    regime: 'study',
    columns: [
      column(REC_MEAN, 'accuracy'),
      column('pope', 'accuracy'),
      column('coco-caption', 'CIDEr'),
      column('flickr30k', 'CIDEr'),
      column('mme', 'cognition'),
      column('mme', 'perception'),
      column('vqav2', 'accuracy'),
      column('okvqa', 'accuracy'),
    ],
    rows: [
      row('CLIP (layer 23)', 47.3, 82.3, 125.0, 80.7, 209.6, 1107.8, 68.8, 44.2),
      row('DINOv2', 54.8, 78.3, 118.0, 68.9, 261.8, 930.5, 63.1, 41.9),
      row('CLIP + MFM (LLN-Layerscale)', 70.0, 83.4, 125.8, 81.0, 296.6, 1164.4, 69.5, 44.7),
      row('DINOv2 + MFM (LLN-Layerscale-MLP)', 72.8, 83.3, 123.4, 76.3, 252.9, 1086.8, 68.0, 42.1),
      row('COMM', 72.8, 83.6, 127.3, 81.9, 360.4, 1234.9, 70.1, 45.0),
    ],
  },
  {
    table: 2,
    title: 'REC, accuracy at IoU 0.5',
    regime: 'full',
    columns: [...SPLITS.map(([dataSet, split]) => column(dataSet, `${split}.accuracy`)), column(REC_MEAN, 'accuracy')],
    rows: [
      row('Shikra-7B', 87.01, 90.61, 80.24, 81.6, 87.36, 72.12, 82.27, 82.19, 82.93),
      row('Shikra-13B', 87.83, 91.11, 81.81, 82.89, 87.79, 74.41, 82.64, 83.16, 83.95),
      row('Ferret-7B', 87.49, 91.35, 82.45, 80.78, 87.38, 73.14, 83.93, 84.76, null),
      row('Ferret-13B', 89.48, 92.41, 84.36, 82.81, 88.14, 75.17, 85.83, 86.34, null),
      row('Griffon-13B', 88.0, 92.1, 81.9, 81.5, 88.2, 73.3, 82.9, 84.3, null),
      row('Qwen-VL-7B', 89.36, 92.26, 85.34, 83.12, 88.25, 77.21, 85.58, 85.48, null),
      row('Qwen-VL-7B-Chat', 88.55, 92.27, 84.51, 82.82, 88.59, 76.79, 85.96, 86.32, 85.73),
      row('COMM-7B', 91.73, 94.06, 88.85, 87.21, 91.74, 81.39, 87.32, 88.33, 88.83),
      row('G-DINO-L', 90.56, 93.19, 88.24, null, null, null, null, null, null),
      row('UNINEXT-H', 92.64, 94.33, 91.46, null, null, null, null, null, null),
      row('ONE-PEACE', 92.58, 94.18, 89.26, null, null, null, null, null, null),
    ],
  },
  {
    table: 3,
    title: 'REG, CIDEr',
    regime: 'full',
    columns: SPLITS.map(([dataSet, split]) => column('reg', `${split}.CIDEr`, dataSet)),
    rows: [
      row('Shikra-7B', 75.61, 44.26, 104.83, 56.42, 40.98, 68.25, 62.71, 65.58),
      row('Kosmos-2', null, null, null, null, null, null, 62.3, null),
      row('SLR', null, 69.7, 132.3, null, 49.4, 70.9, 59.2, null),
      row('SLR+rerank', null, 77.5, 132.0, null, 52.0, 73.5, 66.2, null),
      row('COMM-7B', 93.35, 54.95, 131.13, 70.0, 52.27, 79.05, 79.22, 77.96),
    ],
  },
  {
    table: 4,
    title: 'POPE, accuracy',
    regime: 'full',
    columns: ['random', 'popular', 'adversarial'].map((split) => column('pope', `${split}.accuracy`)),
    rows: [
      row('COMM-7B', 87.29, 86.5, 84.5),
      row('Shikra-7B', 86.9, 83.97, 83.1),
      row('InstructBLIP', 88.57, 82.77, 72.1),
      row('MiniGPT-4', 79.67, 69.73, 65.17),
      row('LLaVA', 50.37, 49.87, 49.7),
      row('mPLUG-Owl', 53.97, 50.9, 50.67),
    ],
  },
  {
    table: 5,
    title: 'VQA and captions',
    regime: 'full',
    columns: [
      column('vqav2', 'accuracy'),
      column('vqav2', 'accuracy', 'test-dev'),
      column('vqav2', 'accuracy', 'test-std'),
      column('okvqa', 'accuracy'),
      column('flickr30k', 'CIDEr'),
      column('coco-caption', 'CIDEr'),
    ],
    rows: [
      row('LLaVA-1.5', null, 80.0, null, null, null, null),
      row('Qwen-VL', null, 79.5, null, 58.6, 85.8, null),
      row('Shikra-7B', 75.33, 77.36, 77.51, 47.16, 73.9, 117.5),
      row('COMM-7B', 79.05, 81.04, 81.17, 59.18, 88.2, 132.7),
    ],
  },
  {
    table: 6,
    title: 'The MLP of DINOv2',
    regime: 'study',
    columns: [...STUDY_COLUMNS, column(REC_MEAN, 'accuracy')],
    rows: [
      row('Linear', 61.8, 48.8, 55.1, 64.1, 62.9, 76.5, 67.0, 71.9, 75.6, 79.3, 83.7, 63.5),
      row('1 MLP, ratio 4', 75.3, 59.3, 67.0, 73.0, 71.8, 84.4, 74.1, 79.6, 80.3, 84.2, 85.5, 73.1),
      row('1 MLP, ratio 8', 77.4, 59.9, 69.7, 73.7, 73.3, 85.7, 74.1, 80.9, 81.5, 85.8, 86.7, 74.3),
      row('1 MLP, ratio 16', 76.2, 60.2, 69.7, 74.5, 74.6, 85.7, 75.5, 81.5, 80.4, 83.7, 85.7, 74.7),
      row('2 MLP, ratio 4', 77.5, 60.3, 69.2, 74.6, 74.7, 86.5, 75.3, 81.4, 82.4, 84.5, 86.2, 74.9),
      row('4 MLP, ratio 4', 53.7, 34.4, 45.3, 49.0, 48.8, 65.4, 48.0, 57.9, 79.2, 82.9, 84.6, 50.3),
      row('8 MLP, ratio 4', 8.2, 6.5, 7.4, 6.8, 6.7, 14.8, 12.9, 14.9, 56.0, 55.3, 59.0, 9.8),
    ],
  },
  {
    table: 7,
    title: 'Encoders',
    regime: 'study',
    columns: STUDY_COLUMNS,
    rows: [
      row('CLIP + MFM', 73.7, 53.8, 64.3, 69.1, 70.3, 83.8, 68.4, 76.4, 80.7, 84.2, 85.8),
      row('DINOv2 + MFM', 75.3, 59.3, 67.0, 73.0, 71.8, 84.4, 74.1, 79.6, 80.3, 84.2, 85.5),
      row('MAE, layer 20', 64.7, 49.4, 56.8, 63.7, 62.8, 77.9, 68.6, 73.6, 66.8, 71.1, 76.7),
      row('MAE, layer 22', 65.9, 50.0, 58.5, 64.2, 63.2, 79.3, 69.8, 74.9, 68.0, 71.2, 77.5),
      row('DeiT, layer 20', 18.4, 13.0, 15.9, 17.0, 16.2, 29.0, 21.6, 25.7, 66.2, 69.6, 77.9),
      row('DeiT, layer 22', 25.3, 15.4, 19.4, 22.6, 21.8, 36.9, 25.3, 32.0, 67.9, 71.6, 78.7),
    ],
  },
];

/** Systems that are printed beside ours. */
export const PAPER_SYSTEMS = ['COMM-7B', 'Shikra-7B'] as const;

/** What the tables of the full training give for a system and a figure; null when they do not. */
export function paperFigure(system: string, benchmark: string, figure: string, on?: string): number | null {
  for (const { regime, columns, rows } of PAPER_TABLES) {
    if (regime !== 'full') continue;
    const place = columns.findIndex((each) => each.benchmark === benchmark && each.figure === figure && each.on === on);
    const value = place < 0 ? null : rows.find((each) => each.system === system)?.values[place];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}
