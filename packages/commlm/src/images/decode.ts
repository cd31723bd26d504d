/**
 * Picture files to RGB pixels, as Pillow's `ImageOps.exif_transpose(open(...)).convert('RGB')` gives them: upright as a viewer
 * shows them, colour profiles not applied, the first frame of an animation, CMYK converted plainly. What is transparent lies
 * on white, as on a page; Pillow's conversion, and the processors that stand on it, drop alpha and so uncover colours that
 * nobody sees, black mostly (`transparency: 'drop'` does the same).
 * Deviations: 16-bit pictures keep their high byte (Pillow clips 16-bit grey to white), AVIF differs slightly, as the two
 * decoders spread colour differently. What would come out wrong is refused by name, see kind.ts.
 */
import type { Metadata, Sharp } from 'sharp';
import { anything, type Checks, checkOptions } from '../config/check-options.js';
import { CommError } from '../config/errors.js';
import { readGifFrame } from './gif-frame.js';
import { endsEarly, notAPicture, notRead, type PictureKind, pictureKind } from './kind.js';
import { type Orientation, readOrientation, turnUpright, withValidOrientation } from './orientation.js';
import type { RgbImage } from './pixels.js';
import { type PictureFile, readPictureFile } from './source.js';

export type { RgbImage } from './pixels.js';

/** Pixels of a picture file, and how they lay in the file. */
export interface DecodedImage extends RgbImage {
  /** The sides as stored: those of most annotation files. Swapped against `width` and `height` from orientation 5 on. */
  readonly storedWidth: number;
  readonly storedHeight: number;
  /** What the file's EXIF or XMP says; it has been applied unless `rawOrientation` was asked for. */
  readonly orientation: Orientation;
}

/** How a picture is decoded. */
export interface DecodeOptions {
  /** Most pixels accepted, checked before anything is decoded; 2^28 (16,384 x 16,384) by default. */
  readonly maxPixels?: number | undefined;
  /** Leaves the pixels as they are stored; by default they are turned upright as EXIF says. */
  readonly rawOrientation?: boolean | undefined;
  /** `white` (default) puts a picture with transparent parts on white; `drop` takes its stored colours, as Pillow does. */
  readonly transparency?: Transparency | undefined;
}

/** What becomes of alpha. */
export type Transparency = 'white' | 'drop';

const OPTIONS: Checks<DecodeOptions> = {
  maxPixels: anything,
  rawOrientation: anything,
  transparency: anything,
};

const DEFAULT_MAX_PIXELS = 2 ** 28;

/**
 * Decodes a picture file, given by a path, `-` (standard input), a `data:` or `file:` URL, a Blob, or its bytes. Throws
 * CommError with a code of its own for: `image/source`, `image/not-found`, `image/is-directory`, `image/not-regular`,
 * `image/no-access`, `image/url`, `image/data-url`, `image/empty`, `image/not-a-picture`, `file/stand-in`,
 * `image/truncated`, `image/damaged`, `image/too-large`.
 */
export async function decodeImage(source: PictureFile, options: DecodeOptions = {}): Promise<DecodedImage> {
  checkOptions(options, OPTIONS, { what: 'The options of a picture' });
  const { name, bytes: file } = await readPictureFile(source);
  if (file.length === 0) throw new CommError(`${name} is empty (zero bytes).`, { code: 'image/empty' });
  const kind = pictureKind(file, name);
  const bytes = kind === 'tiff' ? withValidOrientation(file) : file;
  const header = await checkHeader(bytes, kind, name, options.maxPixels ?? DEFAULT_MAX_PIXELS);
  const orientation = readOrientation(bytes);
  const { transparency = 'white' } = options;
  let stored: RgbImage;
  try {
    stored =
      kind === 'gif'
        ? await decodeGif(bytes, transparency)
        : header.space === 'cmyk'
          ? await decodeCmyk(bytes, header.depth)
          : await decodeRgb(bytes, transparency);
  } catch (error) {
    throw decodeError(error, name, { bytes, kind });
  }
  const image = options.rawOrientation ? stored : turnUpright(stored, orientation);
  return { ...image, storedWidth: stored.width, storedHeight: stored.height, orientation };
}

/** Width and height in pixels. */
export type PictureSize = Pick<RgbImage, 'width' | 'height'>;

/**
 * A picture in the frame of coordinates that were written for that size: annotation files tell sizes as the pixels are
 * stored, or as a viewer shows them, and their boxes are in the same frame. Upright where both frames have that size.
 * @returns the picture and whether it has that size; upright where neither frame has.
 */
export async function decodeInFrame(
  source: PictureFile,
  size: PictureSize,
): Promise<{ readonly image: DecodedImage; readonly fits: boolean }> {
  const upright = await decodeImage(source);
  if (isSize(upright, size)) return { image: upright, fits: true };
  const isStored = isSize({ width: upright.storedWidth, height: upright.storedHeight }, size);
  return { image: isStored ? await decodeImage(source, { rawOrientation: true }) : upright, fits: isStored };
}

const isSize = (a: PictureSize, b: PictureSize): boolean => a.width === b.width && a.height === b.height;

