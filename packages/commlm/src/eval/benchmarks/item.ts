/** A question of a benchmark, what scoring says about its answer, and the units that count together. */
import type { PicturedUnit } from '../clusters.js';
import type { Id } from '../formats/files.js';
import type { CornerBox } from '../metrics/rec.js';
import type { EvalSample } from '../results.js';

/** One question. */
export interface EvalItem {
  /** See the fields of the same names in `EvalSample`. */
  readonly id: Id;
  readonly unit: Id;
  readonly group?: string | undefined;
  readonly picture: string | null;
  readonly kind?: string | undefined;
  /** What the placeholders of a prompt stand for: `<question>`, `<options>`, ... */
  readonly words: Readonly<Record<string, string>>;
  /** The region that is asked about, in pixels; stands for `<boxes>`. */
  readonly box?: CornerBox | undefined;
  /** Size of the picture in pixels, where boxes are asked about or for. */
  readonly size?: { readonly width: number; readonly height: number } | undefined;
}

/** What scoring says about one answer. */
export type ItemScore = Pick<EvalSample, 'parsed' | 'target' | 'correct' | 'score' | 'figures' | 'boxes'>;

/** Figures by name, the main one first, and the score of each answer. */
export interface Scored {
  readonly figures: Readonly<Record<string, number>>;
  readonly items: readonly ItemScore[];
  readonly notes?: readonly string[] | undefined;
}

/** A benchmark whose files are read. */
export interface LoadedBenchmark<Item extends EvalItem = EvalItem> {
  readonly items: readonly Item[];
  /** Scores answers, their sentence frames removed, to some of the items, whole units in their order. */
  score(items: readonly Item[], answers: readonly string[], reader: string): Scored;
}

/** A unit of samples, its group and the pictures that it is about. */
export interface Unit<Sample> extends PicturedUnit {
  readonly samples: readonly Sample[];
}

/** Units of samples in their order. */
export function unitsOf<
  Sample extends {
    readonly unit: Id;
    readonly group?: string | undefined;
    readonly picture: string | null;
  },
>(samples: readonly Sample[]): Unit<Sample>[] {
  const units = new Map<string, { group: string; samples: Sample[]; pictures: string[] }>();
  for (const sample of samples) {
    const group = sample.group ?? '';
    const key = JSON.stringify([group, sample.unit]);
    const unit = units.get(key) ?? { group, samples: [], pictures: [] };
    units.set(key, unit);
    unit.samples.push(sample);
    if (sample.picture !== null && !unit.pictures.includes(sample.picture)) unit.pictures.push(sample.picture);
  }
  return [...units.values()];
}
