/** Merging levels: the equations term by term. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manualSeed, noGrad, optim, randn, scope, type Tensor } from '@commlm/torch';
import { expectRounded, maxRelDiff } from '@commlm/torch/testing';
import { CommError } from '../config/errors.js';
import type { AlignConfig, EncoderConfig, MergeConfig, ScaleConfig } from '../config/model.js';
import { Align, LevelScale, LlnLayerscaleMerge, VisionModel, VisualBranch } from './fusion.js';
import { smallComm, smallViT } from './sample-configs.fixture.js';

const softmax: ScaleConfig = { kind: 'softmax' };
const lln = { kind: 'lln-layerscale', weights: softmax, shared: false, order: 'norm-linear', width: 24 } as const;

const merges: Record<string, MergeConfig> = {
  mean: { kind: 'mean' },
  layerscale: { kind: 'layerscale', weights: softmax },
  'layerscale, free': { kind: 'layerscale', weights: { kind: 'free', init: 'uniform' } },
  'lln-layerscale': lln,
  'lln-layerscale, free ones': { ...lln, weights: { kind: 'free', init: 'ones' } },
  'lln-layerscale, shared': { ...lln, shared: true },
  'lln-layerscale, linear first': { ...lln, order: 'linear-norm' },
  'lln-layerscale, linear first, shared, wide': { ...lln, order: 'linear-norm', shared: true, width: 40 },
  'conv-layerscale': { kind: 'conv-layerscale', weights: softmax, kernelSize: 3, width: 24 },
  'conv-layerscale, 1 x 1, free': {
    kind: 'conv-layerscale',
    weights: { kind: 'free', init: 'uniform' },
    kernelSize: 1,
    width: 16,
  },
  concat: { kind: 'concat' },
};

const aligns: AlignConfig[] = [
  { kind: 'none' },
  { kind: 'linear' },
  { kind: 'mlp', blocks: 1, ratio: 4, act: 'gelu' },
  { kind: 'mlp', blocks: 2, ratio: 8, act: 'gelu_tanh' },
  { kind: 'mlp', blocks: 4, ratio: 16, act: 'quick_gelu' },
  { kind: 'mlp', blocks: 8, ratio: 4, act: 'relu' },
];

const branch = (changes: Partial<EncoderConfig>): VisualBranch => {
  manualSeed(1);
  return new VisualBranch({ ...smallComm().vision.encoders[1]!, ...changes });
};

/** One step of AdamW on what follows the frozen encoder; the loss must fall. */
function trainStep(model: VisualBranch): void {
  scope(() => {
    model.vit.requiresGrad_(false);
    const levels = noGrad(() => model.encode(randn([4, 3, 32, 32])));
    const first = model.fuse(levels);
    const target = randn(first.shape);
    const parameters = model.parameters().filter((p) => p.requiresGrad);
    if (parameters.length === 0) return;
    const optimizer = new optim.AdamW(parameters, { lr: 0.001 });
    const lossOf = (): Tensor => model.fuse(levels).sub(target).pow(2).mean();
    const before = lossOf();
    before.backward();
    for (const [key, parameter] of model.namedParameters()) {
      if (parameter.requiresGrad) assert.ok(parameter.grad !== null, `${key} receives no gradient`);
    }
    optimizer.step();
    assert.ok(lossOf().item() < before.item(), 'a step lowers the loss');
  });
}

for (const [name, merge] of Object.entries(merges)) {
  test(`merge ${name} runs and learns`, () => {
    using model = branch({ merge, align: { kind: 'none' } });
    const width = { concat: 48, mean: 24, layerscale: 24, single: 24 }[merge.kind as string];
    scope(() => {
      const expected = width ?? (merge as { width: number }).width;
      assert.deepEqual(model.forward(randn([2, 3, 32, 32])).shape, [2, 16, expected]);
    });
    trainStep(model);
  });
}

for (const align of aligns) {
  test(`alignment ${JSON.stringify(align)} runs and learns`, () => {
    using model = branch({ align });
    trainStep(model);
  });
}

test('single is the level itself', () => {
  using model = branch({ levels: [-2], merge: { kind: 'single' }, align: { kind: 'none' } });
  scope(() => {
    const pixels = randn([1, 3, 32, 32]);
    assert.equal(maxRelDiff(model.forward(pixels), model.vit.forward(pixels, [2])[0]!), 0);
  });
});

