/** Draws the boxes of an answer on its picture: coloured frames with the label on a chip of the same colour. */
import type { Sharp } from 'sharp';
import { anything, checkOptions } from '../config/check-options.js';
import { CommError } from '../config/errors.js';
import type { RgbImage } from './pixels.js';
import { checkPixels } from './pixels.js';
import { strokeText } from './stroke-font.js';

/** A box to draw, in pixels of the picture. */
export interface LabelledBox {
  readonly label?: string | undefined;
  readonly box: readonly [x1: number, y1: number, x2: number, y2: number];
}

/** How the drawn picture is written. */
export interface DrawOptions {
  /** `png` (default), `jpg`, `jpeg` or `webp`. */
  readonly format?: string | undefined;
}

/** The colours of boxes, one after the other and again from the start. */
export const BOX_COLORS = [
  '#e6194b',
  '#3cb44b',
  '#4363d8',
  '#f58231',
  '#911eb4',
  '#00a5b5',
  '#f032e6',
  '#808000',
  '#9a6324',
] as const;

interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Draws the boxes and returns the bytes of a picture file; throws `image/format` for a format that is not written. */
export async function drawBoxes(
  image: RgbImage,
  boxes: readonly LabelledBox[],
  options: DrawOptions = {},
): Promise<Uint8Array> {
  checkOptions(options, { format: anything }, { what: 'The options of a drawing' });
  checkPixels(image);
  const raw = { width: image.width, height: image.height, channels: 3 } as const;
  const overlay = Buffer.from(boxesAsSvg(image.width, image.height, boxes));
  const { default: sharp } = await import('sharp');
  const drawn = await sharp(image.data, { raw, limitInputPixels: false })
    .composite([{ input: overlay, top: 0, left: 0 }])
    .removeAlpha()
    .raw()
    .toBuffer();
  return encodePicture({ width: image.width, height: image.height, data: drawn }, options.format);
}

/** Pixels as the bytes of a PNG, JPEG or WebP file; throws `image/format` for any other format. */
export async function encodePicture(image: RgbImage, format = 'png'): Promise<Uint8Array> {
  const { width, height, data } = checkPixels(image);
  const { default: sharp } = await import('sharp');
  const pixels = sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false });
  return writeAs(pixels, format.toLowerCase()).toBuffer();
}

function writeAs(pixels: Sharp, format: string): Sharp {
  switch (format) {
    case 'png':
      return pixels.png();
    case 'jpg':
    case 'jpeg':
      return pixels.jpeg({ quality: 92, chromaSubsampling: '4:4:4' });
    case 'webp':
      return pixels.webp({ quality: 92 });
    default:
      throw new CommError(`Pictures are not written as "${format}".`, {
        code: 'image/format',
        fix: 'Use png, jpg or webp.',
      });
  }
}

/** The frames and chips as an SVG of the picture's size. */
export function boxesAsSvg(width: number, height: number, boxes: readonly LabelledBox[]): string {
  const style = styleFor(width, height);
  const placed: Rect[] = [];
  const frames: string[] = [];
  const chips: string[] = [];
  boxes.forEach(({ box, label }, index) => {
    const color = BOX_COLORS[index % BOX_COLORS.length]!;
    const frame = frameRect(box, width, height);
    frames.push(frameSvg(frame, color, style.line));
    if (label === undefined || label.trim() === '') return;
    const chip = placeChip(frame, chipSize(label, width, style), placed, width, height);
    placed.push(chip);
    chips.push(chipSvg(label, chip, color, style));
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${frames.join('')}${chips.join('')}</svg>`;
}

/** A line of text in a place of a picture, in pixels. */
export interface PlacedText {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The pixels of a picture with dark lines of text on it, each cut where it is wider than its place. */
export async function drawLabels(image: RgbImage, texts: readonly PlacedText[]): Promise<Uint8Array> {
  const { width, height, data } = checkPixels(image);
  const lines = texts.map(({ text, x, y, width: room, height: line }) => {
    // Capitals are 8 units high, descenders reach to 10.5.
    const unit = line / 14;
    const letters = lettersSvg(text, room / unit);
    return `<g transform="translate(${number(x + unit)} ${number(y + 1.5 * unit)}) scale(${number(unit)})" ${INK} stroke="#222">${letters}</g>`;
  });
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${lines.join('')}</svg>`;
  const { default: sharp } = await import('sharp');
  return sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false })
    .composite([{ input: Buffer.from(svg), top: 0, left: 0 }])
    .removeAlpha()
    .raw()
    .toBuffer();
}

