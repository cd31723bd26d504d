/**
 * The sprite bank: every noun in every drawing style, rasterised once from `@commlm/icons` by sharp, trimmed to the
 * visible pixels, kept as premultiplied RGBA at four sizes in one file of the cache.
 */

import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { homeFolder } from '@commlm/torch/setup';
import { writeDurablyAsync } from '../../files/durable.js';
import { ICON_NOUNS, ICON_STYLES, type IconStyle, type Noun, SHAPE_NOUNS, type SpriteStyle } from './vocabulary.js';

/** Longest sides of the stored levels, in pixels. */
export const SPRITE_LEVELS = [256, 128, 64, 32] as const;
/** Side of the coarse mask that occlusion is measured on. */
export const MASK_SIDE = 24;
/** Pixels count as visible from this alpha on (of 255). */
export const VISIBLE_ALPHA = 64;

const FORMAT = 3;
const MAGIC = 'COMMSPR1';
const RASTER = 640;
/** Drawings at a time; sharp works on threads of its own. */
const PARALLEL = 4;

/** One stored size: premultiplied RGBA with a transparent border of one pixel, `(width + 2) x (height + 2)`. */
export interface SpriteLevel {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** A drawing: its sizes from large to small, its outline and a coarse mask, all relative to its tight box. */
export interface Sprite {
  readonly noun: string;
  readonly style: SpriteStyle;
  /** Width divided by height of the tight box. */
  readonly aspect: number;
  /** Convex hull of the visible pixels as x, y pairs in -0.5..0.5 of the box. */
  readonly hull: Float32Array;
  /** `MASK_SIDE x MASK_SIDE` cells, 1 where most of the cell is visible. */
  readonly mask: Uint8Array;
  readonly levels: readonly SpriteLevel[];
}

/** All sprites, by noun and style. */
export class SpriteBank {
  private readonly sprites: ReadonlyMap<string, Sprite>;
  /** Names the catalogue and the icon sets the bank was made from. */
  readonly version: string;

  constructor(version: string, sprites: readonly Sprite[]) {
    this.version = version;
    this.sprites = new Map(sprites.map((sprite) => [`${sprite.style}/${sprite.noun}`, sprite]));
  }

  /** Number of sprites. */
  get size(): number {
    return this.sprites.size;
  }

