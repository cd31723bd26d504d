/** How large a picture in a store may be: what an archive says of it is not trusted with memory. */
import type { CommError } from '../../config/errors.js';
import { pictureError } from '../fault.js';

/** Bytes of the largest picture file that is read. */
export const MAX_PICTURE_BYTES = 2 ** 28;

/** The error for a picture that has more bytes. */
export const tooLarge = (where: string, size: number): CommError =>
  pictureError(where, `it has ${size} bytes, more than the ${MAX_PICTURE_BYTES} of the largest picture that is read.`, {
    fix: 'Check that it is a picture, and make it smaller.',
  });

/** @throws CommError `data/picture` for a picture above the limit. */
export function checkPictureSize(where: string, size: number): void {
  if (size > MAX_PICTURE_BYTES) throw tooLarge(where, size);
}
