/** Data thread of supervised pre-training: 3-Augment, mixup and CutMix on pictures with what they show. */
import { CommError } from '../../config/errors.js';
import type { DeitConfig } from '../../config/pretrain.js';
import { boxInSquare, COLOR_NAMES, NOUNS, Random } from '../../data/world/index.js';
import type { CreateBatcher } from '../loop/batch-pool.js';
import type { CheckedBatch } from '../loop/checked-batches.js';
import { threeAugment } from '../pictures/colours.js';
import { cutWindow, drawWindow, simpleCut, type Window } from '../pictures/crops.js';
import { openPictures, type SourcePicture } from '../pictures/picture-source.js';

/** A batch: pictures u8[B, S, S, 3], what they show [B, C] (1 or 0), and whether that is known [B, C]. */
export interface DeitBatch extends CheckedBatch {
  readonly pictures: Uint8Array;
  readonly labels: Float32Array;
  readonly known: Float32Array;
}

/** What the data thread needs to know. */
export type DeitBatchOptions = Pick<
  DeitConfig,
  'numClasses' | 'cut' | 'jitter' | 'mixup' | 'cutmix' | 'repeats' | 'data'
> & {
  readonly batchSize: number;
  readonly side: number;
  /** Changed at random for training, or as they are for measuring. */
  readonly augment: boolean;
};

/** Scenes are drawn a little larger where windows are cut out of them. */
const SCENE_SCALE = 1.25;
/** Pixels that a simple cut may lie beside the middle. */
const REACH = 4;
/** A thing counts as shown when so much of its box lies in the window. */
const SHOWN = 0.5;

/** Outputs of the classifier on the world: nouns, then colours. */
export const WORLD_LABELS: readonly string[] = [...NOUNS.map(({ name }) => name), ...COLOR_NAMES];
const labelOf = new Map(WORLD_LABELS.map((name, i) => [name, i]));

/** What a view shows: 1 or 0 for each output, and 0 where that cannot be told from it. */
interface View {
  readonly pixels: Uint8Array;
  readonly labels: Float32Array;
  readonly known: Float32Array;
}

export const createBatcher: CreateBatcher<DeitBatchOptions> = async (options) => {
  const { batchSize, side, data, repeats, augment, numClasses } = options;
  const drawn = augment && options.cut.kind === 'area' ? Math.round(side * SCENE_SCALE) : side;
  const source = await openPictures(data, drawn, { split: augment ? 'train' : 'test' });
  checkClasses(source.numClasses ?? WORLD_LABELS.length, options);
  return async (index): Promise<DeitBatch> => {
    const random = new Random(index, `deit ${data.seed}`);
    const views: View[] = [];
    const broken: string[] = [];
    const samples: string[] = [];
    for (let i = 0; i < batchSize; i++) {
      const at = index * batchSize + i;
      const picture = await source.picture(augment ? Math.floor(at / repeats) : at);
      broken.push(...picture.broken);
      samples.push(picture.name);
      views.push(augment ? augmentedView(picture, options, random) : plainView(picture, options));
    }
    const pictures = new Uint8Array(batchSize * side * side * 3);
    const labels = new Float32Array(batchSize * numClasses);
    const known = new Float32Array(batchSize * numClasses);
    for (const [i, view] of views.entries()) {
      pictures.set(view.pixels, i * side * side * 3);
      labels.set(view.labels, i * numClasses);
      known.set(view.known, i * numClasses);
    }
    if (augment) mixBatch({ pictures, labels, known }, options, random);
    return { pictures, labels, known, broken, samples };
  };
};

function checkClasses(found: number, { numClasses, data }: DeitBatchOptions): void {
  if (found === numClasses) return;
  const what = data.kind === 'world' ? 'The world has' : `${data.folder} has folders for`;
  throw new CommError(`${what} ${found} classes, but the classifier has ${numClasses} outputs.`, {
    code: 'train/classes',
    fix: `Set deit.numClasses=${found}.`,
    exitCode: 2,
  });
}

function augmentedView(
  picture: SourcePicture,
  { side, cut, jitter, numClasses }: DeitBatchOptions,
  random: Random,
): View {
  const { image } = picture;
  const next = (): number => random.next();
  const mirror = random.chance(0.5);
  let window: Window | null = null;
  let pixels: Uint8Array;
  if (cut.kind === 'area') {
    window = drawWindow(image, cut.area, next);
    pixels = cutWindow(image, window, side, mirror);
  } else {
    pixels = simpleCut(image, side, REACH, next, mirror);
  }
  const { grey } = threeAugment(pixels, side, jitter, next);
  return { pixels, ...labelsOf(picture, numClasses, window, grey) };
}

