/** Figures of the synthetic world from answers: of each column, with intervals over scenes, and what looking is worth. */
import { captionsFor } from '../data/world/index.js';
import type { GroupSums } from './benchmarks/benchmark.js';
import { BOOTSTRAP, drawFigures, type Interval, percentileInterval } from './bootstrap.js';
import { scoreCaptions } from './metrics/captions.js';
import { scorePope } from './metrics/pope.js';
import { scoreRec } from './metrics/rec.js';
import { shortAnswer, VQA_TYPES, type WorldItem, type WorldType } from './world-items.js';

/** Shares between 0 and 1, except CIDEr (0 to 10). */
export interface WorldFigures {
  readonly existence: number;
  readonly existenceYesRatio: number;
  readonly vqa: number;
  readonly vqaByType: Readonly<Record<string, number>>;
  /** Questions with a one-phrase answer as the last turn of a conversation about the picture, whose answers before are true. */
  readonly dialogue: number;
  /** Questions with a one-phrase answer about two pictures. */
  readonly pairs: number;
  readonly rec: number;
  readonly recMeanIou: number;
  readonly captionCider: number;
}

/** The columns: what was shown, or that nothing was looked at. */
export const COLUMNS = ['picture', 'wrong', 'grey', 'prior'] as const;
export type Column = (typeof COLUMNS)[number];

/** A figure of the true picture against the highest of the other three. */
export interface Margin extends Partial<Interval> {
  /** The column that is highest of those that did not see the picture. */
  readonly over: Exclude<Column, 'picture'>;
  readonly value: number;
}

/** Figures of all columns; those in `intervals` and `margins` by name, `vqa.count` for a kind of question. */
export interface WorldComparison {
  readonly figures: Readonly<Record<Column, WorldFigures>>;
  /** 95 % intervals of the true picture. */
  readonly intervals: Readonly<Record<string, Interval>>;
  readonly margins: Readonly<Record<string, Margin>>;
}

const REFERENCES = 5;
/** Statistics of an answer: its score, and a second one (`yes` to existence, the overlap of a box). */
type Scores = readonly [score: number, other: number];

/** Scores answers, each by the tool of its type. */
function scoresOf(items: readonly WorldItem[], answers: readonly string[]): Scores[] {
  const scores: Scores[] = items.map((item, i) => {
    return [shortAnswer(item.target) === shortAnswer(answers[i]!) ? 1 : 0, 0];
  });
  const scoreType = (
    type: WorldType,
    score: (own: readonly WorldItem[], given: readonly string[]) => Scores[],
  ): void => {
    const places = items.flatMap((item, i) => (item.type === type ? [i] : []));
    if (places.length === 0) return;
    const own = score(
      places.map((i) => items[i]!),
      places.map((i) => answers[i]!),
    );
    places.forEach((i, k) => {
      scores[i] = own[k]!;
    });
  };
  scoreType('existence', (own, given) =>
    scorePope(
      own.map(({ target }) => shortAnswer(target)),
      given.map(shortAnswer),
    ).perItem.map(({ parsed, hit }) => [hit ? 1 : 0, parsed === 'yes' ? 1 : 0]),
  );
  scoreType('rec', (own, given) =>
    scoreRec(
      own.map(({ scene: { width, height }, box }) => {
        return { box: box as unknown as [number, number, number, number], width, height };
      }),
      given,
    ).perItem.map(({ hit, iou }) => [hit ? 1 : 0, iou]),
  );
  scoreType('caption', (own, given) =>
    scoreCaptions(
      new Map(own.map(({ index, scene }) => [index, captionsFor(scene, scene.seed, REFERENCES)])),
      new Map(own.map(({ index }, i) => [index, given[i]!])),
    ).perItem.map(({ CIDEr }) => [CIDEr, 0]),
  );
  return scores;
}

/** Sums of a type: questions, scores, second scores. */
type Sums = (type: WorldType) => readonly [count: number, score: number, other: number];

