/**
 * What kind of picture the bytes of a file are, by their first bytes and never by the name: only these reach a decoder, and
 * everything else is refused by its own name. A drawing (SVG) is a program: rendering one can take any time.
 */
import { CommError } from '../config/errors.js';
import { standInOf } from '../files/read.js';
import { readTiffDirectory } from './tiff-directory.js';

/** Kinds that are decoded. */
export type PictureKind = 'jpeg' | 'png' | 'webp' | 'gif' | 'tiff' | 'avif';

/** Whether the beginning of a file, one character a byte, is that of a kind. */
type IsOf = (head: string) => boolean;

const beginsWith =
  (...starts: readonly string[]): IsOf =>
  (head) =>
    starts.some((start) => head.startsWith(start));

/** Brands of a file in boxes (MP4, AVIF, HEIC): the main one, a version, then the others. */
function brandsOf(head: string): string[] {
  if (!head.startsWith('ftyp', 4)) return [];
  const length = Buffer.from(head.slice(0, 4), 'latin1').readUInt32BE();
  return head.slice(8, length).match(/.{4}/gs) ?? [];
}

const isRiff =
  (kind: string): IsOf =>
  (head) =>
    head.startsWith('RIFF') && head.startsWith(kind, 8);

const READ: readonly [kind: PictureKind, isOf: IsOf][] = [
  ['jpeg', beginsWith('\xff\xd8\xff')],
  ['png', beginsWith('\x89PNG\r\n\x1a\n')],
  ['gif', beginsWith('GIF87a', 'GIF89a')],
  ['webp', isRiff('WEBP')],
  ['tiff', beginsWith('II*\0', 'II+\0', 'MM\0*', 'MM\0+')],
  // Several writers put `mif1` first, with `avif` among the others; `avis` first is an animation.
  ['avif', (head) => brandsOf(head).includes('avif') && brandsOf(head)[0] !== 'avis'],
];

/** Kinds that are known well enough to be named. */
const NOT_READ: readonly [name: string, isOf: IsOf][] = [
  ['an SVG drawing', (head) => /<(?:\w+:)?svg[\s>]/i.test(head)],
  ['an animated AVIF', (head) => brandsOf(head)[0] === 'avis'],
  ['a HEIC picture', (head) => brandsOf(head).some((brand) => /^(?:he[iv][cmsx]|mif1|msf1)$/.test(brand))],
  ['a video', (head) => head.startsWith('ftyp', 4) || head.startsWith('\x1a\x45\xdf\xa3') || isRiff('AVI ')(head)],
  ['a BMP picture', (head) => head.startsWith('BM') && head.startsWith('\0\0\0\0', 6)],
  ['a JPEG XL picture', beginsWith('\xff\x0a', '\0\0\0\x0cJXL ')],
  ['a JPEG 2000 picture', beginsWith('\xff\x4f\xff\x51', '\0\0\0\x0cjP  ')],
  ['an icon', beginsWith('\0\0\x01\0', '\0\0\x02\0')],
  ['a Photoshop file', beginsWith('8BPS')],
  ['a PDF', beginsWith('%PDF-')],
  ['a PNM picture', (head) => /^P[1-7]\s/.test(head)],
  ['a compressed file (gzip)', beginsWith('\x1f\x8b')],
  ['a zip file', beginsWith('PK\x03\x04')],
];

/** Beginning of a file that is looked at. */
const HEAD_BYTES = 4096;

/** The kind of a picture file; throws CommError by name for what is not decoded. */
export function pictureKind(bytes: Uint8Array, name: string): PictureKind {
  const head = Buffer.from(bytes.subarray(0, HEAD_BYTES)).toString('latin1');
  const kind = READ.find(([, isOf]) => isOf(head))?.[0];
  if (kind === 'tiff') refuseTiff(bytes, name);
  if (kind !== undefined) return kind;
  const standIn = standInOf(bytes.subarray(0, HEAD_BYTES), bytes.length);
  if (standIn !== undefined) {
    throw new CommError(`${name} is ${standIn}, not the picture itself.`, {
      code: 'file/stand-in',
      fix: 'Get the picture itself: `git lfs pull` in a clone, or download it again.',
    });
  }
  const other = NOT_READ.find(([, isOf]) => isOf(head))?.[0];
  throw other === undefined ? notAPicture(name) : notRead(`${name} is ${other}, which is not read.`);
}

