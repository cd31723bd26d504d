/**
 * Figures as tables show them: rates in percent, whatever scale the official tool has, each with its unit beside it. JSON
 * keeps the scale of the tool.
 */

/** What a benchmark's rates are in: fractions of one, or percent already. */
export type RateScale = 'fraction' | 'percent';

/** A figure as text, and its unit: `%`, `x 100` (CIDEr, as papers print it), `points` (MME), or nothing for a count. */
export interface ShownFigure {
  readonly text: string;
  readonly unit: string;
}

const COUNTS: ReadonlySet<string> = new Set(['failed']);
const POINTS: ReadonlySet<string> = new Set(['perception', 'cognition', 'score']);
const DECIMALS = 2;

/** The unit of a figure; `name` may have a group before a dot. */
function unitOf(name: string): ShownFigure['unit'] {
  const figure = name.slice(name.lastIndexOf('.') + 1);
  if (COUNTS.has(figure)) return '';
  if (POINTS.has(figure)) return 'points';
  return figure === 'CIDEr' ? 'x 100' : '%';
}

/** A figure of a benchmark whose rates are in `scale`. */
export function shownFigure(scale: RateScale, name: string, value: number): ShownFigure {
  const unit = unitOf(name);
  if (unit === '') return { text: Number.isInteger(value) ? String(value) : value.toFixed(DECIMALS), unit };
  const factor = unit === 'x 100' || (unit === '%' && scale === 'fraction') ? 100 : 1;
  return { text: (value * factor).toFixed(DECIMALS), unit };
}
