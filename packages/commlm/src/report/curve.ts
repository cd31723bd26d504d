/** The losses of a run as a picture: `curve.svg` and `curve.png`. */
import { type Chart, drawChart } from './chart.js';

/** Weight of the past in the smoothed line. */
const SMOOTHING = 0.7;
/** Most points of a line; what lies between is passed over. */
const MAX_POINTS = 1000;

interface Point {
  readonly step: number;
  readonly loss: string;
  readonly value: number;
  readonly smooth: number;
}

/** A line of `metrics.jsonl`: the step, when it was written in seconds since 1970, and figures by name. */
export type MetricsLine = Readonly<Record<string, number>> & { readonly step: number; readonly time: number };

/** Figures that are losses, by their names: `train/loss`, `train/token_loss`, `eval/held/loss`. */
const isLoss = (name: string): boolean => /(^|[/_])loss$/.test(name);

/** Points of every loss, those of training smoothed in the logarithm, without bias towards the first value. */
export function curvePoints(lines: readonly MetricsLine[]): Point[] {
  const names = [...new Set(lines.flatMap((line) => Object.keys(line).filter(isLoss)))];
  return names.flatMap((name) => {
    const past = name.startsWith('eval/') ? 0 : SMOOTHING;
    let sum = 0;
    let weight = 0;
    const points: Point[] = [];
    for (const line of lines) {
      const value = line[name];
      if (value === undefined || value === null || !(value > 0)) continue;
      sum = past * sum + (1 - past) * Math.log(value);
      weight = past * weight + (1 - past);
      points.push({ step: line.step, loss: name, value, smooth: Math.exp(sum / weight) });
    }
    const stride = Math.ceil(points.length / MAX_POINTS);
    return points.filter((_, i) => i % stride === 0 || i === points.length - 1);
  });
}

/** Marks every point of lines with fewer points than this. */
const FEW_POINTS = 40;

function chartOf(points: readonly Point[]): Chart {
  const steps = points.map(({ step }) => step);
  const span = Math.max(...steps) - Math.min(...steps);
  const x = {
    field: 'step',
    type: 'quantitative',
    title: 'step',
    scale: { zero: false, nice: false },
    // Steps are whole: never more ticks than there are of them.
    axis: { grid: false, format: 'd', tickMinStep: 1, tickCount: Math.min(10, Math.max(1, span)) },
  } as const;
  const color = {
    field: 'loss',
    type: 'nominal',
    title: null,
    legend: { orient: 'top', columns: 4, symbolOpacity: 1, symbolType: 'stroke' },
  } as const;
  const scale = { type: 'log', nice: false, padding: 8 } as const;
  const axis = { tickCount: 6, format: '~g' } as const;
  const line = (field: string, opacity: number, strokeWidth: number) =>
    ({
      mark: { type: 'line', opacity, strokeWidth, point: field === 'value' && points.length < FEW_POINTS },
      encoding: { x, y: { field, type: 'quantitative', title: 'loss (log scale)', scale, axis }, color },
    }) as const;
  return {
    width: 640,
    height: 320,
    title: { text: 'Losses', subtitle: 'thin: as logged; thick: training losses smoothed', anchor: 'start' },
    data: { values: [...points] },
    layer: [line('value', 0.3, 1), line('smooth', 1, 2)],
  };
}

/** Draws the losses of a run into its folder; nothing with fewer than two lines. */
export async function drawCurve(out: string, lines: readonly MetricsLine[]): Promise<void> {
  const points = curvePoints(lines);
  if (new Set(points.map(({ step }) => step)).size < 2) return;
  await drawChart(out, 'curve', chartOf(points));
}