  /** The drawing of `noun` in `style`. Throws RangeError when the bank has none. */
  sprite(noun: string, style: SpriteStyle): Sprite {
    const sprite = this.sprites.get(`${style}/${noun}`);
    if (!sprite) throw new RangeError(`the sprite bank has no '${noun}' in style '${style}'`);
    return sprite;
  }
}

export interface LoadSpriteBankOptions {
  /** Folder of the cache file; default `world` in COMMLM_HOME, which is `.cache` in the clone. */
  readonly cacheDir?: string | undefined;
  /** Called while the bank is being drawn. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** A file of the package `@commlm/icons`: the drawings of one icon set that the world uses. */
interface IconSet {
  /** Version of the icon package that they were taken from. */
  readonly version: string;
  readonly icons: Record<string, IconBody>;
  readonly width: number;
  readonly height: number;
}
interface IconBody {
  readonly body: string;
  readonly width?: number;
  readonly height?: number;
  readonly left?: number;
  readonly top?: number;
}

interface SpriteRecord {
  noun: string;
  style: SpriteStyle;
  aspect: number;
  hull: number[];
  mask: string;
  levels: { width: number; height: number; offset: number }[];
}

const requireHere = createRequire(import.meta.url);

function readIconSet(style: IconStyle): IconSet {
  return JSON.parse(readFileSync(requireHere.resolve(`@commlm/icons/${style}.json`), 'utf8')) as IconSet;
}

function bankVersion(sets: ReadonlyMap<IconStyle, IconSet>): string {
  const packages = [...sets].map(([style, { version }]) => `${style}@${version}`);
  const parts = [FORMAT, MASK_SIDE, VISIBLE_ALPHA, RASTER, SPRITE_LEVELS, packages, ICON_NOUNS, SHAPE_NOUNS];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

/** Loads the sprite bank, drawing it first when the cache has none of this version. */
export async function loadSpriteBank(options: LoadSpriteBankOptions = {}): Promise<SpriteBank> {
  const sets = new Map(ICON_STYLES.map((style) => [style, readIconSet(style)]));
  const version = bankVersion(sets);
  const dir = options.cacheDir ?? join(homeFolder(), 'world');
  const path = join(dir, `sprites-${version}.bin`);
  const cached = existsSync(path) ? parseSpriteBank(readFileSync(path), version) : undefined;
  if (cached) return cached;
  const bytes = await buildBank(version, sets, options.onProgress);
  await keepBank(dir, path, bytes);
  const bank = parseSpriteBank(bytes, version);
  if (!bank) throw new Error('the sprite bank just drawn cannot be read back');
  return bank;
}

/** Where the disk is full or cannot be written the bank is drawn anew each time, which only costs seconds. */
async function keepBank(dir: string, path: string, bytes: Uint8Array): Promise<void> {
  try {
    await mkdir(dir, { recursive: true });
    await writeDurablyAsync(path, bytes);
  } catch {
    // Nothing is left of it.
  }
}

/** Reads the file's bytes; undefined when they are not a whole bank of this version (it is then drawn again). */
export function parseSpriteBank(bytes: Uint8Array, version: string): SpriteBank | undefined {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length < 16 || view.toString('latin1', 0, 8) !== MAGIC) return undefined;
  const headerLength = view.readUInt32LE(8);
  const total = view.readUInt32LE(12);
  if (total !== view.length || 16 + headerLength > total) return undefined;
  const header = JSON.parse(view.toString('utf8', 16, 16 + headerLength)) as {
    version: string;
    sprites: SpriteRecord[];
  };
  if (header.version !== version) return undefined;
  const base = 16 + headerLength;
  const sprites = header.sprites.map((record): Sprite => {
    const mask = Uint8Array.from(record.mask, (cell) => (cell === '1' ? 1 : 0));
    const levels = record.levels.map(({ width, height, offset }) => ({
      width,
      height,
      data: bytes.subarray(base + offset, base + offset + (width + 2) * (height + 2) * 4),
    }));
    return { ...record, hull: Float32Array.from(record.hull), mask, levels };
  });
  return new SpriteBank(version, sprites);
}

async function buildBank(
  version: string,
  sets: ReadonlyMap<IconStyle, IconSet>,
  onProgress?: (done: number, total: number) => void,
): Promise<Buffer> {
  const jobs: { noun: Noun; style: SpriteStyle; svg: string }[] = [];
  for (const [style, set] of sets) {
    for (const noun of ICON_NOUNS) jobs.push({ noun, style, svg: iconSvg(set, style, noun) });
  }
  for (const noun of SHAPE_NOUNS) {
    jobs.push({ noun, style: 'flat', svg: shapeSvg(noun.name, false) });
    jobs.push({ noun, style: 'outlined', svg: shapeSvg(noun.name, true) });
  }
  let done = 0;
  const drawn: DrawnSprite[] = [];
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < jobs.length; i = next++) {
      drawn[i] = await drawSprite((jobs[i] as { svg: string }).svg);
      onProgress?.(++done, jobs.length);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return packBank(version, jobs, drawn);
}

/** Lays the sprites out: magic, header length, total length, header, pixels. */
function packBank(
  version: string,
  jobs: readonly { noun: Noun; style: SpriteStyle }[],
  drawn: readonly DrawnSprite[],
): Buffer {
  const blobs: Uint8Array[] = [];
  let offset = 0;
  const records = jobs.map(({ noun, style }, i): SpriteRecord => {
    const { aspect, hull, mask, levels } = drawn[i]!;
    const entries = levels.map(({ width, height, data }) => {
      blobs.push(data);
      offset += data.length;
      return { width, height, offset: offset - data.length };
    });
    return { noun: noun.name, style, aspect, hull, mask, levels: entries };
  });
  const header = Buffer.from(JSON.stringify({ version, sprites: records }));
  const start = Buffer.alloc(16);
  start.write(MAGIC, 'latin1');
  start.writeUInt32LE(header.length, 8);
  start.writeUInt32LE(16 + header.length + offset, 12);
  return Buffer.concat([start, header, ...blobs]);
}

function iconSvg(set: IconSet, style: IconStyle, noun: Noun): string {
  const icon = noun.icons.map((name) => set.icons[name]).find((found) => found !== undefined);
  if (icon === undefined) throw new Error(`@commlm/icons/${style}.json has none of: ${noun.icons.join(', ')}`);
  const { width = set.width, height = set.height, left = 0, top = 0, body } = icon;
  return svgDocument(`${left} ${top} ${width} ${height}`, width / height, body);
}

function svgDocument(viewBox: string, aspect: number, body: string): string {
  const width = Math.round(aspect >= 1 ? RASTER : RASTER * aspect);
  const height = Math.round(aspect >= 1 ? RASTER / aspect : RASTER);
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ` +
    `viewBox="${viewBox}" width="${width}" height="${height}">${body}</svg>`
  );
}

const SHAPE_PATHS: Readonly<Record<string, string>> = {
  circle: '<circle cx="50" cy="50" r="44"/>',
  square: '<rect x="8" y="8" width="84" height="84"/>',
  triangle: '<path d="M50 8 L95 90 L5 90 Z"/>',
  diamond: '<path d="M50 4 L86 50 L50 96 L14 50 Z"/>',
  star: '<path d="M50.0 5.0 L61.5 36.2 L94.7 37.5 L68.5 58.0 L77.6 90.0 L50.0 71.5 L22.4 90.0 L31.5 58.0 L5.3 37.5 L38.5 36.2 Z"/>',
  heart:
    '<path d="M50 90 C20 66 6 50 6 32 C6 17 17 8 29 8 C38 8 46 13 50 22 C54 13 62 8 71 8 C83 8 94 17 94 32 C94 50 80 66 50 90 Z"/>',
};

/** White shape, to be multiplied by a colour; the outlined form has a black edge that stays black. */
function shapeSvg(name: string, outlined: boolean): string {
  const edge = outlined ? 'stroke="#000" stroke-width="5" stroke-linejoin="round"' : '';
  return svgDocument('0 0 100 100', 1, `<g fill="#fff" ${edge}>${SHAPE_PATHS[name] ?? ''}</g>`);
}

interface DrawnSprite {
  aspect: number;
  hull: number[];
  mask: string;
  levels: SpriteLevel[];
}

async function drawSprite(svg: string): Promise<DrawnSprite> {
  const { default: sharp } = await import('sharp');
  const raster = await sharp(Buffer.from(svg)).ensureAlpha().raw().toBuffer({ resolveWithObject: true });
  const { width, height } = raster.info;
  const { left, top, right, bottom } = visibleExtent(raster.data, width, height);
  const cropWidth = right - left;
  const cropHeight = bottom - top;
  const longest = Math.max(cropWidth, cropHeight);
  const crop = await sharp(raster.data, { raw: { width, height, channels: 4 } })
    .extract({ left, top, width: cropWidth, height: cropHeight })
    .raw()
    .toBuffer();
  const levels: SpriteLevel[] = [];
  for (const side of SPRITE_LEVELS) {
    const levelWidth = Math.max(1, Math.round((cropWidth * side) / longest));
    const levelHeight = Math.max(1, Math.round((cropHeight * side) / longest));
    const pixels = await sharp(crop, { raw: { width: cropWidth, height: cropHeight, channels: 4 } })
      .resize(levelWidth, levelHeight, { fit: 'fill', kernel: 'lanczos3' })
      .raw()
      .toBuffer();
    levels.push({
      width: levelWidth,
      height: levelHeight,
      data: premultiplyWithBorder(pixels, levelWidth, levelHeight),
    });
  }
  const hull = convexHull(crop, cropWidth, cropHeight);
  return { aspect: cropWidth / cropHeight, hull, mask: coarseMask(crop, cropWidth, cropHeight), levels };
}

function visibleExtent(data: Uint8Array, width: number, height: number) {
  let left = width;
  let top = height;
  let right = 0;
  let bottom = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (data[(y * width + x) * 4 + 3]! < VISIBLE_ALPHA) continue;
      if (x < left) left = x;
      if (x + 1 > right) right = x + 1;
      if (y < top) top = y;
      bottom = y + 1;
    }
  }
  if (right <= left) throw new Error('an icon is fully transparent');
  return { left, top, right, bottom };
}

function premultiplyWithBorder(pixels: Uint8Array, width: number, height: number): Uint8Array {
  const stride = (width + 2) * 4;
  const out = new Uint8Array(stride * (height + 2));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * width + x) * 4;
      const to = (y + 1) * stride + (x + 1) * 4;
      const alpha = pixels[from + 3]!;
      for (let c = 0; c < 3; c++) out[to + c] = Math.round((pixels[from + c]! * alpha) / 255);
      out[to + 3] = alpha;
    }
  }
  return out;
}

function coarseMask(data: Uint8Array, width: number, height: number): string {
  let mask = '';
  for (let row = 0; row < MASK_SIDE; row++) {
    for (let column = 0; column < MASK_SIDE; column++) {
      const x0 = Math.floor((column * width) / MASK_SIDE);
      const x1 = Math.max(x0 + 1, Math.floor(((column + 1) * width) / MASK_SIDE));
      const y0 = Math.floor((row * height) / MASK_SIDE);
      const y1 = Math.max(y0 + 1, Math.floor(((row + 1) * height) / MASK_SIDE));
      let sum = 0;
      for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) sum += data[(y * width + x) * 4 + 3]!;
      mask += sum / ((x1 - x0) * (y1 - y0)) >= 100 ? '1' : '0';
    }
  }
  return mask;
}

/** Andrew's monotone chain over the ends of every row, in -0.5..0.5 of the box. */
function convexHull(data: Uint8Array, width: number, height: number): number[] {
  const points: [number, number][] = [];
  for (let y = 0; y < height; y++) {
    let first = -1;
    let last = -1;
    for (let x = 0; x < width; x++) {
      if (data[(y * width + x) * 4 + 3]! < VISIBLE_ALPHA) continue;
      if (first < 0) first = x;
      last = x + 1;
    }
    if (first < 0) continue;
    points.push([first, y], [last, y], [first, y + 1], [last, y + 1]);
  }
  points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const half = (ordered: [number, number][]) => {
    const chain: [number, number][] = [];
    for (const point of ordered) {
      while (chain.length >= 2 && turn(chain[chain.length - 2], chain[chain.length - 1], point) <= 0) chain.pop();
      chain.push(point);
    }
    chain.pop();
    return chain;
  };
  const hull = [...half(points), ...half([...points].reverse())];
  return hull.flatMap(([x, y]) => [Number((x / width - 0.5).toFixed(5)), Number((y / height - 0.5).toFixed(5))]);
}

function turn(a: [number, number] | undefined, b: [number, number] | undefined, c: [number, number]): number {
  if (!a || !b) return 1;
  return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
}
