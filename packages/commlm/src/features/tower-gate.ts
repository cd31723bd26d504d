/**
 * Whether a tower has learned: what linear maps read from each of its levels beside the same tower untrained, whether its
 * features have collapsed, and the verdict that nothing is built on a tower without.
 */
import { cat, F, keep, noGrad, op, scope, type Tensor, tensor, zeros } from '@commlm/torch';
import { LinearProbe } from './linear-probe.js';

// Shapes: B pictures, N patches, D width, R rows that are read, C outputs.

const eigenvalues = op('aten::linalg_eigvalsh');

/** How an answer is scored: the share of the targets among as many highest scores, the highest score, or the overlap of boxes. */
export type Score = 'labels' | 'class' | 'box';

/** What is read from the same rows of the features by one map. */
export interface ReadingGroup {
  readonly name: string;
  /** `picture` reads the mean of a picture's patches, `patch` single ones. */
  readonly at: 'picture' | 'patch';
  readonly readings: readonly { readonly name: string; readonly outputs: number; readonly score: Score }[];
}

/** Truth of a batch for one group: f32 targets [R, C], all readings side by side, and for patches their flat places. */
export interface GroupTruth {
  readonly rows: BigInt64Array | null;
  readonly targets: Float32Array;
}

/** Figures of one level: what each reading scores, and the state of the features. */
export interface LevelFigures {
  readonly scores: Readonly<Record<string, number>>;
  /** Effective number of directions that patches differ in: exp of the entropy of the covariance's eigenvalues. */
  readonly rank: number;
  /** Root of the share of the squared features that is variance, over all patches and over the means of pictures. */
  readonly spread: number;
  readonly pictureSpread: number;
}

/** Rows of a batch for a group, float[R, D]; null for a group that has nothing in this batch. */
function rowsOf(state_BND: Tensor, { at }: ReadingGroup, { rows, targets }: GroupTruth): Tensor | null {
  if (targets.length === 0) return null;
  if (at === 'picture') return state_BND.mean(1);
  const all = state_BND.flatten(0, 1);
  return rows === null ? all : all.indexSelect(0, tensor(rows));
}

/** Outputs of a group's readings together. */
export const groupWidth = ({ readings }: ReadingGroup): number =>
  readings.reduce((sum, { outputs }) => sum + outputs, 0);

const targetsOf = (group: ReadingGroup, { targets }: GroupTruth): Tensor =>
  tensor(targets, { shape: [targets.length / groupWidth(group), groupWidth(group)] });

/** Probes of every level of a tower: shown the truth once, they read what they were not shown. */
export class LevelProbes {
  readonly #groups: readonly ReadingGroup[];
  readonly #probes: readonly (readonly LinearProbe[])[];

