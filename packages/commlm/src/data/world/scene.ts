/** Scenes of the synthetic world: which things stand where, drawn from a seed; train and test hold other combinations. */

import { type Background, contrastWith, makeBackground } from './background.js';
import {
  coverBy,
  hullExtents,
  MIN_CONTRAST,
  MIN_VISIBLE,
  type PixelBox,
  type Placed,
  ROTATED_SHARE,
  type SceneObject,
  type Subject,
  toObject,
} from './placement.js';
import { hash32, Random } from './random.js';
import { MASK_SIDE, type SpriteBank } from './sprites.js';
import {
  COLOR_NAMES,
  COLORS,
  type ColorName,
  ICON_NOUNS,
  ICON_STYLES,
  type IconStyle,
  KNOWN_STYLES,
  SHAPE_NOUNS,
  SHIFT_STYLE,
  type Split,
  type SpriteStyle,
  type StyleChoice,
} from './vocabulary.js';

export type { Split } from './vocabulary.js';

/** A picture before it is painted. */
export interface Scene {
  readonly seed: number;
  readonly split: Split;
  readonly style: StyleChoice;
  readonly width: number;
  readonly height: number;
  readonly background: Background;
  readonly objects: readonly SceneObject[];
}

export interface SceneOptions {
  readonly bank: SpriteBank;
  readonly split?: Split;
  readonly style?: StyleChoice;
  /** Long side in pixels, default 640. */
  readonly size?: number;
  /** Fewest and most objects, default 1 and 4. */
  readonly minObjects?: number;
  readonly maxObjects?: number;
  /** Largest rotation of a thing in degrees, default 12. */
  readonly maxRotation?: number;
  /** Width to height as a pair of small integers; drawn from the seed by default. */
  readonly aspect?: readonly [number, number];
}

/** Share of noun pairs and of (noun, style, place) triples that only test scenes contain. */
export const RESERVED_SHARE = 0.15;

const ASPECTS: readonly (readonly [number, number])[] = [
  [4, 3],
  [3, 2],
  [16, 9],
  [1, 1],
  [3, 4],
  [2, 3],
];
const ASPECT_WEIGHTS = [20, 18, 10, 22, 16, 14];
const COUNT_WEIGHTS = [27, 34, 27, 12];
/** Longest side of a thing as a share of the scene's long side, by number of things. */
const SIZE_RANGES: readonly (readonly [number, number])[] = [
  [0.34, 0.6],
  [0.28, 0.56],
  [0.26, 0.46],
  [0.24, 0.4],
];
const MIN_SIZE = 0.24;
const SHAPE_SHARE = 0.25;
const DUPLICATE_SHARE = 0.3;

/** Whether two different nouns together are reserved for test scenes; a noun with itself never is. */
export function isReservedPair(a: string, b: string): boolean {
  if (a === b) return false;
  return hash32(`pair/${a < b ? `${a}/${b}` : `${b}/${a}`}`) < RESERVED_SHARE * 0x100000000;
}

/** Whether a noun in a style at a cell of the 3 x 3 grid (0..8, row by row) is reserved for test scenes. */
export function isReservedPlace(noun: string, style: SpriteStyle, cell: number): boolean {
  return hash32(`place/${noun}/${style}/${cell}`) < RESERVED_SHARE * 0x100000000;
}

/** The square that a scene is padded to: its side, and where the scene's left top corner lies in it; pixels. */
export function squareOf({ width, height }: Pick<Scene, 'width' | 'height'>): { side: number; dx: number; dy: number } {
  const side = Math.max(width, height);
  return { side, dx: Math.floor((side - width) / 2), dy: Math.floor((side - height) / 2) };
}

/** A box in pixels of the scene as shares of the square that the scene is padded to. */
export function boxInSquare(
  [x1, y1, x2, y2]: PixelBox,
  scene: Pick<Scene, 'width' | 'height'>,
): [number, number, number, number] {
  const { side, dx, dy } = squareOf(scene);
  return [(x1 + dx) / side, (y1 + dy) / side, (x2 + dx) / side, (y2 + dy) / side];
}

/** Cell of the 3 x 3 grid over the scene that a box's centre lies in, row by row. */
export function cellOf(box: PixelBox, width: number, height: number): number {
  const column = Math.min(2, Math.floor((((box[0] + box[2]) / 2) * 3) / width));
  const row = Math.min(2, Math.floor((((box[1] + box[3]) / 2) * 3) / height));
  return row * 3 + column;
}

