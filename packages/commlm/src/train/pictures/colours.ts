/**
 * Changes of colour that views are trained with: jitter, grey, solarisation, blur. In place on u8[H, W, 3]; plain arrays,
 * since they run in the data thread. The definitions are Pillow's, in floating point up to the last rounding.
 */
import type { Random } from './crops.js';

/** Pillow's weights of red, green and blue in a grey picture (ITU-R 601-2). */
const greyOf = (red: number, green: number, blue: number): number => 0.299 * red + 0.587 * green + 0.114 * blue;

const toByte = (value: number): number => Math.max(0, Math.min(255, Math.round(value)));

/** How far each factor may lie from 1, and the hue from its own place (in turns). */
export interface JitterStrength {
  readonly brightness: number;
  readonly contrast: number;
  readonly saturation: number;
  readonly hue: number;
}

/** Brightness, contrast, saturation and hue in random order, each by a random factor (torchvision's ColorJitter). */
export function jitter(data: Uint8Array, strength: JitterStrength, random: Random): void {
  const factor = (reach: number): number => Math.max(0, 1 - reach) + random() * (1 + reach - Math.max(0, 1 - reach));
  const changes = [
    { on: strength.brightness > 0, change: () => blend(data, () => 0, factor(strength.brightness)) },
    { on: strength.contrast > 0, change: () => changeContrast(data, factor(strength.contrast)) },
    { on: strength.saturation > 0, change: () => blend(data, greyOf, factor(strength.saturation)) },
    { on: strength.hue > 0, change: () => turnHue(data, (2 * random() - 1) * strength.hue) },
  ].filter(({ on }) => on);
  for (let left = changes.length; left > 0; left--) {
    const [next] = changes.splice(Math.floor(random() * left), 1);
    next?.change();
  }
}

/** Each pixel moved away from (or, below 1, towards) what `towards` makes of it. */
function blend(data: Uint8Array, towards: (r: number, g: number, b: number) => number, factor: number): void {
  for (let i = 0; i < data.length; i += 3) {
    const [r, g, b] = [data[i] as number, data[i + 1] as number, data[i + 2] as number];
    const base = towards(r, g, b) * (1 - factor);
    data[i] = toByte(base + r * factor);
    data[i + 1] = toByte(base + g * factor);
    data[i + 2] = toByte(base + b * factor);
  }
}

function changeContrast(data: Uint8Array, factor: number): void {
  let sum = 0;
  for (let i = 0; i < data.length; i += 3) {
    sum += greyOf(data[i] as number, data[i + 1] as number, data[i + 2] as number);
  }
  const mean = Math.round(sum / (data.length / 3));
  blend(data, () => mean, factor);
}

/** Turns the hue by a share of the circle, at unchanged saturation and value (HSV). */
export function turnHue(data: Uint8Array, turn: number): void {
  const shift = turn * 6;
  for (let i = 0; i < data.length; i += 3) {
    const [r, g, b] = [data[i] as number, data[i + 1] as number, data[i + 2] as number];
    const high = Math.max(r, g, b);
    const range = high - Math.min(r, g, b);
    if (range === 0) continue;
    const hue = high === r ? (g - b) / range : high === g ? 2 + (b - r) / range : 4 + (r - g) / range;
    const turned = (((hue + shift) % 6) + 6) % 6;
    // How far each channel lies below the value, by its distance from its own sixth of the circle.
    const channel = (offset: number): number => {
      const k = (offset + turned) % 6;
      return toByte(high - range * Math.max(0, Math.min(k, 4 - k, 1)));
    };
    data[i] = channel(5);
    data[i + 1] = channel(3);
    data[i + 2] = channel(1);
  }
}

/** All channels to the grey value. */
export function toGrey(data: Uint8Array): void {
  blend(data, greyOf, 0);
}

