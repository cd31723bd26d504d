#!/usr/bin/env node
/**
 * Takes the drawings that the synthetic world uses out of the packages `@iconify-json/*` (54 MB, development only) into
 * `packages/icons/<set>.json` (0.3 MB, published), unchanged and with author, licence and version of each set.
 *
 * `node tools/world/icons.mjs`, after `npm run build`.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { ICON_NOUNS, ICON_STYLES } from '../../packages/commlm/dist/data/world/vocabulary.js';

const require = createRequire(new URL('../../packages/commlm/package.json', import.meta.url));
const readJson = (name) => JSON.parse(readFileSync(require.resolve(name), 'utf8'));

for (const style of ICON_STYLES) {
  const { icons, width, height } = readJson(`@iconify-json/${style}/icons.json`);
  const { name, author, license } = readJson(`@iconify-json/${style}/info.json`);
  const { version } = readJson(`@iconify-json/${style}/package.json`);
  const chosen = ICON_NOUNS.map((noun) => {
    const icon = noun.icons.find((candidate) => icons[candidate] !== undefined);
    if (icon === undefined) throw new Error(`@iconify-json/${style} has none of: ${noun.icons.join(', ')}`);
    return [icon, icons[icon]];
  });
  const set = { name, author, license, version, width, height, icons: Object.fromEntries(chosen) };
  writeFileSync(
    new URL(`../../packages/icons/${style}.json`, import.meta.url),
    `${JSON.stringify(set, undefined, 2)}\n`,
  );
}