/** Whether a scene holds a combination that is reserved for the test split. */
export function hasReservedCombination(scene: Pick<Scene, 'objects' | 'width' | 'height'>): boolean {
  return scene.objects.some(
    (object, i) =>
      isReservedPlace(object.noun, object.style, cellOf(object.box, scene.width, scene.height)) ||
      scene.objects.slice(i + 1).some((other) => isReservedPair(object.noun, other.noun)),
  );
}

/**
 * The scene of a seed: pure, the same for the same seed, options and sprite bank. Train scenes never hold a reserved
 * combination, test scenes always hold one. `seed` is an integer from 0 to 2^53.
 * @throws RangeError for a seed that is no such integer.
 */
export function makeScene(seed: number, options: SceneOptions): Scene {
  if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError(`seed must be an integer from 0, got ${seed}`);
  const { bank, split = 'train', style = 'known', size = 640, maxRotation = 12 } = options;
  const rng = new Random(seed, `scene/${split}`);
  const [aspectWidth, aspectHeight] =
    options.aspect ?? (ASPECTS[rng.weighted(ASPECT_WEIGHTS)] as readonly [number, number]);
  const longest = Math.max(aspectWidth, aspectHeight);
  const width = Math.round((size * aspectWidth) / longest);
  const height = Math.round((size * aspectHeight) / longest);
  const numObjects = drawCount(rng, options.minObjects ?? 1, options.maxObjects ?? 4);
  const frame: Frame = { bank, split, style, width, height, maxRotation };
  for (let attempt = 0; ; attempt++) {
    const background = makeBackground(rng);
    const subjects = drawSubjects(rng, numObjects, background, style);
    const reservedPair = subjects.some((a, i) =>
      subjects.slice(i + 1).some((b) => isReservedPair(a.noun.name, b.noun.name)),
    );
    if (split === 'train' && reservedPair) continue;
    const placed = placeAll(rng, subjects, frame, attempt, split === 'test' && !reservedPair);
    if (!placed) continue;
    const objects = placed.map((item, z) => toObject(item, z));
    const scene: Scene = { seed, split, style, width, height, background, objects };
    // The promise is about the boxes that the scene has: rounding them may move a centre over a line of the grid.
    if (hasReservedCombination(scene) === (split === 'test')) return scene;
  }
}

interface Frame {
  bank: SpriteBank;
  split: Split;
  style: StyleChoice;
  width: number;
  height: number;
  maxRotation: number;
}
function drawCount(rng: Random, min: number, max: number): number {
  if (!(min >= 1 && max <= COUNT_WEIGHTS.length && min <= max)) {
    throw new RangeError(`the number of objects must lie in 1..${COUNT_WEIGHTS.length}, got ${min}..${max}`);
  }
  return min + rng.weighted(COUNT_WEIGHTS.slice(min - 1, max));
}

function drawSubjects(rng: Random, count: number, background: Background, choice: StyleChoice): Subject[] {
  const sceneStyle = rng.chance(0.5) ? drawIconStyle(rng, choice) : undefined;
  const subjects: Subject[] = [];
  for (let i = 0; i < count; i++) {
    const previous = i > 0 && rng.chance(DUPLICATE_SHARE / (count - 1)) ? rng.pick(subjects).noun : undefined;
    const noun = previous ?? (rng.chance(SHAPE_SHARE) ? rng.pick(SHAPE_NOUNS) : rng.pick(ICON_NOUNS));
    if (noun.category === 'shape') {
      const style = choice === 'shift' || choice === SHIFT_STYLE ? 'outlined' : 'flat';
      subjects.push({ noun, style, color: drawColor(rng, background) });
    } else {
      subjects.push({ noun, style: sceneStyle ?? drawIconStyle(rng, choice) });
    }
  }
  return subjects;
}

export function drawIconStyle(rng: Random, choice: StyleChoice): IconStyle {
  const drawn = rng.pick(KNOWN_STYLES);
  if (choice === 'known') return drawn;
  return choice === 'shift' ? SHIFT_STYLE : (ICON_STYLES.find((style) => style === choice) ?? drawn);
}

function drawColor(rng: Random, background: Background): ColorName {
  const order = rng.shuffle(COLOR_NAMES);
  return order.find((name) => contrastWith(background, COLORS[name]) >= MIN_CONTRAST) ?? order[0]!;
}