test('softmax scales sum to 1 whatever the logits; free ones start at 1 / n or 1', () => {
  scope(() => {
    using scale = new LevelScale(6, softmax);
    const first = [...(scale.forward().toArray() as Float32Array)];
    expectRounded(first, Array(6).fill(1 / 6), { terms: 6, steps: 2 });
    noGrad(() => scale.weight.copy_(randn([6]).mul(5)));
    expectRounded(scale.forward().sum().item(), 1, { terms: 6, steps: 2 });
    using uniform = new LevelScale(4, { kind: 'free', init: 'uniform' });
    using one = new LevelScale(4, { kind: 'free', init: 'ones' });
    assert.deepEqual([...(uniform.forward().toArray() as Float32Array)], [0.25, 0.25, 0.25, 0.25]);
    assert.deepEqual([...(one.forward().toArray() as Float32Array)], [1, 1, 1, 1]);
  });
});

test('LLN-Layerscale is eq. 3 term by term, in both orders', () => {
  scope(() => {
    for (const order of ['norm-linear', 'linear-norm'] as const) {
      using merge = new LlnLayerscaleMerge(smallViT(), 3, { ...lln, order });
      noGrad(() => merge.scale.weight.copy_(randn([3])));
      const levels = [randn([2, 16, 24]), randn([2, 16, 24]), randn([2, 16, 24])];
      const alpha = merge.scale.weight.softmax(0).toArray() as Float32Array;
      const terms = levels.map((v, l) => {
        const parts = [merge.norms[l]!, merge.linears[l]!];
        return v.pipe(...(order === 'norm-linear' ? parts : parts.toReversed())).mul(alpha[l]!);
      });
      const expected = terms.reduce((a, b) => a.add(b));
      // A norm, a product of 24, a weight that is a softmax, and a sum of three.
      expectRounded(merge.forward(levels), expected, { terms: 24, steps: 5 });
    }
  });
});

test('a shared linear-layernorm has the parameters of one', () => {
  using own = branch({ merge: lln });
  using shared = branch({ merge: { ...lln, shared: true } });
  const perLevel = 24 * 24 + 24 + 2 * 24;
  assert.equal(own.merge.numParameters(), 2 * perLevel + 2);
  assert.equal(shared.merge.numParameters(), perLevel + 2);
});

test('alignment is blocks of D -> r D -> D without a skip', () => {
  using align = new Align(24, { kind: 'mlp', blocks: 2, ratio: 4, act: 'gelu' });
  assert.equal(align.numParameters(), 2 * (24 * 96 + 96 + 96 * 24 + 24));
});

test('matrices of the alignment start so that the size of its input is kept, or as PyTorch has them', () => {
  const config = { kind: 'mlp', blocks: 4, ratio: 4, act: 'gelu' } as const;
  const spreadBehind = (init?: 'scaled' | 'default'): number => {
    manualSeed(4);
    using align = new Align(64, { ...config, init });
    return scope(() => {
      const out = noGrad(() => align.forward(randn([1, 512, 64])));
      return Math.sqrt(
        out
          .sub(out.mean([1], true))
          .pow(2)
          .mean()
          .item(),
      );
    });
  };
  assert.equal(spreadBehind(), spreadBehind('scaled'));
  assert.ok(spreadBehind() > 0.2, `${spreadBehind()}`);
  // A block of default maps keeps a fifth of what it is given.
  assert.ok(spreadBehind('default') < 0.01, `${spreadBehind('default')}`);
});

test('channels keep N tokens, tokens put the encoders in a row', () => {
  const { vision } = smallComm();
  scope(() => {
    const pixels = [randn([2, 3, 32, 32]), randn([2, 3, 32, 32])];
    using channels = new VisionModel(vision);
    using tokens = new VisionModel({ ...vision, fuse: 'tokens' });
    assert.deepEqual(channels.forward(pixels).shape, [2, 16, 48]);
    assert.deepEqual(tokens.forward(pixels).shape, [2, 32, 24]);
  });
});

test('any number of encoders: one, or three', () => {
  const { encoders } = smallComm().vision;
  scope(() => {
    const pixels = randn([1, 3, 32, 32]);
    using one = new VisionModel({ encoders: [encoders[1]!], fuse: 'channels' });
    using three = new VisionModel({ encoders: [...encoders, encoders[1]!], fuse: 'channels' });
    assert.deepEqual(one.forward([pixels]).shape, [1, 16, 24]);
    assert.deepEqual(three.forward([pixels, pixels, pixels]).shape, [1, 16, 72]);
    assert.throws(() => three.forward([pixels]), CommError);
  });
});

test('a wrong number of levels is refused', () => {
  using model = branch({});
  scope(() => assert.throws(() => model.fuse([randn([1, 16, 24])]), /2 levels, not 1/));
});

test('frozen encoders leave no graph; trainable ones do', () => {
  using model = branch({});
  scope(() => {
    const pixels = randn([1, 3, 32, 32]);
    assert.equal(model.encode(pixels)[0]!.requiresGrad, true);
    model.vit.requiresGrad_(false);
    assert.equal(model.encode(pixels)[0]!.requiresGrad, false);
    assert.equal(model.forward(pixels).requiresGrad, true);
  });
});
