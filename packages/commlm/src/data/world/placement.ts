/** Where a thing stands in a scene: the box of its drawing, what it hides and what hides it. */

import { MASK_SIDE, type Sprite } from './sprites.js';
import { type Category, type ColorName, type Noun, nounOf, type SpriteStyle } from './vocabulary.js';

/** `[x1, y1, x2, y2]` in pixels of the scene. */
export type PixelBox = readonly [number, number, number, number];

/** One thing in a scene. */
export interface SceneObject {
  readonly noun: string;
  readonly category: Category;
  readonly style: SpriteStyle;
  /** Shapes only. */
  readonly color?: ColorName;
  /** Tight extents of the visible pixels. */
  readonly box: PixelBox;
  /** Centre and unrotated size of the drawing, pixels of the scene. */
  readonly place: { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
  readonly flip: boolean;
  /** Degrees, clockwise. */
  readonly rotation: number;
  /** Drawing order; higher lies in front. Equals the index in `objects`. */
  readonly z: number;
  /** Share of the drawing that nothing in front covers, measured on the coarse mask. */
  readonly visible: number;
}

/** Every object is visible to at least this share. */
export const MIN_VISIBLE = 0.6;
/** Share of the things that are turned, and how far a coloured shape's colour lies from the background's, in RGB units. */
export const ROTATED_SHARE = 0.4;
export const MIN_CONTRAST = 95;

/** What is drawn: a noun in a style, shapes in a colour. */
export interface Subject {
  noun: Noun;
  style: SpriteStyle;
  color?: ColorName;
}
/** A drawing at its place, pixels of the scene. */
export interface Placed {
  subject: Subject;
  sprite: Sprite;
  x: number;
  y: number;
  width: number;
  height: number;
  cos: number;
  sin: number;
  rotation: number;
  flip: boolean;
  box: [number, number, number, number];
  /** Coarse-mask cells that something in front hides. */
  covered: Uint8Array;
  numCovered: number;
  numCells: number;
}

/** Extents of the hull around the centre, for a drawing of `width x height`. */
export function hullExtents(
  hull: Float32Array,
  width: number,
  height: number,
  cos: number,
  sin: number,
  flip: boolean,
): [number, number, number, number] {
  let [x1, y1, x2, y2] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < hull.length; i += 2) {
    const u = (flip ? -hull[i]! : hull[i]!) * width;
    const v = hull[i + 1]! * height;
    const x = u * cos - v * sin;
    const y = u * sin + v * cos;
    if (x < x1) x1 = x;
    if (x > x2) x2 = x;
    if (y < y1) y1 = y;
    if (y > y2) y2 = y;
  }
  return [x1, y1, x2, y2];
}

/**
 * Puts `front` over what is placed and books the covered cells; false, with nothing booked, when something would be
 * hidden too much or lose an edge of its box.
 */
export function coverBy(placed: readonly Placed[], front: Placed, bound: number): boolean {
  const changes: { behind: Placed; covered: Uint8Array; numCovered: number }[] = [];
  for (const behind of placed) {
    const [a, b] = [behind.box, front.box];
    if (a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1]) continue;
    const covered = behind.covered.slice();
    const numCovered = behind.numCovered + markCovered(behind, front, covered);
    if (numCovered === behind.numCovered) continue;
    if (1 - numCovered / behind.numCells < bound || losesEdge(behind, covered)) return false;
    changes.push({ behind, covered, numCovered });
  }
  for (const { behind, covered, numCovered } of changes) Object.assign(behind, { covered, numCovered });
  return true;
}

function cellCentre(item: Placed, row: number, column: number): [number, number] {
  const side = (column + 0.5) / MASK_SIDE - 0.5;
  const u = (item.flip ? -side : side) * item.width;
  const v = ((row + 0.5) / MASK_SIDE - 0.5) * item.height;
  return [item.x + u * item.cos - v * item.sin, item.y + u * item.sin + v * item.cos];
}

function markCovered(behind: Placed, front: Placed, covered: Uint8Array): number {
  let added = 0;
  for (let row = 0; row < MASK_SIDE; row++) {
    for (let column = 0; column < MASK_SIDE; column++) {
      const cell = row * MASK_SIDE + column;
      if (!behind.sprite.mask[cell] || covered[cell]) continue;
      const [x, y] = cellCentre(behind, row, column);
      const dx = x - front.x;
      const dy = y - front.y;
      const u = (dx * front.cos + dy * front.sin) / front.width;
      const v = (dy * front.cos - dx * front.sin) / front.height;
      const frontColumn = Math.floor(((front.flip ? -u : u) + 0.5) * MASK_SIDE);
      const frontRow = Math.floor((v + 0.5) * MASK_SIDE);
      if (frontColumn < 0 || frontColumn >= MASK_SIDE || frontRow < 0 || frontRow >= MASK_SIDE) continue;
      if (!front.sprite.mask[frontRow * MASK_SIDE + frontColumn]) continue;
      covered[cell] = 1;
      added++;
    }
  }
  return added;
}

/** Whether the cells left visible span clearly less than all cells do: the box would no longer be tight. */
function losesEdge(item: Placed, covered: Uint8Array): boolean {
  const all = [Infinity, Infinity, -Infinity, -Infinity] as [number, number, number, number];
  const seen = [Infinity, Infinity, -Infinity, -Infinity] as [number, number, number, number];
  for (let row = 0; row < MASK_SIDE; row++) {
    for (let column = 0; column < MASK_SIDE; column++) {
      const cell = row * MASK_SIDE + column;
      if (!item.sprite.mask[cell]) continue;
      const [x, y] = cellCentre(item, row, column);
      widen(all, x, y);
      if (!covered[cell]) widen(seen, x, y);
    }
  }
  const tolerance = (1.2 * Math.max(item.width, item.height)) / MASK_SIDE;
  return (
    seen[0] - all[0] > tolerance ||
    seen[1] - all[1] > tolerance ||
    all[2] - seen[2] > tolerance ||
    all[3] - seen[3] > tolerance
  );
}

function widen(extent: [number, number, number, number], x: number, y: number): void {
  if (x < extent[0]) extent[0] = x;
  if (y < extent[1]) extent[1] = y;
  if (x > extent[2]) extent[2] = x;
  if (y > extent[3]) extent[3] = y;
}

export function toObject(item: Placed, z: number): SceneObject {
  const { noun, style, color } = item.subject;
  const box = item.box.map(round2) as unknown as PixelBox;
  const place = { x: round2(item.x), y: round2(item.y), width: round2(item.width), height: round2(item.height) };
  const visible = round2(1 - item.numCovered / item.numCells);
  const category = nounOf(noun.name).category;
  const { flip, rotation } = item;
  return { noun: noun.name, category, style, ...(color && { color }), box, place, flip, rotation, z, visible };
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}
