/** Painting a scene: background, then the sprites from back to front, at any size, in plain typed arrays. */

import { type AugmentLevel, augmentPicture, drawPaints, type SpritePaint, stylise } from './augment.js';
import { paintBackground } from './background.js';
import type { SceneObject } from './placement.js';
import type { Scene } from './scene.js';
import type { Sprite, SpriteBank, SpriteLevel } from './sprites.js';
import { COLORS } from './vocabulary.js';

/** 8-bit RGB picture, rows from the top, `data[(y * width + x) * 3 + channel]`. */
export interface WorldPicture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

export interface RenderOptions {
  /** Long side in pixels; default the scene's own. */
  readonly size?: number;
  /** Strength of the augmentations, default none. */
  readonly augment?: AugmentLevel;
  /** Seed of the augmentations, default the scene's. */
  readonly augmentSeed?: number;
}

/** Paints the scene at the wanted long side. */
export function renderScene(scene: Scene, bank: SpriteBank, options: RenderOptions = {}): WorldPicture {
  const { width, height } = renderedSize(scene, options.size ?? Math.max(scene.width, scene.height));
  const data = new Uint8Array(width * height * 3);
  paintInto(data, width, 0, 0, width, height, scene, bank, options);
  return { width, height, data };
}

/**
 * Paints the scene with long side `side`, centred on a white square (offset by floor division, as Shikra pads):
 * uint8[side, side, 3].
 */
export function renderPadded(
  scene: Scene,
  bank: SpriteBank,
  side: number,
  options: Omit<RenderOptions, 'size'> = {},
): Uint8Array {
  const { width, height } = renderedSize(scene, side);
  const data = new Uint8Array(side * side * 3);
  if (width !== height) data.fill(255);
  paintInto(data, side, (side - width) >> 1, (side - height) >> 1, width, height, scene, bank, options);
  return data;
}

/** Size of the scene when its long side is `size`. */
export function renderedSize(scene: Scene, size: number): { width: number; height: number } {
  if (!Number.isInteger(size) || size < 8) throw new RangeError(`size must be an integer from 8, got ${size}`);
  const scale = size / Math.max(scene.width, scene.height);
  return { width: Math.round(scene.width * scale), height: Math.round(scene.height * scale) };
}

function paintInto(
  data: Uint8Array,
  stride: number,
  left: number,
  top: number,
  width: number,
  height: number,
  scene: Scene,
  bank: SpriteBank,
  options: RenderOptions,
): void {
  paintBackground(scene.background, data, stride, left, top, width, height);
  const target: Target = { data, stride, left, top, width, height, scale: width / scene.width };
  const level = options.augment ?? 'none';
  const seed = options.augmentSeed ?? scene.seed;
  const paints = level === 'none' ? [] : drawPaints(scene.objects, level, seed);
  for (const [i, object] of scene.objects.entries()) {
    paintSprite(target, bank.sprite(object.noun, object.style), object, paints[i]);
  }
  if (level === 'none') return;
  const keepColors = scene.objects.some((object) => object.color !== undefined);
  augmentPicture(data, stride, left, top, width, height, level, seed, keepColors);
}

interface Target {
  data: Uint8Array;
  stride: number;
  left: number;
  top: number;
  width: number;
  height: number;
  /** Pixels per scene pixel. */
  scale: number;
}

/** The smallest stored size that holds at least the wanted detail; bilinear sampling then averages at most 2 x 2 texels. */
function levelFor(sprite: Sprite, need: number): SpriteLevel {
  let chosen = sprite.levels[0]!;
  for (const level of sprite.levels) if (Math.max(level.width, level.height) >= need * 0.95) chosen = level;
  return chosen;
}

