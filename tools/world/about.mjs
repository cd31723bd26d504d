/**
 * Writes `commlm.json` of the embedded model: the nouns of the world, and the words of its questions. Run after a build:
 * node tools/world/about.mjs
 */

import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  loadSpriteBank,
  makeScene,
  NOUNS,
  pairTurnsFor,
  sceneSeed,
  turnsFor,
} from '../../packages/commlm/dist/data/world/index.js';

const SCENES = 4000;
const bank = await loadSpriteBank();
const words = new Set();
let last = makeScene(sceneSeed(5, SCENES), { bank, split: 'train' });
for (let index = 0; index < SCENES; index++) {
  const scene = makeScene(sceneSeed(5, index), { bank, split: 'train' });
  const pair = pairTurnsFor([last, scene], scene.seed, { max: 4 });
  for (const { question } of [...turnsFor(scene, scene.seed, { max: 30 }), ...pair]) {
    for (const word of question.toLowerCase().match(/[a-z]+/g) ?? []) words.add(word);
  }
  last = scene;
}
const nouns = Object.fromEntries(NOUNS.map(({ name, plural }) => [name, plural]).sort());
for (const word of Object.entries(nouns).flat()) words.delete(word);
const about = {
  knows: '48 drawn things (42 everyday nouns and 6 shapes, in 10 colours)',
  photographs: false,
  nouns,
  words: [...words].sort(),
};
const path = fileURLToPath(new URL('../../models/comm-tiny/commlm.json', import.meta.url));
// Short lists on one line each, as a person would write them.
const text = JSON.stringify(about, (_, value) => (Array.isArray(value) ? value.join(' ') : value), 2);
writeFileSync(path, `${text}\n`);
console.log(`${Object.keys(nouns).length} nouns and ${words.size} words in ${path}`);
