/**
 * Picture files to RGB pixels, as Pillow's `ImageOps.exif_transpose(open(...)).convert('RGB')` gives them: upright as a viewer
 * shows them, colour profiles not applied, alpha dropped (not blended), the first frame of an animation, CMYK converted plainly.
 * Deviations: 16-bit pictures keep their high byte (Pillow clips 16-bit grey to white), transparent GIF pixels are black
 * (Pillow shows the palette entry behind them), AVIF differs slightly, as the two decoders spread colour differently.
 */
import { readFile, stat } from 'node:fs/promises';
import sharp, { type Metadata, type Sharp } from 'sharp';
import { CommError } from '../config/errors.js';
import { type Orientation, readOrientation, turnUpright, withValidOrientation } from './orientation.js';

/** Pixels of a picture: rows from the top, three bytes a pixel. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** u8[height, width, 3] */
  readonly data: Uint8Array;
}

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
  readonly maxPixels?: number;
  /** Leaves the pixels as they are stored; by default they are turned upright as EXIF says. */
  readonly rawOrientation?: boolean;
}

const DEFAULT_MAX_PIXELS = 2 ** 28;
const MAX_FILE_BYTES = 2 ** 29;
const FORMATS = new Set(['jpeg', 'png', 'webp', 'gif', 'tiff', 'heif']);

/**
 * Decodes a picture from a path, `-` (standard input), a `data:` URL or the bytes of a file. Throws CommError with a code
 * of its own for: `image/not-found`, `image/is-directory`, `image/no-access`, `image/url`, `image/data-url`,
 * `image/empty`, `image/not-a-picture`, `image/truncated`, `image/damaged`, `image/too-large`.
 */
export async function decodeImage(source: string | Uint8Array, options: DecodeOptions = {}): Promise<DecodedImage> {
  const name = typeof source === 'string' ? displayName(source) : 'The picture';
  const bytes = withValidOrientation(typeof source === 'string' ? await readSource(source, name) : source);
  if (bytes.length === 0) {
    throw new CommError(`${name} is empty (zero bytes).`, { code: 'image/empty' });
  }
  const cmyk = await checkHeader(bytes, name, options.maxPixels ?? DEFAULT_MAX_PIXELS);
  const orientation = readOrientation(bytes);
  let stored: RgbImage;
  try {
    stored = cmyk ? await decodeCmyk(bytes) : await decodeRgb(bytes);
  } catch (error) {
    throw decodeError(error, name);
  }
  const image = options.rawOrientation ? stored : turnUpright(stored, orientation);
  return { ...image, storedWidth: stored.width, storedHeight: stored.height, orientation };
}

function displayName(source: string): string {
  if (source === '-') return 'The picture on standard input';
  return source.startsWith('data:') ? 'The data: URL' : source;
}

async function readSource(source: string, name: string): Promise<Uint8Array> {
  if (source === '-') return readStandardInput();
  if (source.startsWith('data:')) return readDataUrl(source);
  if (/^https?:\/\//i.test(source)) {
    throw new CommError(`${source} is a web address, and pictures are not fetched from the web.`, {
      code: 'image/url',
      fix: 'Download the picture and give the path of the file.',
    });
  }
  try {
    const facts = await stat(source);
    if (facts.isDirectory()) {
      throw new CommError(`${name} is a folder, not a picture.`, {
        code: 'image/is-directory',
        fix: 'Give the path of a file in it.',
      });
    }
    if (facts.size > MAX_FILE_BYTES) {
      throw new CommError(`${name} has ${facts.size} bytes, more than the ${MAX_FILE_BYTES} that are read.`, {
        code: 'image/too-large',
      });
    }
    return await readFile(source);
  } catch (error) {
    throw error instanceof CommError ? error : fileError(error as NodeJS.ErrnoException, name);
  }
}

