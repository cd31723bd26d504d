/**
 * `commlm/features`: hidden states of visual encoders, level by level, and whether they say anything.
 *
 * ```ts
 * import { extractFeatures, paintLevels } from 'commlm/features';
 *
 * const { levels, grid } = await extractFeatures('photo.jpg', { levels: [1, 12, 24] });
 * ```
 */

export {
  type CachedPictures,
  FeatureCache,
  type FeatureCacheOptions,
  type FeatureCacheStats,
} from './features/cache.js';
export { type CachedEncoder, pictureKeys } from './features/encoder-key.js';
export { extractFeatures, type FeatureOptions, type Features } from './features/extract.js';
export { LinearProbe } from './features/linear-probe.js';
export { type Painting, paintLevels } from './features/paint.js';
export {
  type Demand,
  GATE,
  type GroupTruth,
  isCollapsed,
  judgeTower,
  type LevelAccount,
  type LevelFigures,
  LevelProbes,
  type ReadingGroup,
  type TowerFigures,
  type Verdict,
} from './features/tower-gate.js';