/** How letters are drawn, in units of their grid. */
const INK = 'fill="none" stroke-width="1.15" stroke-linecap="round" stroke-linejoin="round"';

/** The letters of a line, cut to a width in units of the grid. */
const lettersSvg = (text: string, room: number): string =>
  strokeText(shorten(text, room))
    .letters.map(({ path, x }) => `<path transform="translate(${number(x)} 0)" d="${path}"/>`)
    .join('');

interface Style {
  /** Width of a frame's line in pixels. */
  readonly line: number;
  /** Pixels of one unit of the font's grid. */
  readonly unit: number;
  /** Space between the letters and the edge of a chip, in pixels. */
  readonly inset: number;
}

function styleFor(width: number, height: number): Style {
  const short = Math.min(width, height);
  const unit = Math.max(1.15, short / 340);
  return { line: Math.max(3, Math.round(short / 150)), unit, inset: 3.2 * unit };
}

function frameRect([x1, y1, x2, y2]: LabelledBox['box'], width: number, height: number): Rect {
  const left = Math.min(Math.max(Math.min(x1, x2), 0), width);
  const top = Math.min(Math.max(Math.min(y1, y2), 0), height);
  const right = Math.min(Math.max(x1, x2, 0), width);
  const bottom = Math.min(Math.max(y1, y2, 0), height);
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/**
 * The line lies inside of the box, so that boxes at the edge are whole; a light rim and a dark one around that keep it apart
 * from any picture, also from one of its own colour.
 */
function frameSvg({ x, y, width, height }: Rect, color: string, line: number): string {
  const rim = Math.max(1, line / 3);
  const inset = line / 2 + Math.min(2 * rim, Math.min(width, height) / 8);
  const place = `x="${number(x + inset)}" y="${number(y + inset)}" width="${number(Math.max(0.1, width - 2 * inset))}" height="${number(Math.max(0.1, height - 2 * inset))}" rx="${line}" fill="none"`;
  return (
    `<rect ${place} stroke="#000" stroke-width="${number(line + 4 * rim)}"/>` +
    `<rect ${place} stroke="#fff" stroke-width="${number(line + 2 * rim)}"/>` +
    `<rect ${place} stroke="${color}" stroke-width="${line}"/>`
  );
}

function chipSize(label: string, imageWidth: number, style: Style): { width: number; height: number } {
  const textWidth = strokeText(label).width * style.unit;
  return { width: Math.min(textWidth + 2 * style.inset, imageWidth), height: 8 * style.unit + 2 * style.inset };
}

/** Above the box if there is room, else inside at its top, below, or inside at its bottom: the first place that is free. */
function placeChip(
  box: Rect,
  size: { width: number; height: number },
  placed: readonly Rect[],
  imageWidth: number,
  imageHeight: number,
): Rect {
  const x = Math.min(box.x, imageWidth - size.width);
  const rows = [box.y - size.height, box.y, box.y + box.height, box.y + box.height - size.height];
  const inside = rows.filter((y) => y >= 0 && y + size.height <= imageHeight).map((y) => ({ x, y, ...size }));
  const fallback = { x, y: Math.max(0, Math.min(box.y, imageHeight - size.height)), ...size };
  return inside.find((chip) => !placed.some((other) => overlap(chip, other))) ?? inside[0] ?? fallback;
}

function overlap(a: Rect, b: Rect): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

function chipSvg(label: string, chip: Rect, color: string, { unit, inset }: Style): string {
  const room = (chip.width - 2 * inset) / unit;
  const letters = lettersSvg(label, room);
  const ink = luminance(color) > 0.5 ? '#000' : '#fff';
  return (
    `<rect x="${number(chip.x)}" y="${number(chip.y)}" width="${number(chip.width)}" height="${number(chip.height)}" rx="${number(unit * 1.5)}" fill="${color}"/>` +
    `<g transform="translate(${number(chip.x + inset)} ${number(chip.y + inset)}) scale(${number(unit)})" ${INK} stroke="${ink}">${letters}</g>`
  );
}

/** The label, cut with two dots where it is wider than the room. */
function shorten(label: string, room: number): string {
  // A little slack, as the room was computed from the same width.
  if (strokeText(label).width <= room + 1e-6) return label;
  const letters = [...label];
  while (letters.length > 0 && strokeText(`${letters.join('')}..`).width > room) letters.pop();
  return `${letters.join('')}..`;
}

function luminance(color: string): number {
  const value = Number.parseInt(color.slice(1), 16);
  return (0.299 * (value >> 16) + 0.587 * ((value >> 8) & 255) + 0.114 * (value & 255)) / 255;
}

function number(value: number): string {
  return String(Math.round(value * 100) / 100);
}
