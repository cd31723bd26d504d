/** Procedural backgrounds: parameters drawn from a seed, painted at any size. Coordinates are in units of the long side. */

import type { Random } from './random.js';
import type { Rgb } from './vocabulary.js';

export type BackgroundKind = 'plain' | 'gradient' | 'stripes' | 'checks' | 'dots' | 'noise' | 'horizon';

/** What a background is painted from; `colors` holds two (horizon: sky top, sky bottom, ground top, ground bottom). */
export interface Background {
  readonly kind: BackgroundKind;
  readonly colors: readonly Rgb[];
  /** Period of stripes, checks, dots and noise as a share of the long side; height of the horizon as a share of the height. */
  readonly scale: number;
  /** Unit direction of gradients and stripes. */
  readonly direction: readonly [number, number];
  readonly seed: number;
}

const KINDS: readonly BackgroundKind[] = ['plain', 'gradient', 'stripes', 'checks', 'dots', 'noise', 'horizon'];
const KIND_WEIGHTS = [24, 20, 9, 7, 6, 14, 20];
const DIRECTIONS: readonly (readonly [number, number])[] = [
  [1, 0],
  [0, 1],
  [0.8, 0.6],
  [0.6, 0.8],
  [0.8, -0.6],
  [0.6, -0.8],
];

/** Draws a background's parameters. */
export function makeBackground(rng: Random): Background {
  const kind = KINDS[rng.weighted(KIND_WEIGHTS)]!;
  const direction = rng.pick(DIRECTIONS);
  const seed = rng.uint32();
  if (kind === 'horizon') {
    const [sky, ground] = rng.chance(0.55) ? outdoorColors(rng) : [surfaceColor(rng), surfaceColor(rng)];
    const colors = [sky, shade(sky, rng.range(1, 1.12)), ground, shade(ground, rng.range(0.82, 1))];
    return { kind, colors, scale: round3(rng.range(0.4, 0.75)), direction, seed };
  }
  const first = surfaceColor(rng);
  const contrast = rng.range(0.78, 1.2);
  const second = kind === 'gradient' && rng.chance(0.5) ? surfaceColor(rng) : shade(first, contrast);
  return { kind, colors: [first, second], scale: round3(rng.range(0.05, 0.2)), direction, seed };
}

function outdoorColors(rng: Random): [Rgb, Rgb] {
  const skies: readonly Rgb[] = [
    [150, 200, 240],
    [190, 220, 245],
    [245, 205, 170],
    [120, 170, 225],
    [205, 215, 225],
  ];
  const grounds: readonly Rgb[] = [
    [120, 175, 85],
    [150, 190, 110],
    [215, 195, 150],
    [170, 170, 170],
    [235, 240, 245],
    [150, 120, 90],
  ];
  return [vary(rng, rng.pick(skies)), vary(rng, rng.pick(grounds))];
}

/** Mostly light or muted colours, some dark ones: things stay visible on them. */
function surfaceColor(rng: Random): Rgb {
  const kind = rng.next();
  const [low, high, spread] = kind < 0.6 ? [185, 245, 45] : kind < 0.85 ? [110, 180, 40] : [30, 85, 30];
  const level = rng.range(low, high);
  return [0, 1, 2].map(() => clampByte(level + rng.range(-spread, spread))) as unknown as Rgb;
}

function vary(rng: Random, color: Rgb): Rgb {
  return color.map((value) => clampByte(value + rng.range(-18, 18))) as unknown as Rgb;
}

function shade(color: Rgb, factor: number): Rgb {
  return color.map((value) => clampByte(value * factor)) as unknown as Rgb;
}

function clampByte(value: number): number {
  return Math.max(0, Math.min(255, Math.round(value)));
}

