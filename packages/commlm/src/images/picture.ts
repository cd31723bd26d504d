/** What callers may name as a picture, and its pixels. */
import { decodeImage, type RgbImage } from './decode.js';
import { checkPixels, isPixels } from './pixels.js';
import type { PictureFile } from './source.js';

/** A picture: a file (path, `file:` or `data:` URL, bytes, Blob), or decoded pixels. */
export type Picture = PictureFile | RgbImage;

/** A picture as data that another thread can be handed: the path of a file or a URL as text, its bytes, or decoded pixels. */
export type PlainPicture = Extract<PictureFile, string | Uint8Array | ArrayBuffer> | RgbImage;

/** How picture files are opened. */
export interface PictureSettings {
  /** Leaves the pixels as they are stored; by default they are turned upright as EXIF says, and so are the boxes. */
  readonly rawOrientation?: boolean | undefined;
}

/** The pixels of a picture, decoded where they are not yet; throws CommError for what is no picture. */
export async function openPicture(
  picture: Picture,
  { rawOrientation = false }: PictureSettings = {},
): Promise<RgbImage> {
  return isPixels(picture) ? checkPixels(picture) : decodeImage(picture, { rawOrientation });
}