function placeAll(
  rng: Random,
  subjects: readonly Subject[],
  frame: Frame,
  attempt: number,
  needsReservedPlace: boolean,
): Placed[] | undefined {
  const bound = rng.chance(0.25) && attempt < 20 ? MIN_VISIBLE + 0.02 : 0.88;
  const placed: Placed[] = [];
  let reserved = !needsReservedPlace;
  for (const [i, subject] of subjects.entries()) {
    const mustReserve = !reserved && i === subjects.length - 1;
    let found: Placed | undefined;
    for (let tries = 0; tries < 40 && !found; tries++) {
      const candidate = drawPlace(rng, subject, subjects.length, frame);
      if (!candidate) continue;
      const cell = cellOf(candidate.box, frame.width, frame.height);
      const isReserved = isReservedPlace(subject.noun.name, subject.style, cell);
      if (frame.split === 'train' ? isReserved : mustReserve && !isReserved) continue;
      if (!coverBy(placed, candidate, bound)) continue;
      reserved ||= isReserved;
      found = candidate;
    }
    if (!found) return undefined;
    placed.push(found);
  }
  return placed;
}

function drawPlace(rng: Random, subject: Subject, count: number, frame: Frame): Placed | undefined {
  const { width: sceneWidth, height: sceneHeight } = frame;
  const long = Math.max(sceneWidth, sceneHeight);
  const sprite = frame.bank.sprite(subject.noun.name, subject.style);
  const [low, high] = SIZE_RANGES[count - 1] as readonly [number, number];
  const rotates = rng.chance(ROTATED_SHARE);
  const rotation = rotates ? Math.round(rng.range(-frame.maxRotation, frame.maxRotation)) : 0;
  const flip = rng.chance(0.5);
  const share = rng.range(low, high);
  const radians = (rotation * Math.PI) / 180;
  const cos = Math.cos(radians);
  const sin = Math.sin(radians);
  let width = Math.min(1, sprite.aspect);
  let height = Math.min(1, 1 / sprite.aspect);
  const unit = hullExtents(sprite.hull, width, height, cos, sin, flip);
  const unitWidth = unit[2] - unit[0];
  const unitHeight = unit[3] - unit[1];
  // `share` is the longest side of the tight box; a scene's short side may force less.
  const fit = Math.min((sceneWidth * 0.98) / unitWidth, (sceneHeight * 0.98) / unitHeight);
  const scale = Math.min((share * long) / Math.max(unitWidth, unitHeight), fit);
  if (scale * Math.max(unitWidth, unitHeight) < MIN_SIZE * long) return undefined;
  width *= scale;
  height *= scale;
  const x = rng.range(-unit[0] * scale, sceneWidth - unit[2] * scale);
  const y = rng.range(-unit[1] * scale, sceneHeight - unit[3] * scale);
  const box: Placed['box'] = [x + unit[0] * scale, y + unit[1] * scale, x + unit[2] * scale, y + unit[3] * scale];
  const numCells = sprite.mask.reduce((sum, cell) => sum + cell, 0);
  const covered = new Uint8Array(MASK_SIDE * MASK_SIDE);
  return { subject, sprite, x, y, width, height, cos, sin, rotation, flip, box, covered, numCovered: 0, numCells };
}

/** The thing that is seen at a point of the scene, by the coarse masks; undefined on the background. */
export function objectAt(
  { objects }: Pick<Scene, 'objects'>,
  bank: SpriteBank,
  x: number,
  y: number,
): SceneObject | undefined {
  // Objects stand from back to front.
  return objects.findLast(({ noun, style, place, rotation, flip }) => {
    const radians = (rotation * Math.PI) / 180;
    const [cos, sin] = [Math.cos(radians), Math.sin(radians)];
    const [dx, dy] = [x - place.x, y - place.y];
    const u = (dx * cos + dy * sin) / place.width;
    const v = (dy * cos - dx * sin) / place.height;
    const column = Math.floor(((flip ? -u : u) + 0.5) * MASK_SIDE);
    const row = Math.floor((v + 0.5) * MASK_SIDE);
    const inside = column >= 0 && column < MASK_SIDE && row >= 0 && row < MASK_SIDE;
    return inside && bank.sprite(noun, style).mask[row * MASK_SIDE + column] === 1;
  });
}
