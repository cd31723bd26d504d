/** Towers on scenes of the world: probes fitted on train scenes of the known styles, figures on test scenes of known and held-out ones. */
import { manualSeed, noGrad, scope } from '@commlm/torch';
import type { ImageConfig } from '../../config/model.js';
import {
  type GroupTruth,
  groupWidth,
  type LevelAccount,
  LevelProbes,
  type ReadingGroup,
  type TowerFigures,
} from '../../features/tower-gate.js';
import { buildEncoder } from '../../models/encoders.js';
import type { ViT } from '../../models/vit.js';
import { normalisePictures } from '../pictures/pixels.js';
import { type SceneSet, sceneBatches, sceneReadings } from './scenes.js';

/** A tower and how its pictures are prepared. */
export interface Tower {
  readonly vit: ViT;
  readonly image: ImageConfig;
}

export interface MeasureOptions {
  /** Train scenes that probes are fitted on; half as many test scenes of each kind of style are read. */
  readonly scenes: number;
  /** Fits probes with the truth of other rows: a control that can read no more than what is common to all. */
  readonly misplaced?: boolean;
  /** Called before each batch. */
  readonly onBatch?: (done: number, total: number) => void;
}

const BATCH = 50;
/** Streams of scenes that no recipe trains on. */
const STREAMS = { fit: 801, known: 802, shift: 803 } as const;

/** The same tower before any training: fresh weights from `seed`. */
export function untrainedTower(
  { vit, image }: Tower,
  type: Parameters<typeof buildEncoder>[0]['type'],
  seed = 1,
): Tower {
  manualSeed(seed);
  return { vit: buildEncoder({ type, vit: vit.config }), image };
}

/** Figures of towers of one size of picture and patch, all on the same scenes. */
export async function measureTowers(
  towers: readonly Tower[],
  { scenes, misplaced = false, onBatch }: MeasureOptions,
): Promise<TowerFigures[]> {
  const [first] = towers;
  if (first === undefined) return [];
  const side = first.image.size;
  const grid = Math.floor(side / first.vit.config.patchSize);
  const readings = sceneReadings(grid);
  const half = Math.ceil(scenes / 2);
  const total = Math.ceil(scenes / BATCH) + 2 * Math.ceil(half / BATCH);
  let done = 0;
  const walk = async (
    set: SceneSet,
    visit: (tower: number, states: ReturnType<ViT['forward']>, truths: readonly GroupTruth[]) => void,
    apart = false,
  ): Promise<void> => {
    for await (const { count, pixels, truths } of sceneBatches(set, { side, grid, batchSize: BATCH })) {
      onBatch?.(done++, total);
      const told = apart ? truths.map((truth, g) => ofRowsBehind(truth, readings[g]!)) : truths;
      for (const [t, { vit, image }] of towers.entries()) {
        scope(() => visit(t, levelsOf(vit, image, pixels, count), told));
      }
    }
  };
  const probes = towers.map(({ vit }) => new LevelProbes(vit.config.numLayers + 1, vit.config.hiddenSize, readings));
  const fit = { seed: STREAMS.fit, split: 'train', style: 'known', count: scenes } as const;
  await walk(fit, (t, states, truths) => probes[t]!.add(states, truths), misplaced);
  const readers = probes.map((each) => each.fit());
  const read = async (style: 'known' | 'shift'): Promise<ReturnType<LevelAccount['figures']>[]> => {
    const accounts = readers.map((open) => open());
    const set = { seed: STREAMS[style], split: 'test', style, count: half } as const;
    await walk(set, (t, states, truths) => accounts[t]!.add(states, truths));
    const figures = accounts.map((account) => account.figures());
    for (const account of accounts) account.dispose();
    return figures;
  };
  const [known, shift] = [await read('known'), await read('shift')];
  return towers.map((_, t) => ({ known: known[t]!, shift: shift[t]! }));
}

/** All levels of a batch, float[B, N, D] each. */
function levelsOf(vit: ViT, image: ImageConfig, bytes: Uint8Array, count: number): ReturnType<ViT['forward']> {
  const levels = Array.from({ length: vit.config.numLayers + 1 }, (_, level) => level);
  return noGrad(() =>
    vit.forward(normalisePictures(bytes, count, image.size, image, vit.blocks[0]!.norm1.weight!.dtype), levels),
  );
}

/** Each row with the truth of the row half a batch on. */
function ofRowsBehind({ rows, targets }: GroupTruth, group: ReadingGroup): GroupTruth {
  const width = groupWidth(group);
  const by = width * Math.floor(targets.length / width / 2);
  const moved = new Float32Array(targets.length);
  moved.set(targets.subarray(by));
  moved.set(targets.subarray(0, by), targets.length - by);
  return { rows, targets: moved };
}