  constructor(numLevels: number, width: number, groups: readonly ReadingGroup[]) {
    this.#groups = groups;
    this.#probes = Array.from({ length: numLevels }, () =>
      groups.map((group) => new LinearProbe(width, groupWidth(group))),
    );
  }

  /** Levels float[B, N, D] and the truth of each group. */
  add(states: readonly Tensor[], truths: readonly GroupTruth[]): void {
    scope(() =>
      noGrad(() => {
        for (const [g, group] of this.#groups.entries()) {
          const truth = truths[g]!;
          if (truth.targets.length === 0) continue;
          const targets = targetsOf(group, truth);
          for (const [level, state] of states.entries()) {
            this.#probes[level]![g]!.add(rowsOf(state, group, truth) as Tensor, targets);
          }
        }
      }),
    );
  }

  /** Finds the maps. What is handed back opens an account for a set of unseen pictures; nothing can be added afterwards. */
  fit(): () => LevelAccount {
    const maps = this.#probes.map((own) => own.map((probe) => probe.fit()));
    for (const probe of this.#probes.flat()) probe.dispose();
    return () => new LevelAccount(this.#groups, maps);
  }
}

interface Sums {
  readonly right: Map<string, number>;
  readonly count: Map<string, number>;
  readonly moments: Moments;
}

/** Scores and state of the features over one set of pictures. */
export class LevelAccount {
  readonly #groups: readonly ReadingGroup[];
  readonly #maps: readonly (readonly ((features: Tensor) => Tensor)[])[];
  readonly #sums: readonly Sums[];

  constructor(groups: readonly ReadingGroup[], maps: readonly (readonly ((features: Tensor) => Tensor)[])[]) {
    this.#groups = groups;
    this.#maps = maps;
    this.#sums = maps.map(() => ({ right: new Map(), count: new Map(), moments: new Moments() }));
  }

  /** Levels float[B, N, D] and the truth of each group. */
  add(states: readonly Tensor[], truths: readonly GroupTruth[]): void {
    scope(() =>
      noGrad(() => {
        for (const [level, state] of states.entries()) {
          const { right, count, moments } = this.#sums[level]!;
          moments.add(state);
          for (const [g, group] of this.#groups.entries()) {
            const truth = truths[g]!;
            const rows = rowsOf(state, group, truth);
            if (rows === null) continue;
            const [read, wanted] = [this.#maps[level]![g]!(rows), targetsOf(group, truth).to('f64')];
            let at = 0;
            for (const { name, outputs, score } of group.readings) {
              const hits = scoreOf[score](read.narrow(1, at, outputs), wanted.narrow(1, at, outputs));
              right.set(name, (right.get(name) ?? 0) + hits.sum().item());
              count.set(name, (count.get(name) ?? 0) + hits.numel);
              at += outputs;
            }
          }
        }
      }),
    );
  }

  figures(): LevelFigures[] {
    return this.#sums.map(({ right, count, moments }) => ({
      scores: Object.fromEntries([...right].map(([name, sum]) => [name, sum / (count.get(name) as number)])),
      ...moments.figures(),
    }));
  }

  dispose(): void {
    for (const { moments } of this.#sums) moments.dispose();
  }
}

/** Scores of rows, float[R, C] read and wanted -> f64[R]. */
const scoreOf: Readonly<Record<Score, (read: Tensor, wanted: Tensor) => Tensor>> = {
  labels: (read, wanted) => {
    const counts = wanted.sum(1, true);
    const best = read.argsort(-1, true).argsort(-1).to('f64').lt(counts).to('f64');
    return best.mul(wanted).sum(1).div(counts.squeeze(1));
  },
  class: (read, wanted) => read.argmax(1).eq(wanted.argmax(1)).to('f64'),
  box: (read, wanted) => {
    const side = (box: Tensor, low: number): Tensor =>
      box
        .select(1, low + 2)
        .sub(box.select(1, low))
        .clamp(0);
    const area = (box: Tensor): Tensor => side(box, 0).mul(side(box, 1));
    const low = read.narrow(1, 0, 2).maximum(wanted.narrow(1, 0, 2));
    const high = read.narrow(1, 2, 2).minimum(wanted.narrow(1, 2, 2));
    const shared = area(cat([low, high], 1));
    return shared.div(area(read).add(area(wanted)).sub(shared));
  },
};

/** First and second moments of patches and of pictures' means, after the LayerNorm that COMM's merge begins with. */
class Moments {
  #sum: Tensor | null = null;
  #gram: Tensor | null = null;
  #pictureSquares = 0;
  #patches = 0;
  #pictures = 0;

