/** Scenes of the world as questions to a tower: pixels, and what linear maps are to read of them. */
import {
  boxInSquare,
  COLOR_NAMES,
  loadSpriteBank,
  makeScene,
  NOUNS,
  patchObjects,
  renderPadded,
  type Scene,
  type Split,
  type SpriteBank,
  sceneSeed,
} from '../../data/world/index.js';
import type { GroupTruth, ReadingGroup } from '../../features/tower-gate.js';

/** Things in a scene at most. */
const MOST_THINGS = 4;

const nounClass = new Map(NOUNS.map(({ name }, index) => [name, index]));

/** What is read of scenes, for a grid of `grid` x `grid` patches. */
export const sceneReadings = (grid: number): ReadingGroup[] => [
  {
    name: 'picture',
    at: 'picture',
    readings: [
      { name: 'noun', outputs: NOUNS.length, score: 'labels' },
      { name: 'count', outputs: MOST_THINGS, score: 'class' },
    ],
  },
  {
    name: 'thing',
    at: 'patch',
    readings: [
      { name: 'patch noun', outputs: NOUNS.length, score: 'class' },
      { name: 'box edges', outputs: 4, score: 'box' },
    ],
  },
  { name: 'shape', at: 'patch', readings: [{ name: 'colour', outputs: COLOR_NAMES.length, score: 'class' }] },
  {
    name: 'place',
    at: 'patch',
    readings: [
      { name: 'row', outputs: grid, score: 'class' },
      { name: 'column', outputs: grid, score: 'class' },
    ],
  },
];

const oneHot = (index: number, length: number): number[] => Array.from({ length }, (_, i) => (i === index ? 1 : 0));

/** The truth of scenes for each group of `sceneReadings`, in its order. */
export function sceneTruths(scenes: readonly Scene[], bank: SpriteBank, grid: number): GroupTruth[] {
  const picture: number[] = [];
  const thing: number[] = [];
  const shape: number[] = [];
  const place: number[] = [];
  const things: bigint[] = [];
  const shapes: bigint[] = [];
  for (const [i, scene] of scenes.entries()) {
    const shown = new Set(scene.objects.map(({ noun }) => noun));
    picture.push(
      ...NOUNS.map(({ name }) => (shown.has(name) ? 1 : 0)),
      ...oneHot(scene.objects.length - 1, MOST_THINGS),
    );
    for (const [patch, object] of patchObjects(scene, bank, grid).entries()) {
      place.push(...oneHot(Math.floor(patch / grid), grid), ...oneHot(patch % grid, grid));
      if (!object) continue;
      const at = BigInt(i * grid * grid + patch);
      things.push(at);
      thing.push(...oneHot(nounClass.get(object.noun) as number, NOUNS.length), ...boxInSquare(object.box, scene));
      if (object.color === undefined) continue;
      shapes.push(at);
      shape.push(...oneHot(COLOR_NAMES.indexOf(object.color), COLOR_NAMES.length));
    }
  }
  return [
    { rows: null, targets: Float32Array.from(picture) },
    { rows: BigInt64Array.from(things), targets: Float32Array.from(thing) },
    { rows: BigInt64Array.from(shapes), targets: Float32Array.from(shape) },
    { rows: null, targets: Float32Array.from(place) },
  ];
}

/** Which scenes a set holds; streams are disjoint by their seed. */
export interface SceneSet {
  readonly seed: number;
  readonly split: Split;
  readonly style: 'known' | 'shift';
  readonly count: number;
}

/** One batch of a set: u8[B, side, side, 3] and the truth of each group. */
export interface SceneBatch {
  readonly count: number;
  readonly pixels: Uint8Array;
  readonly truths: readonly GroupTruth[];
}

/** The scenes of a set in batches, on squares of `side` pixels with `grid` x `grid` patches. */
export async function* sceneBatches(
  { seed, split, style, count }: SceneSet,
  { side, grid, batchSize }: { readonly side: number; readonly grid: number; readonly batchSize: number },
): AsyncGenerator<SceneBatch> {
  const bank = await loadSpriteBank();
  for (let start = 0; start < count; start += batchSize) {
    const scenes = Array.from({ length: Math.min(batchSize, count - start) }, (_, i) =>
      makeScene(sceneSeed(seed, start + i), { bank, split, style, size: side }),
    );
    const pixels = new Uint8Array(scenes.length * side * side * 3);
    for (const [i, scene] of scenes.entries()) pixels.set(renderPadded(scene, bank, side), i * side * side * 3);
    yield { count: scenes.length, pixels, truths: sceneTruths(scenes, bank, grid) };
  }
}
