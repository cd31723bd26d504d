/** The truth that probes are fitted with: as many rows as there are, and what the scenes hold. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadSpriteBank, makeScene } from '../../data/world/index.js';
import { sceneReadings, sceneTruths } from './scenes.js';

test('the truth of scenes says what they show', async () => {
  const bank = await loadSpriteBank();
  const grid = 8;
  const scenes = Array.from({ length: 5 }, (_, seed) => makeScene(seed, { bank, size: 128 }));
  const [picture, thing, shape, place] = sceneTruths(scenes, bank, grid);
  const widths = sceneReadings(grid).map(({ readings }) => readings.reduce((sum, { outputs }) => sum + outputs, 0));
  assert.equal(picture!.targets.length, scenes.length * widths[0]!);
  assert.equal(thing!.targets.length, thing!.rows!.length * widths[1]!);
  assert.equal(shape!.targets.length, shape!.rows!.length * widths[2]!);
  assert.equal(place!.targets.length, scenes.length * grid * grid * widths[3]!);
  for (const [i, { objects }] of scenes.entries()) {
    const row = [...picture!.targets.subarray(i * widths[0]!, (i + 1) * widths[0]!)];
    const nouns = new Set(objects.map(({ noun }) => noun));
    assert.equal(
      row.slice(0, -4).reduce((a, b) => a + b, 0),
      nouns.size,
    );
    assert.equal(row.slice(-4).indexOf(1), objects.length - 1);
  }
});
