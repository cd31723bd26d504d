/** Bytes of pictures to the pixels an encoder reads, on the tensor side. */
import { type DType, scope, type Tensor, tensor } from '@commlm/torch';
import type { ImageConfig } from '../config/model.js';

/** u8 pictures [B, S, S, 3] -> normalised float[B, 3, S, S] in `dtype`: (x / 255 - mean) / std. */
export function normalisePictures(
  bytes: Uint8Array,
  count: number,
  side: number,
  { mean, std }: Pick<ImageConfig, 'mean' | 'std'>,
  dtype: DType,
): Tensor {
  return scope(() => {
    const scale = tensor(Float32Array.from(std, (s) => 1 / (255 * s)));
    const shift = tensor(Float32Array.from(mean, (m, c) => -m / (std[c] as number)));
    const pixels_BHWC = tensor(bytes, { shape: [count, side, side, 3] })
      .to('f32')
      .mul_(scale)
      .add_(shift);
    return pixels_BHWC.permute(0, 3, 1, 2).to(dtype).contiguous();
  });
}
