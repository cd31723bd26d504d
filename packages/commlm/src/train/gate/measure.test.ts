/** Towers on scenes: one that was never trained does not pass, and probes with the truth of others read what is common to all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scope } from '@commlm/torch';
import { IMAGENET_MEAN, IMAGENET_STD, plainBranch } from '../../config/presets.js';
import { loadSpriteBank, makeScene } from '../../data/world/index.js';
import { judgeTower, type TowerFigures } from '../../features/tower-gate.js';
import { smallViT } from '../../models/sample-configs.fixture.js';
import { measureTowers, type Tower, untrainedTower } from './measure.js';
import { sceneReadings, sceneTruths } from './scenes.js';

const { image, type } = plainBranch('vit', smallViT({ hiddenSize: 48 }), { mean: IMAGENET_MEAN, std: IMAGENET_STD });

/** Two towers of other seeds; `dead` makes all tokens of the first one alike. */
async function measured(misplaced: boolean, dead = false): Promise<TowerFigures[]> {
  const towers = scope((): Tower[] => {
    const config = { vit: { config: smallViT({ hiddenSize: 48 }) } as Tower['vit'], image };
    return [untrainedTower(config, type, 1), untrainedTower(config, type, 2)];
  });
  if (dead) scope(() => towers[0]!.vit.stateDict().get('blocks.2.mlp.fc2.bias')!.detach().fill_(0));
  return measureTowers(towers, { scenes: 300, misplaced });
}

test('an untrained tower does not pass beside another untrained one', async () => {
  const [first, second] = await measured(false);
  const verdict = judgeTower(first!, second!);
  assert.equal(verdict.passed, false);
  // It says where a patch lies, and what the truth of other rows leaves out.
  const [misplaced] = await measured(true);
  for (const reading of ['row', 'column']) {
    assert.ok(first!.known[0]!.scores[reading]! > 0.6, reading);
    assert.ok(misplaced!.known[0]!.scores[reading]! < 0.6, reading);
  }
});

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
