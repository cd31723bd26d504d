/** What a benchmark is to `eval`: questions with pictures read from published files, and the scoring of their answers. */
import type { PicturedUnit } from '../clusters.js';
import type { Id } from '../formats/files.js';
import type { CornerBox } from '../metrics/rec.js';
import type { PromptName } from '../prompts.js';
import type { EvalSample } from '../results.js';
import type { DataFolder } from './data-folder.js';

/** One question. */
export interface EvalItem {
  /** See the fields of the same names in `EvalSample`. */
  readonly id: Id;
  readonly unit: Id;
  readonly group?: string;
  readonly picture: string | null;
  readonly kind?: string;
  /** What the placeholders of a prompt stand for: `<question>`, `<options>`, ... */
  readonly words: Readonly<Record<string, string>>;
  /** The region that is asked about, in pixels; stands for `<boxes>`. */
  readonly box?: CornerBox;
  /** Size of the picture in pixels, where boxes are asked about or for. */
  readonly size?: { readonly width: number; readonly height: number };
}

/** What scoring says about one answer. */
export type ItemScore = Pick<EvalSample, 'parsed' | 'target' | 'correct' | 'score' | 'figures' | 'boxes'>;

/** Figures by name, the main one first, and the score of each answer. */
export interface Scored {
  readonly figures: Readonly<Record<string, number>>;
  readonly items: readonly ItemScore[];
  readonly notes?: readonly string[];
}

/** A benchmark whose files are read. */
export interface LoadedBenchmark<Item extends EvalItem = EvalItem> {
  readonly items: readonly Item[];
  /** Scores answers, their sentence frames removed, to some of the items, whole units in their order. */
  score(items: readonly Item[], answers: readonly string[], reader: string): Scored;
}

/** A file or folder that a benchmark looks for; the published names come first. */
export interface DataRole {
  readonly role: string;
  readonly names: readonly string[];
}

/** Sums over units by group; the group of samples without one is ''. */
export type GroupSums = ReadonlyMap<string, Iterable<number> & ArrayLike<number>>;

/** One row of `eval`. */
export interface Benchmark {
  readonly name: string;
  readonly summary: string;
  readonly prompt: PromptName;
  /** The first is the default. */
  readonly readers: readonly [string, ...string[]];
  readonly roles: readonly DataRole[];
  /** Reads the files and checks that every picture is there. */
  readonly load: (folder: DataFolder) => Promise<LoadedBenchmark>;
  /** The additive statistics of one unit, from its lines in the samples file. */
  readonly sums: (unit: readonly Pick<EvalSample, 'figures' | 'score'>[]) => readonly number[];
  /** Figures from statistics summed over units: those of `Scored.figures` that a bootstrap can repeat. */
  readonly figures: (sums: GroupSums) => Readonly<Record<string, number>>;
}

/** Adds sums of several groups. */
export function addSums(sums: Iterable<ArrayLike<number>>): number[] {
  const total: number[] = [];
  for (const part of sums) {
    for (let i = 0; i < part.length; i++) total[i] = (total[i] ?? 0) + part[i]!;
  }
  return total;
}

/** `part / whole`, 0 when there is nothing. */
export function share(part: number | undefined, whole: number | undefined): number {
  return part === undefined || whole === undefined || whole === 0 ? 0 : part / whole;
}

/** A unit of samples, its group and the pictures that it is about. */
export interface Unit<Sample> extends PicturedUnit {
  readonly samples: readonly Sample[];
}

/** Units of samples in their order. */
export function unitsOf<Sample extends Pick<EvalSample, 'unit' | 'group' | 'picture'>>(
  samples: readonly Sample[],
): Unit<Sample>[] {
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
