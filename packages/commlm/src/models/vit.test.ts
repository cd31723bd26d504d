/** The vision transformer: levels, special tokens, and its norms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { F, manualSeed, noGrad, randn, scope, type Tensor, tensor, zeros } from '@commlm/torch';
import { expectNoLeak, expectRounded, maxRelDiff, withStrictScopes } from '@commlm/torch/testing';
import { CommError } from '../config/errors.js';
import { clipViTL14, dinov2ViTL14 } from '../config/presets.js';
import { attend, usesExplicitAttention } from './attention.js';
import { ClipVision } from './clip.js';
import { Dinov2Vision } from './dinov2.js';
import { smallViT } from './sample-configs.fixture.js';
import { resizePositions } from './vit/positions.js';
import { ViT } from './vit.js';

/** Equal to the bit: the same operators on the same numbers, or copies of them. */
const same = (actual: Tensor, expected: Tensor): void => assert.equal(maxRelDiff(actual, expected), 0);

test('levels count from both ends, come in the order asked, and stop at the deepest', () => {
  withStrictScopes(() =>
    scope(() => {
      using vit = new ViT(smallViT());
      const pixels = randn([2, 3, 32, 32]);
      const all = vit.forward(pixels, [0, 1, 2, 3]);
      const picked = vit.forward(pixels, [-1, 1, -4]);
      assert.deepEqual(all[0]!.shape, [2, 16, 24]);
      for (const [i, level] of [3, 1, 0].entries()) same(picked[i]!, all[level]!);
      // Damage behind the deepest asked level must not be seen.
      noGrad(() => vit.blocks[2]!.mlp.fc2.bias!.fill_(Number.NaN));
      same(vit.forward(pixels, [2])[0]!, all[2]!);
      assert.throws(() => vit.forward(pixels, [4]), CommError);
    }),
  );
});

test('special tokens are dropped unless asked for, registers stand behind CLS', () => {
  scope(() => {
    using vit = new ViT(smallViT({ numRegisters: 4 }));
    const pixels = randn([1, 3, 32, 32]);
    const [patches] = vit.forward(pixels, [0]);
    const [all] = vit.forward(pixels, [0], { keepSpecial: true });
    assert.deepEqual(all!.shape, [1, 21, 24]);
    same(all!.narrow(1, 5, 16), patches!);
    same(all!.narrow(1, 1, 4), vit.registerTokens!);
  });
});

test('the final norm touches the last level only', () => {
  scope(() => {
    using vit = new ViT(smallViT());
    noGrad(() => vit.norm instanceof Object && 'weight' in vit.norm && vit.norm.weight?.fill_(3));
    const pixels = randn([1, 3, 32, 32]);
    const [two, three] = vit.forward(pixels, [2, 3]);
    const [twoToo, normed] = vit.forward(pixels, [2, 3], { applyFinalNorm: true });
    same(twoToo!, two!);
    expectRounded(normed!, vit.norm.forward(three!), { terms: 24, steps: 3 });
  });
});

test('the patch stem is the strided convolution of the original', () => {
  scope(() => {
    using vit = new ViT(smallViT());
    const pixels = randn([2, 3, 32, 32]);
    const { weight, bias } = (vit.patchEmbed as { proj: { weight: Tensor; bias: Tensor } }).proj;
    const conv = F.conv2d(pixels, weight.reshape(24, 3, 8, 8), bias, { stride: 8 });
    expectRounded(vit.patchEmbed.forward(pixels), conv.flatten(2).transpose(1, 2), { terms: 3 * 8 * 8 });
  });
});

test('the convolutional stem is the chain of its convolutions', () => {
  scope(() => {
    using vit = new ViT(smallViT({ stem: { kind: 'conv', strides: [2, 2, 2], channels: [8, 12] } }));
    const stem = vit.patchEmbed as unknown as {
      convs: { weight: Tensor; bias: Tensor }[];
      norms: { forward(x: Tensor): Tensor }[];
    };
    // First kernel is stored [out, in, h, w], later ones [out, h, w, in]: tokens of a window lie side by side.
    let map = randn([2, 3, 32, 32]);
    const pixels = map;
    for (const [i, { weight, bias }] of stem.convs.entries()) {
      const width = map.shape[1]!;
      const kernel =
        i === 0 ? weight.reshape(-1, width, 2, 2) : weight.reshape(-1, 2, 2, width).permute(0, 3, 1, 2).contiguous();
      map = F.conv2d(map, kernel, bias, { stride: 2 });
      if (i < 2) map = F.gelu(stem.norms[i]!.forward(map.permute(0, 2, 3, 1))).permute(0, 3, 1, 2);
    }
    // Three convolutions of at most 2 x 2 x 12 terms, with a norm and an activation between.
    expectRounded(vit.patchEmbed.forward(pixels), map.flatten(2).transpose(1, 2), { terms: 48, steps: 9 });
  });
});

