/**
 * `commlm/features`: hidden states of visual encoders, level by level.
 *
 * ```ts
 * import { extractFeatures, paintLevels } from 'commlm/features';
 *
 * const { levels, grid } = await extractFeatures('photo.jpg', { levels: [1, 12, 24] });
 * ```
 */
export { extractFeatures, type FeatureOptions, type Features } from './generate/features.js';
export { type Painting, paintLevels } from './generate/paint.js';
export { FeatureCache, type FeatureCacheOptions, type FeatureCacheStats } from './train/feature-cache.js';
export { LinearProbe } from './train/linear-probe.js';
