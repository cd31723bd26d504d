/** The same scene drawn once more: another background, other icon sets, things turned and moved a little. */

import { type Background, contrastWith, makeBackground } from './background.js';
import {
  coverBy,
  hullExtents,
  MIN_CONTRAST,
  MIN_VISIBLE,
  type Placed,
  ROTATED_SHARE,
  type SceneObject,
  toObject,
} from './placement.js';
import { Random } from './random.js';
import { drawIconStyle, hasReservedCombination, type Scene } from './scene.js';
import { MASK_SIDE, type SpriteBank } from './sprites.js';
import { COLORS, nounOf, type SpriteStyle } from './vocabulary.js';

export interface RedrawOptions {
  readonly bank: SpriteBank;
  /** How far a thing may move along each axis, as a share of its longest side. */
  readonly shift: number;
  /** Largest rotation of a thing in degrees, default 12. */
  readonly maxRotation?: number;
}

/** Draws before the things stay as they are and the background alone is new. */
const ATTEMPTS = 12;
const BACKGROUNDS = 20;

/**
 * The same things at about the same places, in the same order, on another background: icons come from another set wherever the
 * scene's choice of styles has one, and every thing is turned anew and moved by up to `shift`; colours of shapes and mirrored
 * things stay. Pure: one scene and one `shift` give one redrawing. It keeps the promise of the scene's split. Where no such
 * placement is found the things are as they were.
 */
export function redrawScene(scene: Scene, { bank, shift, maxRotation = 12 }: RedrawOptions): Scene {
  const rng = new Random(scene.seed, `redraw/${scene.split}`);
  const background = drawBackground(rng, scene.objects);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const placed: Placed[] = [];
    // The last draws move less, so that crowded scenes are redrawn too.
    const reach = shift * (1 - attempt / ATTEMPTS);
    const fits = scene.objects.every((object) => {
      const style = otherStyle(rng, object, scene);
      const item = replace(rng, object, style, scene, { bank, shift: reach, maxRotation });
      const covers = coverBy(placed, item, MIN_VISIBLE);
      placed.push(item);
      return covers;
    });
    if (!fits) continue;
    const redrawn = { ...scene, background, objects: placed.map(toObject) };
    if (hasReservedCombination(redrawn) === (scene.split === 'test')) return redrawn;
  }
  return { ...scene, background };
}

/** A background that coloured shapes stand out from; of several that none fits, the last. */
function drawBackground(rng: Random, objects: readonly SceneObject[]): Background {
  const colors = objects.flatMap(({ color }) => (color === undefined ? [] : [COLORS[color]]));
  let background = makeBackground(rng);
  for (let i = 1; i < BACKGROUNDS; i++) {
    if (colors.every((color) => contrastWith(background, color) >= MIN_CONTRAST)) break;
    background = makeBackground(rng);
  }
  return background;
}

function otherStyle(rng: Random, { category, style }: SceneObject, scene: Scene): SpriteStyle {
  if (category === 'shape') return style;
  for (let i = 0; i < BACKGROUNDS; i++) {
    const drawn = drawIconStyle(rng, scene.style);
    if (drawn !== style) return drawn;
  }
  return style;
}

/** The thing in a style, as large as before, about where it was, inside the scene. */
function replace(
  rng: Random,
  object: SceneObject,
  style: SpriteStyle,
  scene: Scene,
  { bank, shift, maxRotation }: Required<RedrawOptions>,
): Placed {
  const sprite = bank.sprite(object.noun, style);
  const rotation = rng.chance(ROTATED_SHARE) ? Math.round(rng.range(-maxRotation, maxRotation)) : 0;
  const radians = (rotation * Math.PI) / 180;
  const [cos, sin] = [Math.cos(radians), Math.sin(radians)];
  const [unitWidth, unitHeight] = [Math.min(1, sprite.aspect), Math.min(1, 1 / sprite.aspect)];
  const unit = hullExtents(sprite.hull, unitWidth, unitHeight, cos, sin, object.flip);
  const [spanX, spanY] = [unit[2] - unit[0], unit[3] - unit[1]];
  const [x1, y1, x2, y2] = object.box;
  const longest = Math.max(x2 - x1, y2 - y1);
  const fit = Math.min((scene.width * 0.98) / spanX, (scene.height * 0.98) / spanY);
  const scale = Math.min(longest / Math.max(spanX, spanY), fit);
  const along = (low: number, high: number, from: number, to: number, size: number): number => {
    const middle = (low + high) / 2 + rng.range(-shift, shift) * longest;
    return clamp(middle - ((from + to) / 2) * scale, -from * scale, size - to * scale);
  };
  const x = along(x1, x2, unit[0], unit[2], scene.width);
  const y = along(y1, y2, unit[1], unit[3], scene.height);
  const box: Placed['box'] = [x + unit[0] * scale, y + unit[1] * scale, x + unit[2] * scale, y + unit[3] * scale];
  return {
    subject: { ...object, noun: nounOf(object.noun), style },
    ...{
      sprite,
      x,
      y,
      width: unitWidth * scale,
      height: unitHeight * scale,
      cos,
      sin,
      rotation,
      flip: object.flip,
      box,
    },
    covered: new Uint8Array(MASK_SIDE * MASK_SIDE),
    numCovered: 0,
    numCells: sprite.mask.reduce((sum, cell) => sum + cell, 0),
  };
}

function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}
