/** Bytes of features: for a cache, and for the plan of a training before anything is computed. */
import type { FeatureDtype } from '../config/comm-train.js';
import type { ImageConfig, ViTConfig } from '../config/model.js';

const ITEM_BYTES: Readonly<Record<FeatureDtype, number>> = { bf16: 2, f16: 2, f32: 4 };
/** Of a picture in the header of a shard, rounded up: its key, dtype, shape and place; and a checksum a level. */
const HEADER_BYTES = 192;
const CHECK_BYTES = 8;

/** Tokens and width of a level. */
export const rowShape = ({
  vit: { config },
  image,
}: {
  readonly vit: { readonly config: Pick<ViTConfig, 'patchSize' | 'hiddenSize'> };
  readonly image: Pick<ImageConfig, 'size'>;
}): [tokens: number, width: number] => [Math.floor(image.size / config.patchSize) ** 2, config.hiddenSize];

/** Bytes of the values of a row. */
export const rowBytes = ([tokens, width]: readonly [number, number], dtype: FeatureDtype): number =>
  tokens * width * ITEM_BYTES[dtype];

/** Bytes that so many levels of a picture take on disk. */
export const pictureBytes = (shape: readonly [number, number], numLevels: number, dtype: FeatureDtype): number =>
  numLevels * (rowBytes(shape, dtype) + CHECK_BYTES) + HEADER_BYTES;
