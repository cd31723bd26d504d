/** The golden files of `tests/golden/images` and the pictures they were made from; for tests only. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ImageConfig } from '../config/model.js';
import type { RgbImage } from './pixels.js';
import type { Resample } from './resize.js';

/** What Pillow made; written by tools/golden/pillow_resize.py. */
export interface PillowGolden {
  readonly decode: readonly { file: string; width: number; height: number; sha256: string }[];
  readonly prepare: readonly { from: [number, number]; seed: number; config: ImageConfig; sha256: string }[];
  readonly resize: readonly {
    from: [number, number];
    seed: number;
    to: [number, number];
    filter: Resample;
    sha256: string;
  }[];
}

const FOLDER = new URL('../../../../tests/golden/images/', import.meta.url);

/** Path of a golden picture. */
export function goldenPath(file: string): string {
  return fileURLToPath(new URL(file, FOLDER));
}

/** Reads pillow.json. */
export function readGolden(): PillowGolden {
  return JSON.parse(readFileSync(goldenPath('pillow.json'), 'utf8')) as PillowGolden;
}

/** A small file of some kind or orientation; written by tools/golden/pillow_pictures.py. */
export interface GoldenPicture {
  readonly name: string;
  readonly base64: string;
  readonly width: number;
  readonly height: number;
  readonly sha256: string;
  /** Its colours are of a kind that is refused by name; then the other facts are absent. */
  readonly refused?: true;
}

/** Reads pictures.json. */
export function readGoldenPictures(): readonly GoldenPicture[] {
  return (JSON.parse(readFileSync(goldenPath('pictures.json'), 'utf8')) as { pictures: GoldenPicture[] }).pictures;
}

/** The first 16 hex digits of SHA-256. */
export function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

/** The picture that the generator makes of a seed: noise, of 0 and 255 only for even seeds. */
export function noisePicture(width: number, height: number, seed: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  let state = seed;
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const byte = state >>> 24;
    data[i] = seed % 2 === 0 ? (byte > 127 ? 255 : 0) : byte;
  }
  return { width, height, data };
}