function plainView(picture: SourcePicture, { side, numClasses }: DeitBatchOptions): View {
  const pixels = simpleCut(picture.image, side, 0, () => 0.5, false);
  return { pixels, ...labelsOf(picture, numClasses, null, false) };
}

/** The class of a picture, or the nouns and colours of a scene. Colours of a grey view are not asked for. */
function labelsOf(
  { label, scene, image }: SourcePicture,
  numClasses: number,
  window: Window | null,
  grey: boolean,
): Pick<View, 'labels' | 'known'> {
  const labels = new Float32Array(numClasses);
  const known = new Float32Array(numClasses).fill(1);
  if (label !== null) labels[label] = 1;
  if (scene !== null) {
    for (const { noun, color, box } of scene.objects) {
      if (window !== null && shownShare(boxInSquare(box, scene), window, image.width) < SHOWN) continue;
      labels[labelOf.get(noun) as number] = 1;
      if (color !== undefined) labels[labelOf.get(color) as number] = 1;
    }
    if (grey) known.fill(0, NOUNS.length);
  }
  return { labels, known };
}

/** Share of a box (0..1 of a square picture of `side` pixels) that lies in a window of it. */
export function shownShare(
  box: readonly [number, number, number, number],
  { left, top, width, height }: Window,
  side: number,
): number {
  const [x1, y1, x2, y2] = box.map((value) => value * side) as [number, number, number, number];
  const across = Math.max(0, Math.min(x2, left + width) - Math.max(x1, left));
  const down = Math.max(0, Math.min(y2, top + height) - Math.max(y1, top));
  return (across * down) / ((x2 - x1) * (y2 - y1));
}

type Mixed = Pick<DeitBatch, 'pictures' | 'labels' | 'known'>;

/**
 * Mixup or CutMix of each picture with the one as far from the end of the batch, one of the two for the whole batch, in place.
 * As in DeiT III with its binary loss, a mixed picture shows what either picture shows.
 */
function mixBatch(
  { pictures, labels, known }: Mixed,
  { batchSize, side, mixup, cutmix }: DeitBatchOptions,
  random: Random,
): void {
  if (mixup === 0 && cutmix === 0) return;
  const paste = mixup === 0 || (cutmix > 0 && random.chance(0.5));
  const kept = drawBeta(paste ? cutmix : mixup, random);
  const box = paste ? pastedBox(kept, side, random) : null;
  const partner = (i: number): number => batchSize - 1 - i;
  const [before, labelsBefore, knownBefore] = [pictures.slice(), labels.slice(), known.slice()];
  const size = side * side * 3;
  const classes = labels.length / batchSize;
  for (let i = 0; i < batchSize; i++) {
    const [own, other] = [i * size, partner(i) * size];
    if (box === null) {
      for (let p = 0; p < size; p++) {
        pictures[own + p] = Math.round(kept * before[own + p]! + (1 - kept) * before[other + p]!);
      }
    } else {
      for (let y = box.top; y < box.top + box.height; y++) {
        const [from, to] = [(y * side + box.left) * 3, (y * side + box.left + box.width) * 3];
        pictures.set(before.subarray(other + from, other + to), own + from);
      }
    }
    for (let c = 0; c < classes; c++) {
      const [a, b] = [i * classes + c, partner(i) * classes + c];
      const shown = Math.max(labelsBefore[a]!, labelsBefore[b]!);
      labels[a] = shown;
      // That something is shown is known from either picture, that nothing is from both.
      known[a] = Math.max(shown, Math.min(knownBefore[a]!, knownBefore[b]!));
    }
  }
}

/** A box with the share `1 - kept` of the square's area about a random centre, cut off at the edges. */
function pastedBox(kept: number, side: number, random: Random): Window {
  const cutSide = side * Math.sqrt(1 - kept);
  const span = (): readonly [number, number] => {
    const centre = random.int(side);
    const clamp = (at: number): number => Math.max(0, Math.min(side, Math.round(at)));
    return [clamp(centre - cutSide / 2), clamp(centre + cutSide / 2)];
  };
  const [[left, right], [top, bottom]] = [span(), span()];
  return { left, top, width: right - left, height: bottom - top };
}

/** A draw from the symmetric beta distribution of parameter `a` (Johnk, 1964). */
export function drawBeta(a: number, random: Random): number {
  for (;;) {
    const x = random.next() ** (1 / a);
    const y = random.next() ** (1 / a);
    if (x + y > 0 && x + y <= 1) return x / (x + y);
  }
}