async function readStandardInput(): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin) {
    const bytes = Buffer.from(chunk as Uint8Array);
    size += bytes.length;
    if (size > MAX_FILE_BYTES) {
      throw new CommError(`The picture on standard input has more than the ${MAX_FILE_BYTES} bytes that are read.`, {
        code: 'image/too-large',
      });
    }
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

function readDataUrl(url: string): Uint8Array {
  const comma = url.indexOf(',');
  const body = url.slice(comma + 1);
  const broken = (cause: string): CommError =>
    new CommError(`The data: URL ${cause}.`, {
      code: 'image/data-url',
      fix: 'Write it as data:image/png;base64,<the file in base64>.',
    });
  if (comma < 0) throw broken('has no comma before its data');
  if (!/;base64$/i.test(url.slice(0, comma))) {
    if (/%(?![0-9A-Fa-f]{2})/.test(body)) throw broken('has a broken percent sequence');
    return Buffer.from(
      body.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
      'latin1',
    );
  }
  const base64 = body.replace(/\s+/g, '');
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(base64)) throw broken('holds characters that are not base64');
  return Buffer.from(base64, 'base64');
}

function fileError(error: NodeJS.ErrnoException, name: string): CommError {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') {
    return new CommError(`There is no file ${name}.`, { code: 'image/not-found', cause: error });
  }
  return new CommError(`${name} cannot be read: ${error.message}`, { code: 'image/no-access', cause: error });
}

/** Reads the header alone, refuses what is no picture or too large, and says whether the pixels are CMYK. */
async function checkHeader(bytes: Uint8Array, name: string, maxPixels: number): Promise<boolean> {
  let header: Metadata;
  try {
    header = await sharp(bytes, { limitInputPixels: false, failOn: 'none' }).metadata();
  } catch (error) {
    throw decodeError(error, name);
  }
  if (!FORMATS.has(header.format)) throw notAPicture(name);
  if (header.width * header.height > maxPixels) {
    throw new CommError(
      `${name} has ${header.width} x ${header.height} pixels, more than the ${maxPixels} that are decoded.`,
      { code: 'image/too-large', fix: 'Scale the picture down first.' },
    );
  }
  return header.space === 'cmyk';
}

function open(bytes: Uint8Array): Sharp {
  // `failOn: error` lets small faults pass that Pillow lets pass too, but not a file that ends early.
  return sharp(bytes, { limitInputPixels: false, failOn: 'error', ignoreIcc: true });
}

async function decodeRgb(bytes: Uint8Array): Promise<RgbImage> {
  const { data, info } = await open(bytes)
    .removeAlpha()
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  return { width, height, data: channels === 3 ? data : spreadGrey(data, channels) };
}

function spreadGrey(grey: Uint8Array, channels: number): Uint8Array {
  const numPixels = grey.length / channels;
  const rgb = new Uint8Array(numPixels * 3);
  for (let i = 0; i < numPixels; i++) rgb.fill(grey[i * channels] ?? 0, i * 3, i * 3 + 3);
  return rgb;
}

async function decodeCmyk(bytes: Uint8Array): Promise<RgbImage> {
  const { data, info } = await open(bytes)
    .pipelineColourspace('cmyk')
    .toColourspace('cmyk')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    const white = 255 - (data[i * channels + 3] ?? 0);
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = white - divideBy255((data[i * channels + c] ?? 0) * white);
  }
  return { width, height, data: rgb };
}

/** x / 255, rounded, for 0 <= x <= 65025, without a division. */
function divideBy255(x: number): number {
  const y = x + 128;
  return (y + (y >> 8)) >> 8;
}

function decodeError(error: unknown, name: string): CommError {
  const message = (error as Error).message ?? String(error);
  if (/unsupported image format|corrupt header|not a known|bad seek|unable to call/i.test(message)) {
    return notAPicture(name, error);
  }
  if (/premature end|truncat|unexpected end|out of order|end of (?:file|stream|image)|not enough/i.test(message)) {
    return new CommError(`${name} is cut off: the file ends before the picture does.`, {
      code: 'image/truncated',
      fix: 'Copy or download the file again.',
      cause: error,
    });
  }
  return new CommError(`${name} is damaged and cannot be decoded (${message.split('\n')[0]?.trim()}).`, {
    code: 'image/damaged',
    cause: error,
  });
}

function notAPicture(name: string, cause?: unknown): CommError {
  return new CommError(`${name} is not a picture in a known format (JPEG, PNG, WebP, GIF, TIFF, AVIF).`, {
    code: 'image/not-a-picture',
    cause,
  });
}
