/** What the cache of a training's features will take on disk, from shapes alone. */
import type { CommTrainConfig, FeatureDtype } from '../config/comm-train.js';
import { resolveLevels } from '../config/model.js';
import type { LoopRecipe } from '../config/recipe.js';
import { pictureBytes, rowShape } from '../features/feature-bytes.js';
import { computeDtype, shapeOfStart } from './tasks/comm/start.js';

/** One encoder's rows of a picture. */
export interface EncoderFeatures {
  readonly encoder: string;
  readonly levels: number;
  readonly tokens: number;
  readonly width: number;
  readonly dtype: FeatureDtype;
  readonly pictureBytes: number;
}

/** The cache of a run. */
export interface FeaturePlan {
  readonly folder: string;
  readonly encoders: readonly EncoderFeatures[];
  /** Of all encoders. */
  readonly pictureBytes: number;
  /** The most that the run can show: one a sample, every one another. Files that come again are kept once. */
  readonly pictures: number;
  /** Of that many. */
  readonly bytes: number;
  readonly maxBytes: number;
  /** Pictures that an empty cache has room for; others are computed whenever they come. */
  readonly room: number;
}

/** Plans the cache; null where the recipe has none. */
export function featurePlan({ comm, loop }: Extract<LoopRecipe, { kind: 'comm' }>): FeaturePlan | null {
  const { features, data } = comm;
  if (features === null) return null;
  const encoders = encodersOf(comm, features.dtype ?? computeDtype(comm));
  const perPicture = encoders.reduce((sum, encoder) => sum + encoder.pictureBytes, 0);
  const { steps, batchSize, accumulate = 1 } = loop;
  const held = data.kind === 'mixture' ? (data.held?.samples ?? 0) : 0;
  const pictures = steps * batchSize * accumulate + held;
  const maxBytes = features.maxGB * 1e9;
  return {
    folder: features.folder,
    encoders,
    pictureBytes: perPicture,
    pictures,
    bytes: pictures * perPicture,
    maxBytes,
    room: Math.floor(maxBytes / perPicture),
  };
}

function encodersOf(comm: CommTrainConfig, dtype: FeatureDtype): EncoderFeatures[] {
  return shapeOfStart(comm).vision.encoders.map(({ type, vit, image, levels: asked }) => {
    const levels = resolveLevels(asked, vit.numLayers).length;
    const shape = rowShape({ vit: { config: vit }, image });
    const [tokens, width] = shape;
    return { encoder: type, levels, tokens, width, dtype, pictureBytes: pictureBytes(shape, levels, dtype) };
  });
}
