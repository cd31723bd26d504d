/**
 * Which way up a picture is: the orientation that a camera wrote beside the pixels, and turning the pixels by it. Read as
 * Pillow's `ImageOps.exif_transpose` does: EXIF first, else XMP; anything but 2 to 8 leaves the picture as it is stored.
 */
import { inflateSync } from 'node:zlib';
import type { RgbImage } from './pixels.js';
import { readTiffDirectory } from './tiff-directory.js';

/** 1 upright; 2 mirrored; 3 upside down; 4 to 8 the others, as EXIF numbers them. From 5 on the sides are swapped. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

const ORIENTATION_TAG = 274;
const EXIF_HEAD = 'Exif\0\0';
const XMP_HEAD = 'http://ns.adobe.com/xap/1.0/\0';
/** Longest compressed text of a PNG that is unpacked. */
const MAX_TEXT_BYTES = 2 ** 24;

/** What stands beside the pixels: EXIF (a small TIFF file) and XMP (a text). */
interface Notes {
  exif?: Uint8Array;
  xmp?: string;
}

/**
 * The orientation that a picture file names; 1 where it names none or no valid one. AVIF is always 1: its turns are part of
 * decoding, so its pixels come upright.
 */
export function readOrientation(file: Uint8Array): Orientation {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const { exif, xmp } = readNotes(bytes);
  const named = exif === undefined ? undefined : readTiffDirectory(withoutHead(exif)).get(ORIENTATION_TAG);
  const value = named?.values[0] ?? Number(/tiff:Orientation(?:="|>)([0-9])/.exec(xmp ?? '')?.[1] ?? 1);
  return isOrientation(value) ? value : 1;
}

function isOrientation(value: number): value is Orientation {
  return Number.isInteger(value) && value >= 1 && value <= 8;
}

/** The file itself, or for a TIFF whose orientation is no valid one a copy that says 1: libtiff refuses such a file. */
export function withValidOrientation(file: Uint8Array): Uint8Array {
  const entry = readTiffDirectory(file).get(ORIENTATION_TAG);
  if (entry === undefined || isOrientation(entry.values[0] ?? 1)) return file;
  const { offset, size, littleEndian } = entry;
  const copy = Uint8Array.from(file);
  copy.fill(0, offset, offset + size);
  copy[littleEndian ? offset : offset + size - 1] = 1;
  return copy;
}

function readNotes(bytes: Buffer): Notes {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return notesOfJpeg(bytes);
  if (bytes.toString('latin1', 1, 4) === 'PNG') return notesOfPng(bytes);
  if (bytes.toString('latin1', 0, 4) === 'RIFF') return notesOfWebp(bytes);
  const order = bytes.toString('latin1', 0, 2);
  return order === 'II' || order === 'MM' ? { exif: bytes } : {};
}

/** Some writers put the head of JPEG's segment in front once more. */
function withoutHead(exif: Uint8Array): Uint8Array {
  let start = 0;
  while (Buffer.from(exif.subarray(start, start + 6)).toString('latin1') === EXIF_HEAD) start += 6;
  return exif.subarray(start);
}

/** Segments in front of the scan; EXIF may go on in a further segment. */
function notesOfJpeg(bytes: Buffer): Notes {
  const notes: Notes = {};
  let at = 2;
  while (at + 4 <= bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1]!;
    // A filling byte, or a marker without a body.
    if (marker === 0xff || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += marker === 0xff ? 1 : 2;
      continue;
    }
    if (marker === 0xda || marker === 0xd9) break;
    const end = at + 2 + bytes.readUInt16BE(at + 2);
    const body = bytes.subarray(at + 4, end);
    if (marker === 0xe1 && body.toString('latin1', 0, 6) === EXIF_HEAD) {
      notes.exif = notes.exif === undefined ? body : Buffer.concat([notes.exif, body.subarray(6)]);
    } else if (marker === 0xe1 && body.toString('latin1', 0, XMP_HEAD.length) === XMP_HEAD) {
      notes.xmp = body.toString('latin1', XMP_HEAD.length);
    }
    at = end;
  }
  return notes;
}

/** Chunks before and behind the pixels; ImageMagick writes EXIF as a text in hex. */
function notesOfPng(bytes: Buffer): Notes {
  const notes: Notes = {};
  let profile: string | undefined;
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const kind = bytes.toString('latin1', at + 4, at + 8);
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (kind === 'eXIf') notes.exif = body;
    else if (kind === 'tEXt' || kind === 'zTXt' || kind === 'iTXt') {
      const name = body.toString('latin1', 0, body.indexOf(0));
      if (name === 'Raw profile type exif') profile = textOf(kind, body);
      if (name === 'XML:com.adobe.xmp') notes.xmp = textOf(kind, body) ?? '';
    }
    at += 12 + length;
  }
  if (notes.exif === undefined && profile !== undefined) {
    notes.exif = Buffer.from(profile.split('\n').slice(3).join(''), 'hex');
  }
  return notes;
}

/** The text of a PNG chunk behind its name: plain, or compressed; undefined for one that cannot be unpacked. */
function textOf(kind: string, body: Buffer): string | undefined {
  const start = body.indexOf(0) + 1;
  if (kind === 'tEXt') return body.toString('latin1', start);
  // iTXt: a flag and a method, then a language and a translated name, each ended by a zero.
  const text = kind === 'zTXt' ? start + 1 : body.indexOf(0, body.indexOf(0, start + 2) + 1) + 1;
  if (kind === 'iTXt' && body[start] !== 1) return body.toString('latin1', text);
  try {
    return inflateSync(body.subarray(text), { maxOutputLength: MAX_TEXT_BYTES }).toString('latin1');
  } catch {
    return undefined;
  }
}

function notesOfWebp(bytes: Buffer): Notes {
  const notes: Notes = {};
  for (let at = 12; at + 8 <= bytes.length; ) {
    const kind = bytes.toString('latin1', at, at + 4);
    const length = bytes.readUInt32LE(at + 4);
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (kind === 'EXIF') notes.exif ??= body;
    if (kind === 'XMP ') notes.xmp ??= body.toString('latin1');
    at += 8 + length + (length % 2);
  }
  return notes;
}

/** The pixels as a viewer shows them. */
export function turnUpright(stored: RgbImage, orientation: Orientation): RgbImage {
  if (orientation === 1) return stored;
  const { width, height } = stored;
  const swapped = orientation >= 5;
  const upright = { width: swapped ? height : width, height: swapped ? width : height };
  const data = new Uint8Array(stored.data.length);
  // The stored pixel of the upright corner, and where one goes from there to the right and down.
  const fromRight = [2, 3, 7, 8].includes(orientation);
  const fromBottom = [3, 4, 6, 7].includes(orientation);
  const corner = (fromBottom ? (height - 1) * width : 0) + (fromRight ? width - 1 : 0);
  const column = fromRight ? -1 : 1;
  const row = fromBottom ? -width : width;
  const [right, down] = swapped ? [row, column] : [column, row];
  let to = 0;
  for (let y = 0; y < upright.height; y++) {
    let from = 3 * (corner + y * down);
    for (let x = 0; x < upright.width; x++, from += 3 * right) {
      data[to++] = stored.data[from]!;
      data[to++] = stored.data[from + 1]!;
      data[to++] = stored.data[from + 2]!;
    }
  }
  return { ...upright, data };
}
