/**
 * `commlm/data`: data sets as samples, mixtures of them, samples as the model sees them, and the synthetic world.
 *
 * ```ts
 * import { loadSpriteBank, writeWorld } from 'commlm/data';
 *
 * const look = { style: 'known', size: 320, format: 'png' } as const;
 * await writeWorld({ out: 'world', bank: await loadSpriteBank(), split: 'test', count: 500, seed: 1, ...look });
 * ```
 */
export { type DataSetContext, openDataSet } from './data/data-sets.js';
export { type Example, SampleError, type TextSettings } from './data/example.js';
export { Mixture } from './data/mixture.js';
export { openData } from './data/open-data.js';
export { openPictureStore } from './data/pictures.js';
export { type OpenedData, type PreparedSample, type ReaderSettings, SampleReader } from './data/reader.js';
export type { DataSet, Mark, PictureRef, PictureStore, Sample, SampleTurn } from './data/sample.js';
export { loadSpriteBank, makeScene, renderScene, type Scene, SpriteBank, worldItem } from './data/world/index.js';
export { type WorldSummary, type WriteWorldOptions, writeWorld } from './data/world/write.js';
