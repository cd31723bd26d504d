/** A picture as a grid of patches: which pixels fit, what is left over, patches as rows. */
import type { Tensor } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import type { ViTConfig } from '../../config/model.js';

// Shapes: B images, C channels, N patches, P side of a patch.

/** Rows and columns of a grid of patches. */
export type Grid = readonly [rows: number, columns: number];

/** Patches of pixels as rows for a linear map, in the order of a convolution's weight: float[B, C, H, W] -> float[B, N, C * P * P]. */
export function patchRows(pixels_BCHW: Tensor, patchSize: number): Tensor {
  const [b, c, height, width] = pixels_BCHW.shape as [number, number, number, number];
  const [rows, columns] = [height / patchSize, width / patchSize];
  return pixels_BCHW
    .reshape(b, c, rows, patchSize, columns, patchSize)
    .permute(0, 2, 4, 1, 3, 5)
    .reshape(b, rows * columns, c * patchSize * patchSize);
}

/** The grid that pixels float[B, C, H, W] make; throws a CommError where channels or sides are not the encoder's. */
export function gridOf(
  pixels_BCHW: Tensor,
  { numChannels, patchSize, restPixels }: Pick<ViTConfig, 'numChannels' | 'patchSize' | 'restPixels'>,
): Grid {
  const [, channels, height, width] = pixels_BCHW.shape;
  const fits = (side: number | undefined): side is number =>
    side !== undefined && side >= patchSize && (restPixels === 'drop' || side % patchSize === 0);
  if (pixels_BCHW.ndim !== 4 || channels !== numChannels || !fits(height) || !fits(width)) {
    throw new CommError(
      `The encoder takes pixels [B, ${numChannels}, H, W] with sides that are multiples of ${patchSize}, not [${pixels_BCHW.shape.join(', ')}].`,
      { code: 'model/pixels', fix: "Prepare the picture with the encoder's own image config." },
    );
  }
  return [Math.floor(height / patchSize), Math.floor(width / patchSize)];
}

/** The pixels without the rest on the right and at the bottom that fills no patch. */
export function wholePatches(pixels_BCHW: Tensor, [rows, columns]: Grid, patchSize: number): Tensor {
  const [, , height, width] = pixels_BCHW.shape as [number, number, number, number];
  if (height === rows * patchSize && width === columns * patchSize) return pixels_BCHW;
  return pixels_BCHW.narrow(2, 0, rows * patchSize).narrow(3, 0, columns * patchSize);
}
