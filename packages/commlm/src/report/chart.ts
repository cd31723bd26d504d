/**
 * Charts as pictures: a Vega-Lite description drawn in the house's style, as `NAME.svg` and `NAME.png`. The one place that
 * loads the chart library, and only when something is drawn.
 */
import { join } from 'node:path';
import type { TopLevelSpec } from 'vega-lite';
import { writeDurably } from '../files/durable.js';

/** What a chart shows; its style is added here. */
export type Chart = TopLevelSpec;

/** Pixels of the picture for each unit of the drawing. */
const PNG_SCALE = 2;

const STYLE = {
  background: 'white',
  config: { view: { stroke: '#ccc' }, axis: { gridColor: '#eee' } },
} as const;

/** Draws a chart into a folder, as `NAME.svg` and `NAME.png`. */
export async function drawChart(folder: string, name: string, chart: Chart): Promise<void> {
  const [{ parse, View }, { compile }, { default: sharp }] = await Promise.all([
    import('vega'),
    import('vega-lite'),
    import('sharp'),
  ]);
  const view = new View(parse(compile({ ...STYLE, ...chart }).spec), { renderer: 'none' });
  try {
    const svg = await view.toSVG();
    writeDurably(join(folder, `${name}.svg`), svg);
    const png = await sharp(Buffer.from(svg), { density: 72 * PNG_SCALE })
      .png()
      .toBuffer();
    writeDurably(join(folder, `${name}.png`), png);
  } finally {
    view.finalize();
  }
}
