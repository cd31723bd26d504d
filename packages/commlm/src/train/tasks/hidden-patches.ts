/** Which patches pre-training hides. Plain arrays: runs in the data thread. */
import type { Random } from '../../data/world/index.js';

/** A hidden block has at least so many patches, and an aspect up to this or its reciprocal (BEiT, 2106.08254). */
const MIN_BLOCK = 4;
const MAX_BLOCK_ASPECT = 1 / 0.3;
const ATTEMPTS = 10;

/** Settings of self-distillation about hiding. */
export interface HidingOptions {
  /** Share of the views that hide patches. */
  readonly views: number;
  /** Least and largest share of patches hidden in such a view. */
  readonly patches: readonly [number, number];
  readonly shape: 'blocks' | 'places';
}

/**
 * Hidden patches of `numViews` views of `grid` x `grid`, by view: as in DINOv2 the shares of a batch are spread evenly over
 * the range, one for each view that hides, and the views are drawn. Unsorted; empty for the others.
 */
export function drawHidden(
  numViews: number,
  grid: number,
  { views, patches: [least, most], shape }: HidingOptions,
  random: Random,
): number[][] {
  const hiding = Math.floor(numViews * views);
  const shares = Array.from({ length: hiding }, (_, i) => least + ((i + random.next()) * (most - least)) / hiding);
  const counts = random.shuffle([...shares, ...Array<number>(numViews - hiding).fill(0)]);
  const draw = shape === 'blocks' ? hideBlocks : hidePlaces;
  return counts.map((share) => draw(grid, Math.floor(share * grid * grid), random));
}

/** `count` of the patches, any. */
export function hidePlaces(grid: number, count: number, random: Random): number[] {
  return random.shuffle(Array.from({ length: grid * grid }, (_, p) => p)).slice(0, count);
}

/** Up to `count` patches in blocks of random size and aspect, until no further block fits (BEiT's masking). */
export function hideBlocks(grid: number, count: number, random: Random): number[] {
  const hidden = new Set<number>();
  while (hidden.size < count) {
    const added = addBlock(hidden, grid, count - hidden.size, random);
    if (!added) break;
  }
  return [...hidden];
}

function addBlock(hidden: Set<number>, grid: number, room: number, random: Random): boolean {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const area = random.range(MIN_BLOCK, room);
    const aspect = Math.exp(random.range(-1, 1) * Math.log(MAX_BLOCK_ASPECT));
    const height = Math.round(Math.sqrt(area * aspect));
    const width = Math.round(Math.sqrt(area / aspect));
    if (height < 1 || width < 1 || height >= grid || width >= grid) continue;
    const top = random.int(grid - height + 1);
    const left = random.int(grid - width + 1);
    const block = Array.from({ length: height * width }, (_, i) => {
      return (top + Math.floor(i / width)) * grid + left + (i % width);
    });
    const fresh = block.filter((patch) => !hidden.has(patch));
    if (fresh.length === 0 || fresh.length > room) continue;
    for (const patch of fresh) hidden.add(patch);
    return true;
  }
  return false;
}
