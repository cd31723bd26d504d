/** The published icons are those of the icon sets, and the ones that the world draws. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { ICON_NOUNS, ICON_STYLES } from './vocabulary.js';

const { resolve } = createRequire(import.meta.url);
const readJson = (name: string) => JSON.parse(readFileSync(resolve(name), 'utf8'));

for (const style of ICON_STYLES) {
  test(`@commlm/icons has the drawings of ${style} unchanged, with author, licence and version`, () => {
    const { icons, name, author, license, version, width, height } = readJson(`@commlm/icons/${style}.json`);
    const whole = readJson(`@iconify-json/${style}/icons.json`);
    const info = readJson(`@iconify-json/${style}/info.json`);
    assert.deepEqual([name, author, license], [info.name, info.author, info.license]);
    assert.equal(version, readJson(`@iconify-json/${style}/package.json`).version);
    assert.deepEqual([width, height], [whole.width, whole.height]);
    // The first name that a set has is the one that is drawn.
    const drawn = ICON_NOUNS.map(({ icons: names }) => names.find((each) => whole.icons[each] !== undefined));
    assert.deepEqual(Object.keys(icons), drawn);
    for (const each of Object.keys(icons)) assert.deepEqual(icons[each], whole.icons[each], each);
  });
}
