/** What features belong to: a key for an encoder, from all that its values come from, and one for each picture. */
import { createHash, type Hash } from 'node:crypto';
import { scope, type Tensor } from '@commlm/torch';
import type { FeatureDtype } from '../config/comm-train.js';
import type { EncoderConfig, ImageConfig } from '../config/model.js';
import type { ViT } from '../models/vit.js';

/** An encoder and how pictures are prepared for it. */
export interface CachedEncoder {
  readonly type: EncoderConfig['type'];
  readonly vit: ViT;
  readonly image: ImageConfig;
}

/** Part of every key: a cache of another layout is not found. */
export const CACHE_VERSION = 2;
const HASH_BYTES = 2 ** 26;

/**
 * `<type>-<hash>` over config, weights, preparation of pictures and dtype of the values. Not over the levels, each of which
 * is a row of its own, and not over what lies behind the encoder: merge, alignment and projector.
 */
export function encoderKey({ type, vit, image }: CachedEncoder, dtype: FeatureDtype): string {
  const hash = createHash('sha256').update(JSON.stringify([CACHE_VERSION, dtype, vit.config, image]));
  for (const [key, weight] of vit.stateDict()) {
    hash.update(`${key} ${weight.dtype} ${weight.shape.join()};`);
    updateWith(hash, weight);
  }
  return `${type}-${hash.digest('hex').slice(0, 32)}`;
}

/**
 * A key for each of `count` pictures, from their prepared squares: u8[P, S, S, 3] or f32[P, 3, S, S] behind one another.
 * Of the bytes that an encoder reads, not of a file's name or a scene's seed: those say nothing of what this version of
 * the decoder, the resize or the world's pencil makes of them.
 */
export function pictureKeys(squares: Uint8Array | Float32Array, count: number): string[] {
  const bytes = new Uint8Array(squares.buffer, squares.byteOffset, squares.byteLength);
  const each = bytes.length / count;
  const kind = squares instanceof Uint8Array ? 'u8' : 'f32';
  return Array.from({ length: count }, (_, i) =>
    createHash('sha256')
      .update(`${kind} ${each};`)
      .update(bytes.subarray(i * each, (i + 1) * each))
      .digest('hex'),
  );
}

/** Feeds the bytes of a tensor, some at a time. */
function updateWith(hash: Hash, values: Tensor): void {
  scope(() => {
    const bytes = values.detach().to('cpu').contiguous().flatten().viewDtype('u8');
    for (let from = 0; from < bytes.numel; from += HASH_BYTES) {
      const count = Math.min(HASH_BYTES, bytes.numel - from);
      hash.update(scope(() => bytes.narrow(0, from, count).toBytes()));
    }
  });
}
