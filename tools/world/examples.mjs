/**
 * Paints the pictures of `examples/` from scenes of the test split, as they come from their seeds, and prints what they
 * hold. Run after a build: node tools/world/examples.mjs
 */

import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  loadSpriteBank,
  mainCaption,
  makeScene,
  renderScene,
  sceneSeed,
} from '../../packages/commlm/dist/data/world/index.js';
import { encode } from '../../packages/commlm/dist/data/world/write.js';

const EXAMPLES = [
  { file: 'park.png', seed: 70058 },
  { file: 'street.jpg', seed: 34162 },
  { file: 'picnic.png', seed: 22115 },
  { file: 'music.png', seed: 87473 },
  { file: 'pets.png', seed: 64367 },
  { file: 'shapes.png', seed: 8142 },
  { file: 'garden.jpg', seed: 3206 },
  { file: 'dog.png', seed: sceneSeed(900, 473) },
  { file: 'elephant.png', seed: sceneSeed(900, 188) },
  { file: 'puppy.png', seed: sceneSeed(900, 977) },
  { file: 'traffic.jpg', seed: 100661 },
];

const folder = fileURLToPath(new URL('../../examples/', import.meta.url));
mkdirSync(folder, { recursive: true });
const bank = await loadSpriteBank();
let total = 0;
for (const { file, seed } of EXAMPLES) {
  const scene = makeScene(seed, { bank, split: 'test', size: 640 });
  const path = join(folder, file);
  writeFileSync(path, await encode(renderScene(scene, bank), file.endsWith('.png') ? 'png' : 'jpg'));
  const { size } = statSync(path);
  total += size;
  console.log(`${file} ${scene.width}x${scene.height} ${(size / 1000).toFixed(0)} kB: ${mainCaption(scene)}`);
}
console.log(`${(total / 1000).toFixed(0)} kB in all`);