  add(state_BND: Tensor): void {
    const normed = F.layerNorm(state_BND.to('f32'), [state_BND.shape[2]!]);
    const flat = normed.flatten(0, 1).to('f64');
    if (this.#sum === null || this.#gram === null) {
      const width = state_BND.shape[2]!;
      [this.#sum, this.#gram] = keep([
        zeros([width], { dtype: 'f64' }),
        zeros([width, width], { dtype: 'f64' }),
      ] as const);
    }
    this.#sum.add_(flat.sum(0));
    this.#gram.add_(flat.t().mm(flat));
    const means = normed.mean(1).to('f64');
    this.#pictureSquares += means.mul(means).sum().item();
    this.#patches += flat.shape[0]!;
    this.#pictures += means.shape[0]!;
  }

  figures(): Pick<LevelFigures, 'rank' | 'spread' | 'pictureSpread'> {
    const [sum, gram] = [this.#sum, this.#gram];
    if (sum === null || gram === null) return { rank: 0, spread: 0, pictureSpread: 0 };
    return scope(() =>
      noGrad(() => {
        const mean = sum.div(this.#patches);
        const covariance = gram.div(this.#patches).sub(mean.unsqueeze(1).mul(mean.unsqueeze(0)));
        const squares = gram.diagonal().sum().div(this.#patches).item();
        const meanSquares = mean.mul(mean).sum().item();
        const values = eigenvalues(covariance, 'L').clamp(0);
        const total = values.sum().item();
        // What is left of rounding is no direction.
        if (!(total > EPSILON * squares)) return { rank: 0, spread: 0, pictureSpread: 0 };
        const shares = values.div(total);
        const entropy = shares.mul(shares.add(1e-300).log()).sum().neg().item();
        const overPictures = Math.max(0, this.#pictureSquares / this.#pictures - meanSquares);
        return {
          rank: Math.exp(entropy),
          spread: Math.sqrt(total / squares),
          pictureSpread: Math.sqrt(overPictures / squares),
        };
      }),
    );
  }

  dispose(): void {
    this.#sum?.dispose();
    this.#gram?.dispose();
  }
}

/** Variance below this share of the squares is the rounding of f32 features. */
const EPSILON = 1e-10;
/** Features with fewer effective directions, or that differ less between patches or pictures, are collapsed. */
const LEAST_RANK = 4;
const LEAST_SPREAD = 0.05;

/** Whether features say about the same of everything. */
export const isCollapsed = ({ rank, spread, pictureSpread }: Omit<LevelFigures, 'scores'>): boolean =>
  rank < LEAST_RANK || spread < LEAST_SPREAD || pictureSpread < LEAST_SPREAD / 2;

/** Figures of all levels in the style that probes were fitted on and in the one that was held out. */
export interface TowerFigures {
  readonly known: readonly LevelFigures[];
  readonly shift: readonly LevelFigures[];
}

/** How far the best level of a tower has to lie above the best one of the untrained tower, as shares. */
export const GATE = [
  { reading: 'noun', style: 'known', gain: 0.2 },
  { reading: 'noun', style: 'shift', gain: 0.1 },
  { reading: 'patch noun', style: 'known', gain: 0.1 },
  { reading: 'patch noun', style: 'shift', gain: 0.05 },
] as const;

/** One demand of the gate and what a tower has of it. */
export interface Demand {
  readonly reading: string;
  readonly style: keyof TowerFigures;
  readonly wanted: number;
  readonly gain: number;
  /** The level that reads best, of the tower and of the untrained one. */
  readonly level: number;
  readonly untrainedLevel: number;
  readonly collapsed: boolean;
  readonly met: boolean;
}

/** What the gate says: passed when every demand is met by a level that has not collapsed. */
export interface Verdict {
  readonly passed: boolean;
  readonly demands: readonly Demand[];
}

/** The level that scores highest on a reading. */
export function bestLevel(figures: readonly LevelFigures[], reading: string): number {
  const scores = figures.map(({ scores }) => scores[reading] ?? -Infinity);
  return scores.indexOf(Math.max(...scores));
}

/** Judges a tower beside the untrained one. Both best levels are chosen on the pictures that they are judged by. */
export function judgeTower(tower: TowerFigures, untrained: TowerFigures): Verdict {
  const demands = GATE.map(({ reading, style, gain: wanted }): Demand => {
    const [own, other] = [tower[style], untrained[style]];
    const [level, untrainedLevel] = [bestLevel(own, reading), bestLevel(other, reading)];
    const gain = (own[level]?.scores[reading] ?? 0) - (other[untrainedLevel]?.scores[reading] ?? 0);
    const collapsed = own[level] === undefined || isCollapsed(own[level]);
    return { reading, style, wanted, gain, level, untrainedLevel, collapsed, met: gain >= wanted && !collapsed };
  });
  return { passed: demands.every(({ met }) => met), demands };
}