test('positions: the same grid is untouched, another one is interpolated, a constant stays constant', () => {
  scope(() => {
    const table = randn([1, 16, 6]);
    const config = { kind: 'learned', grid: [4, 4], antialias: false } as const;
    assert.equal(resizePositions(table, { ...config, grid: [4, 4] }, [4, 4]), table);
    const resized = resizePositions(zeros([1, 16, 6]).add(2.5), { ...config, grid: [4, 4] }, [7, 3]);
    assert.deepEqual(resized.shape, [1, 21, 6]);
    // The 16 weights of a cubic sum to one.
    expectRounded(resized, zeros([1, 21, 6]).add(2.5), { terms: 16 });
    using vit = new ViT(smallViT());
    assert.deepEqual(vit.forward(randn([1, 3, 40, 64]), [1])[0]!.shape, [1, 40, 24]);
    assert.throws(() => vit.forward(randn([1, 3, 36, 32]), [1]), /multiples of 8/);
  });
});

test('masked patches are replaced by the mask token, others keep their pixels', () => {
  scope(() => {
    using vit = new Dinov2Vision(smallViT({ maskToken: true }));
    noGrad(() => vit.maskToken!.fill_(0.5));
    const pixels = randn([1, 3, 32, 32]);
    const mask = tensor([[true, ...Array.from({ length: 15 }, () => false)]]);
    const plain = vit.embed(pixels);
    const masked = vit.embed(pixels, mask);
    same(masked.narrow(1, 2, 15), plain.narrow(1, 2, 15));
    expectRounded(masked.select(1, 1), vit.posEmbed!.select(1, 1).add(0.5));
    using without = new ViT(smallViT());
    assert.throws(() => without.embed(pixels, mask), CommError);
  });
});

test('both attention kernels agree, and training on a CPU takes the written-out one', () => {
  scope(() => {
    manualSeed(3);
    const [q, k, v] = [randn([2, 4, 9, 8]), randn([2, 2, 9, 8]), randn([2, 2, 9, 8])] as const;
    assert.equal(usesExplicitAttention(q, k), false);
    const mask = randn([2, 1, 9, 9]);
    // Scores of 8 terms, a softmax over 9 keys, and a sum of 9 values.
    const rounding = { terms: 9, steps: 5 };
    for (const options of [{}, { causal: true }, { mask }, { mask: mask.gt(-0.5).logicalOr(tensor([true])) }]) {
      const fused = attend(q, k, v, options);
      const trained = q.clone().requiresGrad_();
      assert.equal(usesExplicitAttention(trained, k), true);
      expectRounded(attend(trained, k, v, options), fused, rounding);
    }
    // One query of grouped heads takes a path of its own.
    const last = q.narrow(2, 8, 1);
    expectRounded(attend(last, k, v), attend(q, k, v).narrow(2, 8, 1), rounding);
  });
});

test('encoders refuse a configuration that is not theirs', () => {
  assert.throws(() => new ClipVision(smallViT()), CommError);
  assert.throws(() => new Dinov2Vision(smallViT({ preNorm: true })), CommError);
});

test('the published encoders have the published sizes', async () => {
  const { nn } = await import('@commlm/torch');
  const count = (build: () => ViT): number => nn.onMeta(build).numParameters();
  assert.equal(
    count(() => new ClipVision(clipViTL14())),
    303_507_456,
  );
  assert.equal(
    count(() => new Dinov2Vision(dinov2ViTL14())),
    304_368_640,
  );
});

test('an encoder leaks nothing, in inference and in training', () => {
  using vit = new ClipVision(smallViT({ preNorm: true, layerScale: null }));
  expectNoLeak(() => scope(() => noGrad(() => void vit.forward(randn([1, 3, 32, 32]), [1, -1]))));
  expectNoLeak(() => {
    scope(() =>
      vit
        .forwardTokens(randn([2, 3, 32, 32]))
        .patches.sum()
        .backward(),
    );
    vit.zeroGrad();
  });
});

test('patches stand where they are said to stand in the table of positions', () => {
  scope(() => {
    using vit = new ViT(smallViT());
    const pixels = randn([2, 3, 16, 16]);
    const places = (rows: readonly (readonly number[])[]): Tensor =>
      tensor(BigInt64Array.from(rows.flat(), BigInt), { shape: [rows.length, 4] });
    const [left, right] = [
      [4, 5, 8, 9],
      [6, 7, 10, 11],
    ] as const;
    const [level] = [vit.embed(pixels, null, places([left, right]))];
    const bare = vit.patchEmbed.forward(pixels);
    const table = vit.posEmbed!.narrow(1, 1, 16);
    for (const [b, rows] of [left, right].entries()) {
      const wanted = bare.select(0, b).add(table.select(0, 0).indexSelect(0, tensor(BigInt64Array.from(rows, BigInt))));
      same(level.select(0, b).narrow(0, 1, 4), wanted);
    }
    // On the table's own grid, all places in their order are what happens without.
    const whole = randn([1, 3, 32, 32]);
    const all = tensor(
      BigInt64Array.from({ length: 16 }, (_, i) => BigInt(i)),
      { shape: [1, 16] },
    );
    same(vit.forwardTokens(whole, { places: all }).patches, vit.forwardTokens(whole).patches);
  });
});
