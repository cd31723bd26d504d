/** The promise of the synthetic world's two splits, over as many scenes as it takes to meet a box beside a grid line. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';

const { hasReservedCombination, loadSpriteBank, makeScene } = (await import(
  new URL('../../../packages/commlm/dist/data/world/index.js', import.meta.url).href
)) as typeof import('../../packages/commlm/dist/data/world/index.js');

let bank: Awaited<ReturnType<typeof loadSpriteBank>>;
before(async () => {
  bank = await loadSpriteBank();
});

/** Seeds of scenes that break the promise. Small scenes: rounding to hundredths moves a centre further there. */
function broken(split: 'train' | 'test', count: number): number[] {
  return Array.from({ length: count }, (_, seed) => seed).filter(
    (seed) => hasReservedCombination(makeScene(seed, { bank, split, size: 128 })) !== (split === 'test'),
  );
}

test('none of 40,000 train scenes holds a reserved combination', () => {
  assert.deepEqual(broken('train', 40_000), []);
});

test('each of 10,000 test scenes holds one', () => {
  assert.deepEqual(broken('test', 10_000), []);
});
