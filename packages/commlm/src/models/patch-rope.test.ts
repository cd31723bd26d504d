/** Rotation by the place of a patch. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manualSeed, noGrad, randn, scope } from '@commlm/torch';
import { expectNoLeak, expectRounded, maxRelDiff, roundingBound, withStrictScopes } from '@commlm/torch/testing';
import type { PatchRopeConfig } from '../config/model.js';
import { PatchRope } from './patch-rope.js';
import { SMALL_VIT_ROUNDING, smallViT } from './sample-configs.fixture.js';
import { ViT } from './vit.js';

const ropes: PatchRopeConfig[] = [
  { theta: 100, coordinates: { kind: 'centred' }, pairs: 'halves' },
  { theta: 10_000, coordinates: { kind: 'index', grid: [3, 4] }, pairs: 'neighbours' },
];

for (const rope of ropes) {
  test(`${rope.pairs} turn by the distance of two patches, special tokens stand still`, () => {
    withStrictScopes(() =>
      scope(() => {
        const one = randn([1, 1, 1, 8]);
        const turned = new PatchRope(rope, 8, [3, 4], 2, one).rotate(one.expand(1, 1, 14, 8));
        assert.equal(maxRelDiff(turned.narrow(2, 0, 2), one.expand(1, 1, 2, 8)), 0);
        const at = (row: number, column: number) => turned.select(2, 2 + row * 4 + column);
        const dot = (a: [number, number], b: [number, number]): number =>
          at(...a)
            .mul(at(...b))
            .sum()
            .item();
        const lengths = turned.mul(turned).sum(-1);
        // Sums of 8; a sine and a cosine err by 3.5 ulp each, and the angles by an ulp of up to 2 pi.
        const rounding = { terms: 8, steps: 8 };
        expectRounded(lengths, lengths.select(2, 0).unsqueeze(2).expand(1, 1, 14), rounding);
        const scale = lengths.max().item();
        expectRounded(
          dot([0, 0], [1, 2]),
          dot([1, 1], [2, 3]),
          { ...rounding, scale },
          'the score at an equal distance',
        );
        assert.ok(Math.abs(dot([0, 0], [1, 2]) - dot([0, 0], [2, 1])) > 1e-4, 'row and column differ');
      }),
    );
  });

  test(`a ViT with ${rope.pairs} learns through its rotation and leaks nothing`, () => {
    const config = smallViT({ posEmbed: { kind: 'none' }, rope, numHeads: 3, numRegisters: 2 });
    const vit = new ViT(config);
    const step = (): void =>
      scope(() => {
        vit.zeroGrad();
        const [state] = vit.forward(randn([1, 3, 32, 16]), [-1]);
        state!.mul(state!).sum().backward();
      });
    step();
    assert.ok(vit.blocks[0]!.attn.qkv.weight.grad!.abs().max().item() > 0);
    expectNoLeak(step, { steps: 3 });
    vit.dispose();
  });
}

test('without a table and without rotation patches have no order; with rotation they have', () => {
  manualSeed(1);
  const shuffled = (rope?: PatchRopeConfig): number =>
    scope(() =>
      noGrad(() => {
        using vit = new ViT(smallViT({ posEmbed: { kind: 'none' }, ...(rope ? { rope } : {}) }));
        const pixels = randn([1, 3, 32, 32]);
        // The upper and the lower half of the picture change places.
        const [a, b] = [vit.forward(pixels, [-1])[0]!, vit.forward(pixels.roll([16], [2]), [-1])[0]!];
        return maxRelDiff(b.roll([8], [1]), a);
      }),
    );
  const bound = roundingBound(SMALL_VIT_ROUNDING);
  assert.ok(shuffled() <= bound);
  assert.ok(shuffled(ropes[1]) > bound);
});