/** What is no picture in any known format. */
export function notAPicture(name: string, cause?: unknown): CommError {
  return new CommError(`${name} is not a picture in a known format (JPEG, PNG, WebP, GIF, TIFF, AVIF).`, {
    code: 'image/not-a-picture',
    fix: 'Name a picture file; whatever its name says, this one holds something else.',
    cause,
  });
}

/** Whether a file that cannot be decoded lacks its end; for kinds whose end the decoder does not name. */
export function endsEarly(bytes: Uint8Array, kind: PictureKind): boolean {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (kind === 'webp') return file.length < 8 || file.readUInt32LE(4) + 8 > file.length;
  if (kind !== 'png') return false;
  // Chunks: a length, a name of four letters, the body, a checksum; the last one is IEND.
  for (let at = 8; at + 12 <= file.length; at += 12 + file.readUInt32BE(at)) {
    if (file.toString('latin1', at + 4, at + 8) === 'IEND') return false;
  }
  return true;
}

/** A picture, but of a kind that is not decoded. */
export function notRead(sentence: string, cause?: unknown): CommError {
  return new CommError(sentence, {
    code: 'image/not-a-picture',
    fix: 'Convert it to PNG or JPEG with a picture editor.',
    cause,
  });
}

const TIFF = { bits: 258, compression: 259, photometric: 262, samples: 277, format: 339, subsampling: 530 };
const JPEG_COMPRESSION = 7;
/** White is zero, black is zero, RGB, palette, CMYK. */
const COLOURS_READ = new Set([0, 1, 2, 3, 5]);
const YCBCR = 6;
const COLOUR_NAMES: Readonly<Record<number, string>> = {
  [YCBCR]: 'YCbCr in full resolution',
  8: 'CIELAB',
  9: 'CIELAB',
  10: 'CIELAB',
};
/** None, the three faxes, LZW, JPEG, deflate (two numbers), PackBits. */
const COMPRESSIONS_READ = new Set([1, 2, 3, 4, 5, 7, 8, 32946, 32773]);

/** A TIFF may hold numbers of any meaning: those whose colours the decoder would get wrong are refused. */
function refuseTiff(bytes: Uint8Array, name: string): void {
  const tags = readTiffDirectory(bytes);
  const first = (tag: number, fallback: number): number => tags.get(tag)?.values[0] ?? fallback;
  const photometric = first(TIFF.photometric, 1);
  const compression = first(TIFF.compression, 1);
  if (!COMPRESSIONS_READ.has(compression)) {
    throw notRead(`${name} is a TIFF with a compression (number ${compression}) that is not read.`);
  }
  // Where the two colour parts have fewer pixels, or lie in a JPEG, libtiff makes RGB of them; else they come as they are.
  const subsampling = tags.get(TIFF.subsampling)?.values ?? [2, 2];
  const isConverted = photometric === YCBCR && (compression === JPEG_COMPRESSION || subsampling.some((x) => x !== 1));
  if (!COLOURS_READ.has(photometric) && !isConverted) {
    const colours = COLOUR_NAMES[photometric] ?? `kind ${photometric}`;
    throw notRead(`${name} is a TIFF whose colours are ${colours}, which is not read.`);
  }
  const samples = first(TIFF.samples, 1);
  const bits = first(TIFF.bits, 1);
  const format = first(TIFF.format, 1);
  // 1 and 4: whole numbers from 0; 2: with a sign; 3: fractions. Wide ones are grey values that are cut to 0..255.
  const isWideGrey = bits === 32 && samples === 1 && format <= 3;
  const isPlain = (format === 1 || format === 4) && [1, 2, 4, 8, 16].includes(bits);
  if (!isWideGrey && !isPlain) {
    const numbers = ['', 'whole', 'signed', 'fractional'][format] ?? 'complex';
    throw notRead(`${name} is a TIFF of ${samples} x ${bits} bits (${numbers} numbers), which is not read.`);
  }
}