function round3(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** Smallest distance of `color` from the background's colours, in RGB units. */
export function contrastWith(background: Background, color: Rgb): number {
  return Math.min(
    ...background.colors.map((other) => Math.hypot(color[0] - other[0], color[1] - other[1], color[2] - other[2])),
  );
}

/** Paints the background over `data` (RGB rows of `stride` pixels) at `left, top`, `width x height` pixels. */
export function paintBackground(
  background: Background,
  data: Uint8Array,
  stride: number,
  left: number,
  top: number,
  width: number,
  height: number,
): void {
  const shareAt = blendAt(background, width, height);
  const [a, b, c, d] = background.colors as [Rgb, Rgb, Rgb | undefined, Rgb | undefined];
  const horizon = background.kind === 'horizon' ? background.scale * height : height;
  for (let y = 0; y < height; y++) {
    const below = y + 0.5 > horizon && c && d;
    const from = below ? c : a;
    const to = below ? d : b;
    const dr = to[0] - from[0];
    const dg = to[1] - from[1];
    const db = to[2] - from[2];
    let at = ((top + y) * stride + left) * 3;
    for (let x = 0; x < width; x++) {
      const share = shareAt(x + 0.5, y + 0.5);
      data[at++] = from[0] + dr * share + 0.5;
      data[at++] = from[1] + dg * share + 0.5;
      data[at++] = from[2] + db * share + 0.5;
    }
  }
}

/** Share of the second colour at a pixel, 0..1. */
function blendAt(background: Background, width: number, height: number): (x: number, y: number) => number {
  const long = Math.max(width, height);
  const [dx, dy] = background.direction;
  const period = background.scale * long;
  switch (background.kind) {
    case 'plain':
      return () => 0;
    case 'gradient': {
      const low = Math.min(0, dx * width) + Math.min(0, dy * height);
      const span = Math.abs(dx) * width + Math.abs(dy) * height;
      return (x, y) => (x * dx + y * dy - low) / span;
    }
    case 'stripes':
      return (x, y) => squareWave(x * dx + y * dy, period);
    case 'checks':
      return (x, y) => {
        const p = squareWave(x, period);
        const q = squareWave(y, period);
        return p + q - 2 * p * q;
      };
    case 'dots':
      return (x, y) => {
        const px = ((x / period) % 1) - 0.5;
        const py = ((y / period) % 1) - 0.5;
        const inside = (0.28 - Math.sqrt(px * px + py * py)) * period + 0.5;
        return inside <= 0 ? 0 : Math.min(inside, 1);
      };
    case 'noise':
      return (x, y) => valueNoise(x / period, y / period, background.seed);
    case 'horizon': {
      const horizon = background.scale * height;
      return (_x, y) => (y <= horizon ? y / horizon : (y - horizon) / (height - horizon));
    }
  }
}

/** 0/1 wave of the given period whose edges are one pixel wide. */
function squareWave(position: number, period: number): number {
  const phase = (position / period) % 1;
  const wrapped = phase < 0 ? phase + 1 : phase;
  const edge = (Math.abs(wrapped - 0.5) - 0.25) * period + 0.5;
  return edge <= 0 ? 0 : Math.min(edge, 1);
}

function valueNoise(x: number, y: number, seed: number): number {
  const ix = Math.floor(x);
  const iy = Math.floor(y);
  const fx = smooth(x - ix);
  const fy = smooth(y - iy);
  const top = lattice(ix, iy, seed) * (1 - fx) + lattice(ix + 1, iy, seed) * fx;
  const bottom = lattice(ix, iy + 1, seed) * (1 - fx) + lattice(ix + 1, iy + 1, seed) * fx;
  return top * (1 - fy) + bottom * fy;
}

function smooth(t: number): number {
  return t * t * (3 - 2 * t);
}

function lattice(x: number, y: number, seed: number): number {
  let h = Math.imul(x, 0x27d4eb2d) ^ Math.imul(y, 0x165667b1) ^ seed;
  h = Math.imul(h ^ (h >>> 15), 0x735a2d97);
  return ((h ^ (h >>> 15)) >>> 0) / 0x100000000;
}