function paintSprite(target: Target, sprite: Sprite, object: SceneObject, paint: SpritePaint | undefined): void {
  const { scale } = target;
  const x1 = Math.max(0, Math.floor(object.box[0] * scale) - 2);
  const y1 = Math.max(0, Math.floor(object.box[1] * scale) - 2);
  const x2 = Math.min(target.width, Math.ceil(object.box[2] * scale) + 2);
  const y2 = Math.min(target.height, Math.ceil(object.box[3] * scale) + 2);
  const width = x2 - x1;
  const height = y2 - y1;
  const layer = new Uint8Array(width * height * 4);
  const need = Math.max(object.place.width, object.place.height) * scale;
  sampleSprite(levelFor(sprite, need), object, scale, x1, y1, width, height, layer);
  if (object.color) tint(layer, COLORS[object.color]);
  if (paint) stylise(layer, width, height, need, paint);
  blend(target, layer, x1, y1, width, height);
}

/** Samples the drawing into a premultiplied layer whose top left pixel is `x1, y1` of the target. */
function sampleSprite(
  level: SpriteLevel,
  object: SceneObject,
  scale: number,
  x1: number,
  y1: number,
  width: number,
  height: number,
  layer: Uint8Array,
): void {
  const radians = (object.rotation * Math.PI) / 180;
  const cos = Math.cos(radians);
  const sin = Math.sin(radians);
  const texelsX = (level.width / (object.place.width * scale)) * (object.flip ? -1 : 1);
  const texelsY = level.height / (object.place.height * scale);
  const [ux, uy, vx, vy] = [cos * texelsX, sin * texelsX, -sin * texelsY, cos * texelsY];
  const source = level.data;
  const stride = (level.width + 2) * 4;
  // Texel centres lie at .5 and the border shifts them by one: position p in texels is between rows p + .5 and p + 1.5.
  const maxU = level.width + 1;
  const maxV = level.height + 1;
  const dx0 = x1 + 0.5 - object.place.x * scale;
  for (let row = 0; row < height; row++) {
    const dy = y1 + row + 0.5 - object.place.y * scale;
    let u = dx0 * ux + dy * uy + level.width / 2 + 0.5;
    let v = dx0 * vx + dy * vy + level.height / 2 + 0.5;
    let at = row * width * 4;
    for (let column = 0; column < width; column++, u += ux, v += vx, at += 4) {
      if (u < 0 || v < 0 || u >= maxU || v >= maxV) continue;
      const iu = u | 0;
      const iv = v | 0;
      const fu = u - iu;
      const fv = v - iv;
      const p = iv * stride + iu * 4;
      const q = p + stride;
      const wa = (1 - fu) * (1 - fv);
      const wb = fu * (1 - fv);
      const wc = (1 - fu) * fv;
      const wd = fu * fv;
      for (let c = 0; c < 4; c++) {
        layer[at + c] =
          source[p + c]! * wa + source[p + c + 4]! * wb + source[q + c]! * wc + source[q + c + 4]! * wd + 0.5;
      }
    }
  }
}

function tint(layer: Uint8Array, color: readonly [number, number, number]): void {
  const [r, g, b] = color;
  for (let at = 0; at < layer.length; at += 4) {
    if (layer[at + 3] === 0) continue;
    layer[at] = (layer[at]! * r) / 255 + 0.5;
    layer[at + 1] = (layer[at + 1]! * g) / 255 + 0.5;
    layer[at + 2] = (layer[at + 2]! * b) / 255 + 0.5;
  }
}

function blend(target: Target, layer: Uint8Array, x1: number, y1: number, width: number, height: number): void {
  const { data } = target;
  for (let row = 0; row < height; row++) {
    let from = row * width * 4;
    let to = ((target.top + y1 + row) * target.stride + target.left + x1) * 3;
    for (let column = 0; column < width; column++, from += 4, to += 3) {
      const alpha = layer[from + 3]!;
      if (alpha === 0) continue;
      const rest = (255 - alpha) / 255;
      data[to] = Math.min(255, layer[from]! + data[to]! * rest + 0.5);
      data[to + 1] = Math.min(255, layer[from + 1]! + data[to + 1]! * rest + 0.5);
      data[to + 2] = Math.min(255, layer[from + 2]! + data[to + 2]! * rest + 0.5);
    }
  }
}