/** Reads the header alone, and refuses what is damaged or too large. */
async function checkHeader(bytes: Uint8Array, kind: PictureKind, name: string, maxPixels: number): Promise<Metadata> {
  let header: Metadata;
  const { default: sharp } = await import('sharp');
  try {
    header = await sharp(bytes, { limitInputPixels: false, failOn: 'none' }).metadata();
  } catch (error) {
    throw decodeError(error, name, { bytes, kind });
  }
  if (header.width * header.height > maxPixels) {
    throw new CommError(
      `${name} has ${header.width} x ${header.height} pixels, more than the ${maxPixels} that are decoded.`,
      { code: 'image/too-large', fix: 'Scale the picture down first.' },
    );
  }
  return header;
}

const WHITE = [255, 255, 255];
const BLACK = [0, 0, 0];

/** Opens the file for its pixels. The library is loaded with the first picture, not with this module. */
async function open(bytes: Uint8Array): Promise<Sharp> {
  const { default: sharp } = await import('sharp');
  // `failOn: error` lets small faults pass that Pillow lets pass too, but not a file that ends early.
  return sharp(bytes, { limitInputPixels: false, failOn: 'error', ignoreIcc: true });
}

async function decodeRgb(bytes: Uint8Array, transparency: Transparency): Promise<RgbImage> {
  const opened = await open(bytes);
  const { data, info } = await (transparency === 'white' ? opened.flatten({ background: '#ffffff' }) : opened)
    .removeAlpha()
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  return { width, height, data: channels === 3 ? data : spreadGrey(data, channels) };
}

/** What the first frame of a GIF leaves free or transparent is white, or with `drop` what its palette has for it. */
async function decodeGif(bytes: Uint8Array, transparency: Transparency): Promise<RgbImage> {
  const { data, info } = await (await open(bytes))
    .toColourspace('srgb')
    .ensureAlpha()
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const frame = readGifFrame(bytes);
  const background = transparency === 'white' ? WHITE : (frame?.background ?? BLACK);
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    const isFree = frame && (x < frame.left || x >= frame.right || y < frame.top || y >= frame.bottom);
    const isPainted = !isFree && data[i * 4 + 3] !== 0;
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = (isPainted ? data[i * 4 + c] : background[c])!;
  }
  return { width, height, data: rgb };
}

function spreadGrey(grey: Uint8Array, channels: number): Uint8Array {
  const numPixels = grey.length / channels;
  const rgb = new Uint8Array(numPixels * 3);
  for (let i = 0; i < numPixels; i++) rgb.fill(grey[i * channels] ?? 0, i * 3, i * 3 + 3);
  return rgb;
}

async function decodeCmyk(bytes: Uint8Array, depth: Metadata['depth']): Promise<RgbImage> {
  const isWide = depth === 'ushort';
  const { data: inks, info } = await (await open(bytes))
    .pipelineColourspace('cmyk')
    .toColourspace('cmyk')
    .raw({ depth: isWide ? 'ushort' : 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const data = isWide ? highBytes(inks) : inks;
  const { width, height, channels } = info;
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    const white = 255 - (data[i * channels + 3] ?? 0);
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = white - divideBy255((data[i * channels + c] ?? 0) * white);
  }
  return { width, height, data: rgb };
}

function highBytes(samples: Buffer): Uint8Array {
  const high = new Uint8Array(samples.length / 2);
  for (let i = 0; i < high.length; i++) high[i] = samples.readUInt16LE(2 * i) >> 8;
  return high;
}

/** x / 255, rounded, for 0 <= x <= 65025, without a division. */
function divideBy255(x: number): number {
  const y = x + 128;
  return (y + (y >> 8)) >> 8;
}

function decodeError(
  error: unknown,
  name: string,
  { bytes, kind }: { readonly bytes: Uint8Array; readonly kind: PictureKind },
): CommError {
  if (endsEarly(bytes, kind)) return cutOff(name, error);
  const message = (error as Error).message ?? String(error);
  if (/unsupported image format|not a known/i.test(message)) {
    return notAPicture(name, error);
  }
  if (/premature end|truncat|unexpected end|out of order|end of (?:file|stream|image)|not enough/i.test(message)) {
    return cutOff(name, error);
  }
  if (/no known route|not configured|not supported|can ?not handle/i.test(message)) {
    return notRead(`${name} is of a kind that is not read (${firstLine(message)}).`, error);
  }
  return new CommError(`${name} is damaged and cannot be decoded (${firstLine(message)}).`, {
    code: 'image/damaged',
    fix: 'Copy or download the file again; where a viewer opens it, save it anew as PNG or JPEG.',
    cause: error,
  });
}

const cutOff = (name: string, cause: unknown): CommError =>
  new CommError(`${name} is cut off: the file ends before the picture does.`, {
    code: 'image/truncated',
    fix: 'Copy or download the file again.',
    cause,
  });

/** The first line of what the decoding library says, without the name of its part in front. */
const firstLine = (message: string): string =>
  (message.split('\n')[0] ?? '')
    .trim()
    .replace(/^(?:\w+: )*vips\w*: /, '')
    .replace(/^\w+load(?:_buffer)?: /, '');
