/** A scene drawn again: the same things at about the same places, and nothing else the same. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { contrastWith } from './background.js';
import { MIN_VISIBLE } from './placement.js';
import { redrawScene } from './redraw.js';
import { hasReservedCombination, makeScene, type Scene } from './scene.js';
import { loadSpriteBank, type SpriteBank } from './sprites.js';
import { COLORS, KNOWN_STYLES } from './vocabulary.js';

const SHIFT = 0.1;
const COUNT = 300;

let bank: SpriteBank;
before(async () => {
  bank = await loadSpriteBank();
});

const pairs = (options: Partial<Parameters<typeof makeScene>[1]> = {}): [Scene, Scene][] =>
  Array.from({ length: COUNT }, (_, seed) => {
    const scene = makeScene(seed, { bank, ...options });
    return [scene, redrawScene(scene, { bank, shift: SHIFT })];
  });

test('the things of a scene stay, about where they were; icons come from another set', () => {
  let moved = 0;
  for (const [scene, again] of pairs()) {
    assert.deepEqual(
      again.objects.map(({ noun, color, flip, z }) => ({ noun, color, flip, z })),
      scene.objects.map(({ noun, color, flip, z }) => ({ noun, color, flip, z })),
    );
    assert.notDeepEqual(again.background, scene.background);
    if (again.objects === scene.objects) continue;
    moved++;
    for (const [i, object] of again.objects.entries()) {
      const before = scene.objects[i]!;
      assert.ok(object.category === 'shape' ? object.style === before.style : object.style !== before.style);
      assert.ok(object.category === 'shape' || KNOWN_STYLES.some((style) => style === object.style));
      assert.ok(object.visible >= MIN_VISIBLE);
      const [x1, y1, x2, y2] = object.box;
      // Boxes are rounded to hundredths of a pixel.
      assert.ok(x1 >= -0.01 && y1 >= -0.01 && x2 <= scene.width + 0.01 && y2 <= scene.height + 0.01);
      const [a1, b1, a2, b2] = before.box;
      const reach = SHIFT * Math.max(a2 - a1, b2 - b1);
      const longest = Math.max(x2 - x1, y2 - y1);
      assert.ok(longest <= Math.max(a2 - a1, b2 - b1) + 0.02, 'as large as before, or what the scene holds');
      // What would stand out of the scene is moved back into it, by no more than half of what its box has grown.
      const slack = [Math.max(0, x2 - x1 - (a2 - a1)) / 2, Math.max(0, y2 - y1 - (b2 - b1)) / 2];
      assert.ok(Math.abs(x1 + x2 - a1 - a2) / 2 <= reach + slack[0]! + 0.02);
      assert.ok(Math.abs(y1 + y2 - b1 - b2) / 2 <= reach + slack[1]! + 0.02);
    }
  }
  assert.ok(moved > 0.8 * COUNT, `${moved} of ${COUNT} scenes have their things redrawn`);
});

test('a redrawing keeps the promise of its split, and is the same each time', () => {
  for (const split of ['train', 'test'] as const) {
    for (const [scene, again] of pairs({ split })) {
      assert.equal(hasReservedCombination(again), split === 'test');
      assert.deepEqual(again, redrawScene(scene, { bank, shift: SHIFT }));
    }
  }
});

test('coloured shapes stand out from the new background', () => {
  const shapes = pairs().flatMap(([, { background, objects }]) =>
    objects.flatMap(({ color }) => (color === undefined ? [] : [contrastWith(background, COLORS[color])])),
  );
  assert.ok(shapes.length > 50);
  // Some sets of colours leave no background free among the twenty that are tried.
  assert.ok(shapes.filter((contrast) => contrast >= 95).length > 0.97 * shapes.length);
});

test('a choice of one style has no other to offer', () => {
  for (const [scene, again] of pairs({ style: 'shift' })) {
    assert.deepEqual(
      again.objects.map(({ style }) => style),
      scene.objects.map(({ style }) => style),
    );
  }
});
