/**
 * Augmentations, deterministic by seed: on single drawings (hue, pencil outline, flat colours) and on the whole
 * picture (brightness, contrast, colour, grey, posterise, blur, noise). Meant to carry over to unseen drawing styles.
 */

import type { AugmentLevel } from '../../config/world.js';
import type { SceneObject } from './placement.js';
import { Random } from './random.js';

export type { AugmentLevel };

/** How one drawing is repainted; shapes keep their hue because their colour is asked for. */
export interface SpritePaint {
  /** Row-major 3 x 3 colour matrix, or null to keep the colours. */
  readonly matrix: readonly number[] | null;
  /** Width of dark lines along edges as a share of the drawing's size, 0 for none. */
  readonly outline: number;
  /** Share by which the inside is moved towards `fill`: 0 keeps it, 1 is one flat colour. */
  readonly wash: number;
  readonly fill: readonly [number, number, number];
  /** Steps a channel is reduced to, 0 for all. */
  readonly steps: number;
}

const INK: readonly [number, number, number] = [20, 20, 24];

/** Draws how each object of a scene is repainted; undefined entries stay as they are. */
export function drawPaints(
  objects: readonly SceneObject[],
  level: AugmentLevel,
  seed: number,
): (SpritePaint | undefined)[] {
  const rng = new Random(seed, `paint/${level}`);
  const strong = level === 'strong';
  const outlineAll = rng.chance(strong ? 0.3 : 0.08);
  return objects.map((object) => {
    const isShape = object.category === 'shape';
    const hue = rng.chance(strong ? 0.35 : 0.1) && !isShape ? rng.range(-Math.PI, Math.PI) : 0;
    const saturation = isShape ? 1 : strong ? rng.range(0.4, 1.5) : rng.range(0.8, 1.2);
    const outlined = outlineAll || rng.chance(strong ? 0.12 : 0.02);
    const outline = outlined ? rng.range(0.015, 0.035) : 0;
    const washed = outlined && !isShape && rng.chance(0.4);
    const wash = washed ? rng.range(0.3, 1) : 0;
    const fill = rng.chance(0.5)
      ? ([255, 255, 255] as const)
      : ([rng.range(120, 255), rng.range(120, 255), rng.range(120, 255)] as const);
    const steps = strong && !isShape && rng.chance(0.25) ? 2 + rng.int(4) : 0;
    const matrix = isShape ? null : colorMatrix(hue, saturation);
    return { matrix, outline, wash, fill, steps };
  });
}

/** Rotation about the grey axis after scaling the distance from it. */
function colorMatrix(hue: number, saturation: number): number[] {
  const cos = Math.cos(hue);
  const sin = Math.sin(hue);
  const third = (1 - cos) / 3;
  const skew = sin / Math.sqrt(3);
  const rotation = [
    cos + third,
    third - skew,
    third + skew,
    third + skew,
    cos + third,
    third - skew,
    third - skew,
    third + skew,
    cos + third,
  ];
  const grey = [0.299, 0.587, 0.114];
  return rotation.map((value, i) => {
    const base = grey[i % 3]!;
    return base + (value - base) * saturation;
  });
}

/** Repaints a premultiplied RGBA layer in place; `size` is the drawing's longest side in pixels. */
export function stylise(layer: Uint8Array, width: number, height: number, size: number, paint: SpritePaint): void {
  const edges = paint.outline > 0 ? findEdges(layer, width, height, Math.max(0.6, paint.outline * size)) : undefined;
  const { matrix, wash, fill, steps } = paint;
  for (let at = 0, pixel = 0; at < layer.length; at += 4, pixel++) {
    const alpha = layer[at + 3]!;
    if (alpha === 0) continue;
    let r = layer[at]!;
    let g = layer[at + 1]!;
    let b = layer[at + 2]!;
    if (matrix) {
      const [m0, m1, m2, m3, m4, m5, m6, m7, m8] = matrix as [
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
      ];
      [r, g, b] = [r * m0 + g * m1 + b * m2, r * m3 + g * m4 + b * m5, r * m6 + g * m7 + b * m8];
    }
    if (steps > 0) {
      const quantum = alpha / steps;
      r = Math.round(r / quantum) * quantum;
      g = Math.round(g / quantum) * quantum;
      b = Math.round(b / quantum) * quantum;
    }
    if (wash > 0) {
      r += ((fill[0] * alpha) / 255 - r) * wash;
      g += ((fill[1] * alpha) / 255 - g) * wash;
      b += ((fill[2] * alpha) / 255 - b) * wash;
    }
    const ink = edges ? edges[pixel]! / 255 : 0;
    if (ink > 0) {
      r += ((INK[0] * alpha) / 255 - r) * ink;
      g += ((INK[1] * alpha) / 255 - g) * ink;
      b += ((INK[2] * alpha) / 255 - b) * ink;
    }
    layer[at] = clamp(r, alpha);
    layer[at + 1] = clamp(g, alpha);
    layer[at + 2] = clamp(b, alpha);
  }
}

