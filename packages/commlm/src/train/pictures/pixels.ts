/** Bytes of pictures to the pixels an encoder reads, on the tensor side. */
import { type Device, type DType, scope, type Tensor, tensor } from '@commlm/torch';
import type { ImageConfig } from '../../config/model.js';

/** u8 pictures [B, S, S, 3] -> normalised float[B, 3, S, S] in `dtype` on `device`: (x / 255 - mean) / std. */
export function normalisePictures(
  bytes: Uint8Array,
  count: number,
  side: number,
  { mean, std }: Pick<ImageConfig, 'mean' | 'std'>,
  dtype: DType,
  device: Device = 'cpu',
): Tensor {
  return scope(() => {
    const scale = tensor(Float32Array.from(std, (s) => 1 / (255 * s))).to(device);
    const shift = tensor(Float32Array.from(mean, (m, c) => -m / std[c]!)).to(device);
    // Bytes go over, a quarter of what floats would be.
    const pixels_BHWC = tensor(bytes, { shape: [count, side, side, 3] })
      .to(device)
      .to('f32')
      .mul_(scale)
      .add_(shift);
    return pixels_BHWC.permute(0, 3, 1, 2).to(dtype).contiguous();
  });
}