function figuresOf(sums: Sums): WorldFigures {
  const mean = (types: readonly WorldType[], which: 1 | 2 = 1): number => {
    const [count, sum] = types.map(sums).reduce(([n, s], each) => [n + each[0], s + each[which]], [0, 0]);
    return sum / Math.max(1, count);
  };
  const asked = VQA_TYPES.filter((type) => sums(type)[0] > 0);
  return {
    existence: mean(['existence']),
    existenceYesRatio: mean(['existence'], 2),
    vqa: mean(asked),
    vqaByType: Object.fromEntries(asked.map((type) => [type, mean([type])])),
    dialogue: mean(['dialogue']),
    pairs: mean(['pairs']),
    rec: mean(['rec']),
    recMeanIou: mean(['rec'], 2),
    captionCider: mean(['caption']),
  };
}

/** Figures by name. The share of yes is no merit. */
function namedFigures({ vqaByType, existenceYesRatio: _, ...figures }: WorldFigures): Record<string, number> {
  const byType = Object.entries(vqaByType).map(([type, value]) => [`vqa.${type}`, value] as const);
  return { ...figures, ...Object.fromEntries(byType) };
}

const NUM_SUMS = 3;

/** Figures of all columns; scenes are drawn whole, so that the interval of a margin is of paired answers. */
export function compareColumns(
  items: readonly WorldItem[],
  answers: Readonly<Record<Column, readonly string[]>>,
): WorldComparison {
  const scores = COLUMNS.map((column) => scoresOf(items, answers[column]));
  const figuresIn = (sums: GroupSums): Record<Column, WorldFigures> => {
    const columns = COLUMNS.map((column, k) => {
      const of: Sums = (type) => {
        const all = Array.from(sums.get(type) ?? []);
        const [count = 0, score = 0, other = 0] = all.slice(k * NUM_SUMS, (k + 1) * NUM_SUMS);
        return [count, score, other];
      };
      return [column, figuresOf(of)] as const;
    });
    return Object.fromEntries(columns) as Record<Column, WorldFigures>;
  };
  const units = items.map(({ type, index }, i) => ({
    group: type,
    pictures: [String(index)],
    sums: scores.flatMap((column) => [1, ...column[i]!]),
  }));
  const totals = new Map<string, number[]>();
  for (const { group, sums } of units) {
    const total = totals.get(group) ?? sums.map(() => 0);
    totals.set(
      group,
      sums.map((value, k) => value + total[k]!),
    );
  }
  const figures = figuresIn(totals);
  const named = Object.fromEntries(COLUMNS.map((column) => [column, namedFigures(figures[column])]));
  const figureOf = (column: Column, name: string): number => named[column]?.[name] ?? 0;
  const names = Object.keys(named['picture'] ?? {});
  const best = new Map(names.map((name) => [name, highestOf(name, figureOf)]));
  const { values } = drawFigures(
    units,
    (sums) => {
      const drawn = figuresIn(sums);
      const picture = namedFigures(drawn.picture);
      const others = Object.fromEntries(COLUMNS.map((column) => [column, namedFigures(drawn[column])]));
      const margins = names.map((name) => {
        const other = others[best.get(name)!]?.[name];
        return [`margin ${name}`, (picture[name] ?? Number.NaN) - (other ?? Number.NaN)] as const;
      });
      return { ...picture, ...Object.fromEntries(margins) };
    },
    BOOTSTRAP,
    'bootstrap',
  );
  const intervalOf = (name: string): Interval | undefined => {
    const drawn = values.get(name);
    return drawn === undefined ? undefined : percentileInterval(drawn, BOOTSTRAP.level);
  };
  const intervals = names.flatMap((name) => {
    const interval = intervalOf(name);
    return interval === undefined ? [] : [[name, interval] as const];
  });
  const margins = names.map((name) => {
    const over = best.get(name) as Margin['over'];
    const value = figureOf('picture', name) - figureOf(over, name);
    return [name, { over, value, ...intervalOf(`margin ${name}`) }] as const;
  });
  return { figures, intervals: Object.fromEntries(intervals), margins: Object.fromEntries(margins) };
}

/** The highest column that did not see the picture. */
function highestOf(name: string, figureOf: (column: Column, name: string) => number): Margin['over'] {
  const others = ['wrong', 'grey', 'prior'] as const;
  return others.reduce((best, column) => (figureOf(column, name) > figureOf(best, name) ? column : best));
}
