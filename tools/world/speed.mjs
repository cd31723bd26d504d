/** Measures how many scenes one core makes and paints in a second of processor time. Run after a build: node tools/world/speed.mjs [side] */

import { loadSpriteBank, worldItem } from '../../packages/commlm/dist/data/world/index.js';

const side = Number(process.argv[2] ?? 128);
const NUM_WARM_UP = 300;
const NUM_MEASURED = 2000;

const started = performance.now();
const bank = await loadSpriteBank();
console.log(`sprite bank of ${bank.size} drawings loaded in ${(performance.now() - started).toFixed(0)} ms`);
for (const split of ['train', 'test']) {
  for (const augment of ['none', 'light', 'strong']) {
    const options = { bank, split, augment, side, seed: 0 };
    for (let i = 0; i < NUM_WARM_UP; i++) worldItem(i, options);
    const start = process.cpuUsage();
    for (let i = 0; i < NUM_MEASURED; i++) worldItem(NUM_WARM_UP + i, options);
    const { user, system } = process.cpuUsage(start);
    const rate = (NUM_MEASURED * 1e6) / (user + system);
    console.log(`${split}, augment ${augment}, ${side} px: ${rate.toFixed(0)} pictures/s`);
  }
}