/** Inverts the channels that are at least `threshold` (Pillow's solarize, 128 by default). */
export function solarise(data: Uint8Array, threshold = 128): void {
  for (let i = 0; i < data.length; i++) {
    const value = data[i] as number;
    if (value >= threshold) data[i] = 255 - value;
  }
}

/** Gaussian blur of a standard deviation in pixels, cut off at three of them; beyond the edge its last pixel goes on. */
export function blur(data: Uint8Array, width: number, height: number, sigma: number): void {
  const reach = Math.max(1, Math.ceil(3 * sigma));
  const kernel = Float32Array.from({ length: 2 * reach + 1 }, (_, i) =>
    Math.exp(-((i - reach) ** 2) / (2 * sigma ** 2)),
  );
  const sum = kernel.reduce((total, value) => total + value, 0);
  for (let i = 0; i < kernel.length; i++) kernel[i] = (kernel[i] as number) / sum;
  const across = blurLines(Float32Array.from(data), { lines: height, length: width, line: 3 * width, step: 3 }, kernel);
  const down = blurLines(across, { lines: width, length: height, line: 3, step: 3 * width }, kernel);
  for (let i = 0; i < data.length; i++) data[i] = toByte(down[i] as number);
}

interface Lines {
  readonly lines: number;
  readonly length: number;
  /** From one line to the next, and from one pixel to the next within it. */
  readonly line: number;
  readonly step: number;
}

function blurLines(source: Float32Array, { lines, length, line, step }: Lines, kernel: Float32Array): Float32Array {
  const out = new Float32Array(source.length);
  const reach = (kernel.length - 1) / 2;
  for (let l = 0; l < lines; l++) {
    for (let x = 0; x < length; x++) {
      let [r, g, b] = [0, 0, 0];
      for (let k = -reach; k <= reach; k++) {
        const weight = kernel[k + reach] as number;
        const from = l * line + Math.max(0, Math.min(length - 1, x + k)) * step;
        r += weight * (source[from] as number);
        g += weight * (source[from + 1] as number);
        b += weight * (source[from + 2] as number);
      }
      const to = l * line + x * step;
      out[to] = r;
      out[to + 1] = g;
      out[to + 2] = b;
    }
  }
  return out;
}

const BLUR_SIGMA = [0.1, 2] as const;
const drawSigma = (random: Random): number => BLUR_SIGMA[0] + random() * (BLUR_SIGMA[1] - BLUR_SIGMA[0]);

/** Which of the three views of DINOv2 a picture is. */
export type DinoView = 'first' | 'second' | 'small';

const DINO_JITTER: JitterStrength = { brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1 };
/** How often each view is blurred, and how often it is solarised. */
const DINO_BLUR: Readonly<Record<DinoView, number>> = { first: 1, second: 0.1, small: 0.5 };
const DINO_SOLARISE: Readonly<Record<DinoView, number>> = { first: 0, second: 0.2, small: 0 };

/** The changes of DINOv2 (2304.07193, after BYOL, 2006.07733): jitter in 80 %, grey in 20 %, then blur and solarisation by view. */
export function dinoColours(data: Uint8Array, side: number, view: DinoView, random: Random): void {
  if (random() < 0.8) jitter(data, DINO_JITTER, random);
  if (random() < 0.2) toGrey(data);
  if (random() < DINO_BLUR[view]) blur(data, side, side, drawSigma(random));
  if (random() < DINO_SOLARISE[view]) solarise(data);
}

/** 3-Augment of DeiT III (2204.07118): one of grey, solarisation and blur, then jitter. Says whether colours are lost. */
export function threeAugment(
  data: Uint8Array,
  side: number,
  strength: number,
  random: Random,
): { readonly grey: boolean } {
  const choice = Math.floor(random() * 3);
  if (choice === 0) toGrey(data);
  else if (choice === 1) solarise(data);
  else blur(data, side, side, drawSigma(random));
  if (strength > 0) jitter(data, { brightness: strength, contrast: strength, saturation: strength, hue: 0 }, random);
  return { grey: choice === 0 };
}
