/**
 * Paints the first scenes of a split as one picture, to look at.
 * Run after a build: node tools/world/contact-sheet.mjs OUT.png [train|test] [style] [none|light|strong]
 */

import { writeFileSync } from 'node:fs';
import { loadSpriteBank, worldItem } from '../../packages/commlm/dist/data/world/index.js';
import { encode } from '../../packages/commlm/dist/data/world/write.js';

const COLUMNS = 10;
const ROWS = 6;
const SIDE = 128;

const [out, split = 'train', style = 'known', augment = 'none'] = process.argv.slice(2);
if (!out) {
  console.error('Name the picture to write: node tools/world/contact-sheet.mjs OUT.png');
  process.exit(2);
}
const bank = await loadSpriteBank();
const width = COLUMNS * SIDE;
const data = new Uint8Array(width * ROWS * SIDE * 3);
for (let i = 0; i < COLUMNS * ROWS; i++) {
  const { pixels } = worldItem(i, { bank, split, style, augment, side: SIDE, seed: 0 });
  const left = (i % COLUMNS) * SIDE;
  const top = Math.floor(i / COLUMNS) * SIDE;
  for (let y = 0; y < SIDE; y++) {
    data.set(pixels.subarray(y * SIDE * 3, (y + 1) * SIDE * 3), ((top + y) * width + left) * 3);
  }
}
writeFileSync(out, await encode({ width, height: ROWS * SIDE, data }, 'png'));