function clamp(value: number, high: number): number {
  return value < 0 ? 0 : value > high ? high : value + 0.5;
}

/** Strength of ink 0..255 where alpha or brightness changes over `reach` pixels. */
function findEdges(layer: Uint8Array, width: number, height: number, reach: number): Uint8Array {
  const edges = new Uint8Array(width * height);
  const step = Math.max(1, Math.round(reach));
  const brightness = (x: number, y: number) => {
    if (x < 0 || y < 0 || x >= width || y >= height) return -255;
    const at = (y * width + x) * 4;
    const alpha = layer[at + 3]!;
    return layer[at]! * 0.3 + layer[at + 1]! * 0.59 + layer[at + 2]! * 0.11 - 255 + alpha;
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (layer[(y * width + x) * 4 + 3] === 0) continue;
      const dx = brightness(x + step, y) - brightness(x - step, y);
      const dy = brightness(x, y + step) - brightness(x, y - step);
      const strength = (Math.sqrt(dx * dx + dy * dy) - 45) * 3;
      edges[y * width + x] = strength <= 0 ? 0 : Math.min(strength, 255);
    }
  }
  return edges;
}

/**
 * Changes the picture part of an RGB buffer in place; the padding around it stays white. With `keepColors` the changes
 * stay small enough for colour names to remain true.
 */
export function augmentPicture(
  data: Uint8Array,
  stride: number,
  left: number,
  top: number,
  width: number,
  height: number,
  level: AugmentLevel,
  seed: number,
  keepColors: boolean,
): void {
  if (level === 'none') return;
  const rng = new Random(seed, `picture/${level}`);
  const strong = level === 'strong';
  const spread = strong ? (keepColors ? 0.15 : 0.3) : 0.1;
  const contrast = 1 + rng.range(-spread, spread);
  const brightness = rng.range(-spread, spread) * 110;
  const balance = [0, 1, 2].map(() => 1 + rng.range(-spread, spread) * 0.35);
  const grey = rng.chance(strong ? 0.12 : 0.02) && !keepColors ? rng.range(0.6, 1) : 0;
  const steps = strong && rng.chance(0.1) && !keepColors ? 3 + rng.int(5) : 0;
  const noise = rng.chance(strong ? 0.25 : 0.1) ? rng.range(2, strong ? 16 : 6) : 0;
  if (rng.chance(strong ? 0.25 : 0.15)) blur(data, stride, left, top, width, height);
  const tables = balance.map((gain) => {
    const table = new Float32Array(256);
    for (let i = 0; i < 256; i++) {
      const value = ((i - 128) * contrast + 128 + brightness) * gain;
      table[i] = steps > 0 ? Math.round((value / 255) * steps) * (255 / steps) : value;
    }
    return table;
  }) as [Float32Array, Float32Array, Float32Array];
  for (let y = 0; y < height; y++) {
    let at = ((top + y) * stride + left) * 3;
    for (let x = 0; x < width; x++, at += 3) {
      let r = tables[0][data[at]!] as number;
      let g = tables[1][data[at + 1]!] as number;
      let b = tables[2][data[at + 2]!] as number;
      if (grey > 0) {
        const mean = r * 0.3 + g * 0.59 + b * 0.11;
        r += (mean - r) * grey;
        g += (mean - g) * grey;
        b += (mean - b) * grey;
      }
      if (noise > 0) {
        const bits = rng.uint32();
        r += ((bits & 255) - 127.5) * (noise / 74);
        g += (((bits >>> 8) & 255) - 127.5) * (noise / 74);
        b += (((bits >>> 16) & 255) - 127.5) * (noise / 74);
      }
      data[at] = clamp(r, 255);
      data[at + 1] = clamp(g, 255);
      data[at + 2] = clamp(b, 255);
    }
  }
}

/** 1-2-1 filter over rows and columns, inside the picture only. */
function blur(data: Uint8Array, stride: number, left: number, top: number, width: number, height: number): void {
  const pass = (start: number, count: number, step: number) => {
    for (let c = 0; c < 3; c++) {
      let before = data[start + c]!;
      let here = before;
      for (let i = 0, at = start + c; i < count; i++, at += step) {
        const after = i + 1 < count ? data[at + step]! : here;
        data[at] = (before + 2 * here + after + 2) >> 2;
        before = here;
        here = after;
      }
    }
  };
  for (let y = 0; y < height; y++) pass(((top + y) * stride + left) * 3, width, 3);
  for (let x = 0; x < width; x++) pass((top * stride + left + x) * 3, height, stride * 3);
}
