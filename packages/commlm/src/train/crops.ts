/** Random resized crops with light colour changes, the views of self-distillation. Plain arrays: runs in the data thread. */

/** Numbers in [0, 1). */
export type Random = () => number;

/** What one view takes from a square picture. */
export interface CropOptions {
  /** Side of the view in pixels. */
  readonly side: number;
  /** Share of the picture's area, drawn from this range. */
  readonly scale: readonly [number, number];
  /** Strength of brightness, contrast and channel changes, 0 for none. */
  readonly colour: number;
}

/** Cut a random window of an RGB square u8[S, S, 3], resize it bilinearly, perhaps flip it, and write it at `offset`. */
export function randomCrop(
  source: Uint8Array,
  sourceSide: number,
  { side, scale, colour }: CropOptions,
  random: Random,
  out: Uint8Array,
  offset: number,
): void {
  const area = (scale[0] + random() * (scale[1] - scale[0])) * sourceSide * sourceSide;
  const aspect = Math.exp((random() - 0.5) * 2 * Math.log(4 / 3));
  const width = Math.min(sourceSide, Math.sqrt(area * aspect));
  const height = Math.min(sourceSide, Math.sqrt(area / aspect));
  const left = random() * (sourceSide - width);
  const top = random() * (sourceSide - height);
  const flip = random() < 0.5;
  const contrast = 1 + (random() - 0.5) * colour;
  const gains = [0, 1, 2].map(() => contrast * (1 + (random() - 0.5) * colour));
  const lift = (random() - 0.5) * colour * 128 + 128 * (1 - contrast);
  const xs = sampleAxis(left, width, side, sourceSide, flip);
  const ys = sampleAxis(top, height, side, sourceSide, false);
  for (let y = 0; y < side; y++) {
    const upper = (ys.low[y] as number) * sourceSide;
    const lower = (ys.high[y] as number) * sourceSide;
    const fy = ys.share[y] as number;
    for (let x = 0; x < side; x++) {
      const x0 = xs.low[x] as number;
      const x1 = xs.high[x] as number;
      const fx = xs.share[x] as number;
      const at = offset + (y * side + x) * 3;
      for (let c = 0; c < 3; c++) {
        const a = source[(upper + x0) * 3 + c] as number;
        const b = source[(upper + x1) * 3 + c] as number;
        const d = source[(lower + x0) * 3 + c] as number;
        const e = source[(lower + x1) * 3 + c] as number;
        const value = (a + (b - a) * fx) * (1 - fy) + (d + (e - d) * fx) * fy;
        const changed = value * (gains[c] as number) + lift;
        out[at + c] = Math.max(0, Math.min(255, changed));
      }
    }
  }
}

interface Axis {
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly share: Float32Array;
}

function sampleAxis(start: number, length: number, count: number, limit: number, flip: boolean): Axis {
  const axis = { low: new Int32Array(count), high: new Int32Array(count), share: new Float32Array(count) };
  for (let i = 0; i < count; i++) {
    const at = Math.max(0, start + ((i + 0.5) * length) / count - 0.5);
    const low = Math.min(limit - 1, Math.floor(at));
    const to = flip ? count - 1 - i : i;
    axis.low[to] = low;
    axis.high[to] = Math.min(limit - 1, low + 1);
    axis.share[to] = at - low;
  }
  return axis;
}
