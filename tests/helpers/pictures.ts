/** Small picture files for tests, good and broken. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { ROOT } from './cli.js';

/** What the embedded model answers with a box; the tiny models of tests are untrained and find nothing. */
export const DOG = join(ROOT, 'examples', 'dog.png');
export const FIND_DOG = 'Find the dog in the image.';

/** Writes a picture of coloured bands and a disc; the format follows the name. */
export async function writePicture(path: string, width: number, height: number, hue = 0): Promise<string> {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
    <rect width="100%" height="100%" fill="hsl(${hue},60%,70%)"/>
    <rect x="10%" y="55%" width="30%" height="30%" fill="hsl(${hue + 120},70%,40%)"/>
    <circle cx="70%" cy="40%" r="20%" fill="hsl(${hue + 240},80%,50%)"/></svg>`;
  await sharp(Buffer.from(svg)).toFile(path);
  return path;
}

/** A PNG header that promises width x height pixels, with a body of next to nothing. */
export function writePngBomb(path: string, width: number, height: number): string {
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(data.length);
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, checksum]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const body = deflateSync(Buffer.alloc(1024));
  writeFileSync(
    path,
    Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', body), chunk('IEND', Buffer.alloc(0))]),
  );
  return path;
}

function crc32(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** The first part of a file under another name. */
export function writeTruncated(path: string, source: string, share: number): string {
  const bytes = readFileSync(source);
  writeFileSync(path, bytes.subarray(0, Math.floor(bytes.length * share)));
  return path;
}
