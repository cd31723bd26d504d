/** Prepared pictures to one tensor. The only file of `images/` that knows @commlm/torch. */
import { type Device, type DType, type Tensor, tensor } from '@commlm/torch';
import type { PreprocessedImage } from './preprocess.js';

/** Stacks prepared pictures to float[B, 3, S, S]; all must have the same size, and there must be at least one. */
export function toTensor(
  images: readonly PreprocessedImage[],
  options: { readonly dtype?: DType; readonly device?: Device } = {},
): Tensor {
  const length = images[0]?.pixels.length ?? 0;
  const side = Math.sqrt(length / 3);
  if (length === 0 || images.some((image) => image.pixels.length !== length)) {
    throw new TypeError('toTensor: the pictures must be at least one and of one size');
  }
  const pixels = new Float32Array(images.length * length);
  images.forEach((image, index) => {
    pixels.set(image.pixels, index * length);
  });
  return tensor(pixels, { shape: [images.length, 3, side, side] }).to({ dtype: 'f32', ...options });
}
